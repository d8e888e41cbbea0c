/** Updates of tasks as Mesos tells them. Pure. */
import { isTerminal, type Task } from '../../../shared/domain/task.ts';
import type { UpdateReason } from '../../../shared/domain/task-update.ts';
import type { OperationStatusView, TaskUpdateView } from '../../../shared/protocol/framework.ts';
import { unreachable } from '../../../shared/util/assert.ts';
import type { WireOperationState, WireOperationStatus, WireTaskState, WireTaskStatus } from '../wire/event.ts';
import { nodeIp } from './addresses.ts';
import { taskNotesOf } from './annotations.ts';
import { updateUuidOf } from './ids.ts';
import type { WireFramework } from './wire-framework.ts';

/** What has to be known of a task beside its update. */
export interface StatusFacts {
  /** Null: it isn't on record. */
  readonly task: Task | null;
  /** An operator has said that its node is no more. */
  readonly isNodeGone: boolean;
  /** Null: its node doesn't count as unreachable. */
  readonly unreachableSinceMs: number | null;
  readonly attributes: Readonly<Record<string, string>>;
}

type Capabilities = WireFramework['capabilities'];
type Source = NonNullable<WireTaskStatus['source']>;

export function wireStatus(update: TaskUpdateView, capabilities: Capabilities, facts: StatusFacts): WireTaskStatus {
  const { task, node, message, at, id } = update;
  const uuid = id === null ? null : updateUuidOf(id);
  const { agent_id: meant = null, executor_id: stated, labels = [], told } = taskNotesOf(update.annotations);
  // Clients send it back with their acknowledgement, and some can't do without.
  const agent = node ?? meant;
  // What never came to be runs under no executor.
  const executor = stated ?? (update.taskId === null ? null : task);
  const sinceMs = update.unreachable ? facts.unreachableSinceMs : null;
  const ip = nodeIp({ host: update.host, attributes: facts.attributes });
  return {
    task_id: { value: task },
    state: told?.state ?? wireState(update, capabilities, facts),
    ...causeOf(update, facts),
    ...(told?.reason !== undefined && { reason: told.reason }),
    ...(message !== '' && { message }),
    ...(update.healthy !== null && { healthy: update.healthy }),
    ...(agent !== null && { agent_id: { value: agent } }),
    ...(node !== null && executor !== null && { executor_id: { value: executor } }),
    timestamp: (sinceMs ?? Date.parse(at)) / 1000,
    ...(sinceMs !== null && { unreachable_time: { nanoseconds: sinceMs * 1_000_000 } }),
    ...(uuid !== null && { uuid }),
    ...(labels.length > 0 && { labels: { labels } }),
    ...(update.taskId !== null &&
      ip !== null && { container_status: { network_infos: [{ ip_addresses: [{ ip_address: ip }] }] } }),
  };
}

/** Frameworks that don't know the states of partitions are told of all of those as TASK_LOST. */
export function wireState(
  { state, unreachable: isAway, reason }: Pick<TaskUpdateView, 'state' | 'unreachable' | 'reason'>,
  capabilities: Capabilities,
  { task, isNodeGone }: Pick<StatusFacts, 'task' | 'isNodeGone'>,
): WireTaskState {
  const partitioned = (known: WireTaskState) => (capabilities.has('PARTITION_AWARE') ? known : 'TASK_LOST');
  if (isAway) return partitioned('TASK_UNREACHABLE');
  switch (state) {
    case 'pending':
    case 'staging':
      return 'TASK_STAGING';
    case 'starting':
      return 'TASK_STARTING';
    case 'running':
      return isEnding(task) && capabilities.has('TASK_KILLING_STATE') ? 'TASK_KILLING' : 'TASK_RUNNING';
    case 'finished':
      return 'TASK_FINISHED';
    case 'failed':
      return isEndedByCheck(state, reason) ? 'TASK_KILLED' : 'TASK_FAILED';
    case 'killed':
      return 'TASK_KILLED';
    case 'error':
      return isFailedLaunch(reason) ? 'TASK_FAILED' : 'TASK_ERROR';
    case 'lost':
      return partitioned(isNodeGone ? 'TASK_GONE_BY_OPERATOR' : hasStarted(task) ? 'TASK_GONE' : 'TASK_DROPPED');
    case 'unknown':
      return partitioned('TASK_UNKNOWN');
    default:
      return unreachable(state);
  }
}

/** With Mesos only what could never run is an error: where an agent can't start what may be right, the task has failed. */
export function isFailedLaunch(reason: UpdateReason | null): boolean {
  return reason !== null && CAUSES[reason][1] === LAUNCH_FAILED;
}

