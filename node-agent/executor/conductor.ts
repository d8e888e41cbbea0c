/**
 * Does what the diff decides: one step per task at a time, several tasks at once. It has no opinions; after every change of
 * what is wanted or what is seen it asks the diff again.
 */

import type { TaskId } from '../../shared/domain/ids.ts';
import type { NodeConsent } from '../../shared/domain/node.ts';
import type { AssignedTask, TaskStatus } from '../../shared/protocol/agent.ts';
import { unreachable } from '../../shared/util/assert.ts';
import { jitteredBackoffMs } from '../../shared/util/backoff.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import { type DiffInput, diff, type Step } from '../core/diff.ts';
import { isKeptAside } from '../core/kept-aside.ts';
import { type Assignment, type Boot, clipMessage } from '../core/model.ts';
import type { Retention } from '../core/retention.ts';
import type { Book } from './book.ts';
import { ContainerEnds } from './container-ends.ts';
import {
  type ControlPlane,
  type Fence,
  FenceFault,
  JournalFault,
  type Log,
  type Runtime,
  RuntimeFault,
  type TaskFiles,
  TaskFilesFault,
  VolumeFault,
  type Volumes,
} from './contracts.ts';
import { ENGINE_BACKOFF, type EngineView } from './engine-view.ts';
import { Guard } from './guard.ts';
import { type EngineStep, Holds } from './holds.ts';
import type { IdentityKeeper } from './identity-keeper.ts';
import { Limiter } from './limiter.ts';
import type { ImagePulls } from './pulls.ts';
import { secretsFor } from './start-secrets.ts';
import { startTask } from './start-task.ts';
import { Statuses } from './statuses.ts';

/** Tasks whose start is under way, most of them waiting for an image or their turn at the engine. */
const STARTS_UNDER_WAY_MAX = 500;
/** A container that outlives its kill is stuck in the kernel; it is killed again after this pause. */
const KILL_AGAIN_MS = 10_000;
/** Before a start that needs what can't be had without an uplink is tried again. */
const POSTPONED_MS = 15_000;

export interface ConductorParts {
  readonly controlPlane: Pick<ControlPlane, 'secrets'>;
  readonly identity: Pick<IdentityKeeper, 'forStart'>;
  readonly files?: TaskFiles | undefined;
  readonly book: Book;
  readonly engine: EngineView;
  readonly runtime: Runtime;
  readonly pulls: ImagePulls;
  readonly volumes: Volumes;
  readonly fence: Fence;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly consent: NodeConsent;
  readonly retention: Retention;
  readonly boot: Boot;
  readonly startConcurrency: number;
  /** A status, or a release, is on record and waits to be told to the control plane. */
  readonly onStatus: (status: TaskStatus) => void;
  readonly onRelease: (task: TaskId) => void;
  /** Containers have come or gone. */
  readonly onSeen: () => void;
}

/** What the session says about the control plane's wishes. */
export interface Wishes {
  readonly assignment: Assignment | null;
  readonly session: DiffInput['session'];
  readonly epoch: number;
}

interface Busy {
  readonly type: EngineStep['type'];
  readonly abort: AbortController;
}

export class Conductor {
  readonly #parts: ConductorParts;
  readonly #busy = new Map<TaskId, Busy>();
  readonly #holds = new Holds();
  readonly #startSlots: Limiter;
  readonly #guard: Guard;
  readonly #ends: ContainerEnds;
  readonly #statuses: Statuses;
  readonly #keptAside = new Set<TaskId>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #begunAtMs: number;
  #wishes: Wishes = { assignment: null, session: 'offline', epoch: 0 };
  #wake: Timer | null = null;
  #isLookDue = false;
  #isClosed = false;

