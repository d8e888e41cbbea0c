/**
 * Runs one pass of each reconciler and commits its actions. Passes have no fence: what they create has derived ids and is
 * compared as absent, what they change is compared as it was seen, so two replicas may run them at once.
 */
import { type DeploymentId, deploymentId } from '../../shared/domain/deployment.ts';
import type { JobUid, NodeId } from '../../shared/domain/ids.ts';
import type { Job } from '../../shared/domain/job.ts';
import { unreachable } from '../../shared/util/assert.ts';
import {
  ACTION_TASKS_MAX,
  type Forgettable,
  type PassAction,
  type PassFacts,
  type PassInput,
  type PassPlan,
} from '../reconcile/actions.ts';
import { planBatchPass } from '../reconcile/batch-pass.ts';
import { planFrameworks } from '../reconcile/frameworks-pass.ts';
import { planGoneNodes } from '../reconcile/gone-nodes-pass.ts';
import { planKeptAside } from '../reconcile/kept-aside-pass.ts';
import { planMaintenance } from '../reconcile/maintenance-pass.ts';
import { planNodeHealth } from '../reconcile/node-health-pass.ts';
import { planRetention, type RetentionPolicy } from '../reconcile/retention-pass.ts';
import { planServicePass } from '../reconcile/service/service-pass.ts';
import { planStaticReservations } from '../reconcile/static-reservations-pass.ts';
import { TRANSACTION_WRITES_MAX } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { deploymentUnit, imageFetchEndUnit, imageFetchUnit, relying } from '../store/rollout-units.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { fitsTransaction } from '../store/transact.ts';
import {
  clearUnit,
  createUnit,
  forgetUnit,
  giveUpUnit,
  jobUnit,
  loseUnit,
  maintenanceTurnUnit,
  presenceUnit,
  reachabilityUnit,
  removeJobUnit,
  reservationsUnit,
  stopUnit,
  type TaskStop,
  type Unit,
} from '../store/units.ts';
import type { ControllerContext } from './context.ts';

const CATCH_UP_MS = 2000;

/** Versions and deployments of a removed job that go in one transaction. The rest goes with further passes, the record itself last. */
const RECORDS_PER_REMOVAL = TRANSACTION_WRITES_MAX - 8;

export interface PassOutcome {
  readonly committed: number;
  /** Something was lost to others: run a pass again at once. */
  readonly again: boolean;
  readonly wakeAtMs: number | null;
}

const PASSES: readonly ((input: PassInput) => PassPlan)[] = [
  planGoneNodes,
  planBatchPass,
  planServicePass,
  planKeptAside,
  planNodeHealth,
  planMaintenance,
  planStaticReservations,
  planFrameworks,
];

/** Throws StoreUnavailableError. */
export async function runPasses(ctx: ControllerContext, facts: PassFacts): Promise<PassOutcome> {
  let committed = 0;
  let again = false;
  let wakeAtMs: number | null = null;
  for (const planPass of PASSES) {
    const plan = planPass({ cluster: ctx.mirror.snapshot, nowMs: ctx.clock.now(), ...facts });
    wakeAtMs = earliest(wakeAtMs, plan.wakeAtMs);
    const outcome = await commitActions(ctx, plan.actions);
    committed += outcome.committed;
    again ||= outcome.again;
  }
  return { committed, again, wakeAtMs };
}

/** One run of the retention pass: what has ended long ago is forgotten. True: there is more to forget. */
export async function runRetention(ctx: ControllerContext, policy: RetentionPolicy): Promise<boolean> {
  const { actions, more } = planRetention({ cluster: ctx.mirror.snapshot, nowMs: ctx.clock.now(), policy });
  const { committed } = await commitActions(ctx, actions);
  if (committed > 0) ctx.log.debug({ transactions: committed }, 'records of what has ended are forgotten');
  return more;
}

export function earliest(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}

/**
 * Each action is made into its unit only when its turn comes, on the mirror as it stands after the ones before: two of them
 * may change the same ledger. So it is dropped when, meanwhile, somebody has changed what it was decided from. Stops on one
 * node go together, so that the end of a large job doesn't rewrite a ledger for each of its tasks.
 */
