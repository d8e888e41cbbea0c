/**
 * What the Mesos door adds to a stream. As many frameworks are subscribed through it, over three replicas, as at other times through
 * the native API, in turns: native, door, door, native. Each time rounds offer a node to every one of them, and for each offer it is
 * timed from the making of it, by the clock of the replica that runs rounds, until the client has read the message that brings it. The
 * floor is a bare watch on etcd in the same process, which sees the same offers as soon as they are committed.
 */
import { Agent } from 'node:http';
import type { Settings } from './arguments.ts';
import { pause } from './child.ts';
import { inParallel } from './engine.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { Figure, Section, Table } from './report.ts';
import { Rest } from './rest.ts';
import { type Distribution, distributionOf, median } from './statistics.ts';
import { bringsOffers, offersIn, STREAM_KINDS, type StreamKind, withdrawnIn } from './stream-messages.ts';
import { type Member, openStream, type Stream, type Target } from './streams-client.ts';
import { type CommittedOffer, StreamsFleet, until } from './streams-fleet.ts';

const TURNS = ['native', 'door', 'door', 'native'] as const satisfies readonly StreamKind[];
const OPENED_AT_ONCE = 24;
const REST_MS = 500;
/** Long enough for two heartbeats of every stream. */
const IDLE_MS = 10_000;
const BESIDE_NATIVE_MAX = 1.5;
const STREAM_KIB_MAX = 64;

/** In milliseconds, for one offer each. */
interface Delays {
  /** From the making of the offer to the bare watch. */
  readonly watched: number[];
  /** From the making of the offer to the client. */
  readonly received: number[];
  /** From the bare watch to the client. */
  readonly after: number[];
}

interface Taken extends Delays {
  /** Bytes that the replicas hold for one stream, once for each turn. */
  readonly weights: number[];
  /** Bytes of all replicas together. */
  readonly resident: number[];
  /** Milliseconds that replicas and etcd use for one stream in a minute in which nothing happens, with all that they do besides. */
  readonly idle: number[];
  /** Milliseconds that all replicas and etcd use for one offer: from planning it to saying it. */
  readonly used: number[];
  readonly opened: number[];
}

export async function measureMesosStreams({ frameworks, offerings, profiles }: Settings): Promise<Section> {
  const fleet = await StreamsFleet.start(frameworks, profiles);
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const rest = new Rest();
  const meter = new ProcessorMeter(fleet.parts);
  const taken = { native: nothingTaken(), door: nothingTaken() };
  try {
    const members = {
      native: membersOf('native', frameworks, await fleet.targetsOf('native')),
      door: membersOf('door', frameworks, await fleet.targetsOf('door')),
    };
    for (const kind of STREAM_KINDS) await new Turn(fleet, members[kind], agent).warmUp();
    for (const kind of TURNS) {
      const turn = new Turn(fleet, members[kind], agent);
      await rest.take(REST_MS);
      meter.resume();
      await turn.measure(offerings, taken[kind]);
      meter.pause();
    }
    const offers = TURNS.length * offerings * frameworks;
    return sectionOf(frameworks, taken, { processor: meter.use(offers), othersPercent: rest.busyPercent });
  } finally {
    agent.destroy();
    await fleet.stop();
  }
}

function membersOf(kind: StreamKind, count: number, targets: readonly Target[]): Member[] {
  return Array.from({ length: count }, (_, number) => {
    const target = targets[number % targets.length];
    if (target === undefined) throw new Error('a fleet has replicas');
    return { kind, number, target, id: null };
  });
}

function nothingTaken(): Taken {
  return { watched: [], received: [], after: [], weights: [], resident: [], idle: [], used: [], opened: [] };
}

/** All frameworks of one kind, from the opening of their streams to their end. */
class Turn {
  readonly #fleet: StreamsFleet;
  readonly #members: readonly Member[];
  readonly #agent: Agent;
  #streams: Stream[] = [];

