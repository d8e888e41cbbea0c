/** Times, amounts and names as people read them. Pure: now is handed in. */

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A duration in its two largest units: `850ms`, `12.3s`, `4m10s`, `3h5m`, `2d4h`. */
export function durationText(ms: number): string {
  const amount = Math.max(0, ms);
  if (amount < SECOND_MS) return `${Math.round(amount)}ms`;
  if (amount < 10 * SECOND_MS) return `${(Math.floor(amount / 100) / 10).toFixed(1)}s`;
  if (amount < MINUTE_MS) return `${Math.floor(amount / SECOND_MS)}s`;
  if (amount < HOUR_MS) return twoUnits(amount, MINUTE_MS, 'm', SECOND_MS, 's');
  if (amount < DAY_MS) return twoUnits(amount, HOUR_MS, 'h', MINUTE_MS, 'm');
  return twoUnits(amount, DAY_MS, 'd', HOUR_MS, 'h');
}

function twoUnits(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)}${largeName}${rest > 0 ? `${rest}${smallName}` : ''}`;
}

/** How long ago a time was, in whole seconds: `12s ago`. Absent times are a dash. */
export function ageText(time: string | null, nowMs: number): string {
  if (time === null) return '-';
  const ms = nowMs - Date.parse(time);
  if (ms < SECOND_MS) return 'now';
  return `${durationText(ms < MINUTE_MS ? Math.floor(ms / SECOND_MS) * SECOND_MS : ms).replace('.0s', 's')} ago`;
}

/** Mebibytes in the unit that fits: `512MiB`, `1.5GiB`. */
export function mebibytesText(mebibytes: number): string {
  if (mebibytes < 1024) return `${mebibytes}MiB`;
  if (mebibytes < 1024 * 1024) return `${decimals(mebibytes / 1024)}GiB`;
  return `${decimals(mebibytes / 1024 / 1024)}TiB`;
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  if (bytes < 1024 * 1024) return `${decimals(bytes / 1024)}KiB`;
  return mebibytesText(Math.round((bytes / 1024 / 1024) * 10) / 10);
}

function decimals(amount: number): string {
  return amount.toFixed(1).replace(/\.0$/, '');
}

/** `1 node`, `3 nodes`, `2 policies`. */
export function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : `${noun.replace(/([^aeiou])y$/, '$1ie')}s`}`;
}

/**
 * Text from elsewhere, fit for a terminal: control characters, which could move the cursor or forge output, are shown as
 * what they are. Line ends become spaces.
 */
export function printable(text: string): string {
  return escaped(text.replace(/[\r\n\t]+/g, ' '));
}

/** A line that a task has put out, as a terminal gets it: with its tabs and colours, and without anything else that drives it. */
export function printableOutput(text: string): string {
  return text
    .split(COLOURS)
    .map((part, index) => (index % 2 === 1 ? part : part.split('\t').map(escaped).join('\t')))
    .join('');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what begins a change of colour.
const COLOURS = /(\u001b\[[0-9;]{0,32}m)/;

function escaped(text: string): string {
  return text
    .replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replace(/\p{Bidi_Control}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Cuts text to `width` characters; what was cut is marked by an ellipsis. */
export function cutTo(text: string, width: number): string {
  const characters = [...text];
  if (characters.length <= width) return text;
  return width <= 1 ? '…'.slice(0, width) : `${characters.slice(0, width - 1).join('')}…`;
}

export function widthOf(text: string): number {
  return [...text].length;
}
