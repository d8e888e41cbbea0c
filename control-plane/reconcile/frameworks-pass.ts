/**
 * Frameworks that have gone quiet, and those that end. One to which no replica holds a stream is marked; when it has been away for
 * longer than it asked for, it is torn down; and what a framework that was torn down has launched is stopped. Its record stays for
 * as long as its tasks are on record (see `retention-pass.ts`). Tasks that were launched as a group end together: when one of them
 * has ended in another way than `finished`, the others are stopped.
 */
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId } from '../../shared/domain/ids.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';
import type { PassAction, PassInput, PassPlan } from './actions.ts';
import { bounded } from './bounds.ts';

/** From a subscription to its stream it may take so long, however short the failover timeout is. */
export const CONNECT_MS = 30_000;

/** As who a framework is torn down that has stayed away. */
export const FAILOVER = 'failover timeout';

export function planFrameworks(input: PassInput): PassPlan {
  const { cluster, nowMs } = input;
  const checks = [...cluster.frameworks.values()]
    .sort((a, b) => byText(a.id, b.id))
    .map((framework) => (framework.teardown === null ? standingOf(input, framework) : endOf(input, framework)));
  const deadlines = checks.flatMap((check) => check.dueAtMs ?? []);
  const wakeAtMs = deadlines.length === 0 ? null : deadlines.reduce((a, b) => Math.min(a, b));
  return bounded(checks, (check) => check.actions, { wakeAtMs, nowMs });
}

/** What is due for one framework now, and when something will be. */
interface Check {
  readonly actions: readonly PassAction[];
  readonly dueAtMs: number | null;
}

const NOTHING_DUE: Check = { actions: [], dueAtMs: null };

function standingOf(input: PassInput, framework: Framework): Check {
  const { actions, dueAtMs } = presenceOf(input, framework);
  return { actions: [...actions, ...brokenGroups(input, framework)], dueAtMs };
}

/** Stops what is left of groups of which a task has ended badly. */
function brokenGroups({ cluster, nowMs }: PassInput, { id }: Framework): PassAction[] {
  const ends = new Map<string, Task>();
  const running: Task[] = [];
  for (const task of cluster.tasksOfFramework(id)) {
    const together = task.framework?.together ?? null;
    if (together === null || task.state === 'finished') continue;
    if (!isTerminal(task.state)) running.push(task);
    else if (isBefore(task, ends.get(together))) ends.set(together, task);
  }
  return running
    .filter(({ stop }) => stop === null)
    .sort((a, b) => byText(a.id, b.id))
    .flatMap((task): PassAction[] => {
      const first = ends.get(task.framework?.together ?? '');
      if (first === undefined) return [];
      return [{ type: 'stop-task', task: task.id, stop: { atMs: nowMs, by: 'berth', reason: groupEnd(first) } }];
    });
}

/** The first that has ended is why the others have to, whoever looks. */
function isBefore(a: Task, b: Task | undefined): boolean {
  if (b === undefined) return true;
  const apart = (a.history.at(-1)?.atMs ?? 0) - (b.history.at(-1)?.atMs ?? 0);
  return apart === 0 ? byText(a.id, b.id) < 0 : apart < 0;
}

function groupEnd({ id, framework, state, history }: Task): string {
  return `"${framework?.name ?? id}", launched in one group with it, ended as ${state}: ${history.at(-1)?.message ?? ''}`;
}

function presenceOf({ cluster, nowMs, leasesCountFromMs }: PassInput, framework: Framework): Check {
  const { id, disconnectedSinceMs } = framework;
  if (cluster.isConnected(id)) {
    return disconnectedSinceMs === null ? NOTHING_DUE : now({ type: 'mark-connected', framework: id });
  }
  if (leasesCountFromMs > nowMs) return { actions: [], dueAtMs: leasesCountFromMs };
  if (disconnectedSinceMs === null) return now({ type: 'mark-disconnected', framework: id, sinceMs: nowMs });
  const dueAtMs = failsOverAtMs(framework, disconnectedSinceMs);
  return dueAtMs > nowMs ? { actions: [], dueAtMs } : now(tearDown(framework, nowMs));
}

function failsOverAtMs({ failoverTimeoutSeconds, subscribedAtMs }: Framework, sinceMs: number): number {
  // Nobody has seen its stream yet: it counts as disconnected from its subscription on.
  const connectMs = sinceMs === subscribedAtMs ? CONNECT_MS : 0;
  return sinceMs + Math.max(connectMs, Math.round(failoverTimeoutSeconds * 1000));
}

function tearDown({ id, failoverTimeoutSeconds }: Framework, nowMs: number): PassAction {
  const reason = `it has been without a stream for longer than ${failoverTimeoutSeconds} s`;
  return { type: 'tear-down', framework: id, stop: { atMs: nowMs, by: FAILOVER, reason } };
}

function now(action: PassAction): Check {
  return { actions: [action], dueAtMs: null };
}

function endOf({ cluster, nowMs }: PassInput, framework: Framework): Check {
  const running = [...cluster.tasksOfFramework(framework.id)]
    .filter((task) => !isTerminal(task.state) && task.stop === null)
    .sort((a, b) => byText(a.id, b.id));
  const stop = { atMs: nowMs, by: framework.teardown?.by ?? FAILOVER, reason: endReason(framework) };
  return { actions: running.map(({ id }) => ({ type: 'stop-task', task: id, stop })), dueAtMs: null };
}

function endReason({ id, teardown }: { readonly id: FrameworkId; readonly teardown: Framework['teardown'] }): string {
  return `framework ${id} was torn down: ${teardown?.reason ?? 'it is gone'}`;
}
