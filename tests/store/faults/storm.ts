/** Faults of a wire, one after the other, in an order that chance decides. */
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import type { TcpProxy } from '../tcp-proxy.ts';
import { holds, pause } from './place.ts';

type Span = readonly [lowMs: number, highMs: number];

/** How long a fault that lasts goes on: some within a request's time, some beyond it. */
const BRIEF_MS: Span = [1, 60];
const LONG_MS: Span = [300, 900];
const LONG_CHANCE = 0.15;
const CALM_MS: Span = [1, 40];
const RECONNECT_WITHIN_MS = 300;
const MID_STREAM_BYTES: Span = [1, 4000];

type Fault = (proxy: TcpProxy, random: SeededRandom) => Promise<void>;

const lasting = (random: SeededRandom) => pause(random.between(...(random.chance(LONG_CHANCE) ? LONG_MS : BRIEF_MS)));

const FAULTS = {
  cut: async (proxy, random) => proxy.cut(random.pick(['close', 'reset'])),

  /** In the middle of an answer, or where one begins. */
  'cut-mid-stream': async (proxy, random) => {
    proxy.cutAfter(random.between(...MID_STREAM_BYTES));
    if (!(await proxy.hasCut(100))) proxy.cut();
  },

  /** The request got through; its sender never hears. */
  'lose-answers': async (proxy, random) => {
    proxy.swallow();
    await lasting(random);
    proxy.heal();
  },

  /** By the time the request arrives its sender has given up on the connection, and is asking what came of it on another. */
  'late-requests': async (proxy, random) => {
    proxy.hold('requests');
    await pause(random.between(...BRIEF_MS));
    const { connections } = proxy;
    proxy.leave();
    proxy.letThrough('requests');
    await holds(() => proxy.connections > connections, RECONNECT_WITHIN_MS);
    await lasting(random);
    proxy.arriveLate();
  },

  'hold-requests': async (proxy, random) => {
    proxy.hold('requests');
    await lasting(random);
    proxy.letThrough('requests');
  },

  'hold-answers': async (proxy, random) => {
    proxy.hold('answers');
    await lasting(random);
    proxy.letThrough('answers');
  },

  delay: async (proxy, random) => {
    proxy.delay(random.between(...BRIEF_MS));
    await lasting(random);
    proxy.delay(0);
  },
} satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;

const ALL_FAULTS = Object.keys(FAULTS) as readonly FaultName[];

/** Lets `count` faults strike, of all kinds or of some, then heals. */
export async function storm(proxy: TcpProxy, random: SeededRandom, count: number, kinds = ALL_FAULTS): Promise<void> {
  for (let struck = 0; struck < count; struck++) {
    await FAULTS[random.pick(kinds)](proxy, random);
    await pause(random.between(...CALM_MS));
  }
  proxy.heal();
}
