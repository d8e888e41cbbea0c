/**
 * Laws of the pass of services, over many passes with whatever may happen in between: it never takes more away than was promised, it
 * never makes two of what must be one, and once nothing happens any more it comes to rest with what is wanted.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PassPlan } from '../../../../control-plane/reconcile/actions.ts';
import { boundsOf } from '../../../../control-plane/reconcile/service/upgrade.ts';
import type { ClusterView } from '../../../../shared/domain/cluster.ts';
import type { JobSpec } from '../../../../shared/domain/job.ts';
import { DEFAULT_UPDATE, UPDATE_STRATEGIES, type UpdatePolicy } from '../../../../shared/domain/service.ts';
import { advance, isTerminal, type Task } from '../../../../shared/domain/task.ts';
import { aCheck, aGroup, aJob, aSpec } from '../../../support/builders.ts';
import { SmallCluster } from './small-cluster.ts';

const CHECK = aCheck();
const NODES = ['n1', 'n2', 'n3'];
const JOB = aJob({ spec: { kind: 'service' } });
const UID = JOB.uid;
const STEPS_TO_REST = 400;

type Event =
  | { readonly type: 'update'; readonly image: string; readonly count: number; readonly policy: number }
  | { readonly type: 'scale'; readonly count: number }
  | { readonly type: 'restart' | 'pause' | 'resume' | 'promote' | 'suspend' | 'awake' }
  | { readonly type: 'drain' | 'undrain' | 'die' | 'revive'; readonly node: string }
  | { readonly type: 'fail' | 'sicken'; readonly which: number }
  | { readonly type: 'time'; readonly steps: number };

const share = fc.constantFrom(0, 0.25, 0.5, 0.8, 1);
const policy: fc.Arbitrary<UpdatePolicy> = fc.record({
  strategy: fc.constantFrom(...UPDATE_STRATEGIES),
  minHealthy: share,
  maxOver: share,
  maxParallel: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  canaries: fc.integer({ min: 1, max: 3 }),
  autoPromote: fc.boolean(),
  minHealthySeconds: fc.constantFrom(0, 3),
  progressDeadlineSeconds: fc.constantFrom(15, 40),
  autoRevert: fc.boolean(),
});
const count = fc.integer({ min: 0, max: 7 });
const node = fc.constantFrom(...NODES);
const image = fc.constantFrom('good:1', 'good:2', 'good:3', 'sick:1', 'crashing:1');
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ type: fc.constant('update' as const), image, count, policy: fc.nat(2) }),
  fc.record({ type: fc.constant('scale' as const), count }),
  fc.record({ type: fc.constantFrom('restart', 'pause', 'resume', 'promote', 'suspend', 'awake' as const) }),
  fc.record({ type: fc.constantFrom('drain', 'undrain', 'die', 'revive' as const), node }),
  fc.record({ type: fc.constantFrom('fail', 'sicken' as const), which: fc.nat(20) }),
  fc.record({ type: fc.constant('time' as const), steps: fc.integer({ min: 1, max: 25 }) }),
) as fc.Arbitrary<Event>;

const scenario = fc.record({
  kind: fc.constantFrom('service', 'service', 'system' as const),
  isFenced: fc.boolean(),
  policies: fc.tuple(policy, policy, policy),
  events: fc.array(event, { minLength: 1, maxLength: 14 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never;

function specOf(run: Scenario, at: number, wanted: { readonly image: string; readonly count: number }): JobSpec {
  return aSpec({
    kind: run.kind,
    update: run.policies[at] ?? DEFAULT_UPDATE,
    stopAfterDisconnectSeconds: run.isFenced ? 5 : undefined,
    groups: [aGroup({ checks: [CHECK], ...wanted, count: run.kind === 'system' ? 1 : wanted.count })],
  });
}

function happen(small: SmallCluster, run: Scenario, what: Event): void {
  const job = small.job(UID);
  const { spec } = job;
  const [group] = spec.groups;
  if (group === undefined) return;
  switch (what.type) {
    case 'update':
      if (job.suspended === null) small.submit(job, specOf(run, what.policy, what), 'updated');
      return;
    case 'scale':
      if (run.kind === 'system' || job.suspended !== null) return;
      small.submit(job, { ...spec, groups: [{ ...group, count: what.count }] }, 'scaled');
      return;
    case 'restart':
      if (job.suspended === null) small.submit(job, spec, 'restarted', { restart: true });
      return;
    case 'pause':
      small.changeDeployment(UID, { paused: { atMs: small.nowMs, by: 'alice' } });
      return;
    case 'resume':
      small.changeDeployment(UID, { paused: null, progressAtMs: small.nowMs });
      return;
    case 'promote':
      small.changeDeployment(UID, { promotedAtMs: small.nowMs, promotedBy: 'alice', progressAtMs: small.nowMs });
      return;
    case 'suspend':
      small.changeJob(UID, { suspended: { atMs: small.nowMs, by: 'alice', reason: '' } });
      return;
    case 'awake':
      awake(small);
      return;
    case 'drain':
      small.drain(what.node, small.nowMs + 60_000);
      return;
    case 'undrain':
      small.undrain(what.node);
      return;
    case 'die':
      small.kill(what.node);
      return;
    case 'revive':
      small.revive(what.node);
      return;
    case 'fail':
    case 'sicken':
      disturb(small, what);
      return;
    case 'time':
      small.steps(what.steps);
  }
}

function awake(small: SmallCluster): void {
  const job = small.job(UID);
  if (job.suspended === null) return;
  small.changeJob(UID, { suspended: null });
  small.submit(small.job(UID), job.spec, 'resumed');
}

function disturb(small: SmallCluster, { type, which }: Extract<Event, { readonly type: 'fail' | 'sicken' }>): void {
  const running = small.live(UID).filter(({ state }) => state === 'running');
  const task = running[which % Math.max(1, running.length)];
  if (task === undefined) return;
  const failed = { state: 'failed', atMs: small.nowMs, reason: 'exited', message: 'it fell over' } as const;
  small.changeTask(task.id, (one) => {
    if (type === 'fail') return advance(one, failed, { exitCode: 1 });
    return { ...one, health: one.health === null ? null : { ...one.health, healthy: !one.health.healthy } };
  });
}

/**
 * What one plan takes away leaves as many ready ones as are promised, as far as there were so many. A system job promises nothing for
 * nodes that are being emptied, or that nobody reaches.
 */
