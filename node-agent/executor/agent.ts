/**
 * The agent, put together from its parts. It reads no clock, makes no chance and opens no socket of its own: given the same
 * world it does the same things, which is what lets a simulator run it.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import { LEDGER_ENTRIES_MAX } from '../../shared/domain/ledger.ts';
import type { AssignmentResponse, RegisterRequest, TaskStatus } from '../../shared/protocol/agent.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import { reportsAnew } from '../core/anew.ts';
import type { Assignment, Containers, LocalTask, LocalTasks } from '../core/model.ts';
import type { VolumeUse } from '../core/volumes.ts';
import { Book } from './book.ts';
import { Checker } from './checker.ts';
import { Conductor } from './conductor.ts';
import type {
  AgentConfig,
  ControlPlane,
  Executors,
  Fence,
  GpuSource,
  Journal,
  Log,
  Probes,
  Runtime,
  TaskFiles,
  Volumes,
} from './contracts.ts';
import { EngineView } from './engine-view.ts';
import { GpuWatch } from './gpu-watch.ts';
import { IdentityKeeper, type KnownTask } from './identity-keeper.ts';
import { ImageFetches } from './image-fetches.ts';
import { Messenger } from './messenger.ts';
import { ImagePulls } from './pulls.ts';
import { Reporter } from './reporter.ts';
import { Session } from './session.ts';
import { Stamps } from './stamps.ts';
import { Streams } from './streams.ts';
import { TaskFilesKeeper } from './task-files-keeper.ts';
import { VolumeKeeper } from './volume-keeper.ts';

export interface AgentParts {
  readonly controlPlane: ControlPlane;
  readonly runtime: Runtime;
  /** Absent: tasks that run other tasks are not known here. */
  readonly executors?: Executors | undefined;
  readonly probes: Probes;
  readonly volumes: Volumes;
  /** Absent: what is given in confidence can't be given here. */
  readonly files?: TaskFiles | undefined;
  readonly journal: Journal;
  readonly fence: Fence;
  readonly clock: Clock;
  readonly random: Random;
  readonly config: AgentConfig;
  /** Absent: the GPUs of the configuration are there for good. */
  readonly gpus?: GpuSource;
  readonly log: Log;
}

export interface Agent {
  /** Reads the journal, looks at the engine, and joins. Resolves when the journal is read; the rest goes on by itself. */
  start(): Promise<void>;
  /** Ends the agent and leaves every task running. Resolves when the last step has been done and everything is on disk. */
  stop(): Promise<void>;
  /** Ends it at once: no further step, call or record. What is under way is left to itself. */
  halt(): void;
  /** What it knows, for tests and for people. */
  inspect(): AgentSnapshot;
}

export interface AgentSnapshot {
  readonly epoch: number;
  readonly isLive: boolean;
  readonly assignment: Assignment | null;
  readonly tasks: LocalTasks;
  readonly containers: Containers;
}

export function createAgent(parts: AgentParts): Agent {
  return new AssembledAgent(parts);
}

