/** Times as text, RFC 3339. With nine digits and in UTC they sort as texts, and no nanosecond is lost on the way. */

const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

/** The same time in UTC with all nine digits of its fraction; null: it is none. */
export function utcTime(text: string): string | null {
  const [, seconds, fraction = '', zone] = TIME.exec(text) ?? [];
  if (seconds === undefined || zone === undefined) return null;
  const atMs = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(atMs)) return null;
  return `${new Date(atMs).toISOString().slice(0, -'.000Z'.length)}.${fraction.padEnd(9, '0')}Z`;
}
