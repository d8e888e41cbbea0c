/**
 * The records that say on which replica a framework's stream is open: `connections/<framework>`, under the lease of the replica's
 * streams. They are put and taken off by compares, since another replica may have taken the stream over.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId } from '../../shared/domain/ids.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { sleep } from '../../shared/util/clock.ts';
import { LeaseGoneError } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { ServiceContext } from './context.ts';
import type { OpenStream } from './open-stream.ts';
import { StreamLease } from './stream-lease.ts';

/** How long a framework whose replica has died still counts as connected. */
const LEASE_TTL_SECONDS = 10;

const CLAIMS_MAX = 16;
const CATCH_UP_MS = 2000;
const RETRY: BackoffPolicy = { baseMs: 100, factor: 2, maxMs: 5000 };

export class ConnectionClaims {
  readonly #ctx: ServiceContext;
  readonly #lease: StreamLease;
  readonly #over: AbortSignal;

  /** `over`: aborted when all streams of the replica end. */
  constructor(ctx: ServiceContext, over: AbortSignal) {
    this.#ctx = ctx;
    this.#lease = new StreamLease({ ...ctx, ttlSeconds: LEASE_TTL_SECONDS });
    this.#over = over;
  }

  /** One stream more. Followed by one call of {@link letGo}. */
  hold(): void {
    this.#lease.hold();
  }

  letGo(): void {
    this.#lease.release();
  }

  /** Puts on record that the stream is open; the framework is connected from then on. */
  async put(stream: OpenStream, present: () => Framework): Promise<void> {
    const { mirror, store } = this.#ctx;
    const id = stream.framework;
    stream.claim = 0;
    for (let tries = 0; tries < CLAIMS_MAX; tries++) {
      const result = await this.#withLease((lease) => {
        // Read once the lease is there, like what is compared: the framework may have moved on while it was waited for.
        const framework = present();
        return store.transact({
          compares: [keys.framework(id), keys.connection(id)].map((key) => ({
            key,
            modRevision: mirror.snapshot.modRevision(key),
          })),
          writes: [
            putRecord(
              'connections',
              keys.connection(id),
              { session: stream.session, replica: this.#ctx.replica.id },
              lease,
            ),
            ...(framework.disconnectedSinceMs === null
              ? []
              : [putRecord('frameworks', keys.framework(id), { ...framework, disconnectedSinceMs: null })]),
          ],
        });
      });
      if (result.committed) {
        stream.claim = result.revision;
        return;
      }
      await mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
    }
    throw new Refusal('conflict', `framework "${id}" kept changing; open its stream again`, { retryAfterSeconds: 1 });
  }

  async #withLease<T>(write: (lease: string) => Promise<T>): Promise<T> {
    try {
      return await write(await this.#lease.id());
    } catch (error) {
      if (!(error instanceof LeaseGoneError)) throw error;
      this.#lease.drop();
      return write(await this.#lease.id());
    }
  }

  /** Takes the record of a stream off, if it still is of that one. Never rejects. */
  async release(id: FrameworkId, modRevision: number): Promise<void> {
    const key = keys.connection(id);
    await this.persist(
      async () => {
        await this.#ctx.store.transact({ compares: [{ key, modRevision }], writes: [{ type: 'delete', key }] });
        this.#ctx.nudge();
      },
      () => this.#over.aborted,
    );
  }

  /** Tries until it is done or needn't be any more: a record that stays would keep a framework connected for ever. */
  async persist(act: () => Promise<void>, isNeedless: () => boolean): Promise<void> {
    const { clock, random, log } = this.#ctx;
    for (let failures = 0; ; failures++) {
      try {
        return await act();
      } catch (error) {
        if (error instanceof Refusal && error.code !== 'conflict') return;
        log.debug({ error }, "the record of a framework's stream could not be changed; trying again");
      }
      if (isNeedless() || this.#over.aborted) return;
      await sleep(clock, jitteredBackoffMs(RETRY, failures, random.next()), this.#over);
    }
  }
}
