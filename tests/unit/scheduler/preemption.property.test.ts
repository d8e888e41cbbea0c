/**
 * Preemption over many rounds, in clusters of roles with guarantees, limits and priorities: it takes only what it may, and comes
 * to an end.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planBatchPass } from '../../../control-plane/reconcile/batch-pass.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { roleWithin } from '../../../shared/domain/ids.ts';
import type { Role } from '../../../shared/domain/role.ts';
import { advance, isTerminal, type Task } from '../../../shared/domain/task.ts';
import { present } from '../../../shared/util/assert.ts';
import { applyPass, applyRound, literalOf } from '../../support/apply-plan.ts';
import { aGroup, aJob, aNode, aRole, clusterOf, someResources, T0 } from '../../support/builders.ts';

const ROLES = ['a', 'a/x', 'a/y', 'b', 'c'];
const STEPS_MAX = 60;

const amount = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });

const roleShape: fc.Arbitrary<Role> = fc
  .record({ path: fc.constantFrom(...ROLES), guarantee: amount, limit: amount, memory: fc.boolean() })
  .map(({ path, guarantee, limit, memory }) =>
    aRole(path, {
      limit: limit === undefined ? {} : { cpus: limit + (guarantee ?? 0) },
      guarantee: guarantee === undefined ? {} : { cpus: guarantee, ...(memory ? { memMiB: guarantee * 100 } : {}) },
    }),
  );

const jobShape = fc.record({
  role: fc.constantFrom(...ROLES),
  count: fc.integer({ min: 1, max: 4 }),
  cpus: fc.constantFrom(0.5, 1, 2),
  memMiB: fc.constantFrom(50, 100, 300),
  priority: fc.constantFrom(10, 50, 90),
  port: fc.constantFrom(undefined, undefined, 31_001),
  /** When it is submitted. */
  atStep: fc.nat(6),
});

