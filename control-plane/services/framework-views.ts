/** Frameworks, offers and what frameworks are told, as those who ask see them. Pure. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, NodeId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import { addScalars, NO_SCALARS, type Scalars } from '../../shared/domain/resources.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { checksText, toldHealth } from '../../shared/domain/task-health.ts';
import { outstandingUpdate, updateId } from '../../shared/domain/task-update.ts';
import type { FrameworkView, OfferView, TaskUpdateView } from '../../shared/protocol/framework.ts';
import { present } from '../../shared/util/assert.ts';
import {
  countTasks,
  liveCount,
  maintenanceTimeView,
  mutable,
  optionalTime,
  resourcesView,
  stopView,
  timeView,
} from './views.ts';

/** What a framework has of all nodes together. */
export interface Holdings {
  readonly tasks: Scalars;
  readonly offers: { readonly count: number; readonly resources: Scalars; readonly oldestMs: number | null };
  readonly throttled: { readonly nodes: number; readonly untilMs: number } | null;
}

const NO_HOLDINGS: Holdings = {
  tasks: NO_SCALARS,
  offers: { count: 0, resources: NO_SCALARS, oldestMs: null },
  throttled: null,
};

/** What these frameworks have, from one look at every ledger. */
export function holdingsOf(
  cluster: ClusterView,
  frameworks: readonly Framework[],
  nowMs: number,
): ReadonlyMap<FrameworkId, Holdings> {
  const known = new Map(frameworks.map((framework) => [framework.id, framework]));
  const held = new Map<FrameworkId, Holdings>();
  const add = (id: FrameworkId, change: (before: Holdings) => Holdings) => {
    if (known.has(id)) held.set(id, change(held.get(id) ?? NO_HOLDINGS));
  };
  for (const ledger of cluster.ledgers.values()) {
    for (const { framework, resources } of Object.values(ledger.entries)) {
      if (framework !== null) add(framework, (before) => ({ ...before, tasks: addScalars(before.tasks, resources) }));
    }
    for (const offer of Object.values(ledger.offers)) add(offer.framework, (before) => withOffer(before, offer));
    for (const [id, untilMs] of throttles(ledger, known, nowMs)) add(id, (before) => withThrottle(before, untilMs));
  }
  return held;
}

function withOffer(before: Holdings, { resources, madeAtMs }: Offer): Holdings {
  const { count, resources: sum, oldestMs } = before.offers;
  const oldest = oldestMs === null ? madeAtMs : Math.min(oldestMs, madeAtMs);
  return { ...before, offers: { count: count + 1, resources: addScalars(sum, resources), oldestMs: oldest } };
}

function withThrottle(before: Holdings, untilMs: number): Holdings {
  const { nodes, untilMs: latestMs } = before.throttled ?? { nodes: 0, untilMs };
  return { ...before, throttled: { nodes: nodes + 1, untilMs: Math.max(latestMs, untilMs) } };
}

/** By framework, until when the node isn't offered to it again because it didn't answer. */
function throttles(
  { filters }: Ledger,
  known: ReadonlyMap<FrameworkId, Framework>,
  nowMs: number,
): Map<FrameworkId, number> {
  const until = new Map<FrameworkId, number>();
  for (const { framework, role, generation, because, untilMs } of filters) {
    if (because !== 'expired' || untilMs <= nowMs) continue;
    if (generation < (known.get(framework)?.filterGenerations[role] ?? 0)) continue;
    until.set(framework, Math.max(until.get(framework) ?? 0, untilMs));
  }
  return until;
}

export function frameworkView(
  cluster: ClusterView,
  framework: Framework,
  holdings: Holdings = NO_HOLDINGS,
): FrameworkView {
  const { tasks, offers, throttled } = holdings;
  const counts = countTasks(cluster.tasksOfFramework(framework.id));
  return {
    id: framework.id,
    name: framework.name,
    principal: framework.principal,
    roles: [...framework.roles],
    capabilities: [...framework.capabilities],
    failoverTimeoutSeconds: framework.failoverTimeoutSeconds,
    minAllocatable: mutable(framework.minAllocatable) as FrameworkView['minAllocatable'],
    suppressed: [...framework.suppressed],
    nodeConstraints: mutable(framework.nodeConstraints) as FrameworkView['nodeConstraints'],
    annotations: { ...framework.annotations },
    session: framework.session,
    ...stateOf(cluster, framework, liveCount(counts)),
    registeredAt: timeView(framework.registeredAtMs),
    subscribedAt: timeView(framework.subscribedAtMs),
    disconnectedSince: optionalTime(framework.disconnectedSinceMs),
    teardown: stopView(framework.teardown),
    tasks: counts,
    holds: scalarsView(tasks),
    offers: {
      count: offers.count,
      resources: scalarsView(offers.resources),
      oldestAt: optionalTime(offers.oldestMs),
    },
    operations: [...cluster.operationsOf(framework.id)].length,
    throttled: throttled === null ? null : { nodes: throttled.nodes, until: timeView(throttled.untilMs) },
  };
}

