/** How records look to those who ask: pure translation from the domain to what `shared/protocol/views.ts` describes. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { type Deployment, isOver } from '../../shared/domain/deployment.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { Job, JobVersion, StopRequest } from '../../shared/domain/job.ts';
import {
  freeResources,
  type Ledger,
  offeredResources,
  reservedScalars,
  usedResources,
} from '../../shared/domain/ledger.ts';
import type { MaintenanceTime, MaintenanceWindow } from '../../shared/domain/maintenance.ts';
import type { Epoch, Gone, Node } from '../../shared/domain/node.ts';
import type { Resources } from '../../shared/domain/resources.ts';
import { isLasting } from '../../shared/domain/service.ts';
import {
  createdAtMs,
  enteredAtMs,
  isBetweenRuns,
  isTerminal,
  TASK_STATES,
  type Task,
  type TaskTransition,
} from '../../shared/domain/task.ts';
import type {
  ExplanationView,
  GoneNodeView,
  JobSummary,
  JobVersionView,
  JobView,
  NodeView,
  SlotWaitView,
  TaskCounts,
  TaskView,
} from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import {
  deploymentMark,
  groupsHealth,
  isOutdated,
  lastingState,
  latestDeployment,
  type StateFacts,
  totalHealth,
} from './service-views.ts';
import { slotWaits } from './slot-waits.ts';
import { optionalTime, timeView } from './times.ts';

export { optionalTime, timeView };

export function maintenanceTimeView({
  startsAtMs,
  durationMs,
}: MaintenanceTime): Pick<NonNullable<NodeView['maintenance']>, 'startsAt' | 'durationSeconds'> {
  return { startsAt: timeView(startsAtMs), durationSeconds: durationMs === null ? null : durationMs / 1000 };
}

export function stopView(stop: StopRequest | null) {
  if (stop === null) return null;
  return { at: timeView(stop.atMs), by: stop.by, reason: stop.reason, displacedBy: stop.displacedBy ?? null };
}

export function noTasks(): TaskCounts {
  return { pending: 0, staging: 0, starting: 0, running: 0, finished: 0, failed: 0, killed: 0, error: 0, lost: 0 };
}

export function countTasks(tasks: Iterable<Task>): TaskCounts {
  const counts = noTasks();
  for (const task of tasks) counts[task.state]++;
  return counts;
}

export function liveCount(counts: TaskCounts): number {
  return TASK_STATES.reduce((sum, state) => sum + (isTerminal(state) ? 0 : counts[state]), 0);
}

/** The tasks that are made from what is wanted now. */
function currentTasks(cluster: ClusterView, job: Job): Task[] {
  return [...cluster.tasksOfJob(job.uid)].filter((task) => !isOutdated(job, task));
}

/** As things will be once what is answered has been committed; what is left out is as it stands. */
export interface JobToBe {
  readonly waiting?: readonly SlotWaitView[];
  readonly latest?: Deployment | null;
}

export function jobSummary(cluster: ClusterView, job: Job, toBe: JobToBe = {}): JobSummary {
  const { waiting = [], latest = latestDeployment(cluster, job) } = toBe;
  const counts = countTasks(currentTasks(cluster, job));
  const health = isLasting(job.spec.kind) ? totalHealth(groupsHealth(cluster, job)) : null;
  const ofService = health === null ? null : { counts, live: liveOf(cluster, job), health, latest };
  return {
    uid: job.uid,
    name: job.spec.name,
    role: job.spec.role,
    kind: job.spec.kind,
    version: job.version,
    priority: job.spec.priority,
    ...jobState(job, { counts, waiting, ofService }),
    createdAt: timeView(job.createdAtMs),
    updatedAt: timeView(job.updatedAtMs),
    createdBy: job.createdBy,
    endedAt: optionalTime(job.outcome?.atMs ?? null),
    tasks: counts,
    healthy: health,
    deployment: latest === null || isOver(latest) ? null : deploymentMark(cluster, latest, job),
  };
}

function liveOf(cluster: ClusterView, job: Job): number {
  return [...cluster.tasksOfJob(job.uid)].filter(({ state }) => !isTerminal(state)).length;
}

interface JobFacts {
  readonly counts: TaskCounts;
  readonly waiting: readonly SlotWaitView[];
  /** Null: it is a batch job. */
  readonly ofService: StateFacts | null;
}