async function commitActions(
  ctx: ControllerContext,
  actions: readonly PassAction[],
): Promise<{ committed: number; again: boolean }> {
  let committed = 0;
  let again = false;
  const decided = actions.map((action) => ({ action, basis: basisOf(ctx.mirror.snapshot, action) }));
  for (const batch of batchesOf(ctx.mirror.snapshot, decided)) {
    const standing = batch.filter(({ action, basis }) => basisOf(ctx.mirror.snapshot, action) === basis);
    again ||= standing.length < batch.length;
    const unit = unitOf(
      ctx.mirror.snapshot,
      standing.map(({ action }) => action),
    );
    if (unit === null || unit.writes.length === 0 || !fits(ctx, unit)) continue;
    const result = await ctx.store.transact(unit);
    if (result.committed) committed++;
    else again = true;
    await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
  }
  return { committed, again };
}

/** The last line of defence: what no transaction takes is told and left, so that it holds nothing else up. */
function fits({ log }: ControllerContext, unit: Unit): boolean {
  if (fitsTransaction(unit)) return true;
  log.error(
    { key: unit.writes[0]?.key, writes: unit.writes.length },
    'a change is too large for the store and is left out',
  );
  return false;
}

interface Decided {
  readonly action: PassAction;
  readonly basis: string;
}

interface OpenBatch {
  readonly batch: Decided[];
  /** Keys that are compared for it beside those of the tasks that it stops. */
  readonly relied: Set<string>;
}

/** Actions that are committed together: stops on one node (or on none), at most as many as an action has tasks; others alone. */
function batchesOf(snapshot: Snapshot, decided: readonly Decided[]): Decided[][] {
  const batches: Decided[][] = [];
  const open = new Map<NodeId | null, OpenBatch>();
  for (const one of decided) {
    const node = one.action.type === 'stop-task' ? (snapshot.tasks.get(one.action.task)?.node ?? null) : undefined;
    const keys = reliedKeys(snapshot, one.action);
    const before = node === undefined ? undefined : open.get(node);
    const relied = new Set([...(before?.relied ?? []), ...keys]);
    if (before !== undefined && before.batch.length + relied.size < ACTION_TASKS_MAX) {
      before.batch.push(one);
      for (const key of keys) before.relied.add(key);
      continue;
    }
    const started = [one];
    batches.push(started);
    if (node !== undefined) open.set(node, { batch: started, relied: new Set(keys) });
  }
  return batches;
}

function reliedKeys(snapshot: Snapshot, action: PassAction): string[] {
  if (action.type !== 'stop-task' || action.relies === undefined) return [];
  const { job, tasks } = action.relies;
  const all = [action.task, ...tasks];
  // Whoever can't be reached doesn't count as working.
  const nodes = new Set(all.flatMap((id) => snapshot.tasks.get(id)?.node ?? []));
  const epochs = [...nodes].map((node) => keys.epoch(node));
  return [...all.map((id) => keys.task(id)), ...epochs, ...rolloutKeys(snapshot, job)];
}

/** What says which tasks a lasting job is to have now: a deployment may be paused or promoted without a change of the job. */
function rolloutKeys(snapshot: Snapshot, uid: JobUid): string[] {
  const job = snapshot.jobs.get(uid);
  if (job === undefined || job.deployments === 0) return [];
  return [keys.job(job.spec), keys.deployment(deploymentId(uid, job.deployments))];
}

