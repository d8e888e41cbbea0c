/**
 * Makes things go wrong that the weather doesn't: processes die, are held up or come back; machines lose power; parts of the
 * world can't reach each other. Everything that it breaks it mends after a while, and all of it when it is told to stop.
 */
import type { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Commit } from './faulty-store.ts';
import { isClaim } from './invariants/rounds.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import type { Replica } from './replica.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export interface NemesisParts {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly network: Network;
  readonly shared: MemoryStore;
  readonly replicas: readonly Replica[];
  readonly machines: readonly Machine[];
  readonly revision: () => number;
  readonly trace: (what: string) => void;
}

const WEIGHTS = {
  killReplica: 8,
  stopReplica: 3,
  pauseReplica: 8,
  cutReplicaFromStore: 5,
  stallWatch: 8,
  cutAllFromStore: 1,
  crashAgent: 8,
  powerCut: 4,
  pauseAgent: 3,
  cutAgent: 8,
  cutAgentFromOne: 3,
  engineAway: 4,
  fillDisk: 1,
  killContainer: 3,
  compact: 6,
} as const;
type Fault = keyof typeof WEIGHTS;

/** What a fault strikes, and for how long. */
interface Target {
  readonly replica: Replica;
  readonly machine: Machine;
  readonly shortMs: number;
  readonly longMs: number;
}

const GRACE_MS = 2000;
/** How long a replica that is held up right after its claim waits for another one's. */
const STALLED_CLAIM_MAX_MS = 15_000;

export class Nemesis {
  readonly #parts: NemesisParts;
  /** Faults of a run are its own kinds, so that some runs are about one thing. */
  readonly #weights: Readonly<Record<Fault, number>>;
  readonly #pauseMs: readonly [number, number];
  readonly #stallClaimChance: number;
  readonly #stalled = new Map<string, SimulatedProcess>();
  #isStopped = false;

