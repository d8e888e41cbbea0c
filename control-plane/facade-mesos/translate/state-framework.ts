/** Frameworks as `/master/state` shows them, of every kind: those of Mesos clients, native ones, and Berth's own jobs as one. Pure. */
import type { FrameworkId } from '../../../shared/domain/ids.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import type { FrameworkItem, Inventory, TaskItem } from '../../services/inventory.ts';
import type { StateFramework, StateOffer } from '../wire/state.ts';
import type { WireLabel } from '../wire/values.ts';
import { frameworkNotesOf, isOfWire } from './annotations.ts';
import { capabilitiesOf } from './framework-info.ts';
import { infoOf } from './known-framework.ts';
import { OWN_FRAMEWORK_CAPABILITIES, OWN_FRAMEWORK_ID, otherFrameworkName } from './own-framework.ts';
import { resourceSummary } from './resources.ts';
import { plainWireRole, wireRole } from './roles.ts';
import type { Holding, NodeOffer } from './state-holdings.ts';
import { isExecutor, isHiddenExecutor, seconds, type TaskOwner } from './state-task.ts';

/** What a native framework can make something of; it is told more than Mesos has words for. */
const NATIVE_CAPABILITIES = ['MULTI_ROLE', 'PARTITION_AWARE', 'TASK_KILLING_STATE', 'RESERVATION_REFINEMENT'];

/** What there is to say of a framework beside what it holds. */
export interface FrameworkFacts extends TaskOwner {
  /** Null: it is Berth's own. */
  readonly berthId: FrameworkId | null;
  readonly name: string;
  readonly user: string;
  readonly principal: string;
  readonly hostname: string;
  readonly webuiUrl: string;
  readonly isActive: boolean;
  readonly failoverTimeoutSeconds: number;
  readonly isCheckpointing: boolean;
  readonly registeredAtMs: number;
  /** Null: it has subscribed only once. */
  readonly subscribedAgainAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly roles: readonly string[];
  readonly labels: readonly WireLabel[];
  readonly tasks: readonly TaskItem[];
}

export function factsOf({ framework, isConnected, tasks }: FrameworkItem): FrameworkFacts {
  const { annotations, teardown } = framework;
  const notes = frameworkNotesOf(annotations);
  const info = infoOf(framework);
  return {
    berthId: framework.id,
    id: notes.id ?? framework.id,
    name: otherFrameworkName(info.name, framework.id),
    user: info.user,
    principal: info.principal ?? framework.principal,
    hostname: info.hostname ?? '',
    webuiUrl: info.webui_url ?? '',
    capabilities: isOfWire(annotations) ? capabilitiesOf(info) : nativeCapabilities(framework),
    isActive: isConnected && teardown === null,
    failoverTimeoutSeconds: framework.failoverTimeoutSeconds,
    isCheckpointing: info.checkpoint ?? true,
    registeredAtMs: framework.registeredAtMs,
    subscribedAgainAtMs: framework.session > 1 ? framework.subscribedAtMs : null,
    endedAtMs: teardown?.atMs ?? null,
    roles: framework.roles.map((role) => wireRole(notes.roles, role)),
    labels: info.labels?.labels ?? [],
    wireRole: (role) => wireRole(notes.roles, role),
    tasks,
  };
}

/** Berth's jobs, as far as the reader sees them. `host`: where the replica that answers is reached. */
export function ownFacts(
  { tasksOfJobs }: Pick<Inventory, 'tasksOfJobs'>,
  { host, sinceMs }: { readonly host: string; readonly sinceMs: number },
): FrameworkFacts {
  const roles = new Set(tasksOfJobs.map(({ task }) => task.role));
  return {
    berthId: null,
    id: OWN_FRAMEWORK_ID,
    name: OWN_FRAMEWORK_ID,
    user: '',
    principal: OWN_FRAMEWORK_ID,
    hostname: host,
    webuiUrl: '',
    capabilities: new Set(OWN_FRAMEWORK_CAPABILITIES),
    isActive: true,
    failoverTimeoutSeconds: 0,
    isCheckpointing: true,
    registeredAtMs: sinceMs,
    subscribedAgainAtMs: null,
    endedAtMs: null,
    roles: [...roles].sort().map(plainWireRole),
    labels: [],
    wireRole: plainWireRole,
    tasks: tasksOfJobs,
  };
}

