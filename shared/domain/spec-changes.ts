/** What differs between two versions of a job, field by field. */

export interface SpecChange {
  /** JSON pointer into the spec: `/groups/0/image`. */
  readonly path: string;
  /** Null where there was nothing, as JSON has no other word for it. */
  readonly before: unknown;
  readonly after: unknown;
}

/** The changed leaves, in the order of their paths. Lists are compared by position. */
export function specChanges(before: unknown, after: unknown, path = ''): SpecChange[] {
  if (before === after) return [];
  if (!isTree(before) || !isTree(after) || Array.isArray(before) !== Array.isArray(after)) {
    return [{ path: path === '' ? '/' : path, before: before ?? null, after: after ?? null }];
  }
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort(byPosition);
  return names.flatMap((name) => specChanges(before[name], after[name], `${path}/${escapePointer(name)}`));
}

/** Positions of lists in their own order, names in that of the alphabet. */
function byPosition(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) || difference === 0 ? (a < b ? -1 : a > b ? 1 : 0) : difference;
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** RFC 6901. */
function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
