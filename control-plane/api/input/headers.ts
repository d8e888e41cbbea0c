/** The headers that change what a request means. Each is read by a function that collects what is wrong with it. */
import type { Fault } from '../../../shared/domain/errors.ts';
import { parsePosition, type StatePosition } from '../../../shared/protocol/position.ts';

export const REVISION_HEADER = 'Berth-Revision';
export const IDEMPOTENCY_HEADER = 'Idempotency-Key';
export const REPLAYED_HEADER = 'Idempotency-Replayed';

/** Digits of a revision, a version or an epoch: all are safe integers. */
const WHOLE_NUMBER = /^\d{1,15}$/;
const VERSION_TAG = /^"(\d{1,15})"$/;
/** Visible ASCII and inner spaces. */
const IDEMPOTENCY_KEY = /^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/;

/** How far the client has seen the state already; null if it doesn't say. */
export function seenPosition(headers: Headers, faults: Fault[]): StatePosition | null {
  const text = headers.get(REVISION_HEADER);
  const position = text === null ? null : parsePosition(text);
  if (text !== null && position === null) {
    faults.push({
      path: `header:${REVISION_HEADER}`,
      message: 'must be as an answer gave it: a whole number, or two with "-" between them',
    });
  }
  return position;
}

export function wholeNumber(headers: Headers, name: string, faults: Fault[]): number | null {
  const text = headers.get(name);
  if (text === null || WHOLE_NUMBER.test(text)) return text === null ? null : Number(text);
  faults.push({ path: `header:${name}`, message: 'must be a whole number' });
  return null;
}

export function idempotencyKey(headers: Headers, faults: Fault[]): string | null {
  const key = headers.get(IDEMPOTENCY_HEADER);
  if (key === null || IDEMPOTENCY_KEY.test(key)) return key;
  faults.push({ path: `header:${IDEMPOTENCY_HEADER}`, message: 'must be 1 to 255 printable characters' });
  return null;
}

/** `If-Match: "3"`: the version that must still stand; null if any may. */
export function ifMatch(headers: Headers, faults: Fault[]): number | null {
  const tag = headers.get('If-Match');
  if (tag === null) return null;
  const version = VERSION_TAG.exec(tag)?.[1];
  if (version !== undefined) return Number(version);
  faults.push({
    path: 'header:If-Match',
    message: 'must be one version in quotes, as the header ETag gave it, such as "3"',
  });
  return null;
}

/** `If-None-Match: *`: there must be nothing yet. */
export function ifNoneMatch(headers: Headers, faults: Fault[]): boolean {
  const tag = headers.get('If-None-Match');
  if (tag === null || tag === '*') return tag !== null;
  faults.push({ path: 'header:If-None-Match', message: 'must be *, which only creates' });
  return false;
}
