/**
 * RecordIO: the length in bytes as a decimal number, a line feed, and so many bytes. Clients read one record per chunk of the body,
 * so each is one write, and some take characters for bytes, so what isn't ASCII is escaped: then both are the same number.
 */

/** The value as JSON in ASCII. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(NOT_ASCII, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Code units, so that a character of two of them becomes two escapes, as JSON wants it. */
const NOT_ASCII = /[\u007f-\uffff]/g;

export function record(value: unknown): string {
  const text = asciiJson(value);
  return `${text.length}\n${text}`;
}

/** The same of JSON in ASCII that is written already, piece by piece. */
export function recordOf(pieces: readonly string[]): string {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return `${length}\n${pieces.join('')}`;
}