  constructor(parts: NemesisParts) {
    const { random } = parts;
    this.#parts = parts;
    const kept = Object.entries(WEIGHTS).map(([fault, weight]) => [fault, random.chance(0.7) ? weight : 0]);
    // One kind is always left, so that there is something to pick from.
    this.#weights = { ...(Object.fromEntries(kept) as Record<Fault, number>), crashAgent: WEIGHTS.crashAgent };
    this.#pauseMs = random.pick([
      [200, 2000],
      [500, 6000],
      [2000, 20_000],
    ] as const);
    this.#stallClaimChance = random.pick([0, 0.02, 0.1]);
  }

  async run(): Promise<void> {
    const { clock, random } = this.#parts;
    while (!this.#isStopped) {
      await sleep(clock, random.between(...this.#pauseMs));
      if (!this.#isStopped) this.#strike(random.weighted(this.#weights));
    }
  }

  /** No further faults, and everything is mended. */
  stop(): void {
    const { network, replicas, machines, trace } = this.#parts;
    this.#isStopped = true;
    trace('all faults end');
    network.joinAll();
    for (const replica of replicas) {
      replica.link.isCut = false;
      replica.link.watchStalledUntilMs = 0;
      replica.process?.resume();
      replica.start();
    }
    for (const machine of machines) {
      machine.engine.isAway = false;
      machine.isDiskFull = false;
      machine.process?.resume();
      machine.start();
    }
  }

  /**
   * The dangerous moment of a round is between its claim and its commit: now and then the replica is held up just there,
   * until another one has claimed the next.
   */
  onCommit(commit: Commit): void {
    if (this.#isStopped || !isClaim(commit)) return;
    const { replicas, random, trace } = this.#parts;
    const { replica: name } = commit.origin;
    for (const [stalled, process] of this.#stalled) {
      if (stalled !== name) this.#later(random.between(0, 40), () => process.resume());
    }
    this.#stalled.clear();
    const process = replicas.find((replica) => replica.name === name)?.process ?? null;
    if (process === null || !random.chance(this.#stallClaimChance)) return;
    trace(`${name} is held up after its claim`);
    process.pause();
    this.#stalled.set(name, process);
    this.#later(STALLED_CLAIM_MAX_MS, () => process.resume());
  }

  #strike(fault: Fault): void {
    const { random, replicas, machines } = this.#parts;
    const target: Target = {
      replica: random.pick(replicas),
      machine: random.pick(machines),
      shortMs: random.between(100, 5000),
      longMs: random.between(500, 40_000),
    };
    this.#strikes[fault](target);
  }

  readonly #strikes: Readonly<Record<Fault, (target: Target) => void>> = {
    killReplica: ({ replica, shortMs }) => {
      this.#tell(`${replica.name} is killed for ${shortMs} ms`);
      this.#killReplica(replica, shortMs);
    },
    stopReplica: ({ replica, shortMs }) => {
      this.#tell(`${replica.name} is stopped`);
      replica.stop();
      this.#later(GRACE_MS, () => this.#killReplica(replica, shortMs));
    },
    pauseReplica: ({ replica, longMs }) => {
      this.#tell(`${replica.name} is paused for ${longMs} ms`);
      this.#pause(replica.process, longMs);
    },
    cutReplicaFromStore: ({ replica, shortMs }) => {
      this.#tell(`${replica.name} can't reach the store for ${shortMs} ms`);
      this.#cutFromStore([replica], shortMs);
    },
    cutAllFromStore: ({ shortMs }) => {
      this.#tell(`the store is away for ${shortMs} ms`);
      this.#cutFromStore(this.#parts.replicas, shortMs);
    },
    stallWatch: ({ replica, longMs }) => {
      this.#tell(`the watch of ${replica.name} stands still for ${longMs / 2} ms`);
      replica.link.watchStalledUntilMs = this.#parts.clock.monotonicMs() + longMs / 2;
    },
    crashAgent: ({ machine, shortMs }) => {
      this.#tell(`the agent of ${machine.name} crashes for ${shortMs} ms`);
      machine.crash();
      this.#later(shortMs, () => machine.start());
    },
    powerCut: ({ machine, longMs }) => {
      this.#tell(`${machine.name} loses its power for ${longMs} ms`);
      machine.powerCut();
      this.#later(longMs, () => machine.start());
    },
    pauseAgent: ({ machine, longMs }) => {
      this.#tell(`the agent of ${machine.name} is paused for ${longMs} ms`);
      this.#pause(machine.process, longMs);
    },
    cutAgent: ({ machine, longMs }) => {
      this.#tell(`${machine.name} is cut off for ${longMs} ms`);
      this.#cutFromReplicas(machine, this.#parts.replicas, longMs);
    },
    cutAgentFromOne: ({ machine, replica, longMs }) => {
      this.#tell(`${machine.name} can't reach ${replica.name} for ${longMs} ms`);
      this.#cutFromReplicas(machine, [replica], longMs);
    },
    engineAway: ({ machine, shortMs }) => {
      this.#tell(`the engine of ${machine.name} is away for ${shortMs} ms`);
      machine.engine.isAway = true;
      this.#later(shortMs, () => {
        machine.engine.isAway = false;
      });
    },
    fillDisk: ({ machine, shortMs }) => {
      this.#tell(`the disk of ${machine.name} is full for ${shortMs} ms`);
      machine.isDiskFull = true;
      this.#later(shortMs, () => {
        machine.isDiskFull = false;
      });
    },
    killContainer: ({ machine }) => {
      const running = machine.engine.containers.filter((container) => container.state === 'running');
      if (running.length > 0) machine.engine.killContainer(this.#parts.random.pick(running), false);
    },
    compact: () => {
      const at = Math.max(1, this.#parts.revision() - this.#parts.random.between(0, 200));
      this.#tell(`the store is compacted at ${at}`);
      void this.#parts.shared.compact(at);
    },
  };

  #killReplica(replica: Replica, downMs: number): void {
    replica.kill();
    this.#later(downMs, () => replica.start());
  }

  #pause(process: SimulatedProcess | null, forMs: number): void {
    process?.pause();
    this.#later(forMs, () => process?.resume());
  }

  #cutFromStore(replicas: readonly Replica[], forMs: number): void {
    for (const { link } of replicas) link.isCut = true;
    this.#later(forMs, () => {
      for (const { link } of replicas) link.isCut = false;
    });
  }

  #cutFromReplicas(machine: Machine, replicas: readonly Replica[], forMs: number): void {
    const { network } = this.#parts;
    for (const replica of replicas) network.cut(machine.name, replica.name);
    this.#later(forMs, () => {
      for (const replica of replicas) network.join(machine.name, replica.name);
    });
  }

  #tell(what: string): void {
    this.#parts.trace(what);
  }

  #later(afterMs: number, work: () => void): void {
    this.#parts.clock.setTimer(afterMs, work);
  }
}