/** What the decision rests on beside what its unit compares, as a text that is equal for as long as it stands. */
function basisOf(snapshot: Snapshot, action: PassAction): string {
  switch (action.type) {
    case 'create-tasks':
      return `${jobBasis(snapshot, action.job)} ${rolloutKeys(snapshot, action.job).map((key) => snapshot.modRevision(key))}`;
    case 'conclude-job':
    case 'remove-job':
      return jobBasis(snapshot, action.job);
    case 'stop-task': {
      const task = snapshot.tasks.get(action.task);
      const drain = task?.node ? snapshot.ledgers.get(task.node)?.drain : null;
      const relied = reliedKeys(snapshot, action).map((key) => snapshot.modRevision(key));
      return `${task === undefined ? 0 : jobBasis(snapshot, task.jobUid)} ${drain?.deadlineMs} ${relied.join()}`;
    }
    case 'put-deployment':
      return `${jobBasis(snapshot, action.deployment.jobUid)} ${deploymentBasis(snapshot, action.deployment.id)}`;
    case 'put-image-fetch':
      return deploymentBasis(snapshot, action.fetch.deployment);
    case 'remove-image-fetch':
      return String(snapshot.modRevision(keys.imageFetch(action.node, action.image)));
    case 'mark-unreachable':
    case 'mark-reachable':
    case 'give-up-tasks':
      return `${snapshot.epochs.get(action.node)?.unreachableSinceMs}`;
    case 'lose-tasks':
    case 'clear-node':
      return String(snapshot.modRevision(keys.epoch(action.node)));
    case 'set-reservations':
      return String(snapshot.modRevision(keys.node(action.node)));
    case 'begin-maintenance':
    case 'end-maintenance':
      return String(snapshot.maintenance.get(action.node)?.id);
    case 'mark-disconnected':
    case 'mark-connected':
    case 'tear-down':
      return String(snapshot.modRevision(keys.framework(action.framework)));
    case 'forget':
      return action.records.map((record) => jobBasis(snapshot, jobOf(snapshot, record))).join();
    default:
      return unreachable(action);
  }
}

/** Revision 0 stands for a job that is no longer on record. */
function jobBasis(snapshot: Snapshot, uid: JobUid): string {
  const job = snapshot.jobs.get(uid);
  return String(job === undefined ? 0 : snapshot.modRevision(keys.job(job.spec)));
}

function deploymentBasis(snapshot: Snapshot, id: DeploymentId): string {
  return String(snapshot.modRevision(keys.deployment(id)));
}

/** Null: the state has moved on, and there is nothing left to do. */
function unitOf(snapshot: Snapshot, actions: readonly PassAction[]): Unit | null {
  const [first, ...rest] = actions;
  if (first === undefined) return null;
  if (rest.length === 0) return unitOfOne(snapshot, first);
  return stopsUnit(snapshot, actions);
}

function stopsUnit(snapshot: Snapshot, actions: readonly PassAction[]): Unit | null {
  const stops = actions.flatMap((action) => (action.type === 'stop-task' ? stopOf(snapshot, action) : []));
  return relying(
    snapshot,
    stopUnit(snapshot, stops),
    actions.flatMap((action) => reliedKeys(snapshot, action)),
  );
}

function stopOf(
  snapshot: Snapshot,
  { task: id, stop, graceMsMax }: Extract<PassAction, { type: 'stop-task' }>,
): TaskStop[] {
  const task = snapshot.tasks.get(id);
  return task === undefined ? [] : [{ task, stop, graceMsMax }];
}

function unitOfOne(snapshot: Snapshot, action: PassAction): Unit | null {
  switch (action.type) {
    case 'create-tasks':
      return withJob(snapshot, action.job, (job) =>
        relying(snapshot, createUnit(snapshot, job, action.tasks), rolloutKeys(snapshot, job.uid)),
      );
    case 'stop-task':
      return stopsUnit(snapshot, [action]);
    case 'conclude-job':
      return withJob(snapshot, action.job, (job) => jobUnit(snapshot, job, { ...job, outcome: action.outcome }));
    case 'remove-job':
      return withJob(snapshot, action.job, (job) => removalUnit(snapshot, job));
    case 'put-deployment':
      return deploymentUnit(snapshot, action);
    case 'put-image-fetch':
      return imageFetchUnit(snapshot, action.fetch);
    case 'remove-image-fetch':
      return imageFetchEndUnit(snapshot, action.node, action.image);
    case 'mark-unreachable':
      return snapshot.isAlive(action.node) ? null : reachabilityUnit(snapshot, action.node, action.sinceMs);
    case 'mark-reachable':
      return snapshot.isAlive(action.node) ? reachabilityUnit(snapshot, action.node, null) : null;
    case 'give-up-tasks':
      return snapshot.isAlive(action.node) ? null : giveUpUnit(snapshot, action);
    case 'lose-tasks':
      return loseUnit(snapshot, action);
    case 'clear-node':
      return clearUnit(snapshot, action);
    case 'set-reservations':
      return reservationsUnit(snapshot, action);
    case 'begin-maintenance':
    case 'end-maintenance':
      return maintenanceTurnUnit(snapshot, action);
    case 'mark-disconnected':
    case 'mark-connected':
    case 'tear-down':
      return unitOfPresence(snapshot, action);
    case 'forget':
      return forgottenUnit(snapshot, action.records);
    default:
      return unreachable(action);
  }
}

