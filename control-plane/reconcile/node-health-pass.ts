/**
 * Nodes that have gone quiet, and nodes that are being emptied. A node without its lease is marked, its tasks keep their
 * places for as long as each one's job waits, and are then given up; a drain that has reached its deadline displaces what
 * is left. A task that must never run twice at a time is given up only once its node, cut off as it is, must have stopped it by
 * itself. It never decides that a node has gone: the store does, by letting the node's lease end. But a lease that may have
 * ended because nobody could keep it, since the store or the whole control plane was away, says nothing: every node is then
 * given time to be heard of again before it counts as gone.
 */
import { type ClusterView, liveTasksOn, templateOf } from '../../shared/domain/cluster.ts';
import type { StopRequest } from '../../shared/domain/job.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { Task } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';
import { ACTION_TASKS_MAX, type PassAction, type PassInput, type PassPlan } from './actions.ts';
import { bounded, chunks } from './bounds.ts';
import { fenceWaitMs } from './fence-wait.ts';
import { admitGiveUps, type GiveUps, type SilentNode } from './give-up-rate.ts';

/** For a task of which neither the job nor the version is on record any more. */
const REPLACE_AFTER_DEFAULT_SECONDS = 60;

export function planNodeHealth(input: PassInput): PassPlan {
  const { cluster, nowMs } = input;
  const ledgers = [...cluster.ledgers.values()]
    .filter(({ node }) => cluster.epochs.get(node)?.gone === undefined)
    .sort((a, b) => byText(a.node, b.node));
  const silences = ledgers.flatMap((ledger) => silenceOf(input, ledger));
  const rate = admitGiveUps(cluster, silences, nowMs);
  const silent = new Map(silences.map((silence) => [silence.node, silence]));
  const checks = ledgers.map((ledger) => {
    const silence = silent.get(ledger.node);
    const lease = silence === undefined ? checkLease(input, ledger) : giveUps(silence, rate, nowMs);
    return both(lease, checkDrain(cluster, ledger, nowMs));
  });
  const deadlines = checks.flatMap((check) => check.deadlines).concat(rate.wakeAtMs ?? []);
  const wakeAtMs = deadlines.length === 0 ? null : deadlines.reduce((a, b) => Math.min(a, b));
  return bounded(checks, (check) => check.actions, { wakeAtMs, nowMs });
}

/** What is due on one node now, and when something will be. */
interface NodeCheck {
  readonly actions: readonly PassAction[];
  readonly deadlines: readonly number[];
}

const NOTHING_DUE: NodeCheck = { actions: [], deadlines: [] };

function both(a: NodeCheck, b: NodeCheck): NodeCheck {
  return { actions: [...a.actions, ...b.actions], deadlines: [...a.deadlines, ...b.deadlines] };
}

function checkLease({ cluster, nowMs, leasesCountFromMs }: PassInput, { node }: Ledger): NodeCheck {
  const epoch = cluster.epochs.get(node);
  if (epoch === undefined) return NOTHING_DUE;
  const isMarked = epoch.unreachableSinceMs !== null;
  if (cluster.isAlive(node))
    return isMarked ? { actions: [{ type: 'mark-reachable', node }], deadlines: [] } : NOTHING_DUE;
  if (leasesCountFromMs > nowMs) return { actions: [], deadlines: [leasesCountFromMs] };
  if (isMarked) return NOTHING_DUE;
  return { actions: [{ type: 'mark-unreachable', node, sinceMs: nowMs }], deadlines: [] };
}

/** An unreachable node with its live tasks, and when each has waited for it as long as its job allows. */
interface Silence extends SilentNode {
  readonly tasks: readonly { readonly task: Task; readonly deadlineMs: number }[];
}

/** Empty for a node that is heard of, was found gone only now, or holds nothing that lives. */
function silenceOf({ cluster, nowMs, leasesCountFromMs, unreachableForMs }: PassInput, ledger: Ledger): Silence[] {
  const { node } = ledger;
  const seenForMs = unreachableForMs.get(node) ?? 0;
  const sinceMs = cluster.epochs.get(node)?.unreachableSinceMs ?? null;
  if (sinceMs === null || cluster.isAlive(node) || leasesCountFromMs > nowMs) return [];
  const tasks = liveTasksOn(cluster, ledger).map((task) => ({
    task,
    deadlineMs: Math.max(sinceMs + replaceAfterMs(cluster, task), fencedUntilMs(cluster, task, { nowMs, seenForMs })),
  }));
  if (tasks.length === 0) return [];
  return [{ node, sinceMs, tasks, isDue: tasks.some(({ deadlineMs }) => deadlineMs <= nowMs) }];
}

function giveUps({ node, sinceMs, tasks }: Silence, { admitted }: GiveUps, nowMs: number): NodeCheck {
  const due = admitted.has(node) ? tasks.filter(({ deadlineMs }) => deadlineMs <= nowMs) : [];
  const ids = due.map(({ task }) => task.id);
  const awaySeconds = Math.round((nowMs - sinceMs) / 1000);
  const message = `node ${node} has been unreachable for ${awaySeconds} s, longer than the job waits for it`;
  return {
    actions: chunks(ids, ACTION_TASKS_MAX).map((some) => ({
      type: 'give-up-tasks',
      node,
      tasks: some,
      atMs: nowMs,
      message,
    })),
    deadlines: tasks.map(({ deadlineMs }) => deadlineMs).filter((ms) => ms > nowMs && Number.isFinite(ms)),
  };
}

/** When a task that must not run twice has surely been stopped by its node; no bound where it has been already, or may run twice. */
function fencedUntilMs(
  cluster: ClusterView,
  task: Task,
  { nowMs, seenForMs }: { readonly nowMs: number; readonly seenForMs: number },
): number {
  const waitMs = fenceWaitMs(cluster, task);
  return waitMs === null || seenForMs >= waitMs ? Number.NEGATIVE_INFINITY : nowMs + waitMs - seenForMs;
}

/** The job's word as it stands now counts, so that an operator can change it while a node is away. Infinity: never. */
function replaceAfterMs(cluster: ClusterView, task: Task): number {
  const spec = cluster.jobs.get(task.jobUid)?.spec ?? templateOf(cluster, task);
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
  const { graceMsMax } = drain;
  const stopped = running.map((task) => ({ type: 'stop-task', task: task.id, stop, graceMsMax }) as const);
  return { actions: stopped, deadlines: [] };
}
