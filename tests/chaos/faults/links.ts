/** Wires between agents and replicas, and between replicas and etcd: held in one direction or both, cut, or slow. */
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import type { Direction, TcpProxy } from '../../store/tcp-proxy.ts';
import { steadyMs } from '../history.ts';
import type { World } from '../world/world.ts';
import { type Fault, type FaultKind, seconds, untilSeen } from './fault.ts';

type Wire = Pick<Fault, 'begin' | 'end'>;

export const LINK_FAULTS: readonly FaultKind[] = [
  { name: 'uplink-cut', weight: 8, make: async (world, random) => lasting(uplinkOf(world, random), random, 'both') },
  { name: 'uplink-gone', weight: 3, make: async (world, random) => gone(world, random) },
  {
    name: 'uplink-deaf',
    weight: 4,
    make: async (world, random) => lasting(uplinkOf(world, random), random, 'answers'),
  },
  {
    name: 'uplink-mute',
    weight: 4,
    make: async (world, random) => lasting(uplinkOf(world, random), random, 'requests'),
  },
  { name: 'uplink-swallows', weight: 4, make: async (world, random) => swallowing(uplinkOf(world, random), random) },
  { name: 'uplink-slow', weight: 3, make: async (world, random) => slow(uplinkOf(world, random), random) },
  { name: 'uplink-reset', weight: 4, make: async (world, random) => reset(uplinkOf(world, random)) },
  {
    name: 'store-link-cut',
    weight: 6,
    make: async (world, random) => lasting(storeLinkOf(world, random), random, 'both'),
  },
  {
    name: 'store-link-deaf',
    weight: 4,
    make: async (world, random) => lasting(storeLinkOf(world, random), random, 'answers'),
  },
  {
    name: 'store-link-mute',
    weight: 3,
    make: async (world, random) => lasting(storeLinkOf(world, random), random, 'requests'),
  },
  {
    name: 'store-link-swallows',
    weight: 4,
    make: async (world, random) => swallowing(storeLinkOf(world, random), random),
  },
  { name: 'store-link-slow', weight: 3, make: async (world, random) => slow(storeLinkOf(world, random), random) },
  { name: 'store-link-reset', weight: 4, make: async (world, random) => reset(storeLinkOf(world, random)) },
];

interface Line {
  readonly targets: readonly string[];
  readonly claims: readonly string[];
  readonly wires: readonly TcpProxy[];
}

/** All that a machine has, or its wire to one replica. */
function uplinkOf({ machines, replicas }: World, random: SeededRandom): Line {
  const { name, uplinks } = random.pick(machines);
  return line(`uplink of ${name}`, name, { wires: uplinks, ends: replicas, isWhole: random.chance(0.7), random });
}

/** All that a replica has, or its wire to one member. */
function storeLinkOf({ replicas, members }: World, random: SeededRandom): Line {
  const { name, storeLinks } = random.pick(replicas);
  return line(`store link of ${name}`, name, { wires: storeLinks, ends: members, isWhole: random.chance(0.6), random });
}

function line(
  claim: string,
  name: string,
  options: {
    readonly wires: readonly TcpProxy[];
    readonly ends: readonly { readonly name: string }[];
    readonly isWhole: boolean;
    readonly random: SeededRandom;
  },
): Line {
  const { wires, ends, isWhole, random } = options;
  const at = random.between(0, wires.length - 1);
  const one = wires[at];
  if (isWhole || one === undefined) return { targets: [name], claims: [claim], wires };
  return { targets: [name, ends[at]?.name ?? ''], claims: [claim], wires: [one] };
}

function lasting({ wires, ...what }: Line, random: SeededRandom, direction: Direction | 'both'): Fault {
  return { ...what, ...heldLink(wires, direction), durationMs: seconds(random, 0.5, 14) };
}

/** A machine that nobody hears of for so long that what may not run in two places is replaced elsewhere while it is away. */
function gone({ machines }: World, random: SeededRandom): Fault {
  const { name, uplinks } = random.pick(machines);
  return {
    ...{ targets: [name], claims: [`uplink of ${name}`], durationMs: seconds(random, 22, 32) },
    ...heldLink(uplinks, 'both'),
  };
}

export function heldLink(wires: readonly TcpProxy[], direction: Direction | 'both'): Wire {
  const held = direction === 'both' ? (['requests', 'answers'] as const) : [direction];
  return {
    async begin() {
      for (const wire of wires) for (const each of held) wire.hold(each);
      for (const wire of wires) await untilSeen(`nothing gets through ${wire.url}`, () => isDead(wire));
    },
    async end() {
      for (const wire of wires) wire.heal();
    },
  };
}

/** What is asked arrives and is done, and nobody hears of it. */
function swallowing({ wires, ...what }: Line, random: SeededRandom): Fault {
  return {
    ...{ ...what, durationMs: seconds(random, 0.5, 8) },
    async begin() {
      for (const wire of wires) wire.swallow();
      for (const wire of wires) await untilSeen(`nothing comes back through ${wire.url}`, () => isDead(wire));
    },
    async end() {
      for (const wire of wires) wire.heal();
    },
  };
}

function slow({ wires, ...what }: Line, random: SeededRandom): Fault {
  const delayMs = random.between(100, 1500);
  return {
    ...{ ...what, detail: `${delayMs} ms each way`, durationMs: seconds(random, 2, 12) },
    async begin() {
      for (const wire of wires) wire.delay(delayMs);
      for (const wire of wires) await untilSeen(`${wire.url} is slow`, async () => (await tripMs(wire)) >= delayMs);
    },
    async end() {
      for (const wire of wires) wire.heal();
    },
  };
}

/** Every connection ends at once; new ones can be made. */
function reset({ wires, ...what }: Line): Fault {
  return {
    ...{ ...what, durationMs: 0 },
    async begin() {
      for (const wire of wires) {
        const before = wire.connections;
        wire.cut();
        await untilSeen(`connections of ${wire.url} are gone`, () => wire.openConnections <= wire.connections - before);
      }
    },
    async end() {},
  };
}

/** Longer than a healthy answer takes, shorter than anybody's patience. */
const PROBE_MS = 400;
/** Longer than the slowest wire takes for a connection and a question. */
const SLOW_PROBE_MS = 4000;

async function isDead(wire: TcpProxy): Promise<boolean> {
  return (await answerMs(wire, PROBE_MS)) === null;
}

/** No answer is slow as well: whoever should give it may be dead at the time. */
async function tripMs(wire: TcpProxy): Promise<number> {
  return (await answerMs(wire, SLOW_PROBE_MS)) ?? Number.POSITIVE_INFINITY;
}

async function answerMs({ url }: TcpProxy, withinMs: number): Promise<number | null> {
  const beganAtMs = steadyMs();
  try {
    const response = await fetch(`${url}/version`, {
      signal: AbortSignal.timeout(withinMs),
      headers: { Connection: 'close' },
    });
    await response.arrayBuffer();
    return steadyMs() - beganAtMs;
  } catch {
    return null;
  }
}
