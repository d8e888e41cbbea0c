/** Where two JSON values differ, by name: JSON pointers (RFC 6901), and nothing of what stands there. */
import { canonicalJson } from './codec.ts';

/** Deeper differences are told of the value that holds them. */
const DEPTH_MAX = 6;

/**
 * Pointers to the outermost members that only one of the two has, or that differ in themselves, in the order of their names. Lists are
 * compared item by item where they are equally long, and otherwise count as one value.
 */
export function differingPointers(before: unknown, after: unknown): string[] {
  return [...differences(before, after, '', DEPTH_MAX)];
}

function* differences(before: unknown, after: unknown, at: string, depthLeft: number): Generator<string> {
  // What hasn't been touched is mostly the very same value.
  if (before === after || text(before) === text(after)) return;
  const names = depthLeft === 0 ? null : commonNames(before, after);
  if (names === null) {
    yield at;
    return;
  }
  for (const name of names) {
    yield* differences(memberOf(before, name), memberOf(after, name), `${at}/${escaped(name)}`, depthLeft - 1);
  }
}

/** The names of the members of both; null where they can't be compared member by member. */
function commonNames(before: unknown, after: unknown): readonly string[] | null {
  if (!isObject(before) || !isObject(after)) return null;
  const areLists = Array.isArray(before) && Array.isArray(after);
  if (areLists) return before.length === after.length ? Object.keys(before) : null;
  if (Array.isArray(before) || Array.isArray(after)) return null;
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function memberOf(value: unknown, name: string): unknown {
  // Own members only: `constructor` is a name like any other.
  return isObject(value) && Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function text(value: unknown): string | undefined {
  return value === undefined ? undefined : canonicalJson(value);
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