  constructor(fleet: StreamsFleet, members: readonly Member[], agent: Agent) {
    this.#fleet = fleet;
    this.#members = members;
    this.#agent = agent;
  }

  /** Has all of them subscribe for the first time, and makes them one offer each. */
  async warmUp(): Promise<void> {
    await this.#open();
    await this.#offer();
    await this.#close();
  }

  async measure(offerings: number, taken: Taken): Promise<void> {
    const count = this.#members.length;
    const beganAtMs = performance.now();
    await this.#open();
    taken.opened.push((performance.now() - beganAtMs) / count);
    const idle = await usedWhile(this.#fleet, () => pause(IDLE_MS));
    taken.idle.push(idle / count / (IDLE_MS / 60_000));
    for (let time = 0; time < offerings; time += 1) {
      const used = await usedWhile(this.#fleet, async () => {
        const delays = await this.#offer();
        for (const name of ['watched', 'received', 'after'] as const) taken[name].push(...delays[name]);
      });
      taken.used.push(used / count);
    }
    // Against what is left when they have gone, so that what they leave on record isn't taken for theirs.
    const open = await this.#fleet.weigh();
    await this.#close();
    const closed = await this.#fleet.weigh();
    taken.weights.push((open.held - closed.held) / count);
    taken.resident.push(open.rss);
  }

  async #open(): Promise<void> {
    const streams: Stream[] = [];
    await inParallel(OPENED_AT_ONCE, this.#members, async (member) => {
      streams.push(await openStream(member, this.#agent));
    });
    this.#streams = streams;
    await this.#fleet.connected(streams.length);
  }

  async #close(): Promise<void> {
    for (const stream of this.#streams) stream.close();
    this.#streams = [];
    await this.#fleet.connected(0);
  }

  /** One offering to all of them, which is withdrawn once all have it. Read only then, so that reading is nobody's delay. */
  async #offer(): Promise<Delays> {
    this.#fleet.takeCommitted();
    for (const stream of this.#streams) stream.forget();
    await this.#fleet.offerAll();
    await until('an offer to each framework', () =>
      this.#streams.every(({ member, messages }) => messages.some(({ text }) => bringsOffers(member.kind, text))),
    );
    const received = new Map<string, number>();
    for (const { member, messages } of this.#streams) {
      for (const { text, atMs } of messages) for (const id of offersIn(member.kind, text)) received.set(id, atMs);
    }
    const delays = delaysOf(this.#fleet.takeCommitted(), received);
    await this.#fleet.withdrawAll();
    await until('the end of every offer', () => this.#withdrawn().isSupersetOf(new Set(received.keys())));
    return delays;
  }

  #withdrawn(): Set<string> {
    const withdrawn = this.#streams.flatMap(({ member, messages }) =>
      messages.map(({ text }) => withdrawnIn(member.kind, text)),
    );
    return new Set(withdrawn.filter((id) => id !== null));
  }
}

/** Milliseconds of processor time that the replicas and etcd used. */
async function usedWhile(fleet: StreamsFleet, work: () => Promise<unknown>): Promise<number> {
  const meter = new ProcessorMeter(fleet.parts);
  meter.resume();
  await work();
  meter.pause();
  const { processes } = meter.use(0);
  return processes.reduce((sum, { name, milliseconds }) => sum + (name === 'benchmark' ? 0 : milliseconds), 0);
}

/** Offers that the watch or the client has not seen yet are nobody's measurement. */
function delaysOf(committed: ReadonlyMap<string, CommittedOffer>, received: ReadonlyMap<string, number>): Delays {
  const delays: Delays = { watched: [], received: [], after: [] };
  for (const [id, atMs] of received) {
    const offer = committed.get(id);
    if (offer === undefined) continue;
    delays.watched.push(offer.seenAtMs - offer.madeAtMs);
    delays.received.push(atMs - offer.madeAtMs);
    delays.after.push(atMs - offer.seenAtMs);
  }
  return delays;
}

