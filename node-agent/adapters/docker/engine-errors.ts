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

/**
 * What the operator has to do, where the words of a failed start say that the engine knows no way to give a container NVIDIA's
 * devices; else null. Newer engines look for a CDI specification first, and speak of that.
 */
export function nvidiaRuntimeRemedy(words: string): string | null {
  const lacksRuntime =
    /could not select device driver|failed to discover GPU vendor|unresolvable CDI devices|unknown runtime specified nvidia/i;
  if (!lacksRuntime.test(words)) return null;
  return `the engine of this node can't give GPUs to containers, since it has no NVIDIA runtime: install nvidia-container-toolkit there, run "nvidia-ctk runtime configure --runtime=docker", and restart Docker (it says: ${words})`;
}

/** Whether the words of a failed start say that the command is at fault, rather than the engine. */
export function saysCommandUnusable(words: string): boolean {
  return /\bexec:|executable file not found|exec format error|no command specified|chdir to cwd/i.test(words);
}