type PresenceAction = Extract<PassAction, { type: 'mark-disconnected' | 'mark-connected' | 'tear-down' }>;

/** Null: its stream was opened or has ended since. */
function unitOfPresence(snapshot: Snapshot, action: PresenceAction): Unit | null {
  if (snapshot.isConnected(action.framework) !== (action.type === 'mark-connected')) return null;
  switch (action.type) {
    case 'mark-disconnected':
      return presenceUnit(snapshot, action.framework, { disconnectedSinceMs: action.sinceMs });
    case 'mark-connected':
      return presenceUnit(snapshot, action.framework, { disconnectedSinceMs: null });
    case 'tear-down':
      return presenceUnit(snapshot, action.framework, { teardown: action.stop });
    default:
      return unreachable(action);
  }
}

function forgottenUnit(snapshot: Snapshot, records: readonly Forgettable[]): Unit {
  const jobs = new Set(records.flatMap((record) => snapshot.jobs.get(jobOf(snapshot, record)) ?? []));
  return forgetUnit(
    snapshot,
    records.flatMap((record) => keyOf(snapshot, record) ?? []),
    [...jobs],
  );
}

function jobOf(snapshot: Snapshot, record: Forgettable): JobUid {
  switch (record.kind) {
    case 'task':
      return snapshot.tasks.get(record.id)?.jobUid ?? '';
    case 'gone-node':
    case 'framework':
    case 'operation':
      return '';
    default:
      return record.job;
  }
}

/** Null for a job that is no longer on record. */
function keyOf(snapshot: Snapshot, record: Forgettable): string | null {
  switch (record.kind) {
    case 'task':
      return keys.task(record.id);
    case 'version':
      return keys.version(record.job, record.version);
    case 'job': {
      const job = snapshot.jobs.get(record.job);
      return job === undefined ? null : keys.job(job.spec);
    }
    case 'deployment':
      return keys.deployment(record.id);
    case 'operation':
      return keys.operation(record.framework, record.name);
    case 'gone-node':
      return keys.epoch(record.node);
    case 'framework':
      return keys.framework(record.framework);
    default:
      return unreachable(record);
  }
}

function withJob(snapshot: Snapshot, uid: string, make: (job: Job) => Unit | null): Unit | null {
  const job = snapshot.jobs.get(uid);
  return job === undefined ? null : make(job);
}

/** A job with a long history loses its oldest versions and deployments first; its own record goes with the last of them. */
function removalUnit(snapshot: Snapshot, job: Job): Unit {
  const versions = [...snapshot.versionsOfJob(job.uid)].map(({ version }) => version).sort((a, b) => a - b);
  const deployments = [...snapshot.deploymentsOfJob(job.uid)].map(({ id }) => keys.deployment(id)).sort();
  const history = [...deployments, ...versions.map((version) => keys.version(job.uid, version))];
  const unit = removeJobUnit(snapshot, job, history.slice(0, RECORDS_PER_REMOVAL));
  if (history.length <= RECORDS_PER_REMOVAL) return unit;
  return { compares: unit.compares, writes: unit.writes.slice(1) };
}