function stateOf(
  cluster: ClusterView,
  { id, teardown, disconnectedSinceMs, failoverTimeoutSeconds }: Framework,
  live: number,
): Pick<FrameworkView, 'state' | 'message'> {
  if (teardown !== null) {
    const why = `torn down by ${teardown.by}: ${teardown.reason}`;
    if (live === 0) return { state: 'ended', message: `${why}; nothing of it is left` };
    return { state: 'ending', message: `${why}; ${live} of its tasks ${live === 1 ? 'has' : 'have'} not ended yet` };
  }
  if (cluster.isConnected(id)) return { state: 'connected', message: 'a replica holds its stream' };
  const since = disconnectedSinceMs === null ? 'only now' : `since ${timeView(disconnectedSinceMs)}`;
  const message = `without a stream ${since}; after ${failoverTimeoutSeconds} s of that its tasks end`;
  return { state: 'disconnected', message };
}

export function offerView(cluster: ClusterView, node: NodeId, offer: Offer): OfferView {
  const described = cluster.nodes.get(node);
  const reservations = cluster.ledgers.get(node)?.reservations ?? {};
  const window = cluster.maintenance.get(node);
  return {
    id: offer.id,
    framework: offer.framework,
    role: offer.role,
    node,
    host: described?.hostname ?? null,
    attributes: { ...described?.attributes },
    resources: resourcesView(offer.resources),
    reserved: Object.entries(offer.reserved).map(([reservation, scalars]) => ({
      reservation,
      role: reservations[reservation]?.role ?? offer.role,
      resources: scalarsView(scalars),
      labels: { ...reservations[reservation]?.labels },
    })),
    maintenance: window === undefined ? null : maintenanceTimeView(window),
    madeAt: timeView(offer.madeAtMs),
    expiresAt: timeView(offer.expiresAtMs),
  };
}

/** The framework's tasks by the names that it gave them; of several of one name, the one that hasn't ended. */
export function tasksByName(cluster: ClusterView, framework: FrameworkId): Map<string, Task> {
  const known = new Map<string, Task>();
  for (const task of cluster.tasksOfFramework(framework)) {
    const name = task.framework?.name ?? task.id;
    const other = known.get(name);
    if (other === undefined || isTerminal(other.state)) known.set(name, task);
  }
  return known;
}

/**
 * Whether a live task's node hasn't been heard of, and not only because the store or the control plane was away. One that is declared
 * gone is not heard of again either, though its tasks end only in a change after that one.
 */
export function isUnreachable(cluster: ClusterView, { state, node }: Task): boolean {
  if (isTerminal(state) || node === null || cluster.isAlive(node)) return false;
  const epoch = cluster.epochs.get(node);
  return epoch !== undefined && (epoch.unreachableSinceMs !== null || epoch.gone !== undefined);
}

/** The update that the task's framework is told next; null: it knows all. */
export function outstandingView(cluster: ClusterView, task: Task): TaskUpdateView | null {
  const place = outstandingUpdate(task);
  if (place === null) return null;
  return { ...standingView(cluster, task, place), id: updateId(task.id, place), reconciliation: false };
}

/** How the task stands now, to whoever asked. */
export function reconciledView(cluster: ClusterView, task: Task): TaskUpdateView {
  return { ...standingView(cluster, task, task.history.length - 1), id: null, reconciliation: true };
}

/** That a live task's node has fallen silent, or is heard of again. */
export function reachabilityView(cluster: ClusterView, task: Task): TaskUpdateView {
  const view = standingView(cluster, task, task.history.length - 1);
  const heard = view.unreachable
    ? `node ${task.node} has not been heard of; the task may still run`
    : `node ${task.node} is heard of again`;
  return { ...view, message: heard, id: null, reconciliation: false };
}

/** That a live task works now, or doesn't any more, or that nobody knows any more. */
export function healthView(cluster: ClusterView, task: Task): TaskUpdateView {
  const view = standingView(cluster, task, task.history.length - 1);
  const { health } = task;
  const { healthy } = view;
  const found =
    health === null || healthy === null
      ? { message: 'its checks have not decided yet in its present run' }
      : { message: checksText(health, healthy), at: timeView(health.sinceMs) };
  return { ...view, ...found, reason: 'health-changed', id: null, reconciliation: false };
}

/** What is said of a task that the framework asks about and doesn't have. */
export function unknownView(name: string, nowMs: number): TaskUpdateView {
  return {
    id: null,
    task: name,
    taskId: null,
    state: 'unknown',
    unreachable: false,
    healthy: null,
    at: timeView(nowMs),
    reason: null,
    message: 'the framework has no task of this name on record',
    role: null,
    node: null,
    host: null,
    ports: {},
    exitCode: null,
    labels: {},
    annotations: {},
    reconciliation: true,
  };
}

function standingView(cluster: ClusterView, task: Task, place: number): Omit<TaskUpdateView, 'id' | 'reconciliation'> {
  const transition = present(task.history[place], `transition ${place} of task ${task.id}`);
  const isLast = place === task.history.length - 1;
  return {
    task: task.framework?.name ?? task.id,
    taskId: task.id,
    state: transition.state,
    unreachable: isLast && isUnreachable(cluster, task),
    healthy: isLast ? toldHealth(task) : null,
    at: timeView(transition.atMs),
    reason: transition.reason,
    message: transition.message,
    role: task.role,
    node: task.node,
    host: task.node === null ? null : (cluster.nodes.get(task.node)?.hostname ?? null),
    ports: { ...task.ports },
    exitCode: isTerminal(transition.state) ? task.exitCode : null,
    labels: { ...task.framework?.labels },
    annotations: { ...task.framework?.annotations },
  };
}

function scalarsView({ cpus, memMiB, diskMiB, gpus, custom }: Scalars): FrameworkView['holds'] {
  return { cpus, memMiB, diskMiB, gpus, custom: { ...custom } };
}