function sectionOf(
  frameworks: number,
  taken: Readonly<Record<StreamKind, Taken>>,
  around: Pick<Section, 'processor' | 'othersPercent'>,
): Section {
  return {
    name: `mesos-streams, ${frameworks} frameworks`,
    figures: [...delayFigures(taken), ...costFigures(taken)],
    tables: [delayTable(taken), costTable(taken)],
    ...around,
  };
}

function delayFigures({ native, door }: Readonly<Record<StreamKind, Taken>>): Figure[] {
  const [ours, theirs, floor] = [door.received, native.received, door.watched].map(distributionOf);
  if (ours === undefined || theirs === undefined || floor === undefined) throw new Error('three were measured');
  const beside = (name: 'p50' | 'p99') =>
    `native ${theirs[name].toFixed(0)} ms; ${(ours[name] / floor[name]).toFixed(2)} × a bare watch on etcd`;
  // Rounds take different times from turn to turn, on both sides: each is set against the watch that saw the same offers.
  const [ownFloor, theirFloor] = [floor, distributionOf(native.watched)];
  const ratio = (name: 'p50' | 'p99') => ours[name] / ownFloor[name] / (theirs[name] / theirFloor[name]);
  const raw = (name: 'p50' | 'p99') =>
    `each against its own watch; ${(ours[name] / theirs[name]).toFixed(2)} × as they are`;
  const figure = (name: string, unit: Figure['unit'], measured: number, note: string, target: number | null = null) => {
    return { name: `mesos-streams: ${name}`, unit, measured, target, note };
  };
  return [
    figure('offer made → record read, p50', 'ms', ours.p50, beside('p50')),
    figure('offer made → record read, p99', 'ms', ours.p99, beside('p99')),
    figure('bare watch → record read, p50', 'ms', median(door.after), `native ${median(native.after).toFixed(1)} ms`),
    figure('made → read, beside native, p50', '×', ratio('p50'), raw('p50'), BESIDE_NATIVE_MAX),
    figure('made → read, beside native, p99', '×', ratio('p99'), raw('p99'), BESIDE_NATIVE_MAX),
  ];
}

function costFigures({ native, door }: Readonly<Record<StreamKind, Taken>>): Figure[] {
  const held = (taken: Taken) => median(taken.weights) / 1024;
  const resident = (taken: Taken) => (median(taken.resident) / 1024 ** 2).toFixed(0);
  return [
    {
      name: 'mesos-streams: memory held per stream',
      unit: 'KiB',
      measured: held(door),
      target: STREAM_KIB_MAX,
      note: `native ${held(native).toFixed(1)} KiB; with all streams the replicas are ${resident(door)} MiB, native ${resident(native)} MiB`,
    },
  ];
}

function delayTable(taken: Readonly<Record<StreamKind, Taken>>): Table {
  const row = (name: string, { count, p50, p95, p99, max }: Distribution) => [name, count, p50, p95, p99, max];
  const rows = STREAM_KINDS.flatMap((kind) => [
    row(`${kind}: made → bare watch`, distributionOf(taken[kind].watched)),
    row(`${kind}: made → read by the client`, distributionOf(taken[kind].received)),
    row(`${kind}: bare watch → read by the client`, distributionOf(taken[kind].after)),
  ]);
  return { title: 'One offer, ms', columns: ['', 'offers', 'p50', 'p95', 'p99', 'max'], rows };
}

function costTable(taken: Readonly<Record<StreamKind, Taken>>): Table {
  return {
    title: 'One stream (medians; processor time of the replicas and etcd together)',
    columns: ['', 'held KiB', 'ms to open', 'ms per offer', 'ms per idle minute'],
    rows: STREAM_KINDS.map((kind) => {
      const { weights, opened, used, idle } = taken[kind];
      return [kind, median(weights) / 1024, median(opened), median(used), median(idle)];
    }),
  };
}
