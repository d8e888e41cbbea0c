import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import { aGroup, aJob, aNode, aTask, clusterOf, someResources, T0 } from '../../support/builders.ts';

/** Said once more, in the words of Marathon's documentation, over the zones of the tasks that are placed. */
function allows({ operator, value }: Constraint, zone: string, placed: readonly string[]): boolean {
  const counts = new Map<string, number>();
  for (const one of placed) counts.set(one, (counts.get(one) ?? 0) + 1);
  const here = counts.get(zone) ?? 0;
  const all = [...counts.values()];
  switch (operator) {
    case 'unique':
      return here === 0;
    case 'cluster':
      return placed.every((one) => one === zone);
    case 'maxPer':
      return here < Number(value);
    default:
      return here === 0 || (counts.size >= Number(value ?? 0) && all.every((other) => other >= here));
  }
}

const arbitraryRule = fc.oneof(
  fc.constantFrom<Constraint>(
    { attribute: 'zone', operator: 'unique' },
    { attribute: 'zone', operator: 'cluster' },
    { attribute: 'zone', operator: 'groupBy' },
  ),
  fc.record({
    attribute: fc.constant('zone'),
    operator: fc.constantFrom('maxPer', 'groupBy'),
    value: fc.integer({ min: 1, max: 4 }).map(String),
  }),
);

/** Zones of nodes, with how many tasks each has room for. */
const arbitraryCase = fc.record({
  rule: arbitraryRule,
  nodes: fc.array(fc.record({ zone: fc.constantFrom('a', 'b', 'c', 'd'), room: fc.integer({ min: 0, max: 4 }) }), {
    maxLength: 7,
  }),
  count: fc.integer({ min: 1, max: 9 }),
  placement: fc.constantFrom('pack', 'spread'),
  hasSpread: fc.boolean(),
});

type Case = typeof arbitraryCase extends fc.Arbitrary<infer T> ? T : never;

function placedBy({ rule, nodes, count, placement, hasSpread }: Case, isReversed = false) {
  const spread = hasSpread ? [{ attribute: 'zone', weight: 30 }] : [];
  const group = aGroup({ count, constraints: [rule], spread, resources: { cpus: 1, memMiB: 1 } });
  const job = aJob({ spec: { kind: 'service', placement, groups: [group] } });
  const all = nodes.map(({ zone, room }, at) =>
    aNode({ id: `n${at}`, attributes: { zone }, resources: someResources({ cpus: room + 0.5 }) }),
  );
  const tasks = Array.from({ length: count }, (_, index) => aTask(job, { index }));
  const cluster = clusterOf({
    nodes: isReversed ? all.toReversed() : all,
    jobs: [job],
    tasks: isReversed ? tasks.toReversed() : tasks,
  });
  return planRound({ cluster, nowMs: T0 }).placements.map(({ task, node }) => ({
    task,
    node,
    at: Number(node.slice(1)),
  }));
}

describe('whatever the nodes and the rule, tasks placed in one round', () => {
  it('obey it one after the other, and none is left without a place that there is', () => {
    fc.assert(
      fc.property(arbitraryCase, (one) => {
        const zones: string[] = [];
        const left = one.nodes.map(({ room }) => room);
        for (const { at } of placedBy(one)) {
          const zone = one.nodes[at]?.zone ?? '';
          expect(allows(one.rule, zone, zones)).toBe(true);
          zones.push(zone);
          left[at] = (left[at] ?? 0) - 1;
        }
        if (zones.length === one.count) return;
        const free = one.nodes.filter(({ zone }, at) => (left[at] ?? 0) > 0 && allows(one.rule, zone, zones));
        expect(free).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('go where they go in whatever order nodes and tasks are listed', () => {
    fc.assert(
      fc.property(arbitraryCase, (one) => {
        expect(placedBy(one, true)).toEqual(placedBy(one));
      }),
      { numRuns: 150 },
    );
  });

  it('never pass a bound on their skew, over the zones that have nodes', () => {
    const arbitrary = fc.record({ base: arbitraryCase, most: fc.integer({ min: 1, max: 3 }) });
    fc.assert(
      fc.property(arbitrary, ({ base, most }) => {
        const group = aGroup({
          count: base.count,
          spread: [{ attribute: 'zone', weight: 1, maxSkew: most }],
          resources: { memMiB: 1 },
        });
        const job = aJob({ spec: { kind: 'service', groups: [group] } });
        const nodes = base.nodes.map(({ zone, room }, at) =>
          aNode({ id: `n${at}`, attributes: { zone }, resources: someResources({ cpus: room + 0.5 }) }),
        );
        const tasks = Array.from({ length: base.count }, (_, index) => aTask(job, { index }));
        const { placements } = planRound({ cluster: clusterOf({ nodes, jobs: [job], tasks }), nowMs: T0 });
        const counts = new Map<string, number>(base.nodes.map(({ zone }) => [zone, 0]));
        for (const { node } of placements) {
          const zone = base.nodes[Number(node.slice(1))]?.zone ?? '';
          counts.set(zone, (counts.get(zone) ?? 0) + 1);
          expect((counts.get(zone) ?? 0) - Math.min(...counts.values())).toBeLessThanOrEqual(most);
        }
      }),
      { numRuns: 150 },
    );
  });
});
