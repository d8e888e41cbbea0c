/**
 * Keeps a book up to date from the control plane, for as long as it takes. While none answers, the book stays as it was: names are worth
 * most when the rest is in trouble.
 */
import type { EndpointFilter, EndpointUpdate } from '../../shared/client/endpoints.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import type { Random } from '../../shared/util/random.ts';
import type { EndpointBook } from './book.ts';

const RETRY: BackoffPolicy = { baseMs: 500, factor: 2, maxMs: 15_000 };

export interface FeedOptions {
  readonly watch: (filter: EndpointFilter, options: { readonly signal: AbortSignal }) => AsyncIterable<EndpointUpdate>;
  readonly filter: EndpointFilter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Ends with the signal; never rejects. */
export async function feedBook(book: EndpointBook, options: FeedOptions): Promise<void> {
  const { watch, filter, clock, random, log, signal } = options;
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      for await (const update of watch(filter, { signal })) {
        failures = 0;
        book.apply(update);
        if (update.type === 'list') log.info({ endpoints: update.list.items.length }, 'the endpoints are known');
      }
    } catch (error) {
      if (signal.aborted) return;
      log.warn(
        { error, revision: book.revision },
        book.revision === 0
          ? 'the endpoints can not be had yet; no name is known until they are'
          : 'the endpoints can not be followed; answering by what was known last',
      );
    }
    await sleep(clock, jitteredBackoffMs(RETRY, failures, random.next()), signal);
  }
}

const NOTE_EVERY_MS = 60_000;

/** For the client: says that nobody answers, now and then, for as long as that lasts. */
export function outageNotes({ clock, log }: Pick<FeedOptions, 'clock' | 'log'>): (note: { why: string }) => void {
  let notedAtMs = Number.NEGATIVE_INFINITY;
  return ({ why }) => {
    if (clock.monotonicMs() - notedAtMs < NOTE_EVERY_MS) return;
    notedAtMs = clock.monotonicMs();
    log.warn({ why }, 'the control plane does not answer; answering by what was known last, and trying again');
  };
}
