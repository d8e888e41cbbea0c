/** What the machine's refusals mean. */

/** Whether the system refused with one of these codes, such as `ENOENT`. */
export function isFaultOf(cause: unknown, ...codes: readonly string[]): boolean {
  return cause instanceof Error && 'code' in cause && codes.includes(String(cause.code));
}

export function words(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