function keepsPromise(small: SmallCluster, before: ClusterView, after: ClusterView): void {
  const job = before.jobs.get(UID);
  if (job === undefined || job.suspended !== null) return;
  const { spec } = job;
  const isSystem = spec.kind === 'system';
  const counted = ({ node, target }: Task) => {
    const where = node ?? target?.node ?? null;
    if (!isSystem || where === null) return true;
    return before.ledgers.get(where)?.drain === null && before.epochs.get(where)?.unreachableSinceMs === null;
  };
  const nodes = new Set(
    live(before)
      .filter(counted)
      .map(({ node, target }) => node ?? target?.node),
  );
  const count = isSystem ? nodes.size : Math.min(spec.groups[0]?.count ?? 0, countBefore(before));
  const isStopFirst = isSystem || spec.stopAfterDisconnectSeconds !== undefined;
  const { healthyMin } = boundsOf(count, spec.update ?? DEFAULT_UPDATE, { isStopFirst });
  const [had, has] = [before, after].map((cluster) => small.ready(UID, cluster).filter(counted).length);
  if (has !== undefined && had !== undefined && has < had) expect(has).toBeGreaterThanOrEqual(healthyMin);
}

/** For as long as a deployment only stands beside what was there, that is what is promised; infinite where it doesn't. */
function countBefore(cluster: ClusterView): number {
  const running = [...cluster.deploymentsOfJob(UID)].find(({ state }) => state === 'running');
  if (running === undefined || running.promotedAtMs !== null) return Number.POSITIVE_INFINITY;
  return cluster.version(UID, running.fromVersion ?? 0)?.spec.groups[0]?.count ?? 0;
}

function live(cluster: ClusterView): Task[] {
  return [...cluster.tasksOfJob(UID)].filter(({ state }) => !isTerminal(state));
}

function checkPlan(small: SmallCluster, run: Scenario, before: ClusterView, plan: PassPlan, after: ClusterView): void {
  keepsPromise(small, before, after);
  const made = plan.actions.flatMap((action) => (action.type === 'create-tasks' ? action.tasks : []));
  for (const task of made) expect(before.tasks.has(task.id)).toBe(false);
  expect(new Set(made.map(({ id }) => id)).size).toBe(made.length);
  if (!run.isFenced) return;
  // Where two must never run, a slot is empty before another task is made in it.
  const slots = live(after).map(({ group, index }) => `${group}/${index}`);
  expect(new Set(slots).size).toBe(slots.length);
}

function checkRest(small: SmallCluster, run: Scenario): void {
  const job = small.job(UID);
  const deployment = small.deployment(UID);
  expect(deployment.state).not.toBe('running');
  expect([...small.cluster.nodes.keys()].flatMap((id) => [...small.cluster.imageFetchesOn(id)])).toEqual([]);
  // What falls over time and again never comes to rest; it may even have been rolled out, where there was no node to have it.
  if (!job.spec.groups[0]?.image.startsWith('good')) return;
  expect(small.plan().actions).toEqual([]);
  if (deployment.state !== 'succeeded') return;
  const wanted = run.kind === 'system' ? NODES.length : (job.spec.groups[0]?.count ?? 0);
  expect(small.live(UID).map(({ group, jobVersion }) => `${group} ${jobVersion}`)).toEqual(
    Array.from({ length: wanted }, () => `main ${job.templates['main']}`),
  );
  expect(job.goodVersion).toBe(job.version);
}

/** Nothing stands in the way any more: nodes are back, tasks are well, whatever waits for somebody gets it. */
function calmDown(small: SmallCluster): void {
  for (const id of NODES) {
    small.revive(id);
    small.undrain(id);
  }
  awake(small);
  for (let step = 0; step < STEPS_TO_REST; step += 1) {
    if (step % 100 === 0) {
      for (const { id } of small.live(UID).filter(({ health }) => health?.healthy === false)) {
        const image = small.cluster.version(UID, small.cluster.tasks.get(id)?.jobVersion ?? 0)?.spec.groups[0]?.image;
        if (image?.startsWith('good')) small.changeTask(id, (one) => ({ ...one, health: null }));
      }
      if (small.deployment(UID).state === 'running') {
        small.changeDeployment(UID, { paused: null, progressAtMs: small.nowMs, promotedAtMs: small.nowMs });
      }
    }
    small.step();
  }
}

test('a service keeps its promises whatever happens, and comes to rest', () => {
  fc.assert(
    fc.property(scenario, (run) => {
      const small = new SmallCluster(NODES);
      small.behaviours.set('sick:1', 'sick').set('crashing:1', 'crashing');
      small.submit(JOB, specOf(run, 0, { image: 'good:1', count: 4 }), 'created');
      small.onPass = (before, plan, after) => checkPlan(small, run, before, plan, after);
      small.steps(12);
      for (const what of run.events) {
        happen(small, run, what);
        small.step();
      }
      calmDown(small);
      checkRest(small, run);
    }),
    { numRuns: 40 },
  );
});
