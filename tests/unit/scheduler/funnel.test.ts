import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explainJob } from '../../../control-plane/scheduler/explain-job.ts';
import { FUNNEL_STAGES, STAGE_OF } from '../../../control-plane/scheduler/funnel.ts';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import type { GroupSpec, JobSpec } from '../../../shared/domain/job.ts';
import type { Node } from '../../../shared/domain/node.ts';
import { PLACEMENT_OBSTACLES } from '../../../shared/domain/placement-obstacle.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import { present } from '../../../shared/util/assert.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  aReservation,
  aTask,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

function waitsOf(
  group: GroupSpec,
  literal: ClusterLiteral,
  { notBeforeMs = 0, spec }: { notBeforeMs?: number; spec?: Partial<JobSpec> } = {},
) {
  const job = aJob({ spec: { kind: 'service', ...spec, groups: [group] } });
  const cluster = clusterOf({ ...literal, jobs: [job], tasks: [aTask(job, { notBeforeMs })] });
  return present(explainJob({ cluster, nowMs: T0, job, task: null }).waiting[0], 'a waiting task');
}

function declined(waits: ReturnType<typeof waitsOf>): Record<string, number> {
  return Object.fromEntries(
    waits.funnel.rows.filter((row) => row.declined > 0).map(({ stage, declined: count }) => [stage, count]),
  );
}