  constructor(parts: ConductorParts) {
    this.#parts = parts;
    this.#startSlots = new Limiter(parts.startConcurrency);
    this.#statuses = new Statuses({
      ...parts,
      toldRun: (task) => this.#wishes.assignment?.tasks.get(task)?.run ?? 0,
    });
    this.#guard = new Guard({
      ...parts,
      isWanted: (task) => this.#wishes.session === 'live' && this.#unwanted(task) === null,
      onEscape: (task, why) => this.#escaped(task, why),
    });
    this.#ends = new ContainerEnds(parts);
    this.#begunAtMs = parts.clock.monotonicMs();
  }

  isBusy(task: TaskId): boolean {
    return this.#busy.has(task);
  }

  want(wishes: Wishes): void {
    this.#wishes = wishes;
    for (const [task, busy] of this.#busy) {
      if (busy.type === 'start' && this.#unwanted(task) !== null) busy.abort.abort();
    }
    this.look();
  }

  /** Asks for another look at everything. Several requests before it comes are one. */
  look(): void {
    if (this.#isLookDue || this.#isClosed) return;
    this.#isLookDue = true;
    queueMicrotask(() => {
      this.#isLookDue = false;
      if (!this.#isClosed) this.#lookNow();
    });
  }

  /** No further steps. Those under way run on. */
  halt(): void {
    this.#isClosed = true;
    this.#wake?.cancel();
    for (const busy of this.#busy.values()) if (busy.type === 'start') busy.abort.abort();
  }

  /** Resolves when no step is under way any more. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #lookNow(): void {
    const { book, engine, clock, boot, fence, retention } = this.#parts;
    this.#wake?.cancel();
    if (!engine.isKnown) return;
    this.#parts.onSeen();
    const nowMs = clock.monotonicMs();
    const { assignment, session } = this.#wishes;
    const plan = diff({
      contactAgeMs: fence.contactAgeMs(),
      fenced: this.#guard.fenced(),
      nowMs,
      begunAtMs: this.#begunAtMs,
      session,
      assignment,
      journal: book.tasks,
      running: engine.containers,
      boot,
      retention,
    });
    let wakeAtMs = plan.wakeAtMs ?? Number.POSITIVE_INFINITY;
    let changed = false;
    for (const step of plan.steps) {
      if (this.#busy.has(step.task)) continue;
      const heldUntilMs = this.#holds.untilMs(step);
      if (heldUntilMs > nowMs) wakeAtMs = Math.min(wakeAtMs, heldUntilMs);
      else changed = this.#take(step) || changed;
    }
    this.#noteKeptAside(assignment);
    this.#guard.look();
    if (changed) this.look();
    else if (Number.isFinite(wakeAtMs)) {
      this.#wake = clock.setTimer(Math.max(1, wakeAtMs - nowMs), () => this.look());
    }
  }

  /** Whether the step is already done, so that the next look sees something new. */
  #take(step: Step): boolean {
    const { book } = this.#parts;
    switch (step.type) {
      case 'adopt':
        this.#adopt(step);
        return true;
      case 'report':
        this.#statuses.ended(step.task, step.ending, step.endedAtMs);
        return true;
      case 'restart':
        book.write({ kind: 'run', task: step.task, run: step.run });
        return true;
      case 'again': {
        const { task, run, ending } = step;
        book.write({ kind: 'again', task, run, atMs: book.now().wallMs, why: clipMessage(ending.message) });
        this.#statuses.again(task);
        return true;
      }
      case 'lasted':
        // Should a power cut take this with it, the run counts once more, and no harm is done.
        book.write({ kind: 'lasted', task: step.task });
        return true;
      case 'release':
        book.write({ kind: 'release', task: step.task, answered: false });
        this.#statuses.onceDurable(() => this.#parts.onRelease(step.task));
        return true;
      case 'forget':
        book.write({ kind: 'forgotten', task: step.task });
        this.#holds.forget(step.task);
        return true;
      case 'start':
        if (this.#startsUnderWay() < STARTS_UNDER_WAY_MAX) this.#begin(step);
        return false;
      case 'stop':
      case 'signal':
      case 'kill':
      case 'remove':
        this.#begin(step);
        return false;
      default:
        return unreachable(step);
    }
  }

  #begin(step: EngineStep): void {
    const { engine } = this.#parts;
    const abort = new AbortController();
    this.#busy.set(step.task, { type: step.type, abort });
    engine.touch(step.task);
    const work = this.#perform(step, abort.signal).then(
      () => {
        this.#holds.succeeded(step.task);
      },
      (cause: unknown) => this.#failed(step, cause),
    );
    const done = work.finally(() => {
      this.#busy.delete(step.task);
      this.#underWay.delete(done);
      this.#guard.settled(step.task);
      engine.touch(step.task);
      this.look();
    });
    this.#underWay.add(done);
  }

  #perform(step: EngineStep, signal: AbortSignal): Promise<void> {
    switch (step.type) {
      case 'start':
        return this.#start(step.assigned, signal);
      case 'stop':
        return this.#ends.stop(step);
      case 'signal':
        return this.#ends.signal(step);
      case 'kill':
        return this.#kill(step);
      case 'remove':
        return this.#ends.remove(step);
      default:
        return unreachable(step);
    }
  }

  async #start(assigned: AssignedTask, signal: AbortSignal): Promise<void> {
    const { book, engine, runtime, pulls, volumes, consent, boot } = this.#parts;
    const known = book.tasks.get(assigned.id);
    const run = known?.run ?? 0;
    const result = await startTask(assigned, {
      runtime,
      consent,
      startSlots: this.#startSlots,
      volume: (id) => volumes.ensure(id),
      pull: (image, pullSignal) => pulls.pull(image, pullSignal),
      writeStarting: () => {
        if (!known?.origin) this.#writeStarting(assigned);
      },
      durable: () => book.durable(),
      guardRefusal: () => this.#guard.refusalOf(assigned),
      beforeStart: async (container) => {
        book.write({ kind: 'launch', task: assigned.id, isSent: true, boot: boot.id });
        await book.durable();
        // Last, so that nothing takes time between its look at the clock and the start.
        await this.#guard.beforeStart(assigned, container);
      },
      secrets: () => this.#secretsFor(assigned, signal),
      identity: () => this.#parts.identity.forStart(assigned, signal),
      reportStarting: (reason, message) => {
        // Of a further run only that it runs is told: its task is on record as running already.
        if (run === 0) this.#statuses.starting(assigned.id, reason, message);
      },
      unwanted: () => this.#unwanted(assigned.id),
      isAlone: () => this.#wishes.session !== 'live',
      epoch: this.#wishes.assignment === null ? (known?.epoch ?? 0) : this.#wishes.epoch,
      run,
      signal,
    });
    // A start that was broken off because the agent ends says nothing about the task: the next agent takes it up.
    if (this.#isClosed && result.type !== 'started') return;
    if (result.type === 'ended') return this.#statuses.ended(assigned.id, result.ending, null);
    if (result.type === 'postponed') return this.#postpone(assigned.id, result.why);
    engine.see(result.container);
    this.#statuses.running(assigned.id, 'started', null);
  }

  #secretsFor(assigned: AssignedTask, signal: AbortSignal) {
    const { controlPlane, files } = this.#parts;
    const { epoch } = this.#wishes;
    const isAlone = () => this.#wishes.session !== 'live';
    return secretsFor(assigned, { files, isAlone, ask: () => controlPlane.secrets(epoch, assigned.id, signal) });
  }

  async #kill(step: Extract<Step, { readonly type: 'kill' }>): Promise<void> {
    await this.#ends.kill(step);
    this.#holds.holdKill(step.task, this.#parts.clock.monotonicMs() + KILL_AGAIN_MS);
  }

  /** It can't be done for now, and that is no fault of the engine's. */
  #postpone(task: TaskId, why: string): void {
    const { clock, log } = this.#parts;
    this.#holds.hold(task, clock.monotonicMs() + POSTPONED_MS);
    log.warn('a task waits for what can not be had now; its start will be tried again', { task, why });
  }

  /** Nothing is known about how far the step has come: look at the engine again before the next one. */
  #failed(step: EngineStep, cause: unknown): void {
    const { clock, random, log, engine } = this.#parts;
    if (this.#isClosed) return;
    if (!isPassing(cause)) throw cause;
    const waitMs = jitteredBackoffMs(ENGINE_BACKOFF, this.#holds.failed(step.task) - 1, random.next());
    this.#holds.hold(step.task, clock.monotonicMs() + waitMs);
    log.warn(`could not ${step.type} a task; it will be tried again`, {
      task: step.task,
      waitMs,
      cause: cause.message,
    });
    engine.doubt(cause);
  }

  #adopt(step: Extract<Step, { readonly type: 'adopt' }>): void {
    const { book, log, boot } = this.#parts;
    const { task, assigned, container } = step;
    const known = book.tasks.get(task);
    if (known === undefined && assigned !== null) this.#writeStarting(assigned);
    if (container.run > (known?.run ?? 0)) book.write({ kind: 'run', task, run: container.run });
    // What runs was launched in this boot, whoever launched it.
    book.write({ kind: 'launch', task, isSent: true, boot: boot.id });
    log.info('adopted a running container', { task, container: container.id });
    this.#statuses.running(task, 'found running by the agent', container.startedAtMs);
  }

  /** It is ended at once: nothing else would when it has to be. */
  #escaped(task: TaskId, why: string): void {
    if (this.#isClosed) return;
    this.#ends.putEnd(task, why);
    this.look();
  }

  #writeStarting(assigned: AssignedTask): void {
    const { assignment, epoch } = this.#wishes;
    this.#parts.book.writeStarting(assigned, { incarnation: assignment?.position.incarnation ?? 0, epoch });
  }

  /** As long as nobody has said anything, what the journal holds is wanted. */
  #unwanted(task: TaskId): AssignedTask | 'gone' | null {
    const { assignment } = this.#wishes;
    if (assignment === null) return null;
    const assigned = assignment.tasks.get(task);
    if (assigned === undefined) return 'gone';
    return assigned.stop !== null || assigned.disowned ? assigned : null;
  }

  #startsUnderWay(): number {
    let count = 0;
    for (const busy of this.#busy.values()) if (busy.type === 'start') count += 1;
    return count;
  }

  #noteKeptAside(assignment: Assignment | null): void {
    if (assignment === null) return;
    for (const local of this.#parts.book.tasks.values()) {
      if (!isKeptAside(local, assignment) || this.#keptAside.has(local.id)) continue;
      this.#keptAside.add(local.id);
      this.#parts.log.warn('runs, but the restored state does not know it: kept aside', { task: local.id });
    }
  }
}

/** Faults of the world, which say nothing about the task. */
function isPassing(cause: unknown): cause is RuntimeFault | JournalFault | FenceFault | VolumeFault | TaskFilesFault {
  return [RuntimeFault, JournalFault, FenceFault, VolumeFault, TaskFilesFault].some((kind) => cause instanceof kind);
}
