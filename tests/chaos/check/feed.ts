/** The event feed: each step of each task once, in its order, and none left out, however often its reader had to reconnect. */
import type { EventType, TaskView } from '../../../shared/protocol/views.ts';
import type { FeedEntry, History } from '../history.ts';
import type { Violation } from './violation.ts';

export function checkFeed({ feed, finals }: Pick<History, 'feed' | 'finals'>): Violation[] {
  const listedAt = feed.findLastIndex(({ type }) => type === 'listed-anew');
  const steps = stepsOf(feed);
  const tasks = finals[0]?.tasks ?? [];
  return [...checkOrder(feed), ...tasks.flatMap((task) => checkTask(task, steps.get(task.id) ?? [], listedAt))];
}

interface Step {
  readonly state: string;
  /** Its place in the feed. */
  readonly at: number;
}

/** What is asked of a task is no step that it takes. */
const NO_STEPS: readonly EventType[] = ['task.stopping', 'task.displaced'];

function stepsOf(feed: readonly FeedEntry[]): Map<string, Step[]> {
  const steps = new Map<string, Step[]>();
  for (const [at, entry] of feed.entries()) {
    if (entry.type !== 'event' || entry.event.task === null || NO_STEPS.includes(entry.event.type)) continue;
    const { task, type } = entry.event;
    steps.set(task, [...(steps.get(task) ?? []), { state: type.slice('task.'.length), at }]);
  }
  return steps;
}

function checkOrder(feed: readonly FeedEntry[]): Violation[] {
  let last = 0;
  for (const entry of feed) {
    const revision = entry.type === 'event' ? entry.event.revision : entry.revision;
    if (revision < last) {
      const message = `revision ${revision} came after revision ${last}`;
      return [{ rule: 'events come in order', about: 'the feed', message }];
    }
    last = revision;
  }
  return [];
}

/** After the reader has listed anew, what happened before isn't told any more; all that follows a task's creation is. */
function checkTask(task: TaskView, steps: readonly Step[], listedAt: number): Violation[] {
  const told = steps.map(({ state }) => state);
  const history: readonly string[] = task.history.map(({ state }) => state);
  const isWhole = listedAt === -1 || (told[0] === history[0] && (steps[0]?.at ?? -1) > listedAt);
  const isRight = isWhole ? told.join() === history.join() : isPartOf(told, history);
  if (isRight) return [];
  const message = `the feed told ${told.join(', ') || 'nothing'}, and its record says ${history.join(', ')}`;
  return [{ rule: 'each event comes once', about: task.id, message }];
}

function isPartOf(part: readonly string[], whole: readonly string[]): boolean {
  let at = 0;
  for (const one of whole) if (one === part[at]) at += 1;
  return at === part.length;
}
