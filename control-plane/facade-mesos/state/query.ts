/** What `/tasks` is asked for. What isn't a number counts as not said, as with Mesos. */
import type { TaskQuery } from './documents.ts';

const LIMIT_DEFAULT = 100;

export function taskQuery(given: URLSearchParams): TaskQuery {
  return {
    limit: wholeNumber(given.get('limit')) ?? LIMIT_DEFAULT,
    offset: Math.max(0, wholeNumber(given.get('offset')) ?? 0),
    isAscending: given.get('order') === 'asc',
    framework: given.get('framework_id'),
    task: given.get('task_id'),
  };
}

function wholeNumber(text: string | null): number | null {
  return text !== null && /^-?\d{1,9}$/.test(text) ? Number(text) : null;
}
