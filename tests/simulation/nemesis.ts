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
  compact: 3,
} as const;
type Fault = keyof typeof WEIGHTS;

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
    const { random, replicas, machines, clock, trace } = this.#parts;
    const replica = random.pick(replicas);
    const machine = random.pick(machines);
    const shortMs = random.between(100, 5000);
    const longMs = random.between(500, 40_000);
    switch (fault) {
      case 'killReplica':
        trace(`${replica.name} is killed for ${shortMs} ms`);
        return this.#killReplica(replica, shortMs);
      case 'stopReplica':
        trace(`${replica.name} is stopped`);
        replica.stop();
        return this.#later(GRACE_MS, () => this.#killReplica(replica, shortMs));
      case 'pauseReplica':
        trace(`${replica.name} is paused for ${longMs} ms`);
        return this.#pause(replica.process, longMs);
      case 'cutReplicaFromStore':
        trace(`${replica.name} can't reach the store for ${shortMs} ms`);
        return this.#cutFromStore([replica], shortMs);
      case 'stallWatch':
        trace(`the watch of ${replica.name} stands still for ${longMs / 2} ms`);
        replica.link.watchStalledUntilMs = clock.monotonicMs() + longMs / 2;
        return;
      case 'cutAllFromStore':
        trace(`the store is away for ${shortMs} ms`);
        return this.#cutFromStore(replicas, shortMs);
      case 'compact':
        return this.#compact();
      default:
        return this.#strikeMachine(fault, machine, { shortMs, longMs });
    }
  }

  #strikeMachine(
    fault: Exclude<Fault, `${string}Replica` | 'cutReplicaFromStore' | 'stallWatch' | 'cutAllFromStore' | 'compact'>,
    machine: Machine,
    { shortMs, longMs }: { readonly shortMs: number; readonly longMs: number },
  ): void {
    const { random, replicas, trace } = this.#parts;
    const { name, engine } = machine;
    switch (fault) {
      case 'crashAgent':
        trace(`the agent of ${name} crashes for ${shortMs} ms`);
        machine.crash();
        return this.#later(shortMs, () => machine.start());
      case 'powerCut':
        trace(`${name} loses its power for ${longMs} ms`);
        machine.powerCut();
        return this.#later(longMs, () => machine.start());
      case 'pauseAgent':
        trace(`the agent of ${name} is paused for ${longMs} ms`);
        return this.#pause(machine.process, longMs);
      case 'cutAgent':
        trace(`${name} is cut off for ${longMs} ms`);
        return this.#cutFromReplicas(name, replicas, longMs);
      case 'cutAgentFromOne':
        return this.#cutFromReplicas(name, [random.pick(replicas)], longMs);
      case 'engineAway':
        trace(`the engine of ${name} is away for ${shortMs} ms`);
        engine.isAway = true;
        return this.#later(shortMs, () => {
          engine.isAway = false;
        });
      case 'fillDisk':
        trace(`the disk of ${name} is full for ${shortMs} ms`);
        machine.isDiskFull = true;
        return this.#later(shortMs, () => {
          machine.isDiskFull = false;
        });
      case 'killContainer': {
        const running = engine.containers.filter((container) => container.state === 'running');
        if (running.length > 0) engine.killContainer(random.pick(running), false);
        return;
      }
      default:
        return fault satisfies never;
    }
  }

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

  #cutFromReplicas(name: string, replicas: readonly Replica[], forMs: number): void {
    const { network } = this.#parts;
    for (const replica of replicas) network.cut(name, replica.name);
    this.#later(forMs, () => {
      for (const replica of replicas) network.join(name, replica.name);
    });
  }

  #compact(): void {
    const { shared, random, revision, trace } = this.#parts;
    const at = Math.max(1, revision() - random.between(0, 200));
    trace(`the store is compacted at ${at}`);
    void shared.compact(at);
  }

  #later(afterMs: number, work: () => void): void {
    this.#parts.clock.setTimer(afterMs, work);
  }
}
