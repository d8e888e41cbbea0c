/**
 * One replica of the control plane: the real services and the real driver over a mirror of their own. Only what a main would
 * hand in is simulated: the store, the clock, chance. It is started, held up, stopped and killed; each start is a process
 * of its own.
 */
import type { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { Driver } from '../../control-plane/controllers/driver.ts';
import { announceReplica, ensureCluster, waitForStore } from '../../control-plane/services/cluster.ts';
import type { ServiceConfig, ServiceContext } from '../../control-plane/services/context.ts';
import type { Peers } from '../../control-plane/services/framework-peers.ts';
import { FrameworkStreams } from '../../control-plane/services/framework-streams.ts';
import { NodeSignals } from '../../control-plane/services/node-signals.ts';
import { type Store, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { Mirror } from '../../control-plane/store/mirror.ts';
import { QUOTA_DEFAULT_BYTES, StoreRoom } from '../../control-plane/store/room.ts';
import { OpLeases } from '../../control-plane/store/transact.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import { FaultyStore, type FaultyStoreParts, type Origin, StoreLink } from './faulty-store.ts';
import { HostClock } from './host-clock.ts';
import type { Plant, StorePlace } from './plants/plant.ts';
import type { SeededRandom } from './seeded-random.ts';
import { SimulatedProcess } from './simulated-process.ts';
import type { Weather } from './weather.ts';

export interface ReplicaParts {
  readonly name: string;
  readonly shared: MemoryStore;
  /** The world's. */
  readonly clock: Clock;
  /** Of the host that it runs on; as right as the world's where it is left out. */
  readonly host?: HostClock;
  readonly random: SeededRandom;
  readonly weather: Weather;
  readonly config: ServiceConfig;
  readonly plant: Plant;
  readonly log: Logger;
  readonly revision: FaultyStoreParts['revision'];
  readonly holdUpMs?: NonNullable<FaultyStoreParts['holdUpMs']>;
  readonly onArrival?: NonNullable<FaultyStoreParts['onArrival']>;
  readonly onCommit: FaultyStoreParts['onCommit'];
  /** How its process reaches other replicas; it reaches none where this is left out. */
  readonly peers?: (process: SimulatedProcess) => Peers;
  /** Something in it has ended that never should. */
  readonly onBug: (name: string, error: unknown) => void;
}

/** A replica while it lives. */
interface Life {
  readonly process: SimulatedProcess;
  readonly abort: AbortController;
  readonly store: (origin: Origin) => Store;
  /** Null until the mirror has been filled. */
  ctx: ServiceContext | null;
  /** Null until it serves. */
  streams: FrameworkStreams | null;
}

const NO_PEERS: Peers = {
  peerToken: () => Promise.resolve(''),
  fetch: () => Promise.reject(new TypeError('there is no other replica')),
};

export class Replica {
  readonly name: string;
  readonly link = new StoreLink();
  readonly host: HostClock;
  readonly #parts: ReplicaParts;
  #life: Life | null = null;
  #starts = 0;

  constructor(parts: ReplicaParts) {
    this.name = parts.name;
    this.host = parts.host ?? new HostClock(parts.clock);
    this.#parts = parts;
  }

  /** Null while it is down. */
  get process(): SimulatedProcess | null {
    return this.#life?.process ?? null;
  }

  /** Null until it serves. */
  get context(): ServiceContext | null {
    return this.#life?.ctx ?? null;
  }

  /** Null until it serves. */
  get streams(): FrameworkStreams | null {
    return this.#life?.streams ?? null;
  }

  /** The context in which it serves an agent's call: what that commits is on record under the agent's session. */
  contextFor(session: NonNullable<Origin['session']>): ServiceContext | null {
    return this.#contextOf({ replica: this.name, session });
  }

  /** The same for a framework's call. */
  contextForFramework(framework: NonNullable<Origin['framework']>): ServiceContext | null {
    return this.#contextOf({ replica: this.name, session: null, framework });
  }

  #contextOf(origin: Origin): ServiceContext | null {
    const life = this.#life;
    if (life === null || life.ctx === null) return null;
    return { ...life.ctx, store: life.store(origin) };
  }

  start(): void {
    if (this.#life !== null) return;
    this.#starts += 1;
    const { name, random, onBug } = this.#parts;
    const chance = random.split(`start ${this.#starts}`);
    const process = new SimulatedProcess(name, this.host);
    const memory = new Map<string, number>();
    let stores = 0;
    const life: Life = {
      process,
      abort: new AbortController(),
      store: (origin) => {
        stores += 1;
        return this.#store(process, { random: chance.split(`store ${stores}`), origin, clock: process.clock, memory });
      },
      ctx: null,
      streams: null,
    };
    this.#life = life;
    this.#run(life, chance).catch((error: unknown) => {
      // A replica that is told to stop before it has begun says so in this way.
      if (error !== life.abort.signal.reason) onBug(name, error);
    });
  }

  /** SIGTERM: what it was doing comes to an end by itself, if it is given the time. */
  stop(): void {
    const life = this.#life;
    life?.process.deliver(() => life.abort.abort());
  }

  kill(): void {
    this.#life?.process.kill();
    this.#life = null;
  }

  async #run(life: Life, random: SeededRandom): Promise<void> {
    const { process, abort } = life;
    const { log, config, name } = this.#parts;
    const { clock } = process;
    const { signal } = abort;
    const store = life.store({ replica: name, session: null });
    await begun({ store, clock, random, log }, signal);
    const mirror = await Mirror.start({ store, clock, signal, log });
    const signals = new NodeSignals();
    mirror.subscribe((changes, _revision, reset) => signals.changed(changes, reset));
    const replica = { id: name, url: `http://${name}` };
    const planned = this.#parts.plant.driverMirror?.(mirror) ?? mirror;
    const driver = new Driver({ store, mirror: planned, clock, random, log, replica });
    const ops = new OpLeases({ store, clock });
    const nudge = () => driver.nudge();
    const room = new StoreRoom({ store, clock, quotaBytes: QUOTA_DEFAULT_BYTES });
    life.ctx = { store, mirror, clock, random, log, ops, signals, room, replica, config, nudge };
    life.streams = new FrameworkStreams(life.ctx, this.#parts.peers?.(process) ?? NO_PEERS, signal);
    const mirrored = mirror.stopped.then((error) => {
      if (error !== null) throw error;
    });
    await Promise.all([driver.run(signal), announceReplica(life.ctx, signal), mirrored]);
  }

  #store(process: SimulatedProcess, place: StorePlace): Store {
    const { plant } = this.#parts;
    const { random, origin } = place;
    const resumeWatch = plant.resumeWatch ?? ((next: number) => next);
    const parts = { ...this.#parts, process, link: this.link, random, resumeWatch };
    const faulty = new FaultyStore(parts, origin);
    return plant.store?.(faulty, place) ?? faulty;
  }
}

/** As at the start of every replica; one whose store goes away in the middle of it is started again. */
async function begun(parts: Parameters<typeof waitForStore>[0], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await waitForStore(parts, signal);
    try {
      await ensureCluster(parts.store, parts.random);
      return;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    }
  }
}
