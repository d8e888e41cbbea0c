/**
 * Nodes that have gone quiet, and nodes that are being emptied. A node without its lease is marked, its tasks keep their
 * places for as long as each one's job waits, and are then given up; a drain that has reached its deadline displaces what
 * is left. It never decides that a node has gone: the store does, by letting the node's lease end.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { StopRequest } from '../../shared/domain/job.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';
import { ACTION_TASKS_MAX, type PassAction, type PassInput, type PassPlan } from './actions.ts';
import { bounded, chunks } from './bounds.ts';

/** For a task of which neither the job nor the version is on record any more. */
const REPLACE_AFTER_DEFAULT_SECONDS = 60;

export function planNodeHealth({ cluster, nowMs }: PassInput): PassPlan {
  const ledgers = [...cluster.ledgers.values()].sort((a, b) => byText(a.node, b.node));
  const checks = ledgers.map((ledger) => checkNode(cluster, ledger, nowMs));
  const deadlines = checks.flatMap((check) => check.deadlines);
  const wakeAtMs = deadlines.length === 0 ? null : deadlines.reduce((a, b) => Math.min(a, b));
  return bounded(checks, (check) => check.actions, { wakeAtMs, nowMs });
}

/** What is due on one node now, and when something will be. */
interface NodeCheck {
  readonly actions: readonly PassAction[];
  readonly deadlines: readonly number[];
}

function checkNode(cluster: ClusterView, ledger: Ledger, nowMs: number): NodeCheck {
  const checks = [checkLease(cluster, ledger, nowMs), checkDrain(cluster, ledger, nowMs)];
  return {
    actions: checks.flatMap((check) => check.actions),
    deadlines: checks.flatMap((check) => check.deadlines),
  };
}

/** What holds a place there and hasn't ended, but for what has been given up. */
function liveTasksOn(cluster: ClusterView, ledger: Ledger): Task[] {
  return Object.values(ledger.entries)
    .filter((entry) => !entry.disowned)
    .flatMap((entry) => cluster.tasks.get(entry.task) ?? [])
    .filter((task) => !isTerminal(task.state))
    .sort((a, b) => byText(a.id, b.id));
}

function checkLease(cluster: ClusterView, ledger: Ledger, nowMs: number): NodeCheck {
  const { node } = ledger;
  const epoch = cluster.epochs.get(node);
  if (epoch === undefined) return NOTHING_DUE;
  const sinceMs = epoch.unreachableSinceMs;
  if (cluster.isAlive(node)) {
    return sinceMs === null ? NOTHING_DUE : { actions: [{ type: 'mark-reachable', node }], deadlines: [] };
  }
  if (sinceMs === null) return { actions: [{ type: 'mark-unreachable', node, sinceMs: nowMs }], deadlines: [] };
  return giveUps(cluster, { ledger, sinceMs, nowMs });
}

const NOTHING_DUE: NodeCheck = { actions: [], deadlines: [] };

interface UnreachableNode {
  readonly ledger: Ledger;
  readonly sinceMs: number;
  readonly nowMs: number;
}

function giveUps(cluster: ClusterView, { ledger, sinceMs, nowMs }: UnreachableNode): NodeCheck {
  const { node } = ledger;
  const timed = liveTasksOn(cluster, ledger).map((task) => ({
    task,
    deadlineMs: sinceMs + replaceAfterMs(cluster, task),
  }));
  const due = timed.filter(({ deadlineMs }) => deadlineMs <= nowMs).map(({ task }) => task.id);
  const awaySeconds = Math.round((nowMs - sinceMs) / 1000);
  const message = `node ${node} has been unreachable for ${awaySeconds} s, longer than the job waits for it`;
  return {
    actions: chunks(due, ACTION_TASKS_MAX).map((tasks) => ({
      type: 'give-up-tasks',
      node,
      tasks,
      atMs: nowMs,
      message,
    })),
    deadlines: timed.map(({ deadlineMs }) => deadlineMs).filter((ms) => ms > nowMs && Number.isFinite(ms)),
  };
}

/** The job's word as it stands now counts, so that an operator can change it while a node is away. Infinity: never. */
function replaceAfterMs(cluster: ClusterView, task: Task): number {
  const spec = cluster.jobs.get(task.jobUid)?.spec ?? cluster.version(task.jobUid, task.jobVersion)?.spec;
  const seconds = spec?.replaceAfterSeconds ?? REPLACE_AFTER_DEFAULT_SECONDS;
  return seconds === 'never' ? Number.POSITIVE_INFINITY : Math.round(seconds * 1000);
}

function checkDrain(cluster: ClusterView, ledger: Ledger, nowMs: number): NodeCheck {
  const { node, drain } = ledger;
  if (drain === null || drain.deadlineMs === null) return NOTHING_DUE;
  const running = liveTasksOn(cluster, ledger).filter((task) => task.stop === null);
  if (running.length === 0) return NOTHING_DUE;
  if (drain.deadlineMs > nowMs) return { actions: [], deadlines: [drain.deadlineMs] };
  const reason = `node ${node} is being drained, and its deadline has passed`;
  const stop: StopRequest = { atMs: nowMs, by: drain.by, reason, displaced: true };
  return { actions: running.map((task) => ({ type: 'stop-task', task: task.id, stop })), deadlines: [] };
}
