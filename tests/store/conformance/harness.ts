/** What every part of the conformance suite works with. */

import type { Store, TransactionResult, WatchBatch, WatchEvent, Write } from '../../../control-plane/store/contract.ts';
import { invariant } from '../../../shared/util/assert.ts';

/** A store of the kind that is tested. */
export interface Subject {
  readonly store: Store;
  /** Lets time pass for the store, about so long. */
  tick(ms: number): Promise<void>;
  /** A prefix that no other test uses. */
  prefix(): string;
}

export type Open = () => Promise<Subject & { close(): Promise<void> }>;

const DEADLINE_MS = 15_000;
const TICK_MS = 50;

/** Waits until `condition` gives something other than null or false. */
export async function eventually<T>(subject: Subject, what: string, condition: () => T | Promise<T>) {
  for (let waitedMs = 0; waitedMs <= DEADLINE_MS; waitedMs += TICK_MS) {
    const result = await condition();
    if (result !== null && result !== false) return result;
    await subject.tick(TICK_MS);
  }
  throw new Error(`${what} did not come about within ${DEADLINE_MS} ms`);
}

export function put(key: string, value: string, lease?: string): Write {
  return lease === undefined ? { type: 'put', key, value } : { type: 'put', key, value, lease };
}

/** Writes unconditionally and returns the revision. */
export async function write(store: Store, ...writes: Write[]): Promise<number> {
  return committed(await store.transact({ compares: [], writes }));
}

export function committed(result: TransactionResult): number {
  invariant(result.committed, 'the transaction was committed');
  return result.revision;
}

export function describeEvent(event: WatchEvent): string {
  return event.type === 'put'
    ? `put ${event.keyValue.key}=${event.keyValue.value}@${event.keyValue.modRevision}`
    : `delete ${event.key}@${event.modRevision}`;
}

/** A watch that collects what it sees until it is stopped. */
export class Collector {
  readonly batches: WatchBatch[] = [];
  readonly done: Promise<Error | null>;
  isOver = false;
  readonly #abort = new AbortController();

  constructor(store: Store, prefix: string, fromRevision: number) {
    this.done = this.#collect(store.watch({ prefix, fromRevision, signal: this.#abort.signal }));
  }

  get events(): WatchEvent[] {
    return this.batches.flatMap((batch) => batch.events);
  }

  get described(): string[] {
    return this.events.map(describeEvent);
  }

  /** Ends the watch; resolves with what it failed with, or null. */
  stop(): Promise<Error | null> {
    this.#abort.abort();
    return this.done;
  }

  /** Never rejects, so that a test looks at the failure when it is ready. */
  async #collect(watch: AsyncIterable<WatchBatch>): Promise<Error | null> {
    try {
      for await (const batch of watch) this.batches.push(batch);
      return null;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      this.isOver = true;
    }
  }
}