/** With Mesos such a task has not failed but was killed. */
export function isEndedByCheck(state: TaskUpdateView['state'], reason: UpdateReason | null): boolean {
  return state === 'failed' && reason === 'unhealthy';
}

function isEnding(task: Task | null): boolean {
  return task !== null && task.stop !== null && !isTerminal(task.state);
}

/** One of which nothing is on record may well have. */
function hasStarted(task: Task | null): boolean {
  return task === null || task.history.some(({ state }) => state === 'starting' || state === 'running');
}

function causeOf(update: TaskUpdateView, { isNodeGone }: StatusFacts): { source: Source; reason?: string } {
  if (update.reconciliation) return { source: 'SOURCE_MASTER', reason: 'REASON_RECONCILIATION' };
  if (update.unreachable) return { source: 'SOURCE_MASTER', reason: 'REASON_AGENT_REMOVED' };
  if (update.reason === null) return { source: 'SOURCE_MASTER' };
  if (update.reason === 'node-lost' && isNodeGone) {
    return { source: 'SOURCE_MASTER', reason: 'REASON_AGENT_REMOVED_BY_OPERATOR' };
  }
  const [source, reason] = CAUSES[update.reason];
  return { source, ...(reason !== null && { reason }) };
}

const LAUNCH_FAILED = 'REASON_CONTAINER_LAUNCH_FAILED';

/** Who says it with Mesos, and with which reason; null: with none. */
const CAUSES: Readonly<Record<UpdateReason, readonly [Source, string | null]>> = {
  submitted: ['SOURCE_MASTER', null],
  retried: ['SOURCE_MASTER', null],
  placed: ['SOURCE_MASTER', null],
  launched: ['SOURCE_MASTER', null],
  'launch-refused': ['SOURCE_MASTER', 'REASON_TASK_INVALID'],
  accepted: ['SOURCE_EXECUTOR', null],
  'pulling-image': ['SOURCE_EXECUTOR', null],
  started: ['SOURCE_EXECUTOR', null],
  'restarted-after-reboot': ['SOURCE_EXECUTOR', null],
  'restarted-in-place': ['SOURCE_EXECUTOR', null],
  unhealthy: ['SOURCE_EXECUTOR', null],
  'health-changed': ['SOURCE_EXECUTOR', 'REASON_TASK_HEALTH_CHECK_STATUS_UPDATED'],
  exited: ['SOURCE_EXECUTOR', null],
  'executor-ended': ['SOURCE_AGENT', 'REASON_EXECUTOR_TERMINATED'],
  'out-of-memory': ['SOURCE_AGENT', 'REASON_CONTAINER_LIMITATION_MEMORY'],
  'timed-out': ['SOURCE_EXECUTOR', 'REASON_MAX_COMPLETION_TIME_REACHED'],
  'stop-requested': ['SOURCE_EXECUTOR', null],
  'image-unavailable': ['SOURCE_AGENT', LAUNCH_FAILED],
  'secret-unavailable': ['SOURCE_AGENT', LAUNCH_FAILED],
  'command-unusable': ['SOURCE_AGENT', LAUNCH_FAILED],
  'refused-by-node': ['SOURCE_AGENT', 'REASON_TASK_INVALID'],
  'engine-error': ['SOURCE_AGENT', LAUNCH_FAILED],
  'node-rebooted': ['SOURCE_AGENT', 'REASON_AGENT_RESTARTED'],
  'node-lost': ['SOURCE_MASTER', 'REASON_AGENT_REMOVED'],
  disconnected: ['SOURCE_AGENT', 'REASON_AGENT_DISCONNECTED'],
  'not-found-on-node': ['SOURCE_AGENT', 'REASON_TASK_UNKNOWN'],
  'state-restored': ['SOURCE_MASTER', 'REASON_MASTER_DISCONNECTED'],
};

const OPERATION_STATES: Readonly<Record<OperationStatusView['state'], WireOperationState>> = {
  finished: 'OPERATION_FINISHED',
  error: 'OPERATION_ERROR',
  dropped: 'OPERATION_DROPPED',
  unknown: 'OPERATION_UNKNOWN',
};

/** `uuid`: by which it is acknowledged, in base64; null: there is nothing to acknowledge. */
export function wireOperationStatus(
  { operation, state, message, node }: OperationStatusView,
  uuid: string | null,
): WireOperationStatus {
  return {
    operation_id: { value: operation },
    state: OPERATION_STATES[state],
    ...(message !== '' && { message }),
    ...(uuid !== null && { uuid: { value: uuid } }),
    ...(node !== null && { agent_id: { value: node } }),
  };
}
