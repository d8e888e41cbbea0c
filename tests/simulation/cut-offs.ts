/**
 * A world in which nodes are cut off for longer than their tasks may run without contact: the one thing that the larger world, where
 * everything goes wrong in short turns, hardly ever comes to. In some, machines that are cut off run on while a copy of their disk comes
 * up elsewhere. All jobs ask for never two at a time, nothing ends by itself, and
 * versions change now and then, also to one that doesn't ask for it.
 */
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { isUnseenEnd } from '../../control-plane/reconcile/fence-wait.ts';
import type { Call, ServiceContext } from '../../control-plane/services/context.ts';
import { submitJob, updateJob } from '../../control-plane/services/jobs.ts';
import type { TaskId } from '../../shared/domain/ids.ts';
import type { JobSpec } from '../../shared/domain/job.ts';
import { jobSpecSchema } from '../../shared/protocol/job.ts';
import { sleep } from '../../shared/util/clock.ts';
import { SILENT_LOGGER } from '../../shared/util/log.ts';
import { NOWHERE } from '../support/nowhere.ts';
import { environmentOf, IMAGES } from './behaviour.ts';
import { DRIFT_MAX, HostClock } from './host-clock.ts';
import { checkNeverTwo } from './invariants/never-two.ts';
import { type Violation, violation } from './invariants/violation.ts';
import { Machine } from './machine.ts';
import { Network } from './network.ts';
import type { Plant } from './plants/plant.ts';
import { Replica } from './replica.ts';
import { SeededRandom } from './seeded-random.ts';
import type { SimulatedContainer } from './simulated-engine.ts';
import { Truth } from './truth.ts';
import { VirtualClock } from './virtual-clock.ts';
import { Weather } from './weather.ts';

export interface CutOffResult {
  readonly violations: readonly Violation[];
  /** Containers that were started. */
  readonly starts: number;
  /** Tasks that were given up with their node, and tasks that their node has stopped by itself. */
  readonly givenUp: number;
  readonly stoppedByNode: number;
  /** Tasks whose end nobody saw: a copy came up in the place of the machine that ran them. */
  readonly unseen: number;
}

const CONFIG = { leaseTtlMs: 10_000, heartbeatIntervalMs: 3000, version: '0.0.0-simulated' } as const;
const START_MS = Date.UTC(2026, 0, 1);
const JOBS = 4;
/** Machines whose place was taken stay: what they still run counts. */
const MACHINES_MAX = 9;
const CALLER: Call = {
  principal: { kind: 'user', subject: 'tester', tokenId: 't', grants: [{ roles: ['*'], actions: ['*'] }], node: null },
  origin: NOWHERE,
  idempotency: null,
};

export async function simulateCutOffs(seed: number, forMs: number, plant: Plant): Promise<CutOffResult> {
  const world = new CutOffWorld(seed, plant);
  return world.run(forMs);
}

class CutOffWorld {
  readonly #clock = new VirtualClock(START_MS);
  readonly #random: SeededRandom;
  readonly #shared = new MemoryStore({ clock: this.#clock });
  readonly #truth = new Truth(this.#shared);
  readonly #weather: Weather;
  readonly #network: Network;
  readonly #replicas: readonly Replica[];
  readonly #machines: Machine[];
  readonly #areDisksCopied: boolean;
  readonly #violations: Violation[] = [];
  #starts = 0;

