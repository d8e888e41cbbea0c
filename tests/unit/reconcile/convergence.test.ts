/**
 * Passes and rounds together, over what tasks may come to: every job reaches its end, in a bounded number of steps, without
 * ever having two live tasks in one place or more attempts than it may.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planBatchPass } from '../../../control-plane/reconcile/batch-pass.ts';
import { planNodeHealth } from '../../../control-plane/reconcile/node-health-pass.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { advance, isTerminal, type Task, TERMINAL_STATES, type TerminalState } from '../../../shared/domain/task.ts';
import { applyPass, applyRound, literalOf } from '../../support/apply-plan.ts';
import { aGroup, aJob, aNode, clusterOf, T0 } from '../../support/builders.ts';

const STEPS_MAX = 60;
const STEP_MS = 30_000;

const scenario = fc.record({
  count: fc.integer({ min: 1, max: 4 }),
  retriesMax: fc.integer({ min: 0, max: 3 }),
  /** How the tasks end, one after the other, over and over. */
  ends: fc.array(fc.constantFrom(...TERMINAL_STATES.filter((state) => state !== 'lost')), {
    minLength: 1,
    maxLength: 8,
  }),
  /** The step at which each of these happens, if it does. */
  updatedAt: fc.option(fc.nat(10), { nil: null }),
  stoppedAt: fc.option(fc.nat(20), { nil: null }),
  nodeLostAt: fc.option(fc.nat(10), { nil: null }),
  deletedAt: fc.option(fc.nat(20), { nil: null }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never;

function start({ count, retriesMax }: Scenario): ClusterView {
  const group = aGroup({ count, retries: { max: retriesMax, delaySeconds: 1, factor: 1 } });
  return clusterOf({ nodes: [aNode({ id: 'a' }), aNode({ id: 'b' })], jobs: [aJob({ spec: { groups: [group] } })] });
}

function step(cluster: ClusterView, run: Scenario, at: number): ClusterView {
  const nowMs = T0 + at * STEP_MS;
  let next = happen(cluster, run, at, nowMs);
  for (const planPass of [planBatchPass, planNodeHealth]) {
    next = applyPass(
      next,
      planPass({ cluster: next, nowMs, leasesCountFromMs: 0, unreachableForMs: new Map(), unseenEndsForMs: new Map() }),
    );
  }
  return applyRound(next, planRound({ cluster: next, nowMs }), nowMs);
}

/** What the world does in one step: users change their minds, nodes go away, and agents report how one task each ended. */
function happen(cluster: ClusterView, run: Scenario, at: number, nowMs: number): ClusterView {
  const literal = literalOf(cluster);
  const stop = { atMs: nowMs, by: 'alice', reason: 'enough' };
  const ended = new Set<string>();
  return clusterOf({
    ...literal,
    dead: run.nodeLostAt !== null && at >= run.nodeLostAt ? ['a'] : [],
    jobs: literal.jobs.map((job) => ({
      ...job,
      ...(run.updatedAt === at ? { version: job.version + 1, outcome: null } : {}),
      ...(run.stoppedAt === at && job.outcome === null ? { stop } : {}),
      ...(run.deletedAt === at ? { deleted: true } : {}),
    })),
    tasks: literal.tasks.map((task) => {
      const isOver =
        isTerminal(task.state) || task.node === null || !cluster.isAlive(task.node) || ended.has(task.node);
      if (isOver || task.node === null) return task;
      ended.add(task.node);
      return advance(task, { state: endOf(task, run, at), atMs: nowMs, reason: 'exited', message: 'over' });
    }),
  });
}

function endOf(task: Task, { ends }: Scenario, at: number): TerminalState {
  return task.stop === null ? (ends[at % ends.length] ?? 'finished') : 'killed';
}

function checkSafety(cluster: ClusterView, retriesMax: number): void {
  const live = [...cluster.tasks.values()].filter(({ state }) => !isTerminal(state));
  const places = live
    .filter(({ stop }) => stop === null)
    .map((task) => `${task.jobVersion}/${task.group}/${task.index}`);
  expect(new Set(places).size).toBe(places.length);
  expect(Math.max(0, ...[...cluster.tasks.values()].map(({ attempt }) => attempt))).toBeLessThanOrEqual(retriesMax);
  for (const job of cluster.jobs.values()) if (job.outcome !== null) expect(live).toEqual([]);
}

describe('a batch job', () => {
  it('comes to an end whatever happens, and its end fits what became of its tasks', () => {
    fc.assert(
      fc.property(scenario, (run) => {
        let cluster = start(run);
        for (let at = 0; at < STEPS_MAX; at += 1) {
          cluster = step(cluster, run, at);
          checkSafety(cluster, run.retriesMax);
        }
        checkEnd(cluster, run);
      }),
      { numRuns: 150 },
    );
  });
});

function checkEnd(cluster: ClusterView, run: Scenario): void {
  const [job] = cluster.jobs.values();
  if (job === undefined) {
    expect(run.deletedAt).not.toBeNull();
  } else if (job.deleted) {
    expect(holdsDisowned(cluster)).toBe(true);
  } else {
    expect(job.outcome?.state).toBe(expectedOutcome(cluster, run.count));
    expect([...cluster.unsettledJobs()]).toEqual([]);
  }
}

/** A deleted job stays only for places that were given up on a node that is still away. */
function holdsDisowned(cluster: ClusterView): boolean {
  return Object.values(cluster.ledgers.get('a')?.entries ?? {}).some(({ disowned }) => disowned);
}

function expectedOutcome(cluster: ClusterView, count: number): 'stopped' | 'succeeded' | 'failed' {
  const [job] = cluster.jobs.values();
  if (job?.stop) return 'stopped';
  const finished = [...cluster.tasks.values()].filter(
    ({ jobVersion, state }) => jobVersion === job?.version && state === 'finished',
  );
  return finished.length === count ? 'succeeded' : 'failed';
}
