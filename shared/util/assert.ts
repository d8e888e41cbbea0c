/**
 * Checks for what must hold if the program is right. A failed check is a bug, never bad input: it stops the
 * operation instead of letting it go on with a broken premise.
 */

/** Thrown when a condition that the code relies on doesn't hold. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Stops with an {@link InvariantError} unless `condition` holds. `message` names what was expected and of which id. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** Ends an exhaustive switch: adding a variant to the union makes the call a type error. */
export function unreachable(value: never): never {
  throw new InvariantError(`unhandled variant: ${JSON.stringify(value)}`);
}

/** Returns `value`, or stops with an {@link InvariantError} where it is absent. */
export function present<T>(value: T | null | undefined, what: string): T {
  invariant(value !== null && value !== undefined, `${what} is absent`);
  return value;
}