  constructor(seed: number, plant: Plant) {
    this.#random = new SeededRandom(seed);
    this.#weather = new Weather(this.#random.split('weather'));
    if (this.#random.chance(0.5)) this.#weather.calm();
    this.#areDisksCopied = this.#random.split('copies').chance(0.5);
    this.#network = new Network(this.#clock, this.#random.split('network'), this.#weather);
    this.#replicas = ['replica-1', 'replica-2'].map((name) => this.#replica(name, plant));
    this.#machines = ['node-1', 'node-2', 'node-3'].map((name) => this.#machine(name, plant));
  }

  async run(forMs: number): Promise<CutOffResult> {
    for (const each of [...this.#replicas, ...this.#machines]) each.start();
    this.#watched(this.#makeJobs());
    this.#watched(this.#cutOff());
    while (this.#clock.monotonicMs() < forMs && this.#violations.length === 0) {
      await this.#clock.step();
      while (this.#truth.take() !== null);
    }
    this.#truth.end();
    const ends = [...this.#truth.snapshot.tasks.values()].map((task) => task.history.at(-1)?.reason);
    return {
      violations: this.#violations,
      starts: this.#starts,
      givenUp: ends.filter((reason) => reason === 'node-lost').length,
      stoppedByNode: ends.filter((reason) => reason === 'disconnected').length,
      unseen: [...this.#truth.snapshot.tasks.values()].filter(isUnseenEnd).length,
    };
  }

  async #makeJobs(): Promise<void> {
    const random = this.#random.split('jobs');
    for (let made = 0; made < JOBS; ) {
      await sleep(this.#clock, 1000);
      if (await this.#asked((ctx) => submitJob(ctx, CALLER, this.#specOf(made, 0, random)))) made += 1;
    }
    for (let change = 1; ; change += 1) {
      await sleep(this.#clock, random.between(5000, 120_000));
      const spec = this.#specOf(random.between(0, JOBS - 1), change, random);
      await this.#asked((ctx) => updateJob(ctx, CALLER, spec, { ifVersion: null, onlyCreate: false }));
    }
  }

  /** Nothing stops what runs on a machine whose place was taken unless its version asks for it: then every version has to. */
  #specOf(job: number, change: number, random: SeededRandom): JobSpec {
    return specOf(job, change, { random, isAloneAlways: this.#areDisksCopied });
  }

  /** False: no replica would. */
  async #asked(work: (ctx: ServiceContext) => Promise<unknown>): Promise<boolean> {
    const ctx = this.#replicas.find(({ context, process }) => context !== null && !process?.isPaused)?.context;
    if (!ctx) return false;
    return work(ctx).then(
      () => true,
      () => false,
    );
  }

  async #cutOff(): Promise<void> {
    const random = this.#random.split('cut off');
    for (;;) {
      await sleep(this.#clock, random.between(1000, 25_000));
      const machine = random.pick(this.#machines);
      const forMs = random.between(5000, 120_000);
      const later = (work: () => void) => this.#clock.setTimer(forMs, work);
      const faults = [
        () => {
          const { process } = machine;
          process?.pause();
          later(() => process?.resume());
        },
        () => {
          machine.crash();
          later(() => machine.start());
        },
        () => {
          for (const { name } of this.#replicas) this.#network.cut(machine.name, name);
          later(() => {
            for (const { name } of this.#replicas) this.#network.join(machine.name, name);
          });
        },
        () => {
          const replica = random.pick(this.#replicas);
          replica.kill();
          this.#clock.setTimer(2000, () => replica.start());
        },
        () => this.#copy(machine, random.split(`copy at ${this.#clock.monotonicMs()}`), later),
      ];
      random.pick(faults)();
    }
  }

  /** The machine is cut off and runs on, while another one comes up from a copy of its disk and takes its place. */
  #copy(machine: Machine, random: SeededRandom, later: (work: () => void) => void): void {
    if (!this.#areDisksCopied || this.#machines.length >= MACHINES_MAX) return;
    for (const { name } of this.#replicas) this.#network.cut(machine.name, name);
    later(() => {
      for (const { name } of this.#replicas) this.#network.join(machine.name, name);
    });
    const copy = machine.copy(`${machine.name}-copy-${this.#machines.length}`, random);
    this.#machines.push(copy);
    copy.start();
  }

  #replica(name: string, plant: Plant): Replica {
    return new Replica({
      name,
      shared: this.#shared,
      clock: this.#clock,
      host: this.#hostClock(name),
      random: this.#random.split(name),
      weather: this.#weather,
      config: CONFIG,
      plant,
      log: SILENT_LOGGER,
      revision: () => this.#truth.snapshot.revision,
      onCommit: (commit) => this.#truth.note(commit),
      onBug: this.#bug,
    });
  }

  #machine(name: string, plant: Plant): Machine {
    return new Machine({
      name,
      zone: 'north',
      clock: this.#clock,
      host: this.#hostClock(name),
      random: this.#random.split(name),
      weather: this.#weather,
      network: this.#network,
      replicas: this.#replicas,
      witness: { onStart: (container) => this.#started(container), onEnd: () => undefined },
      plant,
      areDisksCopied: this.#areDisksCopied,
      trace: () => undefined,
      onBug: this.#bug,
    });
  }

  #hostClock(name: string): HostClock {
    const rate = 1 + this.#random.split(`clock of ${name}`).pick([-DRIFT_MAX, 0, DRIFT_MAX]);
    return new HostClock(this.#clock, { skewMs: 0, rate });
  }

  #started(container: SimulatedContainer): void {
    this.#starts += 1;
    // A copy starts what has a place there and wasn't reported to run, though its original may have started it: nothing can tell.
    const counts = (other: TaskId) => !this.#areDisksCopied || other !== container.task;
    this.#violations.push(...checkNeverTwo(container, this.#machines, this.#truth.snapshot, counts));
  }

  #watched(work: Promise<void>): void {
    work.catch((error: unknown) => this.#bug('the world', error));
  }

  readonly #bug = (name: string, error: unknown) => {
    this.#violations.push(violation(0, `${name}: ${error instanceof Error ? error.stack : String(error)}`));
  };
}

/** `change` makes it another version. */
function specOf(
  job: number,
  change: number,
  { random, isAloneAlways }: { readonly random: SeededRandom; readonly isAloneAlways: boolean },
): JobSpec {
  const behaviour = { lifeMs: null, exitCode: 0, failurePercent: 0, isUnusable: false } as const;
  return jobSpecSchema.parse({
    name: `job-${job}`,
    labels: { change: String(change) },
    placement: 'spread',
    gpuNodes: 'unrestricted',
    replaceAfterSeconds: random.pick([0, 2, 20]),
    ...(random.chance(0.8) || isAloneAlways ? { stopAfterDisconnectSeconds: random.pick([10, 15, 30]) } : {}),
    groups: [
      {
        image: IMAGES[0],
        count: 2,
        env: environmentOf({ ...behaviour, stopMs: random.pick([0, 500, null]) }),
        resources: { cpus: 0.1, memMiB: 64 },
        retries: { max: 50, delaySeconds: 0, factor: 1, maxDelaySeconds: 0 },
        killGraceSeconds: random.between(0, 4),
      },
    ],
  });
}
