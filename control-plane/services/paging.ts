/** Pages of lists that live in memory, in the order of a text key that the cursor repeats. */
import type { Page } from '../../shared/protocol/views.ts';
import type { PageRequest } from './context.ts';

/** The items after the cursor, in the order of `keyOf`, at most as many as were asked for. */
export function pageThrough<T, V>(
  items: Iterable<T>,
  { limit, after }: PageRequest,
  { keyOf, view }: { keyOf: (item: T) => string; view: (item: T) => V },
): Page<V> {
  const rest = [...items].map((item) => ({ key: keyOf(item), item }));
  const wanted = (after === null ? rest : rest.filter((entry) => entry.key > after)).sort(byKey);
  const page = wanted.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map((entry) => view(entry.item)),
    next: wanted.length > page.length && last !== undefined ? last.key : null,
  };
}

function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}
