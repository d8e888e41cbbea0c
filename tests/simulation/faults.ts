/**
 * What can be done to the world on purpose, fault by fault. Each says what it does, does it, and sees to it that it is mended
 * after a while. Which one strikes when is the nemesis's affair.
 */
import type { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import type { LeaseId } from '../../control-plane/store/contract.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Machine } from './machine.ts';
import type { Network, Way } from './network.ts';
import type { Replica } from './replica.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export interface FaultParts {
  readonly clock: Clock;
  readonly network: Network;
  readonly shared: MemoryStore;
  readonly replicas: readonly Replica[];
  readonly machines: readonly Machine[];
  readonly revision: () => number;
  /** Those by which nodes and replicas are known to be alive, and the driver to drive. */
  readonly leases: () => readonly LeaseId[];
  /** Of one node; null where it isn't alive. */
  readonly leaseOf: (node: string) => LeaseId | null;
  readonly tell: (what: string) => void;
}

/** How often each strikes beside the others. */
export const FAULT_WEIGHTS = {
  killReplica: 8,
  stopReplica: 3,
  pauseReplica: 8,
  freezeReplica: 2,
  cutReplicaFromStore: 4,
  loseRequestsToStore: 3,
  loseAnswersOfStore: 3,
  stallWatch: 8,
  cutAllFromStore: 1,
  crashAgent: 8,
  powerCut: 4,
  pauseAgent: 3,
  freezeAgent: 1,
  cutAgent: 6,
  cutAgentFromOne: 3,
  loseRequestsOfAgent: 3,
  loseAnswersToAgent: 4,
  forsakeAgent: 7,
  engineAway: 4,
  fillDisk: 1,
  crashContainer: 3,
  hangContainer: 3,
  endLease: 5,
  renewLeases: 1,
  setReplicaClock: 2,
  setMachineClock: 2,
  compact: 6,
} as const;
export type Fault = keyof typeof FAULT_WEIGHTS;

export function isClockFault(fault: Fault): boolean {
  return fault === 'setReplicaClock' || fault === 'setMachineClock';
}

/** What a fault strikes, and for how long. */
interface Target {
  readonly random: SeededRandom;
  readonly replica: Replica;
  readonly machine: Machine;
  readonly shortMs: number;
  readonly longMs: number;
  readonly minutesMs: number;
}

/** Replicas are kept on time by their operators: never further off than this. */
export const REPLICA_SKEW_MAX_MS = 5000;
/** Machines at the edge are off by anything: some start in 1970. */
export const MACHINE_SKEWS_MS: readonly number[] = [0, 0, 0, 900, -4000, 60_000, -3_600_000, -1_700_000_000_000];

/** What a replica that is told to stop gets before it is killed. */
const GRACE_MS = 2000;

type Strike = (target: Target) => void;

export class Faults {
  readonly #parts: FaultParts;
  readonly #strikes: Readonly<Record<Fault, Strike>>;