describe('the funnel', () => {
  const group = aGroup({
    resources: { cpus: 2, memMiB: 1000, diskMiB: 1000, custom: { licence: 1 } },
    ports: [{ name: 'http', hostPort: 31_000, protocol: 'tcp' }],
    constraints: [{ attribute: 'zone', operator: '=', value: 'a' }],
    mounts: [],
  });
  /** One for each stage, which refuses for that reason and others that come later. */
  const full = { cpus: 4, memMiB: 4096, diskMiB: 10_000, custom: { licence: 1 } };
  const nodes: Node[] = [
    aNode({ id: 'role', attributes: { zone: 'a' }, resources: someResources(full) }),
    aNode({ id: 'zone', attributes: { zone: 'b' }, resources: someResources({ cpus: 0 }) }),
    aNode({ id: 'closed', attributes: { zone: 'a' }, resources: someResources({ cpus: 0 }) }),
    aNode({ id: 'cpu', attributes: { zone: 'a' }, resources: someResources({ ...full, cpus: 1, memMiB: 1 }) }),
    aNode({ id: 'memory', attributes: { zone: 'a' }, resources: someResources({ ...full, memMiB: 900, diskMiB: 1 }) }),
    aNode({ id: 'disk', attributes: { zone: 'a' }, resources: someResources({ ...full, diskMiB: 1, ports: [] }) }),
    aNode({ id: 'ports', attributes: { zone: 'a' }, resources: someResources({ ...full, ports: [] }) }),
    aNode({ id: 'scarce', attributes: { zone: 'a' }, resources: someResources({ ...full, custom: {} }) }),
    aNode({ id: 'fits', attributes: { zone: 'a' }, resources: someResources(full) }),
  ];
  const ledgers = [
    aLedger({
      node: 'role',
      total: someResources(full),
      reservations: [aReservation({ role: 'eng', scalars: { ...NO_SCALARS, cpus: 3 } })],
    }),
    aLedger({ node: 'closed', total: someResources({ cpus: 0 }), eligible: false }),
  ];

  it('counts each node once, under the first stage that refuses it', () => {
    const waits = waitsOf(group, { nodes, ledgers });
    expect(declined(waits)).toEqual({
      role: 1,
      constraint: 1,
      maintenance: 1,
      cpu: 1,
      memory: 1,
      disk: 1,
      ports: 1,
      'scarce-resource': 1,
    });
    expect(waits.funnel.nodesLeft).toBe(1);
    expect(waits.funnel.nearest).toBeNull();
    expect(waits.funnel.rows.find(({ stage }) => stage === 'memory')?.reasons).toEqual([
      '1 has too little memory free',
    ]);
  });

  it('has all its stages in their order, each with what the one before has left', () => {
    const { rows } = waitsOf(group, { nodes, ledgers }).funnel;
    expect(rows.map(({ stage }) => stage)).toEqual([...FUNNEL_STAGES]);
    expect(rows.map(({ processed }) => processed)).toEqual([9, 8, 7, 7, 6, 5, 4, 3, 3, 2, 1, 1]);
  });

  it('names the node that lacks least, with what it lacks in numbers', () => {
    const { nearest } = waitsOf(group, {
      nodes: nodes.filter(({ id }) => ['cpu', 'memory', 'zone'].includes(id)),
    }).funnel;
    expect(nearest?.message).toBe(
      'memory lacks 100 of 1000 MiB of memory, with 900 of 900 free; it lacks 999 of 1000 MiB of disk, with 1 of 1 free',
    );
  });

  it('ends with a backoff, which no node can do anything about', () => {
    const waits = waitsOf(group, { nodes, ledgers }, { notBeforeMs: T0 + 5000 });
    expect(declined(waits)['backoff']).toBe(1);
    expect(waits.funnel.nodesLeft).toBe(0);
    expect(waits.notBeforeMs).toBe(T0 + 5000);
  });

  it('has a stage for every obstacle', () => {
    expect(Object.keys(STAGE_OF).sort()).toEqual([...PLACEMENT_OBSTACLES].sort());
    for (const stage of Object.values(STAGE_OF)) expect(FUNNEL_STAGES).toContain(stage);
  });

  it('adds up, whatever the nodes', () => {
    const arbitrary = fc.array(
      fc.record({
        zone: fc.constantFrom('a', 'b'),
        cpus: fc.integer({ min: 0, max: 4 }),
        memMiB: fc.integer({ min: 0, max: 2000 }),
        eligible: fc.boolean(),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(arbitrary, (some) => {
        const all = some.map(({ zone, cpus, memMiB }, at) =>
          aNode({
            id: `n${at}`,
            attributes: { zone },
            resources: someResources({ cpus, memMiB, custom: { licence: 1 } }),
          }),
        );
        const open = all.map((node, at) =>
          aLedger({ node: node.id, total: node.resources, eligible: some[at]?.eligible ?? true }),
        );
        const { funnel } = waitsOf(group, { nodes: all, ledgers: open });
        let left = all.length;
        for (const row of funnel.rows) {
          expect(row.processed).toBe(left);
          left -= row.declined;
        }
        expect(left).toBe(funnel.nodesLeft);
        expect(funnel.nearest === null).toBe(left > 0 || all.length === 0);
      }),
      { numRuns: 100 },
    );
  });
});

describe('constraints that can never be satisfied', () => {
  const nodes = ['a', 'b', 'b'].map((zone, at) => aNode({ id: `n${at}`, attributes: { zone } }));
  const of = (constraints: readonly Constraint[], count = 3) =>
    waitsOf(aGroup({ count, constraints }), { nodes }).feasibility;

  it.each<{ name: string; constraints: readonly Constraint[]; most: number | null; impossible: RegExp | null }>([
    {
      name: 'no node has the attribute',
      constraints: [{ attribute: 'rack', operator: 'exists' }],
      most: 0,
      impossible: /^None of 3 nodes satisfies "rack exists": none has the attribute "rack"\. Change/,
    },
    {
      name: 'no node has such a value',
      constraints: [{ attribute: 'zone', operator: '=', value: 'c' }],
      most: 0,
      impossible: /^None of 3 nodes satisfies "zone = c": none has a value that does\./,
    },
    {
      name: 'they contradict each other',
      constraints: [
        { attribute: 'zone', operator: '=', value: 'a' },
        { attribute: 'zone', operator: '!=', value: 'a' },
      ],
      most: 0,
      impossible: /contradict each other: of 3 nodes, .*"zone = a" \(1\), "zone != a" \(2\)\.$/,
    },
    {
      name: 'more are wanted than there are values',
      constraints: [{ attribute: 'zone', operator: 'unique' }],
      most: 2,
      impossible:
        /^"zone unique" lets at most 2 tasks of the group run, where 3 are wanted: the nodes .*\(3\) have 2 values of "zone"\./,
    },
    {
      name: 'too few for each value',
      constraints: [
        { attribute: 'zone', operator: 'maxPer', value: '2' },
        { attribute: 'zone', operator: '=', value: 'b' },
      ],
      most: 2,
      impossible: /^"zone maxPer 2" lets at most 2 tasks of the group run, where 3 are wanted: the nodes/,
    },
    { name: 'enough', constraints: [{ attribute: 'node', operator: 'unique' }], most: 3, impossible: null },
    { name: 'no bound', constraints: [{ attribute: 'zone', operator: 'groupBy' }], most: null, impossible: null },
    {
      name: 'fewer values than are expected',
      constraints: [{ attribute: 'zone', operator: 'groupBy', value: '3' }],
      most: 2,
      impossible: /^"zone groupBy 3" lets at most 2 tasks of the group run, where 3 are wanted: the nodes/,
    },
    { name: 'none at all', constraints: [], most: null, impossible: null },
  ])('$name', ({ constraints, most, impossible }) => {
    const found = of(constraints);
    expect(found.most).toBe(most);
    if (impossible === null) expect(found.impossible).toBeNull();
    else expect(found.impossible).toMatch(impossible);
  });

  it('tell how many nodes satisfy each', () => {
    expect(
      of([
        { attribute: 'zone', operator: '=', value: 'b' },
        { attribute: 'zone', operator: 'unique' },
      ]).constraints,
    ).toEqual([
      { constraint: 'zone = b', nodes: 2 },
      { constraint: 'zone unique', nodes: 3 },
    ]);
  });
});

describe('the waiting tasks of a job', () => {
  it('are told once for all that ask for the same, and by node where they name one', () => {
    const job = aJob({ spec: { kind: 'service', groups: [aGroup({ count: 3, resources: { cpus: 9 } })] } });
    const tasks = [0, 1, 2].map((index) => aTask(job, { index }));
    const named = aTask(job, { index: 3, target: { node: 'a', required: true } });
    const cluster = clusterOf({
      nodes: [aNode({ id: 'a' }), aNode({ id: 'b' })],
      jobs: [job],
      tasks: [...tasks, named],
    });
    const { waiting, more } = explainJob({ cluster, nowMs: T0, job, task: null });
    expect(waiting.map((one) => one.tasks.length)).toEqual([3, 1]);
    expect(waiting[1]?.funnel.rows.find(({ stage }) => stage === 'constraint')?.declined).toBe(1);
    expect(more).toBe(0);
    expect(explainJob({ cluster, nowMs: T0, job, task: named }).waiting.map((one) => one.tasks)).toEqual([[named]]);
  });
});