class AssembledAgent implements Agent {
  readonly #parts: AgentParts;
  readonly #book: Book;
  readonly #engine: EngineView;
  readonly #conductor: Conductor;
  readonly #reporter: Reporter;
  readonly #session: Session;
  readonly #streams: Streams;
  readonly #volumes: VolumeKeeper;
  readonly #files: TaskFilesKeeper;
  readonly #identity: IdentityKeeper;
  readonly #checker: Checker;
  readonly #images: ImageFetches;
  readonly #stamps: Stamps;
  readonly #messenger: Messenger | null;
  readonly #gpus: GpuWatch;
  #assignment: Assignment | null = null;
  /** It was declared gone, and ends what runs here before it joins as a new node. */
  #isGone = false;
  /** The session whose first assignment has been compared with what is known here. */
  #comparedEpoch: number | null = null;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    const { config, executors } = parts;
    const report = {
      onStatus: (status: TaskStatus) => this.#reporter.add(status),
      onRelease: (task: TaskId) => this.#reporter.addReleased(task),
    };
    this.#book = new Book(parts);
    this.#stamps = new Stamps({ ...parts, book: this.#book });
    this.#engine = new EngineView({
      ...parts,
      isBusy: (task) => this.#conductor.isBusy(task),
      onChange: () => this.#conductor.look(),
    });
    const pulls = new ImagePulls(parts.runtime);
    this.#identity = this.#identityKeeper(parts);
    this.#conductor = new Conductor({
      ...parts,
      identity: this.#identity,
      pulls,
      ...report,
      ...config,
      consent: config.node.consent,
      book: this.#book,
      engine: this.#engine,
      onSeen: () => this.#lookAll(),
    });
    this.#reporter = new Reporter({ ...parts, book: this.#book });
    this.#messenger = executors === undefined ? null : new Messenger({ ...parts, executors });
    this.#session = new Session({
      ...parts,
      registration: () => this.#registration(),
      onRegistered: ({ stamp }, epoch) => stamp && this.#stamps.confirmed(stamp, epoch),
      onGone: () => this.#leave(),
      seen: () => this.#book.position,
      accept: (response) => this.#accept(response),
      report: async (calls) => {
        await Promise.all([this.#reporter.run(calls), this.#messenger?.run(calls)]);
      },
      onChange: () => this.#sayWishes(),
    });
    this.#gpus = new GpuWatch({ ...parts, node: config.node, onChange: () => this.#session.renew() });
    this.#volumes = new VolumeKeeper({
      ...parts,
      use: () => this.#volumeUse(),
      onRemoved: (volume) => this.#reporter.addRemovedVolume(volume),
    });
    this.#files = new TaskFilesKeeper({ ...parts, seen: () => this.#seen() });
    this.#checker = new Checker({
      ...parts,
      book: this.#book,
      containers: () => this.#engine.containers,
      assigned: (task) => this.#assignment?.tasks.get(task),
      isLive: () => this.#session.isLive,
      onHealth: (report) => this.#reporter.addHealth(report),
      onUnhealthy: () => this.#conductor.look(),
    });
    this.#images = new ImageFetches({ ...parts, pulls, onFetched: (report) => this.#reporter.addImage(report) });
    this.#streams = new Streams({
      ...parts,
      epoch: () => this.#session.epoch,
      container: (task) => this.#engine.containers.get(task),
      isAwaited: (task) => this.#isAwaited(task),
    });
  }

  async start(): Promise<void> {
    await this.#book.load();
    this.#stamps.restore();
    this.#reporter.restore();
    this.#engine.open();
    this.#messenger?.open();
    this.#session.open();
    this.#gpus.open();
  }

  halt(): void {
    this.#session.close();
    this.#gpus.close();
    this.#streams.close();
    this.#messenger?.close();
    this.#volumes.close();
    this.#files.close();
    this.#identity.close();
    this.#checker.close();
    this.#images.close();
    this.#conductor.halt();
    this.#engine.close();
  }

  async stop(): Promise<void> {
    this.halt();
    await Promise.all([this.#session.closed(), this.#conductor.settled()]);
    await this.#parts.journal.close();
  }

  inspect(): AgentSnapshot {
    return {
      epoch: this.#session.epoch,
      isLive: this.#session.isLive,
      assignment: this.#assignment,
      tasks: this.#book.tasks,
      containers: this.#engine.containers,
    };
  }

  async #registration(): Promise<RegisterRequest | null> {
    if (this.#isGone && this.#runsNothing()) this.#startAfresh();
    const stamp = await this.#stamps.propose();
    if (stamp === null) return null;
    const known = Object.groupBy(this.#book.tasks.values(), (task) =>
      task.phase !== 'ended' || task.unanswered.length > 0 ? 'held' : 'ended',
    );
    const some = (tasks: readonly LocalTask[] = []) => tasks.slice(-LEDGER_ENTRIES_MAX).map((task) => task.id);
    return {
      node: this.#gpus.node,
      seen: this.#book.position,
      tasks: some(known.held),
      ended: some(known.ended),
      stamp,
    };
  }

  /**
   * The node was declared gone, so everything that it ran has been replaced, and perhaps runs elsewhere already. As if the control
   * plane had said that nothing of it is wanted here.
   */
  #leave(): void {
    const { stamp, position } = this.#book;
    const isNew = stamp.last === null && position === null && this.#runsNothing();
    if (this.#isGone || isNew) return;
    this.#isGone = true;
    // Of no incarnation: nothing is kept aside.
    this.#assignment = { position: { incarnation: 0, generation: 0 }, tasks: new Map(), keptAsideStops: new Map() };
    this.#sayWishes();
  }

  #runsNothing(): boolean {
    const { containers, isKnown } = this.#engine;
    return (
      isKnown &&
      [...containers.values()].every(({ task, state }) => state === 'exited' && !this.#conductor.isBusy(task))
    );
  }

  #startAfresh(): void {
    this.#book.write({ kind: 'afresh' });
    this.#isGone = false;
    this.#assignment = null;
    this.#sayWishes();
  }

  /** Refuses to go backwards: within an incarnation the generation only rises, and incarnations only rise. */
  #accept(response: AssignmentResponse): boolean {
    const { position } = response;
    const seen = this.#book.position;
    if (seen !== null && isBehind(position, seen)) {
      this.#parts.log.warn('refused an assignment that lies behind one already seen', {
        incarnation: position.incarnation,
        generation: position.generation,
        seenIncarnation: seen.incarnation,
        seenGeneration: seen.generation,
      });
      return false;
    }
    if (seen === null || isBehind(seen, position)) this.#book.write({ kind: 'position', position });
    this.#assignment = {
      position,
      tasks: new Map(response.tasks.map((task) => [task.id, task])),
      keptAsideStops: new Map(response.keptAsideStops?.map(({ task, reason }) => [task, reason])),
    };
    this.#compareOnce(this.#assignment);
    this.#streams.want(response.streams);
    this.#messenger?.want(response.messages ?? []);
    this.#volumes.want(response.removingVolumes ?? [], this.#session.epoch);
    this.#images.want(response.images ?? [], this.#session.epoch);
    return true;
  }

  /** At the beginning of a session, what the control plane has missed is told again. */
  #compareOnce(assignment: Assignment): void {
    if (this.#comparedEpoch === this.#session.epoch) return;
    this.#comparedEpoch = this.#session.epoch;
    const anew = reportsAnew(assignment, this.#book.tasks, this.#reporter.takeAnswered());
    for (const status of anew.statuses) {
      this.#book.write({ kind: 'status', status });
      this.#reporter.add(status);
    }
    for (const report of this.#checker.reports()) this.#reporter.addHealth(report);
    for (const task of anew.released) {
      this.#book.write({ kind: 'release', task, answered: false });
      this.#reporter.addReleased(task);
    }
  }

  #sayWishes(): void {
    this.#conductor.want({
      assignment: this.#assignment,
      session: this.#session.isLive || this.#isGone ? 'live' : this.#session.isRefused ? 'refused' : 'offline',
      epoch: this.#session.epoch,
    });
  }

  /** Null where the engine is in doubt, or where what is wanted was said in a session that is over. */
  #volumeUse(): VolumeUse | null {
    const { containers, isKnown } = this.#engine;
    if (!isKnown || !this.#session.isLive || this.#assignment === null) return null;
    return { tasks: this.#book.tasks, containers, assigned: this.#assignment.tasks.values() };
  }

  /** Containers have come or gone. */
  #lookAll(): void {
    this.#streams.look();
    this.#volumes.look();
    this.#files.look();
    this.#identity.look();
    this.#checker.look();
  }

  #identityKeeper(parts: AgentParts): IdentityKeeper {
    return new IdentityKeeper({
      ...parts,
      epoch: () => this.#session.epoch,
      isLive: () => this.#session.isLive,
      tasks: () => this.#knownTasks(),
    });
  }

  /** What is wanted and has not ended. Null where the engine is in doubt. */
  #knownTasks(): readonly KnownTask[] | null {
    const { containers, isKnown } = this.#engine;
    if (!isKnown || this.#assignment === null) return null;
    return [...this.#assignment.tasks.values()]
      .filter(({ id }) => this.#book.tasks.get(id)?.phase !== 'ended')
      .map((assigned) => ({ assigned, isRunning: containers.get(assigned.id)?.state === 'running' }));
  }

  /** Null where the engine is in doubt. */
  #seen(): { readonly tasks: LocalTasks; readonly containers: Containers } | null {
    const { containers, isKnown } = this.#engine;
    return isKnown ? { tasks: this.#book.tasks, containers } : null;
  }

  #isAwaited(task: TaskId): boolean {
    const local = this.#book.tasks.get(task);
    return local?.phase !== 'ended' && this.#assignment?.tasks.has(task) === true;
  }
}

function isBehind(
  a: { readonly incarnation: number; readonly generation: number },
  b: { readonly incarnation: number; readonly generation: number },
): boolean {
  return a.incarnation < b.incarnation || (a.incarnation === b.incarnation && a.generation < b.generation);
}
