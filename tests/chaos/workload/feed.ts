/**
 * Reads the event feed over all faults: from one replica for a while, then from another, always after the last revision that it
 * got whole. Where the history is gone it starts anew and says so.
 */

import type { BerthClient } from '../../../shared/client/client.ts';
import { ApiError } from '../../../shared/client/errors.ts';
import { FIRST_INCARNATION } from '../../../shared/domain/node.ts';
import type { StatePosition } from '../../../shared/protocol/position.ts';
import type { EventView } from '../../../shared/protocol/views.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { clientOf } from '../../support/processes.ts';
import type { FeedEntry } from '../history.ts';
import type { World } from '../world/world.ts';
import { pause } from './client.ts';

const STAY_MIN_MS = 2000;
const STAY_MAX_MS = 15_000;
const RETRY_MS = 200;
const CLOSING_ATTEMPTS_MAX = 20;

export class Feed {
  readonly entries: FeedEntry[] = [];
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #closing = new AbortController();
  #position: number;
  #reading: Promise<void> = Promise.resolve();

  /** Everything after this revision. */
  constructor(world: World, random: SeededRandom, after: number) {
    this.#world = world;
    this.#random = random;
    this.#position = after;
  }

  start(): void {
    this.#reading = this.#read();
  }

  /** Ends, after having read all that has happened by now. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#reading;
    for (let attempt = 1; ; attempt += 1) {
      try {
        for await (const event of this.#client().recentEvents({ after: this.#after })) this.#take(event);
        return;
      } catch (error) {
        if (attempt >= CLOSING_ATTEMPTS_MAX) throw error;
        await this.#recoverFrom(error);
      }
    }
  }

  async #read(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        const stay = this.#random.between(STAY_MIN_MS, STAY_MAX_MS);
        const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(stay)]);
        for await (const event of this.#client().events({ after: this.#after, signal })) this.#take(event);
      } catch (error) {
        await this.#recoverFrom(error);
      }
    }
  }

  /** Nothing is restored here, so there is one history. */
  get #after(): StatePosition {
    return { incarnation: FIRST_INCARNATION, revision: this.#position };
  }

  /** Events of one revision are handed out together, whatever happens to the connection meanwhile. */
  #take(event: EventView): void {
    this.entries.push({ type: 'event', event });
    this.#position = event.revision;
  }

  async #recoverFrom(error: unknown): Promise<void> {
    if (error instanceof ApiError && error.code === 'history-gone') await this.#listAnew();
    await pause(RETRY_MS, this.#closing.signal);
  }

  async #listAnew(): Promise<void> {
    const revision = await this.#client()
      .status()
      .then((status) => status.revision)
      .catch(() => 0);
    // A replica that is behind has no history that far either; another one has.
    if (revision <= this.#position) return;
    this.entries.push({ type: 'listed-anew', revision });
    this.#position = revision;
  }

  #client(): BerthClient {
    return clientOf(this.#random.pick(this.#world.replicas).url, this.#world.token);
  }
}
