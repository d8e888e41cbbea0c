/**
 * What is wrong with something that came in, in the words in which its sender is told. It is thrown while one message is translated,
 * and caught by whoever began that: it becomes the state of a task or of an operation, or an error of the call.
 */
export class WireFault extends Error {
  override readonly name = 'WireFault';
}

/** The value, or what is wrong with what it would have been made from. */
export type Translated<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

/** Runs one translation to its end or its first fault. */
export function translated<T>(translate: () => T): Translated<T> {
  try {
    return { ok: true, value: translate() };
  } catch (error) {
    if (error instanceof WireFault) return { ok: false, message: error.message };
    throw error;
  }
}
