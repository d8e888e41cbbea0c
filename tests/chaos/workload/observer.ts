/** Looks at the cluster now and then, through whichever replica answers first: how far its rounds are, and what its ledgers hold. */

import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { createClient } from '../../../shared/client/client.ts';
import { type ClusterSample, steadyMs } from '../history.ts';
import type { Replica, World } from '../world/world.ts';
import { pause } from './client.ts';

const LOOK_MS = 500;
const PATIENCE_MS = 2000;

export class Observer {
  readonly samples: ClusterSample[] = [];
  readonly #world: World;
  readonly #closing = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  constructor(world: World) {
    this.#world = world;
  }

  start(): void {
    this.#watching = this.#watch();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const sample = await this.#look().catch(() => null);
      if (sample !== null) this.samples.push(sample);
      await pause(LOOK_MS, this.#closing.signal);
    }
  }

  #look(): Promise<ClusterSample> {
    return Promise.any(this.#world.replicas.map((replica) => this.#ask(replica)));
  }

  async #ask({ url: address }: Replica): Promise<ClusterSample> {
    const client = createClient({
      ...{ address, token: this.#world.token, fetch, clock: new SystemClock(), random: new CryptoRandom() },
      ...{ timeoutMs: PATIENCE_MS, attemptsMax: 1 },
    });
    const { round } = await client.status();
    const { items } = await client.nodes.list();
    return { atMs: steadyMs(), round, nodes: items.map(({ id, total, used }) => ({ id, total, used })) };
  }
}

/** The longest time between two samples of which the later one shows that a round has been committed since. */
export function longestRoundGapMs(samples: readonly ClusterSample[]): number {
  let longestMs = 0;
  let last: ClusterSample | undefined;
  for (const sample of samples) {
    if (last !== undefined && sample.round <= last.round) continue;
    if (last !== undefined) longestMs = Math.max(longestMs, sample.atMs - last.atMs);
    last = sample;
  }
  return longestMs;
}
