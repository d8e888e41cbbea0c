/**
 * Puts on record what callers tried and were refused. Nothing is written with such a record, so it is made as well as it can be: a store
 * that is away or nearly full loses it, and the log says so.
 *
 * Whoever is refused may try again a thousand times a second, so what is written is bounded: of alike refusals (of one caller, at one
 * operation, with one code) the first is written at once, and how many followed within the minute once that is over; and of unlike ones
 * only so many a minute, beyond which they are only counted.
 */
import type { AuditRecord } from '../../shared/domain/audit.ts';
import type { Refusal, RefusalCode } from '../../shared/domain/errors.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import type { Timer } from '../../shared/util/clock.ts';
import type { Principal } from '../auth/principal.ts';
import { auditPut, callerOf, clipped, idOf, originPart } from './audit.ts';
import type { ServiceContext } from './context.ts';
import type { Origin } from './origin.ts';

const WINDOW_MS = 60_000;

/** Unlike refusals of one window that have a record each; on each replica. */
export const UNLIKE_MAX = 60;

/** Whether being told so is worth a record. What was never understood, or is a matter of a moment, isn't. */
const IS_ON_RECORD: Readonly<Record<RefusalCode, boolean>> = {
  'invalid-request': false,
  unauthenticated: true,
  forbidden: true,
  'not-found': true,
  'method-not-allowed': false,
  'not-acceptable': false,
  'unsupported-media-type': false,
  'payload-too-large': false,
  'already-exists': true,
  conflict: true,
  'revision-mismatch': true,
  'idempotency-mismatch': true,
  'stale-epoch': false,
  'session-moved': false,
  'offer-gone': false,
  'identity-mismatch': true,
  'node-gone': true,
  'framework-gone': false,
  'history-gone': false,
  'history-changed': false,
  'limit-exceeded': true,
  unavailable: false,
};

export interface RefusedCall {
  readonly origin: Origin;
  /** Null: nobody who could be believed. */
  readonly principal: Principal | null;
  /** The path that was called. */
  readonly target: string;
  /** Whose things it was about, as far as the call says. */
  readonly role: RolePath | null;
}

type RefusalContext = Pick<ServiceContext, 'store' | 'clock' | 'log' | 'room' | 'replica'>;

/** The first of many that are alike, and how often they came since it was written. */
interface Alike {
  readonly first: AuditRecord;
  since: number;
}

export class RefusalLog {
  readonly #ctx: RefusalContext;
  readonly #alike = new Map<string, Alike>();
  #others: Alike | null = null;
  #timer: Timer | null = null;
  #windows = 0;
  #writing: Promise<void> = Promise.resolve();

  /** What is still to be said is said when the signal is aborted. */
  constructor(ctx: RefusalContext, signal: AbortSignal) {
    this.#ctx = ctx;
    signal.addEventListener('abort', () => this.#closeWindow(), { once: true });
  }

  note(call: RefusedCall, { code, message }: Pick<Refusal, 'code' | 'message'>): void {
    if (!isOnRecord(call, code)) return;
    this.#timer ??= this.#ctx.clock.setTimer(WINDOW_MS, () => this.#closeWindow());
    const name = nameOf(call, code);
    const known = this.#alike.get(name);
    if (known !== undefined) known.since += 1;
    else if (this.#alike.size < UNLIKE_MAX) this.#begin(name, this.#recordOf(call, { code, message }, name));
    else this.#countOther(call, code);
  }

  /** Resolves when everything that was to be written by now has been, or was given up. */
  settled(): Promise<void> {
    return this.#writing;
  }

  #begin(name: string, first: AuditRecord): void {
    this.#alike.set(name, { first, since: 0 });
    this.#write([first]);
  }

  /** One record tells of them all, and of the first one's code. */
  #countOther({ origin }: RefusedCall, code: RefusalCode): void {
    if (this.#others === null) {
      const unlike: RefusedCall = { origin: { ...origin, operation: 'many' }, principal: null, target: '', role: null };
      const message = `more than ${UNLIKE_MAX} unlike calls were refused within a minute; only the first ones are told of one by one`;
      this.#others = { first: this.#recordOf(unlike, { code, message }, 'others'), since: 0 };
    }
    this.#others.since += 1;
  }

  #closeWindow(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const all = [...this.#alike.values(), ...(this.#others === null ? [] : [this.#others])];
    this.#alike.clear();
    this.#others = null;
    this.#windows += 1;
    this.#write(all.flatMap(({ first, since }) => (since === 0 ? [] : [this.#later(first, since)])));
  }

  #recordOf(
    { origin, principal, target, role }: RefusedCall,
    { code, message }: Pick<Refusal, 'code' | 'message'>,
    name: string,
  ): AuditRecord {
    const atMs = this.#ctx.clock.now();
    return {
      ...{ id: this.#idOf(atMs, name), atMs },
      ...originPart(origin),
      who: principal === null ? null : callerOf(principal),
      ...{ objects: [], moreObjects: 0, roles: role === null ? [] : [role] },
      ...{ outcome: 'refused', refusal: { code, message: clipped(message), target: clipped(target) }, count: 1 },
    };
  }

  #later(first: AuditRecord, count: number): AuditRecord {
    const atMs = this.#ctx.clock.now();
    return { ...first, id: this.#idOf(atMs, first.id), atMs, count };
  }

  #idOf(atMs: number, name: string): string {
    return idOf(atMs, JSON.stringify([this.#ctx.replica.id, this.#windows, name]));
  }

  #write(records: readonly AuditRecord[]): void {
    const { store, room } = this.#ctx;
    // What room is left is for what must go on.
    if (records.length === 0 || room.isTight) return;
    const write = async () => {
      try {
        await store.transact({ compares: [], writes: records.map(auditPut) });
      } catch (error) {
        this.#ctx.log.warn({ error, records: records.length }, 'refused calls could not be put on record');
      }
    };
    this.#writing = this.#writing.then(write);
  }
}

/** What agents and replicas are told is between programs, unless they reach for what isn't theirs. */
function isOnRecord({ principal }: RefusedCall, code: RefusalCode): boolean {
  const isOfProgram = principal !== null && (principal.kind === 'node' || principal.kind === 'peer');
  return isOfProgram ? code === 'forbidden' : IS_ON_RECORD[code];
}

function nameOf({ origin, principal }: RefusedCall, code: RefusalCode): string {
  const who = principal === null ? [origin.address] : [principal.kind, principal.subject, principal.tokenId];
  return JSON.stringify([who, origin.operation, code]);
}
