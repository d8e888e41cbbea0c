/**
 * How bad the world is at the moment: how long things take, and how often they go wrong. One object that everything looks
 * at, so that the faults can be made to stop all at once.
 */
import { Decisions } from './decisions.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface StoreWeather {
  /** Each way, in milliseconds. */
  readonly latencyMs: readonly [number, number];
  readonly slowChance: number;
  readonly slowMs: readonly [number, number];
  /** The call fails and nothing has happened. */
  readonly failBeforeChance: number;
  /** The call fails although it got through. */
  readonly failAfterChance: number;
  readonly failAfterMs: readonly [number, number];
  /** The call fails, and is carried out only after that. */
  readonly lateChance: number;
  readonly lateMs: readonly [number, number];
  /** Of each batch of a watch: the connection breaks before it arrives, and is made anew after a while. */
  readonly watchCutChance: number;
  readonly watchReconnectMs: readonly [number, number];
}

export interface NetworkWeather {
  readonly latencyMs: readonly [number, number];
  readonly slowChance: number;
  readonly slowMs: readonly [number, number];
  readonly lostBeforeChance: number;
  readonly lostAfterChance: number;
  /** The request arrives twice, the second time some time later. */
  readonly duplicateChance: number;
  readonly duplicateAfterMs: readonly [number, number];
}

export interface EngineWeather {
  readonly latencyMs: readonly [number, number];
  readonly slowChance: number;
  readonly slowMs: readonly [number, number];
  readonly failBeforeChance: number;
  readonly failAfterChance: number;
  /** An event of a container's end never arrives. */
  readonly eventLostChance: number;
  /** A container survives its first SIGKILL. */
  readonly stuckChance: number;
}

interface Conditions {
  readonly store: StoreWeather;
  readonly network: NetworkWeather;
  readonly engine: EngineWeather;
}

const CALM: Conditions = {
  store: {
    latencyMs: [1, 3],
    slowChance: 0,
    slowMs: [0, 0],
    failBeforeChance: 0,
    failAfterChance: 0,
    failAfterMs: [0, 0],
    lateChance: 0,
    lateMs: [0, 0],
    watchCutChance: 0,
    watchReconnectMs: [0, 0],
  },
  network: {
    latencyMs: [1, 5],
    slowChance: 0,
    slowMs: [0, 0],
    lostBeforeChance: 0,
    lostAfterChance: 0,
    duplicateChance: 0,
    duplicateAfterMs: [0, 0],
  },
  engine: {
    latencyMs: [5, 40],
    slowChance: 0,
    slowMs: [0, 0],
    failBeforeChance: 0,
    failAfterChance: 0,
    eventLostChance: 0,
    stuckChance: 0,
  },
};

/** Seeds differ in how bad they are, up to this bad. */
const STORM: Conditions = {
  store: {
    latencyMs: [1, 12],
    slowChance: 0.02,
    slowMs: [50, 3000],
    failBeforeChance: 0.02,
    failAfterChance: 0.02,
    failAfterMs: [5, 2000],
    lateChance: 0.01,
    lateMs: [10, 8000],
    watchCutChance: 0.02,
    watchReconnectMs: [5, 3000],
  },
  network: {
    latencyMs: [1, 30],
    slowChance: 0.03,
    slowMs: [50, 5000],
    lostBeforeChance: 0.03,
    lostAfterChance: 0.04,
    duplicateChance: 0.05,
    duplicateAfterMs: [1, 8000],
  },
  engine: {
    latencyMs: [5, 100],
    slowChance: 0.05,
    slowMs: [100, 4000],
    failBeforeChance: 0.02,
    failAfterChance: 0.03,
    eventLostChance: 0.1,
    stuckChance: 0.1,
  },
};

export class Weather {
  #conditions: Conditions;

  constructor(random: SeededRandom, decisions: Decisions = new Decisions()) {
    const conditionsOf = <K extends keyof Conditions>(kind: K) =>
      decisions.take(`weather/${kind}`) ? mixed(STORM[kind], random.split(kind)) : CALM[kind];
    this.#conditions = {
      store: conditionsOf('store'),
      network: conditionsOf('network'),
      engine: conditionsOf('engine'),
    };
  }

  get store(): StoreWeather {
    return this.#conditions.store;
  }

  get network(): NetworkWeather {
    return this.#conditions.network;
  }

  get engine(): EngineWeather {
    return this.#conditions.engine;
  }

  /** No more faults; things still take their time. */
  calm(): void {
    this.#conditions = CALM;
  }
}

/** How long one thing takes: a draw from the usual range, now and then from the slow one. */
export function latency(
  random: SeededRandom,
  weather: Pick<StoreWeather, 'latencyMs' | 'slowChance' | 'slowMs'>,
): number {
  return random.between(...(random.chance(weather.slowChance) ? weather.slowMs : weather.latencyMs));
}

/** How likely it is that a run knows a kind of fault at all: without one, others show what it would have hidden. */
const KIND_CHANCE = 0.75;

/** A milder weather of the same kind: some of its faults don't happen, and all others less often. */
function mixed<W extends object>(weather: W, random: SeededRandom): W {
  const severity = random.next();
  const entries = Object.entries(weather).map(([name, value]) => {
    if (typeof value !== 'number') return [name, value];
    return [name, random.chance(KIND_CHANCE) ? value * severity : 0];
  });
  return Object.fromEntries(entries) as W;
}
