/**
 * The simulated world: one store that all share, replicas, machines and clients around it, and what the seed decides about
 * them. It knows how to take one step, and holds everything against the invariants after each.
 */
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import type { LeaseId } from '../../control-plane/store/contract.ts';
import { keys } from '../../control-plane/store/keys.ts';
import { Client } from './client.ts';
import type { Decisions } from './decisions.ts';
import { EventReader } from './event-reader.ts';
import { MACHINE_SKEWS_MS, REPLICA_SKEW_MAX_MS } from './faults.ts';
import { FrameworkCast } from './frameworks/cast.ts';
import { peersAmong } from './frameworks/peers.ts';
import { DRIFT_MAX, HostClock } from './host-clock.ts';
import { checkAudit } from './invariants/audit.ts';
import { checkAlone, checkFreed, checkOverdue, checkStart, type Overdue } from './invariants/containers.ts';
import { unsettled } from './invariants/convergence.ts';
import { checkDeployments } from './invariants/deployments.ts';
import { checkJobs } from './invariants/jobs.ts';
import { checkLedgers } from './invariants/ledgers.ts';
import { MirrorChecks } from './invariants/mirrors.ts';
import { checkNeverTwo } from './invariants/never-two.ts';
import { checkOffers } from './invariants/offers.ts';
import { emptyPast, remember } from './invariants/past.ts';
import { checkPlans } from './invariants/plans.ts';
import { checkRounds } from './invariants/rounds.ts';
import { checkServices } from './invariants/services.ts';
import { checkTasks } from './invariants/tasks.ts';
import { checkTrials } from './invariants/trials.ts';
import { type Violation, violation } from './invariants/violation.ts';
import { Machine } from './machine.ts';
import { Nemesis } from './nemesis.ts';
import { Network } from './network.ts';
import type { Plant } from './plants/plant.ts';
import { ZONES } from './random-spec.ts';
import { Replica } from './replica.ts';
import { SeededRandom } from './seeded-random.ts';
import type { SimulatedContainer } from './simulated-engine.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { loggerOf, type Trace } from './trace.ts';
import { keyOf, type Revision, Truth } from './truth.ts';
import type { VirtualClock } from './virtual-clock.ts';
import { Weather } from './weather.ts';
import { Workload } from './workload.ts';

export interface WorldParts {
  readonly seed: number;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly plant: Plant;
  readonly decisions: Decisions;
}

const CONFIG = { leaseTtlMs: 10_000, heartbeatIntervalMs: 3000, version: '0.0.0-simulated' } as const;

/** It may use one role only, and those below. */
const RESTRICTED_CLIENT = 'client-2';

/** How many frameworks there are beside the built-in scheduler; in some runs it has everything for itself. */
const FRAMEWORKS = [0, 0, 0, 1, 3, 4] as const;

/** Each mirror is compared as a whole after so many steps. */
const WHOLE_CHECK_EVERY_STEPS = 1000;

export class World {
  readonly #parts: WorldParts;
  readonly #shared: MemoryStore;
  readonly #truth: Truth;
  readonly #past = emptyPast();
  readonly #weather: Weather;
  readonly #hasClockFaults: boolean;
  readonly #replicas: readonly Replica[];
  readonly #machines: readonly Machine[];
  readonly #workloads: readonly Workload[];
  readonly #readers: readonly EventReader[];
  readonly #cast: FrameworkCast;
  readonly #nemesis: Nemesis;
  readonly #mirrorChecks = new MirrorChecks();
  readonly #overdue: Overdue = new Map();
  readonly #violations: Violation[] = [];
  #steps = 0;