  constructor(parts: FaultParts) {
    this.#parts = parts;
    this.#strikes = {
      ...this.#ofReplicas(),
      ...this.#ofStoreLinks(),
      ...this.#ofAgents(),
      ...this.#ofAgentLinks(),
      ...this.#ofEngines(),
      ...this.#ofStore(),
      ...this.#ofClocks(),
    };
  }

  /** Everything about the strike, the target included, is drawn from `random`. */
  strike(fault: Fault, random: SeededRandom): void {
    const { replicas, machines } = this.#parts;
    this.#strikes[fault]({
      random,
      replica: random.pick(replicas),
      machine: random.pick(machines),
      shortMs: random.between(100, 5000),
      longMs: random.between(500, 40_000),
      minutesMs: random.between(60_000, 240_000),
    });
  }

  /** Mends whatever is broken, at once. */
  mend(): void {
    const { network, replicas, machines } = this.#parts;
    network.joinAll();
    for (const replica of replicas) {
      replica.link.losesRequests = false;
      replica.link.losesAnswers = false;
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

  #ofReplicas() {
    return {
      killReplica: ({ replica, shortMs }) => {
        this.#tell(`${replica.name} is killed for ${shortMs} ms`);
        this.killReplica(replica, shortMs);
      },
      stopReplica: ({ replica, shortMs }) => {
        this.#tell(`${replica.name} is stopped`);
        replica.stop();
        this.#later(GRACE_MS, () => this.killReplica(replica, shortMs));
      },
      pauseReplica: ({ replica, longMs }) => {
        this.#tell(`${replica.name} is paused for ${longMs} ms`);
        this.#pause(replica.process, longMs);
      },
      freezeReplica: ({ replica, minutesMs }) => {
        this.#tell(`${replica.name} is paused for ${minutesMs} ms`);
        this.#pause(replica.process, minutesMs);
      },
    } satisfies Partial<Record<Fault, Strike>>;
  }

  #ofStoreLinks() {
    return {
      cutReplicaFromStore: ({ replica, shortMs }) => {
        this.#tell(`${replica.name} can't reach the store for ${shortMs} ms`);
        this.#cutFromStore([replica], ['losesRequests', 'losesAnswers'], shortMs);
      },
      loseRequestsToStore: ({ replica, shortMs }) => {
        this.#tell(`what ${replica.name} sends to the store is lost for ${shortMs} ms`);
        this.#cutFromStore([replica], ['losesRequests'], shortMs);
      },
      loseAnswersOfStore: ({ replica, shortMs }) => {
        this.#tell(`${replica.name} hears nothing of the store for ${shortMs} ms`);
        this.#cutFromStore([replica], ['losesAnswers'], shortMs);
      },
      stallWatch: ({ replica, longMs }) => {
        this.#tell(`the watch of ${replica.name} stands still for ${longMs / 2} ms`);
        replica.link.watchStalledUntilMs = this.#parts.clock.monotonicMs() + longMs / 2;
      },
      cutAllFromStore: ({ shortMs }) => {
        this.#tell(`the store is away for ${shortMs} ms`);
        this.#cutFromStore(this.#parts.replicas, ['losesRequests', 'losesAnswers'], shortMs);
      },
    } satisfies Partial<Record<Fault, Strike>>;
  }

  #ofAgents() {
    return {
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
      freezeAgent: ({ machine, minutesMs }) => {
        this.#tell(`the agent of ${machine.name} is paused for ${minutesMs} ms`);
        this.#pause(machine.process, minutesMs);
      },
      fillDisk: ({ machine, shortMs }) => {
        this.#tell(`the disk of ${machine.name} is full for ${shortMs} ms`);
        machine.isDiskFull = true;
        this.#later(shortMs, () => {
          machine.isDiskFull = false;
        });
      },
    } satisfies Partial<Record<Fault, Strike>>;
  }

  #ofAgentLinks() {
    return {
      cutAgent: ({ machine, longMs }) => {
        this.#tell(`${machine.name} is cut off for ${longMs} ms`);
        this.#cut([...this.#toReplicas(machine), ...this.#fromReplicas(machine)], longMs);
      },
      cutAgentFromOne: ({ machine, replica, longMs }) => {
        this.#tell(`${machine.name} can't reach ${replica.name} for ${longMs} ms`);
        const there = { from: machine.name, to: replica.name };
        this.#cut([there, { from: replica.name, to: machine.name }], longMs);
      },
      loseRequestsOfAgent: ({ machine, longMs }) => {
        this.#tell(`what ${machine.name} sends is lost for ${longMs} ms`);
        this.#cut(this.#toReplicas(machine), longMs);
      },
      loseAnswersToAgent: ({ machine, longMs }) => {
        this.#tell(`${machine.name} hears nothing for ${longMs} ms`);
        this.#cut(this.#fromReplicas(machine), longMs);
      },
      // To the control plane it looks gone, and what it goes on telling is news to nobody who decides what becomes of it.
      forsakeAgent: ({ machine, longMs, shortMs }) => {
        this.#tell(
          `the lease of ${machine.name} ends, it hears nothing for ${longMs} ms, and then all watches stand still`,
        );
        this.#cut(this.#fromReplicas(machine), longMs);
        this.endLeaseOf(machine.name);
        this.#later(shortMs / 5, () => this.#stallWatches(longMs / 4));
      },
    } satisfies Partial<Record<Fault, Strike>>;
  }

  #ofEngines() {
    return {
      engineAway: ({ machine, shortMs }) => {
        this.#tell(`the engine of ${machine.name} is away for ${shortMs} ms`);
        machine.engine.isAway = true;
        this.#later(shortMs, () => {
          machine.engine.isAway = false;
        });
      },
      crashContainer: ({ machine, random }) => {
        for (const container of oneRunning(machine, random)) machine.engine.crash(container);
      },
      hangContainer: ({ machine, random }) => {
        for (const container of oneRunning(machine, random)) {
          this.#tell(`${container.id} hangs`);
          machine.engine.hang(container);
        }
      },
    } satisfies Partial<Record<Fault, Strike>>;
  }

  /**
   * Leases end long before their time: in a restore, or where the store's own clock is off. Those of answers and operations
   * are left alone: that they are kept as long as promised is what makes a repetition safe.
   */
  #ofStore() {
    return {
      endLease: ({ random }) => {
        const leases = this.#parts.leases();
        if (leases.length === 0) return;
        const lease = random.pick(leases);
        this.#tell(`lease ${lease} ends`);
        void this.#parts.shared.revokeLease(lease);
      },
      renewLeases: () => {
        this.#tell('another member leads the store: every lease begins anew');
        for (const lease of this.#parts.leases()) void this.#parts.shared.keepLeaseAlive(lease);
      },
      compact: ({ random }) => {
        const at = Math.max(1, this.#parts.revision() - random.between(0, 200));
        this.#tell(`the store is compacted at ${at}`);
        void this.#parts.shared.compact(at);
      },
    } satisfies Partial<Record<Fault, Strike>>;
  }

  #ofClocks() {
    return {
      setReplicaClock: ({ replica, random }) => {
        const skewMs = random.between(-REPLICA_SKEW_MAX_MS, REPLICA_SKEW_MAX_MS);
        this.#tell(`the clock of ${replica.name} is set to be off by ${skewMs} ms`);
        replica.host.set(skewMs);
      },
      setMachineClock: ({ machine, random }) => {
        const skewMs = random.pick(MACHINE_SKEWS_MS);
        this.#tell(`the clock of ${machine.name} is set to be off by ${skewMs} ms`);
        machine.host.set(skewMs);
      },
    } satisfies Partial<Record<Fault, Strike>>;
  }

  endLeaseOf(node: string): void {
    const lease = this.#parts.leaseOf(node);
    if (lease !== null) void this.#parts.shared.revokeLease(lease);
  }

  /** It gets through with what it has to say, and hears no answer for a while. */
  letSpeak(node: string, forMs: number): void {
    const { machines, network } = this.#parts;
    const machine = machines.find(({ name }) => name === node);
    if (machine === undefined) return;
    for (const way of this.#toReplicas(machine)) network.joinWay(way);
    this.#cut(this.#fromReplicas(machine), forMs);
    machine.process?.resume();
  }

  #stallWatches(forMs: number): void {
    const untilMs = this.#parts.clock.monotonicMs() + forMs;
    for (const { link } of this.#parts.replicas) link.watchStalledUntilMs = untilMs;
  }

  killReplica(replica: Replica, downMs: number): void {
    replica.kill();
    this.#later(downMs, () => replica.start());
  }

  #pause(process: SimulatedProcess | null, forMs: number): void {
    process?.pause();
    this.#later(forMs, () => process?.resume());
  }

  #cutFromStore(
    replicas: readonly Replica[],
    ways: readonly ('losesRequests' | 'losesAnswers')[],
    forMs: number,
  ): void {
    const set = (isCut: boolean) => {
      for (const { link } of replicas) for (const way of ways) link[way] = isCut;
    };
    set(true);
    this.#later(forMs, () => set(false));
  }

  #cut(ways: readonly Way[], forMs: number): void {
    const { network } = this.#parts;
    for (const way of ways) network.cutWay(way);
    this.#later(forMs, () => {
      for (const way of ways) network.joinWay(way);
    });
  }

  #toReplicas({ name }: Machine): Way[] {
    return this.#parts.replicas.map((replica) => ({ from: name, to: replica.name }));
  }

  #fromReplicas({ name }: Machine): Way[] {
    return this.#parts.replicas.map((replica) => ({ from: replica.name, to: name }));
  }

  #tell(what: string): void {
    this.#parts.tell(what);
  }

  #later(afterMs: number, work: () => void): void {
    this.#parts.clock.setTimer(afterMs, work);
  }
}

/** One of the containers that run on the machine, or none. */
function oneRunning({ engine }: Machine, random: SeededRandom) {
  const running = engine.containers.filter((container) => container.state === 'running');
  return running.length === 0 ? [] : [random.pick(running)];
}