function jobState(job: Job, { counts, waiting, ofService }: JobFacts): Pick<JobSummary, 'state' | 'message'> {
  if (job.outcome !== null) return { state: job.outcome.state, message: job.outcome.message };
  const live = ofService?.live ?? liveCount(counts);
  if (job.stop !== null || job.deleted) {
    return { state: 'stopping', message: `${live} of its tasks ${live === 1 ? 'has' : 'have'} not ended yet` };
  }
  if (ofService !== null) {
    const { state, message } = lastingState(job, ofService);
    return { state, message: withWaits([message], waiting) };
  }
  const placed = live - counts.pending;
  if (placed === 0 && counts.finished === 0) {
    // Right after its submission, no pass has made its tasks yet.
    const slots = job.spec.groups.reduce((sum, group) => sum + group.count, 0);
    const placeless = counts.pending || slots - waiting.length;
    const sentence = `${placeless} ${placeless === 1 ? 'task waits' : 'tasks wait'} for a place`;
    return { state: 'pending', message: withWaits(placeless === 0 ? [] : [sentence], waiting) };
  }
  const running = `${counts.running} running, ${counts.pending} waiting for a place, ${counts.finished} finished`;
  return { state: 'running', message: withWaits([running], waiting) };
}

/** The first of what waits in full: the others mostly wait for the same. */
function withWaits(sentences: readonly string[], [first, ...others]: readonly SlotWaitView[]): string {
  const more = others.length === 0 ? [] : [`${others.length} more wait like that`];
  return [...sentences, ...(first === undefined ? [] : [first.message]), ...more].join('; ');
}

export function jobView(cluster: ClusterView, job: Job, toBe: Pick<JobToBe, 'latest'> = {}): JobView {
  const { suspended } = job;
  const waiting = slotWaits(cluster, job);
  return {
    ...jobSummary(cluster, job, { ...toBe, waiting }),
    waiting,
    stop: stopView(job.stop),
    suspended: suspended === null ? null : { at: timeView(suspended.atMs), by: suspended.by, reason: suspended.reason },
    goodVersion: job.goodVersion,
    groups: groupsHealth(cluster, job),
    spec: mutable(job.spec),
  };
}

export function jobVersionView(version: JobVersion): JobVersionView {
  return {
    version: version.version,
    createdAt: timeView(version.createdAtMs),
    createdBy: version.createdBy,
    change: version.change,
    spec: mutable(version.spec),
  };
}

/** A task that a framework has launched stands where a job's would: its framework in place of the job. */
function ownerOf(cluster: ClusterView, task: Task): Pick<TaskView, 'job' | 'framework'> {
  const { jobUid, jobName, jobVersion, framework } = task;
  if (framework === null) return { job: { uid: jobUid, name: jobName, version: jobVersion }, framework: null };
  const name = cluster.frameworks.get(framework.id)?.name ?? jobName;
  return { job: null, framework: { id: framework.id, name, task: framework.name } };
}

/** What has become of it last. */
function lastWord(task: Task): Pick<TaskTransition, 'atMs' | 'reason' | 'message'> {
  const transition = present(task.history.at(-1), `history of task ${task.id}`);
  if (isTerminal(task.state)) return transition;
  const last = task.restarts.at(-1) ?? transition;
  if (!isBetweenRuns(task)) return last;
  // A person counts runs from 1: this is the one before.
  const message = `run ${task.run} has ended, and the next one has not begun`;
  return { atMs: last.atMs, reason: 'restarted-in-place', message };
}

export function taskView(cluster: ClusterView, task: Task, explanation: ExplanationView | null = null): TaskView {
  const last = lastWord(task);
  const live = !isTerminal(task.state);
  return {
    id: task.id,
    ...ownerOf(cluster, task),
    role: task.role,
    group: task.group,
    index: task.index,
    attempt: task.attempt,
    run: task.run,
    restarts: task.restarts.map(({ run, atMs, reason, message }) => ({ run, at: timeView(atMs), reason, message })),
    state: task.state,
    unreachable: live && task.node !== null && !cluster.isAlive(task.node),
    node: task.node,
    host: task.node === null ? null : (cluster.nodes.get(task.node)?.hostname ?? null),
    ports: { ...task.ports },
    gpus: [...gpusOfTask(cluster, task)],
    exitCode: task.exitCode,
    reason: last.reason,
    message: last.message,
    createdAt: timeView(createdAtMs(task)),
    notBefore: task.notBeforeMs > createdAtMs(task) ? timeView(task.notBeforeMs) : null,
    placedAt: optionalTime(enteredAtMs(task, 'staging')),
    startedAt: optionalTime(enteredAtMs(task, 'running')),
    endedAt: live ? null : timeView(last.atMs),
    stop: stopView(task.stop),
    health: healthView(task),
    outdated: isOutdatedTask(cluster, task),
    history: task.history.map((transition) => ({
      state: transition.state,
      at: timeView(transition.atMs),
      reason: transition.reason,
      message: transition.message,
    })),
    explanation,
  };
}

/** What was said of an earlier run says nothing of the present one. */
function healthView({ health, run }: Task): TaskView['health'] {
  if (health === null || health.run !== run) return null;
  const { healthy, ready, sinceMs, checks } = health;
  const views = checks.map(({ name, passing, message, atMs }) => ({ name, passing, message, at: timeView(atMs) }));
  return { healthy, ready, since: timeView(sinceMs), checks: views };
}

