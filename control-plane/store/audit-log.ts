/**
 * What is on record of callers, read from the store in the order of time. Nothing of it is held in memory, and there may be a million of
 * it: whoever reads asks for so much at a time, from either end, and never for all.
 *
 * A store lists keys forwards only. Backwards, the times are looked through like the pages of a dictionary: what begins with the same
 * digits is read at once if it fits, and else by its next digit, the highest first. So the last records of a million take a dozen
 * requests.
 */
import { AUDIT_TIME_DIGITS, auditTimeText } from '../../shared/domain/audit.ts';
import type { KeyValue, Store } from './contract.ts';
import { keys } from './keys.ts';

/** Both ends are ids, or beginnings of such. */
export interface AuditSpan {
  /** Only what sorts after this. */
  readonly after: string;
  /** Only what sorts before this. */
  readonly before: string;
}

/** Everything that was made at one of these times, the last one excluded. */
export function spanOfTimes(fromMs: number, toMs: number): AuditSpan {
  return { after: auditTimeText(fromMs), before: auditTimeText(toMs) };
}

type Reading = AsyncGenerator<readonly KeyValue[]>;

/** Pages of what is in the span, the oldest first. Of each page the order is that of time. Throws what {@link Store.range} throws. */
export async function* oldestFirst(store: Store, { after, before }: AuditSpan, pageMax: number): Reading {
  const prefix = keys.audit('');
  const end = keys.audit(before);
  let last = keys.audit(after);
  for (;;) {
    const { keyValues, more } = await store.range({ prefix, after: last, limit: pageMax });
    const inside = keyValues.filter(({ key }) => key < end);
    if (inside.length > 0) yield inside;
    last = keyValues.at(-1)?.key ?? last;
    if (!more || inside.length < keyValues.length) return;
  }
}

/** The same, the newest first. */
export function newestFirst(store: Store, span: AuditSpan, pageMax: number): Reading {
  return backwards({ store, span, pageMax }, '');
}

async function* backwards(
  reading: { readonly store: Store; readonly span: AuditSpan; readonly pageMax: number },
  digits: string,
): Reading {
  const { store, span, pageMax } = reading;
  const prefix = keys.audit(digits);
  const end = keys.audit(span.before);
  const { keyValues, more } = await store.range({ prefix, after: keys.audit(span.after), limit: pageMax });
  const first = keyValues[0]?.key;
  if (first === undefined || first >= end) return;
  if (!more) yield keyValues.filter(({ key }) => key < end).reverse();
  else if (digits.length === AUDIT_TIME_DIGITS) yield await sameInstant(reading, digits);
  else {
    for (const next of NEXT_DIGITS) {
      const child = keys.audit(digits + next);
      // What lies behind the end, or before the first one that there is, isn't asked for.
      if (child >= end || `${child}~` < first) continue;
      yield* backwards(reading, digits + next);
    }
  }
}

/** Highest first. */
const NEXT_DIGITS = [...'9876543210'];

/** More than a page within one millisecond, which only a clock that stands still makes. */
async function sameInstant(
  { store, span, pageMax }: { readonly store: Store; readonly span: AuditSpan; readonly pageMax: number },
  digits: string,
): Promise<readonly KeyValue[]> {
  const within = {
    after: span.after > digits ? span.after : digits,
    before: span.before < `${digits}~` ? span.before : `${digits}~`,
  };
  const all: KeyValue[] = [];
  for await (const page of oldestFirst(store, within, pageMax)) all.push(...page);
  return all.reverse();
}
