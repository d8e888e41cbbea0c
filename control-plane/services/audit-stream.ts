/**
 * Who does what, as it happens. A stream is taken up again after any record that is still kept, on any replica: what was missed is read
 * from the store, and what comes then is heard on the mirror's watch.
 *
 * Ids sort by the clocks of those who made the records, which may differ, and a record may be on its way for a while. So a stream that is
 * taken up looks back a little: a record may come twice, which its id tells, and none is left out.
 */
import { auditTimeMs, auditTimeText } from '../../shared/domain/audit.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { AuditView } from '../../shared/protocol/audit.ts';
import type { Principal } from '../auth/principal.ts';
import { oldestFirst } from '../store/audit-log.ts';
import type { KeyValue } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { decodeRecord } from '../store/records.ts';
import { type AuditFilter, viewer } from './audit-reading.ts';
import type { ServiceContext } from './context.ts';
import { tooSlow } from './events.ts';

/** How far clocks may differ, and how long a change may be on its way. */
const LOOK_BACK_MS = 5 * 60_000;

const RANGE_MAX = 500;

/** A reader that is this many records behind is cut off; it takes the stream up again from its last id. */
const RECORDS_BEHIND_MAX = 10_000;

/** `after`: a record that the reader has had. `sinceMs`: it has had none, and wants those from then on. Neither: from now on. */
export interface AuditStart {
  readonly after: string | null;
  readonly sinceMs: number | null;
}

/** Batches, the first at once and maybe empty. Throws `history-gone` when the record to go on after isn't kept any more. */
export async function* watchAudit(
  ctx: ServiceContext,
  principal: Principal,
  { start, filter, signal }: { readonly start: AuditStart; readonly filter: AuditFilter; readonly signal: AbortSignal },
): AsyncGenerator<readonly AuditView[]> {
  const viewOf = viewer(principal, filter);
  const viewsOf = (some: readonly KeyValue[]) =>
    some.flatMap(({ key, value }) => viewOf(decodeRecord('audit', key, value)) ?? []);
  const heardFrom = ctx.mirror.revision;
  const queue = new HeardRecords(ctx, signal);
  try {
    const { from, isNews } = await placeOf(ctx, start);
    yield [];
    /** What was read from the store and will be heard of as well. */
    const read = new Set<string>();
    for await (const page of from === null ? [] : oldestFirst(ctx.store, { after: from, before: '~' }, RANGE_MAX)) {
      if (signal.aborted) return;
      const news = page.filter(isNews);
      for (const { key, createRevision } of news) if (createRevision > heardFrom) read.add(key);
      yield viewsOf(news);
    }
    for await (const some of queue.batches()) yield viewsOf(some.filter((one) => isNews(one) && !read.has(one.key)));
  } finally {
    queue.end();
  }
}

interface Place {
  /** What is to be read from the store sorts after this; null: nothing is. */
  readonly from: string | null;
  readonly isNews: (keyValue: KeyValue) => boolean;
}

async function placeOf({ store }: ServiceContext, { after, sinceMs }: AuditStart): Promise<Place> {
  if (after === null) return { from: sinceMs === null ? null : auditTimeText(sinceMs), isNews: () => true };
  const last = keys.audit(after);
  const { keyValue } = await store.get(last);
  if (keyValue === null) {
    throw new Refusal('history-gone', `the record "${after}" is not kept any more; read the records and follow anew`);
  }
  return {
    from: auditTimeText(auditTimeMs(after) - LOOK_BACK_MS),
    isNews: ({ key, createRevision }) => key > last || createRevision > keyValue.createRevision,
  };
}

/** What the mirror passes on, until somebody takes it. */
class HeardRecords {
  readonly #signal: AbortSignal;
  readonly #unhear: () => void;
  #queue: KeyValue[] = [];
  #broken: Refusal | null = null;
  #wake: () => void = () => {};

  constructor({ mirror }: ServiceContext, signal: AbortSignal) {
    this.#signal = signal;
    this.#unhear = mirror.hear('audit', (keyValue) => this.#add(keyValue));
    signal.addEventListener('abort', this.#stop);
  }

  readonly #stop = () => this.#wake();

  #add(keyValue: KeyValue | null): void {
    // Nothing may follow what was left out: the reader goes on after the last record that it got.
    if (this.#broken !== null) return;
    if (keyValue === null || this.#queue.length >= RECORDS_BEHIND_MAX) this.#broken = tooSlow();
    else this.#queue.push(keyValue);
    this.#wake();
  }

  async *batches(): AsyncGenerator<readonly KeyValue[]> {
    while (!this.#signal.aborted) {
      if (this.#queue.length > 0) {
        const some = this.#queue;
        this.#queue = [];
        yield some;
      } else if (this.#broken !== null) throw this.#broken;
      else await this.#news();
    }
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#queue.length > 0 || this.#broken !== null || this.#signal.aborted) resolve();
    });
  }

  end(): void {
    this.#signal.removeEventListener('abort', this.#stop);
    this.#unhear();
  }
}
