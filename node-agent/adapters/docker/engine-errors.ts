/**
 * What the engine's failures mean. An answer with a status code is the engine's word on this one container; anything else
 * means that the engine couldn't be asked.
 */
import { RuntimeFault } from '../../executor/contracts.ts';

/** The engine's HTTP status; null where there was no answer. */
export function statusOf(cause: unknown): number | null {
  if (!(cause instanceof Error) || !('statusCode' in cause)) return null;
  return typeof cause.statusCode === 'number' ? cause.statusCode : null;
}

/** The engine's own words, without what its client puts around them. */
export function engineWords(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.replace(/^\(HTTP code \d+\) .*? - /s, '').trim() || message;
}

/** Runs a call and turns what it throws into a fault, except for the statuses that the caller knows what to do with. */
export async function ask<T>(what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new RuntimeFault(`${what}: ${engineWords(cause)}`, { cause });
  }
}

/** The same, where some answers mean that there is nothing to be done. */
export async function askUnless<T>(
  what: string,
  statuses: readonly number[],
  call: () => Promise<T>,
): Promise<T | null> {
  try {
    return await call();
  } catch (cause) {
    const status = statusOf(cause);
    if (status !== null && statuses.includes(status)) return null;
    throw new RuntimeFault(`${what}: ${engineWords(cause)}`, { cause });
  }
}

/** Whether the words of a failed start say that the command is at fault, rather than the engine. */
export function saysCommandUnusable(words: string): boolean {
  return /\bexec:|executable file not found|exec format error|no command specified|chdir to cwd/i.test(words);
}