function isOutdatedTask(cluster: ClusterView, task: Task): boolean {
  const job = task.framework === null ? cluster.jobs.get(task.jobUid) : undefined;
  return job !== undefined && isOutdated(job, task);
}

/** Those of its place; once that has been given back, it holds none. */
function gpusOfTask(cluster: ClusterView, { id, node }: Task): readonly string[] {
  return node === null ? [] : (cluster.ledgers.get(node)?.entries[id]?.devices ?? []);
}

function gpuViews(
  { gpus }: Node,
  { entries }: Ledger,
  mayName: NodeReader['mayName'],
): Pick<NodeView, 'gpus' | 'missingGpus'> {
  const named = (task: TaskId | undefined) => (task !== undefined && mayName(task) ? task : null);
  const held = Object.values(entries).flatMap(({ task, devices }) => devices.map((id) => ({ id, task })));
  const holders = new Map(held.map(({ id, task }) => [id, task]));
  const known = new Set(gpus.map(({ id }) => id));
  return {
    gpus: gpus.map((gpu) => ({ ...gpu, held: holders.has(gpu.id), task: named(holders.get(gpu.id)) })),
    missingGpus: held.filter(({ id }) => !known.has(id)).map(({ id, task }) => ({ id, task: named(task) })),
  };
}

export function goneNodeView(cluster: ClusterView, id: NodeId, gone: Gone): GoneNodeView {
  const entries = Object.values(cluster.ledgers.get(id)?.entries ?? {});
  const live = entries.filter(({ task }) => !isTerminal(cluster.tasks.get(task)?.state ?? 'lost'));
  return { id, declaredGoneAt: timeView(gone.atMs), by: gone.by, tasks: live.length };
}

/** As they will be once what is answered has been committed; what is left out is as it stands. */
interface NodeToBe {
  readonly epoch?: Epoch;
  /** Null: there will be none any more. */
  readonly window?: MaintenanceWindow | null;
}

/** Of what is on a node, those who may read nodes are told no more than they may read of it. */
export interface NodeReader {
  readonly mayName: (task: TaskId) => boolean;
  /** Whether they may read tasks of all roles. */
  readonly seesAll: boolean;
}

export function nodeView(
  cluster: ClusterView,
  { node, ledger }: { readonly node: Node; readonly ledger: Ledger },
  { mayName, seesAll }: NodeReader,
  toBe: NodeToBe = {},
): NodeView {
  const { drain } = ledger;
  const { epoch = cluster.epochs.get(node.id), window = cluster.maintenance.get(node.id) ?? null } = toBe;
  const unreachableSinceMs = epoch?.unreachableSinceMs ?? null;
  return {
    id: node.id,
    hostname: node.hostname,
    address: node.address,
    state: nodeState(cluster, ledger, window),
    eligible: ledger.eligible,
    drain:
      drain === null
        ? null
        : { startedAt: timeView(drain.startedAtMs), deadline: optionalTime(drain.deadlineMs), by: drain.by },
    maintenance: window === null ? null : { ...maintenanceTimeView(window), setBy: window.setBy },
    unreachableSince: cluster.isAlive(node.id) ? null : optionalTime(unreachableSinceMs),
    total: resourcesView(ledger.total),
    used: resourcesView(usedResources(ledger)),
    offered: resourcesView(offeredResources(ledger)),
    reserved: mutable(reservedScalars(ledger)),
    free: resourcesView(freeResources(ledger)),
    attributes: { ...node.attributes },
    consent: mutable(node.consent),
    ...gpuViews(node, ledger, mayName),
    agentVersion: node.agentVersion,
    engine: node.engine,
    registeredAt: timeView(node.registeredAtMs),
    tasks: Object.keys(ledger.entries).length,
    ahead: epoch?.ahead === undefined ? null : { ...epoch.ahead },
    keptAside: (seesAll ? (epoch?.keptAside ?? []) : []).map(({ task, stop }) => ({ task, stop: stopView(stop) })),
  };
}

export function nodeState(
  cluster: ClusterView,
  ledger: Ledger,
  window: MaintenanceWindow | null = cluster.maintenance.get(ledger.node) ?? null,
): NodeView['state'] {
  if (!cluster.isAlive(ledger.node)) return 'unreachable';
  if (cluster.epochs.get(ledger.node)?.ahead !== undefined) return 'ahead';
  if (ledger.drain !== null) return Object.keys(ledger.entries).length === 0 ? 'drained' : 'draining';
  if ((window?.begunAtMs ?? null) !== null) return 'maintenance';
  return ledger.eligible ? 'ready' : 'ineligible';
}

export function resourcesView(resources: Resources): NodeView['total'] {
  return mutable(resources);
}

type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T;

/** Views are plain data for serializing; nobody changes them, and schema types can't say so. */
export function mutable<T>(value: T): Mutable<T> {
  return value as Mutable<T>;
}
