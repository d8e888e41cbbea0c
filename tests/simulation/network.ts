/**
 * Calls between processes. Either way a message may come late or not at all, a request may arrive twice, and whoever called
 * gives up after a time; each way can be cut by itself; what the other side does with a request that got through is none of the caller's doing any more.
 */
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { latency, type Weather } from './weather.ts';

/** No answer: nobody there, a message lost, or no patience left. The call may have been carried out. */
export class NetworkFault extends Error {
  override readonly name = 'NetworkFault';
}

export interface NetworkCall<T> {
  readonly from: SimulatedProcess;
  /** Null: nobody listens. */
  readonly to: SimulatedProcess | null;
  readonly timeoutMs: number;
  /** Aborted when the caller loses interest. */
  readonly signal?: AbortSignal;
  /** Runs at the other side, once or twice. Its signal is aborted when the caller has gone. */
  readonly work: (signal: AbortSignal) => Promise<T>;
}

/** One direction between two processes, by their names. */
export interface Way {
  readonly from: string;
  readonly to: string;
}

/** How long it takes to notice that a message got lost, unless the caller's patience ends before. */
const LOSS_NOTICED_MS: readonly [number, number] = [20, 3000];

export class Network {
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #weather: Weather;
  readonly #cuts = new Set<string>();

  constructor(clock: Clock, random: SeededRandom, weather: Weather) {
    this.#clock = clock;
    this.#random = random;
    this.#weather = weather;
  }

  /** Nothing passes between the two, by their names, until {@link join}. */
  cut(a: string, b: string): void {
    for (const way of bothWays(a, b)) this.cutWay(way);
  }

  join(a: string, b: string): void {
    for (const way of bothWays(a, b)) this.joinWay(way);
  }

  /** Nothing that `from` sends reaches `to` until {@link joinWay}; the other way stays as it is. */
  cutWay({ from, to }: Way): void {
    this.#cuts.add(wayName(from, to));
  }

  joinWay({ from, to }: Way): void {
    this.#cuts.delete(wayName(from, to));
  }

  joinAll(): void {
    this.#cuts.clear();
  }

  /** Rejects with a {@link NetworkFault}, or with what `work` threw. */
  call<T>(call: NetworkCall<T>): Promise<T> {
    const gone = new AbortController();
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        timer.cancel();
        call.signal?.removeEventListener('abort', giveUp);
        gone.abort();
        settle();
      };
      const giveUp = () => end(() => reject(new NetworkFault('given up')));
      const timer = call.from.clock.setTimer(call.timeoutMs, giveUp);
      call.signal?.addEventListener('abort', giveUp, { once: true });
      if (call.signal?.aborted) return giveUp();
      call.from.receive(this.#exchange(call, gone.signal)).then(
        (answer) => end(() => resolve(answer)),
        (error: unknown) => end(() => reject(error)),
      );
    });
  }

  async #exchange<T>(call: NetworkCall<T>, gone: AbortSignal): Promise<T> {
    const { lostBeforeChance, lostAfterChance, duplicateChance } = this.#weather.network;
    const random = this.#random;
    const fate = {
      before: random.chance(lostBeforeChance),
      after: random.chance(lostAfterChance),
      twice: random.chance(duplicateChance),
    };
    await sleep(this.#clock, latency(random, this.#weather.network));
    if (fate.before || !this.#arrives(call) || !call.to?.isAlive) return this.#lost();
    if (fate.twice) void this.#duplicate(call);
    const answer = await settledAt(call.to, () => call.work(gone));
    await sleep(this.#clock, latency(random, this.#weather.network));
    if (fate.after || !this.#returns(call)) return this.#lost();
    return answer();
  }

  async #duplicate<T>(call: NetworkCall<T>): Promise<void> {
    await sleep(this.#clock, this.#random.between(...this.#weather.network.duplicateAfterMs));
    if (call.to === null || !this.#arrives(call)) return;
    await settledAt(call.to, () => call.work(new AbortController().signal));
  }

  async #lost(): Promise<never> {
    await sleep(this.#clock, this.#random.between(...LOSS_NOTICED_MS));
    throw new NetworkFault('no answer');
  }

  #arrives({ from, to }: Ends): boolean {
    return to !== null && !this.#cuts.has(wayName(from.name, to.name));
  }

  #returns({ from, to }: Ends): boolean {
    return to !== null && !this.#cuts.has(wayName(to.name, from.name));
  }
}

type Ends = Pick<NetworkCall<unknown>, 'from' | 'to'>;

/** Starts the work in the process; resolves with how it came out, once it has. */
function settledAt<T>(process: SimulatedProcess, work: () => Promise<T>): Promise<() => T> {
  return new Promise((resolve) => {
    process.deliver(() => {
      work().then(
        (value) => resolve(() => value),
        (error: unknown) =>
          resolve(() => {
            throw error;
          }),
      );
    });
  });
}

function bothWays(a: string, b: string): readonly Way[] {
  return [
    { from: a, to: b },
    { from: b, to: a },
  ];
}

function wayName(from: string, to: string): string {
  return `${from} ${to}`;
}
