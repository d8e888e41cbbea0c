/**
 * Where tasks of services are reached, and whether they should be given anything to do. Pure, and nothing is kept of it: it follows from
 * tasks, their checks, their nodes and what is being rolled out.
 */
import { type ClusterView, templateOf } from '../../shared/domain/cluster.ts';
import { type Deployment, deploymentId } from '../../shared/domain/deployment.ts';
import type { JobUid } from '../../shared/domain/ids.ts';
import { type Job, type PortSpec, type TaskGroup, templateVersion } from '../../shared/domain/job.ts';
import { isLasting } from '../../shared/domain/service.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { isHealthy, isReady, isUnhealthy } from '../../shared/domain/task-health.ts';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import { isExchanged, trialOf } from '../reconcile/service/job-facts.ts';

type State = EndpointView['state'];

/** What decides where a task is reached. */
export type EndpointSource = Pick<
  ClusterView,
  'jobs' | 'nodes' | 'epochs' | 'deployments' | 'isAlive' | 'version' | 'deploymentsOfJob'
>;

/** What of a job is a new set that waits to be promoted. */
interface HeldSet {
  /** Those that made such sets. */
  readonly makers: readonly Deployment[];
  /** The one that goes on trying one out. */
  readonly trial: Deployment | null;
}

/** By the job's uid: for whoever asks for many tasks. */
export type HeldSets = Map<JobUid, HeldSet>;

/** One for each port of the task, by name; none where it isn't of a service, has no place or has ended. */
export function endpointsOf(cluster: EndpointSource, task: Task, heldSets: HeldSets = new Map()): EndpointView[] {
  const ports = Object.entries(task.ports);
  if (ports.length === 0 || task.node === null || task.framework !== null || isTerminal(task.state)) return [];
  const kind = cluster.version(task.jobUid, task.jobVersion)?.spec.kind;
  const group = templateOf(cluster, task)?.group;
  const node = cluster.nodes.get(task.node);
  if (kind === undefined || !isLasting(kind) || group === undefined || node === undefined) return [];
  const state = stateOf(cluster, task, group, heldSets);
  const common = {
    role: task.role,
    job: task.jobName,
    jobUid: task.jobUid,
    version: task.jobVersion,
    group: task.group,
    index: task.index,
    task: task.id,
    node: node.id,
    host: node.hostname,
    address: node.address ?? node.hostname,
    state,
    since: new Date(sinceMs(cluster, task, state)).toISOString(),
    labels: cluster.jobs.get(task.jobUid)?.spec.labels ?? {},
  };
  return ports.flatMap(([name, port]) => {
    const spec = group.ports.find((one) => one.name === name);
    if (spec === undefined) return [];
    const { containerPort = null, protocol } = spec;
    const publish = publishView(spec);
    return [{ ...common, id: endpointId(task.id, name), portName: name, port, containerPort, protocol, publish }];
  });
}

export function endpointId(task: Task['id'], portName: string): string {
  return `${task}/${portName}`;
}

function publishView({ publish }: PortSpec): EndpointView['publish'] {
  if (publish === undefined) return null;
  const { hosts, ...rest } = publish;
  return { ...rest, ...(hosts !== undefined && { hosts: [...hosts] }) };
}

function stateOf(cluster: EndpointSource, task: Task, group: TaskGroup, heldSets: HeldSets): State {
  if (task.stop !== null) return 'draining';
  if (isUnhealthy(task)) return 'unhealthy';
  if (!isHealthy(task, group)) return 'starting';
  if (!isReady(task, group)) return isRefusing(task, group) ? 'unready' : 'starting';
  // A set that nobody has promoted gets no requests, whatever else is the matter with it.
  if (isHeld(cluster, task, heldSets)) return 'held';
  return task.node !== null && cluster.isAlive(task.node) ? 'ready' : 'unreachable';
}

/** Whether a check for readiness fails, rather than not having been decided yet. */
function isRefusing({ health }: Task, { checks = [] }: TaskGroup): boolean {
  const names = checks.filter(({ purpose }) => purpose === 'readiness').map(({ name }) => name);
  return health?.checks.some(({ name, passing }) => passing === false && names.includes(name)) ?? false;
}

/**
 * The set was made by the deployment of the very version that its tasks carry. It is held until that is promoted; and when that has ended
 * otherwise, until a later one is promoted that goes on trying it out, or wants it after all, or its tasks are stopped.
 */
function isHeld(cluster: EndpointSource, task: Task, heldSets: HeldSets): boolean {
  const job = cluster.jobs.get(task.jobUid);
  if (job === undefined) return false;
  const { makers, trial } = heldSetOf(cluster, job, heldSets);
  if (trial !== null && !isOutdated(job, task)) return isExchanged(job, trial, task.group);
  const own = makers.find(({ toVersion }) => toVersion === task.jobVersion);
  if (own === undefined || !Object.hasOwn(own.fromTemplates, task.group)) return false;
  return own.id === deploymentId(job.uid, job.deployments) || isOutdated(job, task);
}

function heldSetOf(cluster: EndpointSource, job: Job, heldSets: HeldSets): HeldSet {
  const known = heldSets.get(job.uid);
  if (known !== undefined) return known;
  const makers = [...cluster.deploymentsOfJob(job.uid)].filter((deployment) => holdsItsSet(cluster, deployment));
  const trial = job.spec.update?.strategy === 'blue-green' ? trialOf(cluster, job) : null;
  const set: HeldSet = { makers, trial };
  heldSets.set(job.uid, set);
  return set;
}

function isOutdated(job: Job, { group, jobVersion }: Task): boolean {
  return templateVersion(job, group) !== jobVersion;
}

function holdsItsSet(cluster: EndpointSource, { jobUid, fromVersion, toVersion, promotedAtMs, state }: Deployment) {
  if (fromVersion === null || promotedAtMs !== null || state === 'succeeded') return false;
  return cluster.version(jobUid, toVersion)?.spec.update?.strategy === 'blue-green';
}

function sinceMs(cluster: EndpointSource, task: Task, state: State): number {
  if (task.stop !== null) return task.stop.atMs;
  const unreachableSinceMs = task.node === null ? null : cluster.epochs.get(task.node)?.unreachableSinceMs;
  if (state === 'unreachable' && typeof unreachableSinceMs === 'number') return unreachableSinceMs;
  const times = [
    task.history.at(-1)?.atMs,
    task.restarts.at(-1)?.atMs,
    task.health?.run === task.run ? task.health.sinceMs : undefined,
  ];
  return Math.max(0, ...times.filter((time) => time !== undefined));
}
