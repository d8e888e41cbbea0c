/**
 * What every answer of every door tells a browser, should one ever show it: nothing of it may be run, framed, guessed at or kept. There
 * is no header that lets pages of other origins read answers (CORS), and none that says what serves them.
 */

const ALWAYS: readonly (readonly [string, string])[] = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-resource-policy', 'same-origin'],
];

/** Unless the answer says something else: a page has styles, public keys may be kept for a while. */
const BY_DEFAULT: readonly (readonly [string, string])[] = [
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['cache-control', 'no-store'],
];

/** For a year, a browser that has come over TLS comes over nothing else. */
const OVER_TLS: readonly (readonly [string, string])[] = [['strict-transport-security', 'max-age=31536000']];

/** Adds what the answer lacks. */
export function secureHeaders(headers: Headers, { isOverTls }: { readonly isOverTls: boolean }): void {
  for (const [name, value] of [...ALWAYS, ...(isOverTls ? OVER_TLS : [])]) headers.set(name, value);
  for (const [name, value] of BY_DEFAULT) if (!headers.has(name)) headers.set(name, value);
}