/** What a summary shows; the first part of all that the state shows. */
export function stateFramework(facts: FrameworkFacts, holding: Holding): StateFramework {
  return {
    id: facts.id,
    name: facts.name,
    used_resources: holding.usedSummary,
    offered_resources: holding.offeredSummary,
    capabilities: [...facts.capabilities],
    hostname: facts.hostname,
    webui_url: facts.webuiUrl,
    active: facts.isActive,
    connected: facts.isActive,
    recovered: false,
  };
}

/** What the state shows beside that, without what there may be many of. */
export function frameworkDetails(facts: FrameworkFacts, holding: Holding): Readonly<Record<string, unknown>> {
  const { capabilities, roles, labels, subscribedAgainAtMs } = facts;
  return {
    user: facts.user,
    failover_timeout: facts.failoverTimeoutSeconds,
    checkpoint: facts.isCheckpointing,
    registered_time: seconds(facts.registeredAtMs),
    unregistered_time: facts.endedAtMs === null ? 0 : seconds(facts.endedAtMs),
    principal: facts.principal,
    resources: holding.totalSummary,
    ...(subscribedAgainAtMs !== null && { reregistered_time: seconds(subscribedAgainAtMs) }),
    ...(capabilities.has('MULTI_ROLE') ? { roles } : { role: roles[0] ?? '*' }),
    ...(labels.length > 0 && { labels }),
  };
}

export interface SortedTasks {
  readonly live: readonly TaskItem[];
  /** Not heard of: their nodes aren't. */
  readonly unreachable: readonly TaskItem[];
  /** The latest of those that have ended, in the order in which they did. */
  readonly ended: readonly TaskItem[];
  /** Live ones that run others. */
  readonly executors: readonly TaskItem[];
}

/** As many of each as Mesos's master remembers. */
export const ENDED_FRAMEWORKS_MAX = 50;
export const ENDED_TASKS_MAX = 1000;
export const UNREACHABLE_TASKS_MAX = 1000;

/** Those that never had a place are left out: of what waits for one, Mesos doesn't know. */
export function sortTasks(tasks: readonly TaskItem[], isUnreachable: (item: TaskItem) => boolean): SortedTasks {
  const live: TaskItem[] = [];
  const unreachable: TaskItem[] = [];
  const ended: TaskItem[] = [];
  const executors: TaskItem[] = [];
  for (const item of tasks) {
    if (item.task.node === null) continue;
    const hasEnded = isTerminal(item.task.state);
    if (!hasEnded && isExecutor(item)) executors.push(item);
    if (isHiddenExecutor(item)) continue;
    if (hasEnded) ended.push(item);
    else (isUnreachable(item) ? unreachable : live).push(item);
  }
  return {
    live,
    unreachable: unreachable.slice(0, UNREACHABLE_TASKS_MAX),
    ended: latestEnded(ended),
    executors,
  };
}

function latestEnded(ended: TaskItem[]): TaskItem[] {
  return ended.sort((a, b) => endedAtMs(a) - endedAtMs(b)).slice(-ENDED_TASKS_MAX);
}

function endedAtMs({ task }: TaskItem): number {
  return task.history.at(-1)?.atMs ?? 0;
}

export function stateOffer({ node, offer }: NodeOffer, owner: TaskOwner): StateOffer {
  return {
    id: offer.id,
    framework_id: owner.id,
    allocation_info: { role: owner.wireRole(offer.role) },
    slave_id: node,
    resources: resourceSummary(offer.resources),
  };
}

function nativeCapabilities({ capabilities }: FrameworkItem['framework']): ReadonlySet<string> {
  return new Set(capabilities.includes('gpus') ? [...NATIVE_CAPABILITIES, 'GPU_RESOURCES'] : NATIVE_CAPABILITIES);
}