  constructor(parts: WorldParts) {
    const { seed, clock, decisions } = parts;
    this.#parts = parts;
    const random = new SeededRandom(seed);
    this.#shared = new MemoryStore({ clock });
    this.#truth = new Truth(this.#shared);
    this.#weather = new Weather(random.split('weather'), decisions);
    this.#hasClockFaults = decisions.take('clocks');
    const network = new Network(clock, random.split('network'), this.#weather);
    const named = (kind: string, count: number) => namesOf(kind, count, decisions);
    const peersOf = peersAmong(network, () => this.#replicas);
    this.#replicas = named('replica', random.between(2, 3)).map((name) =>
      this.#replica(name, random.split(name), peersOf),
    );
    this.#machines = named('node', random.between(2, 4)).map((name, place) =>
      this.#machine(name, { zone: ZONES[place % 2] ?? ZONES[0], random: random.split(name), network }),
    );
    const frameworks = random.split('frameworks').pick(FRAMEWORKS);
    const clients = random.between(2, 3);
    this.#workloads = named('client', frameworks > 1 ? 1 : clients).map((name) =>
      this.#workload(name, random.split(name), network),
    );
    this.#readers = ['reader-1']
      .filter((name) => decisions.take(name))
      .map((name) => this.#reader(name, random, network));
    this.#cast = new FrameworkCast({
      ...parts,
      count: frameworks,
      random,
      network,
      replicas: this.#replicas,
      nodes: this.#machines.map(({ name }) => name),
      truth: this.#truth,
      clientOf: (process, chance) => this.#client(process, { roles: ['*'], random: chance, network }),
      tell: (name) => this.#tell(name),
      onViolation: (violation) => this.found(violation),
      onBug: this.#bug,
    });
    this.#nemesis = new Nemesis({
      clock,
      random: random.split('nemesis'),
      decisions,
      hasClockFaults: this.#hasClockFaults,
      network,
      shared: this.#shared,
      replicas: this.#replicas,
      machines: this.#machines,
      revision: this.#revision,
      leases: () => this.#livenessLeases(),
      leaseOf: (node) => this.#truth.snapshot.lease(keys.alive(node)),
      tell: this.#tell('nemesis'),
    });
  }

  /** What has been found so far, in the order in which it was found. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  /** Numbers of what has happened, to see that a run was about something. */
  get counts(): {
    readonly revisions: number;
    readonly jobs: number;
    readonly placements: number;
    readonly runs: number;
    readonly offers: number;
    /** Tasks that frameworks have launched. */
    readonly launches: number;
    readonly faults: Readonly<Record<string, number>>;
  } {
    const { jobsMade, placements, starts, offers } = this.#past;
    return {
      revisions: this.#truth.snapshot.revision,
      jobs: jobsMade.size,
      placements: placements.size,
      runs: starts.size,
      offers: offers.size,
      launches: [...this.#truth.snapshot.tasks.values()].filter(({ framework }) => framework !== null).length,
      faults: Object.fromEntries(this.#nemesis.counts),
    };
  }

  begin(): void {
    for (const replica of this.#replicas) replica.start();
    for (const machine of this.#machines) machine.start();
    for (const workload of this.#workloads) this.#watched('workload', workload.run());
    for (const reader of this.#readers) this.#watched('reader', reader.run());
    this.#watched('frameworks', this.#cast.run());
    this.#watched('nemesis', this.#nemesis.run());
  }

  /** One step of the clock, and everything that follows from it. */
  async step(): Promise<void> {
    this.#steps += 1;
    if (!(await this.#parts.clock.step())) this.found(violation(10, 'nothing will ever happen any more'));
    for (let revision = this.#truth.take(); revision !== null; revision = this.#truth.take()) this.#check(revision);
    const nowMs = this.#parts.clock.monotonicMs();
    for (const machine of this.#machines) {
      this.#foundAll(checkOverdue(machine, this.#overdue, this.#truth.snapshot, nowMs));
    }
    this.#foundAll(this.#mirrorChecks.checkStep(this.#replicas, this.#truth));
    if (this.#steps % WHOLE_CHECK_EVERY_STEPS === 0)
      this.#foundAll(await this.#mirrorChecks.checkWhole(this.#replicas, this.#shared));
  }

  /** From now on nothing goes wrong any more, and nobody asks for anything new. */
  calm(): void {
    this.#weather.calm();
    this.#nemesis.stop();
    for (const workload of this.#workloads) workload.stop();
    for (const reader of this.#readers) reader.stop();
    this.#cast.calm();
  }

  /** What still has to happen until the world is at rest; empty when it is. */
  async unsettled(): Promise<string[]> {
    if (this.#workloads.some((workload) => !workload.isIdle)) return ['a client waits for an answer'];
    const left = unsettled(this.#machines, this.#truth.snapshot);
    left.push(...this.#cast.unsettled());
    const behind = this.#replicas.filter(({ context }) => context?.mirror.revision !== this.#truth.snapshot.revision);
    left.push(...behind.map(({ name }) => `the mirror of ${name} is behind`));
    if (left.length === 0) this.#foundAll(await this.#mirrorChecks.checkWhole(this.#replicas, this.#shared));
    return left;
  }

  found(violation: Violation): void {
    this.#parts.trace.add('VIOLATION', `${violation.invariant}: ${violation.message}`);
    this.#violations.push(violation);
  }

  end(): void {
    this.#truth.end();
  }

  #check(revision: Revision): void {
    const { snapshot } = this.#truth;
    const { replica, session } = revision.commit?.origin ?? { replica: 'lease', session: null };
    const changed = revision.events.map((event) => `${event.type === 'put' ? '+' : '-'}${keyOf(event).slice(7)}`);
    const by = session === null ? replica : `${replica} for ${session.node}@${session.epoch}`;
    this.#parts.trace.add('store', `${revision.number} by ${by}: ${changed.join(' ')}`);
    this.#foundAll([
      ...checkJobs(revision, this.#past, snapshot),
      ...checkAudit(revision),
      ...checkLedgers(revision, snapshot),
      ...checkOffers(revision, this.#past, snapshot),
      ...checkRounds(revision, this.#past),
      ...checkPlans(revision, this.#past, snapshot),
      ...checkTasks(revision, this.#past, snapshot),
      ...checkServices(revision, this.#past, snapshot),
      ...checkDeployments(revision, this.#past, snapshot),
      ...checkTrials(revision, this.#past, snapshot),
      ...checkFreed(revision, this.#machines),
    ]);
    remember(this.#past, revision);
  }

  /** Those that say that a node is alive, a replica is up, or somebody drives. */
  #livenessLeases(): LeaseId[] {
    const { snapshot } = this.#truth;
    const held = [
      keys.driver,
      ...this.#machines.map(({ name }) => keys.alive(name)),
      ...this.#replicas.map(({ name }) => keys.replica(name)),
    ];
    return held.flatMap((key) => snapshot.lease(key) ?? []);
  }

  /** A host's clock as it is from the beginning. */
  #hostClock(random: SeededRandom, skewMs: number): HostClock {
    const { clock } = this.#parts;
    if (!this.#hasClockFaults) return new HostClock(clock);
    return new HostClock(clock, { skewMs, rate: 1 + (2 * random.next() - 1) * DRIFT_MAX });
  }

  #replica(name: string, random: SeededRandom, peers: ReturnType<typeof peersAmong>): Replica {
    const { clock, plant } = this.#parts;
    const chance = random.split('clock');
    const skewMs = chance.between(-REPLICA_SKEW_MAX_MS, REPLICA_SKEW_MAX_MS);
    return new Replica({
      name,
      shared: this.#shared,
      clock,
      host: this.#hostClock(chance, skewMs),
      random,
      weather: this.#weather,
      config: CONFIG,
      plant,
      log: loggerOf(this.#parts.trace, name),
      revision: this.#revision,
      holdUpMs: (transaction, by) => this.#nemesis.holdUpMs(transaction, by),
      onArrival: (transaction, by) => this.#nemesis.onArrival(transaction, by),
      onCommit: (commit) => {
        this.#truth.note(commit);
        this.#nemesis.onCommit(commit);
      },
      peers,
      onBug: this.#bug,
    });
  }

  #machine(
    name: string,
    { zone, random, network }: { readonly zone: string; readonly random: SeededRandom; readonly network: Network },
  ): Machine {
    const { clock, trace } = this.#parts;
    const chance = random.split('clock');
    const witness = {
      onStart: (container: SimulatedContainer) => this.#started(container, name),
      onEnd: (container: SimulatedContainer) => {
        trace.add(name, `${container.id} for ${container.task} ends with ${container.exitCode}`);
      },
    };
    return new Machine({
      name,
      zone,
      clock,
      host: this.#hostClock(chance, chance.pick(MACHINE_SKEWS_MS)),
      random,
      weather: this.#weather,
      network,
      replicas: this.#replicas,
      plant: this.#parts.plant,
      witness,
      trace: (who, what) => trace.add(who, what),
      onBug: this.#bug,
    });
  }

  #workload(name: string, random: SeededRandom, network: Network): Workload {
    const process = new SimulatedProcess(name, this.#parts.clock);
    const onViolation = (violation: Violation) => this.found(violation);
    const roles = name === RESTRICTED_CLIENT ? ['eng'] : ['*'];
    const client = this.#client(process, { roles, random, network });
    const nodes = this.#machines.map((machine) => machine.name);
    const { decisions } = this.#parts;
    return new Workload({
      client,
      process,
      random,
      decisions,
      nodes,
      past: this.#past,
      truth: this.#truth,
      onViolation,
    });
  }

  #reader(name: string, random: SeededRandom, network: Network): EventReader {
    return new EventReader({
      process: new SimulatedProcess(name, this.#parts.clock),
      network,
      replicas: this.#replicas,
      random: random.split(name),
      plant: this.#parts.plant,
      truth: this.#truth,
      onViolation: (violation) => this.found(violation),
    });
  }

  #client(
    process: SimulatedProcess,
    {
      roles,
      random,
      network,
    }: { readonly roles: readonly string[]; readonly random: SeededRandom; readonly network: Network },
  ): Client {
    return new Client({
      process,
      roles,
      network,
      replicas: this.#replicas,
      random: random.split('calls'),
      plant: this.#parts.plant,
      revision: this.#revision,
      trace: this.#tell(process.name),
      onViolation: (violation) => this.found(violation),
    });
  }

  #started(container: SimulatedContainer, node: string): void {
    this.#parts.trace.add(
      node,
      `${container.id} for ${container.task} starts as run ${container.run} under epoch ${container.epoch}`,
    );
    const all = this.#machines.flatMap(({ engine }) => engine.containers);
    this.#foundAll([...checkStart(container, node, this.#past, this.#truth.snapshot), ...checkAlone(container, all)]);
    this.#foundAll(checkNeverTwo(container, this.#machines, this.#truth.snapshot));
    const atMs = this.#parts.clock.monotonicMs();
    this.#past.starts.set(container.task, { node, container, atMs });
  }

  #foundAll(violations: readonly Violation[]): void {
    for (const violation of violations) this.found(violation);
  }

  #watched(name: string, work: Promise<void>): void {
    work.catch((error: unknown) => this.#bug(name, error));
  }

  readonly #revision = () => this.#truth.snapshot.revision;

  readonly #bug = (name: string, error: unknown) => {
    this.found(violation(0, `${name} stopped on a bug: ${error instanceof Error ? error.stack : String(error)}`));
  };

  #tell(who: string): (what: string) => void {
    return (what) => this.#parts.trace.add(who, what);
  }
}

/** Of each kind there is at least one. */
function namesOf(kind: string, count: number, decisions: Decisions): string[] {
  const names = Array.from({ length: count }, (_, place) => `${kind}-${place + 1}`);
  return names.filter((name, place) => place === 0 || decisions.take(name));
}
