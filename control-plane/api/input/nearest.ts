/** What somebody probably meant who mistyped a name. */

/** Longer names aren't guessed at: the table that finds the distance grows with the square of the length. */
const LENGTH_MAX = 64;

/** The known name that is nearest to `name`; null when none is near enough to be meant. */
export function nearestName(name: string, known: readonly string[]): string | null {
  if (name.length > LENGTH_MAX) return null;
  const typed = name.toLowerCase();
  // A third of the letters may be wrong: `imgae` is `image`, but `x` is not `y`.
  let best = { name: null as string | null, distance: Math.floor(Math.max(typed.length, 3) / 3) + 1 };
  for (const candidate of known) {
    const distance = editDistance(typed, candidate.toLowerCase());
    if (distance < best.distance && distance < candidate.length) best = { name: candidate, distance };
  }
  return best.name;
}

/** Letters put in, left out, changed, or swapped with their neighbour (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const changed = a[row - 1] === b[column - 1] ? 0 : 1;
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      current[column] = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + changed,
        isSwap ? at(beforeLast, column - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    beforeLast = last;
    last = current;
  }
  return at(last, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