const scenario = fc.record({
  nodes: fc.array(fc.record({ cpus: fc.integer({ min: 1, max: 4 }), memMiB: fc.constantFrom(200, 600) }), {
    minLength: 1,
    maxLength: 3,
  }),
  roles: fc.uniqueArray(roleShape, { maxLength: 4, selector: ({ path }) => path }),
  jobs: fc.array(jobShape, { minLength: 1, maxLength: 8 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never;

function start({ nodes, roles }: Scenario): ClusterView {
  return clusterOf({
    nodes: nodes.map(({ cpus, memMiB }, index) => {
      return aNode({ id: `n${index}`, resources: someResources({ cpus, memMiB }) });
    }),
    roles,
  });
}

/** Jobs come in, and what is to end does: half of it in each step, so that a task has to wait for some of its victims. */
function happen(cluster: ClusterView, { jobs }: Scenario, step: number): ClusterView {
  const literal = literalOf(cluster);
  const coming = jobs.flatMap(({ atStep, role, count, cpus, memMiB, priority, port }, index) => {
    if (atStep !== step) return [];
    const ports = port === undefined ? [] : [{ name: 'p', hostPort: port, protocol: 'tcp' as const }];
    const group = aGroup({ count, resources: { cpus, memMiB }, ports });
    return [aJob({ spec: { name: `j${index}`, role, priority, groups: [group] }, createdAtMs: T0 + step })];
  });
  const ending = literal.tasks.filter(({ state, stop }) => stop !== null && !isTerminal(state));
  const ends = new Set(ending.slice(0, Math.ceil(ending.length / 2)).map(({ id }) => id));
  const killed = { state: 'killed', atMs: T0 + step, reason: 'stop-requested', message: '' } as const;
  return clusterOf({
    ...literal,
    jobs: [...literal.jobs, ...coming],
    tasks: literal.tasks.map((task) => (ends.has(task.id) ? advance(task, killed) : task)),
  });
}

interface Step {
  readonly before: ClusterView;
  readonly plan: ReturnType<typeof planRound>;
  readonly after: ClusterView;
}

function* stepsOf(run: Scenario): Generator<Step> {
  let cluster = start(run);
  for (let step = 0; step < STEPS_MAX; step += 1) {
    const nowMs = T0 + step * 1000;
    const happened = happen(cluster, run, step);
    const before = applyPass(happened, planBatchPass({ cluster: happened, nowMs, unseenEndsForMs: new Map() }));
    const plan = planRound({ cluster: before, nowMs });
    cluster = applyRound(before, plan, nowMs);
    yield { before, plan, after: cluster };
  }
}

function heldBy(cluster: ClusterView, role: string, gone: ReadonlySet<string>, name: 'cpus' | 'memMiB'): number {
  return [...cluster.ledgers.values()]
    .flatMap(({ entries }) => Object.values(entries))
    .filter((entry) => roleWithin(entry.role, role) && entry.stop === null && !gone.has(entry.task))
    .reduce((sum, { resources }) => sum + resources[name], 0);
}

const taskOf = (cluster: ClusterView, id: string): Task => present(cluster.tasks.get(id), id);
const priorityOf = (cluster: ClusterView, { jobUid }: Task) => present(cluster.jobs.get(jobUid), jobUid).spec.priority;

describe('preemption', () => {
  it('comes to an end: from some step on nothing is displaced or placed any more', () => {
    fc.assert(
      fc.property(scenario, (run) => {
        let stops = 0;
        let quiet = 0;
        for (const { plan } of stepsOf(run)) {
          stops += plan.stops.length;
          quiet = plan.stops.length + plan.placements.length + plan.sweeps.length === 0 ? quiet + 1 : 0;
        }
        expect(quiet).toBeGreaterThan(20);
        const tasks = run.jobs.reduce((sum, { count }) => sum + count, 0);
        expect(stops).toBeLessThanOrEqual(tasks * tasks);
      }),
      { numRuns: 100 },
    );
  });

  it('displaces for a priority only what has a lower one in the same role', () => {
    fc.assert(
      fc.property(scenario, (run) => {
        for (const { before, plan } of stepsOf(run)) {
          for (const { task, stop } of plan.stops) {
            if (stop.displacedBy?.because !== 'priority') continue;
            const victim = taskOf(before, task);
            const heir = taskOf(before, stop.displacedBy.task ?? '');
            expect(victim.role).toBe(heir.role);
            expect(priorityOf(before, victim)).toBeLessThan(priorityOf(before, heir));
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('displaces for a guarantee only for a role that holds less, and leaves to others what they are guaranteed', () => {
    fc.assert(
      fc.property(scenario, (run) => {
        for (const { before, plan, after } of stepsOf(run)) {
          const bound = plan.stops.filter(({ stop }) => stop.displacedBy?.because === 'guarantee');
          if (bound.length === 0) continue;
          const swept = new Set(plan.sweeps.flatMap(({ tasks }) => tasks));
          const gone = new Set([...swept, ...plan.stops.map(({ task }) => task)]);
          for (const { task, stop } of bound) {
            const { role, task: heir } = present(stop.displacedBy, 'who it is for');
            const victim = taskOf(before, task);
            expect(roleWithin(taskOf(before, heir ?? '').role, role)).toBe(true);
            expect(roleWithin(victim.role, role)).toBe(false);
            const { guarantee } = present(before.roles.get(role), role);
            expect(heldBy(after, role, gone, 'cpus')).toBeLessThan(guarantee['cpus'] ?? 0);
            for (const other of ROLES) {
              const promised = before.roles.get(other)?.guarantee['cpus'] ?? 0;
              const isOnlyVictim =
                roleWithin(victim.role, other) &&
                !plan.stops.some(
                  ({ stop: { displacedBy } }) =>
                    displacedBy?.because === 'priority' ||
                    roleWithin(taskOf(before, displacedBy?.task ?? '').role, other),
                );
              if (isOnlyVictim) expect(heldBy(after, other, gone, 'cpus')).toBeGreaterThanOrEqual(promised);
            }
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('displaces nothing more for a task that waits for others to end', () => {
    fc.assert(
      fc.property(scenario, (run) => {
        for (const { before, plan } of stepsOf(run)) {
          const waiting = new Set(
            [...before.tasks.values()]
              .filter(({ state }) => !isTerminal(state))
              .flatMap(({ stop }) => stop?.displacedBy?.task ?? []),
          );
          for (const { stop } of plan.stops) expect(waiting.has(stop.displacedBy?.task ?? '')).toBe(false);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('never takes what it has just given, nor the same twice', () => {
    fc.assert(
      fc.property(scenario, (run) => {
        for (const { before, plan } of stepsOf(run)) {
          const stopped = plan.stops.map(({ task }) => task);
          expect(new Set(stopped).size).toBe(stopped.length);
          for (const id of stopped) {
            expect(taskOf(before, id)).toMatchObject({ stop: null });
            expect(plan.placements.some(({ task }) => task === id)).toBe(false);
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});
