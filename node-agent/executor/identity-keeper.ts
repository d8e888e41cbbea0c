/**
 * Sees to it that tasks which ask for tokens about themselves have them: before they start, and fresh ones for as long as they run. What
 * a token lasts for is the job's; at half of it the next one takes its place, so that a control plane which is away for that long
 * harms nobody. An agent that was started anew exchanges them all at once: it doesn't know how old they are.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { AssignedTask, TaskIdentityResponse } from '../../shared/protocol/agent.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import { ending } from '../core/ending.ts';
import { exchangeAfterMs, type GivenIdentity, identityFiles, missingTokens } from '../core/identity.ts';
import type { Ending } from '../core/model.ts';
import { type ControlPlane, ControlPlaneFault, type Log, type TaskFiles, TaskFilesFault } from './contracts.ts';

/** Of the folder with a task's tokens, among those that it has in the node's memory. */
const FOLDER = 'identity';
const RETRY: BackoffPolicy = { baseMs: 1000, factor: 2, maxMs: 30_000 };
/** A control plane that signs for less than it was asked for isn't asked without a pause. */
const EXCHANGE_MS_MIN = 5000;

export type IdentityResult =
  | { readonly type: 'given'; readonly identity: GivenIdentity | null }
  | { readonly type: 'ended'; readonly ending: Ending }
  | { readonly type: 'postponed'; readonly why: string };

export interface KnownTask {
  readonly assigned: AssignedTask;
  readonly isRunning: boolean;
}

export interface IdentityKeeperParts {
  readonly controlPlane: Pick<ControlPlane, 'identity'>;
  /** Absent: the node keeps no files in memory. */
  readonly files?: TaskFiles | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly epoch: () => number;
  readonly isLive: () => boolean;
  /** What has a place here and has not ended. Null: that isn't known now. */
  readonly tasks: () => readonly KnownTask[] | null;
}

interface Kept {
  /** On the monotonic clock. */
  dueAtMs: number;
  failures: number;
  isBusy: boolean;
}

export class IdentityKeeper {
  readonly #parts: IdentityKeeperParts;
  readonly #kept = new Map<TaskId, Kept>();
  readonly #over = new AbortController();
  #timer: Timer | null = null;

  constructor(parts: IdentityKeeperParts) {
    this.#parts = parts;
  }

  /** What a run that is about to be started is given. Throws a TaskFilesFault where the node's memory can't be written. */
  async forStart(assigned: AssignedTask, signal: AbortSignal): Promise<IdentityResult> {
    const uses = assigned.group.identity ?? [];
    if (uses.length === 0) return { type: 'given', identity: null };
    const { files } = this.#parts;
    const refusal =
      files === undefined ? 'the node keeps no files in memory, which tokens of tasks take' : files.refusal;
    if (files === undefined || refusal !== null) return ended(refusal ?? 'the node keeps no files in memory');
    const told = await this.#ask(assigned.id, signal);
    if (typeof told === 'string') return this.#keptTokens(assigned, files, told);
    const missing = missingTokens(uses, told.tokens);
    if (missing.length > 0) return { type: 'postponed', why: `its tokens can't be had: ${missing.join(', ')}` };
    const folder = await files.write(assigned.id, FOLDER, identityFiles(told.tokens));
    this.#taken(assigned.id, told);
    return { type: 'given', identity: { folder, names: uses.map(({ name }) => name) } };
  }

  /** A further run, which begins while nobody can be asked, goes on with what the one before had; they are exchanged as soon as may be. */
  async #keptTokens({ id, group }: AssignedTask, files: TaskFiles, why: string): Promise<IdentityResult> {
    const kept = await files.read(id, FOLDER);
    const names = (group.identity ?? []).map(({ name }) => name);
    if (kept !== null && names.every((name) => kept.files.some((file) => file.name === name))) {
      return { type: 'given', identity: { folder: kept.folder, names } };
    }
    return { type: 'postponed', why: `its tokens can't be had: ${why}` };
  }

  /** Something may have begun or ended, or may be asked for again. */
  look(): void {
    if (this.#over.signal.aborted) return;
    const tasks = this.#parts.tasks();
    if (tasks === null) return;
    const wanting = tasks.filter(({ assigned }) => (assigned.group.identity ?? []).length > 0);
    const ids = new Set(wanting.map(({ assigned }) => assigned.id));
    for (const [id, { isBusy }] of this.#kept) if (!ids.has(id) && !isBusy) this.#kept.delete(id);
    const nowMs = this.#parts.clock.monotonicMs();
    // What isn't started yet gets its first ones with its start.
    for (const { id } of wanting.filter(({ isRunning }) => isRunning).map(({ assigned }) => assigned)) {
      const kept = this.#kept.get(id) ?? { dueAtMs: nowMs, failures: 0, isBusy: false };
      this.#kept.set(id, kept);
      if (kept.dueAtMs <= nowMs && !kept.isBusy && this.#parts.isLive()) void this.#exchange(id, kept);
    }
    this.#wakeLater(nowMs);
  }

  close(): void {
    this.#over.abort();
    this.#timer?.cancel();
  }

  #wakeLater(nowMs: number): void {
    this.#timer?.cancel();
    this.#timer = null;
    // What is due already waits for a session, with which there is another look.
    const due = [...this.#kept.values()].map(({ dueAtMs }) => dueAtMs).filter((dueAtMs) => dueAtMs > nowMs);
    if (due.length === 0 || this.#over.signal.aborted) return;
    this.#timer = this.#parts.clock.setTimer(Math.min(...due) - nowMs, () => this.look());
  }

  async #exchange(task: TaskId, kept: Kept): Promise<void> {
    kept.isBusy = true;
    const why = await this.#exchangeNow(task);
    kept.isBusy = false;
    if (why !== null) this.#failed(task, kept, why);
    this.look();
  }

  /** Why it couldn't be done; null: it was. */
  async #exchangeNow(task: TaskId): Promise<string | null> {
    const { files } = this.#parts;
    const told = await this.#ask(task, this.#over.signal);
    if (typeof told === 'string') return told;
    try {
      const wasThere = await files?.exchange(task, FOLDER, identityFiles(told.tokens));
      if (wasThere !== true) return 'its folder is not there any more';
    } catch (cause) {
      if (!(cause instanceof TaskFilesFault)) throw cause;
      return cause.message;
    }
    this.#taken(task, told);
    return null;
  }

  /** Or why they can't be had. */
  async #ask(task: TaskId, signal: AbortSignal): Promise<TaskIdentityResponse | string> {
    const { controlPlane, epoch, isLive } = this.#parts;
    if (!isLive()) return 'the control plane can not be asked';
    try {
      return await controlPlane.identity(epoch(), task, signal);
    } catch (cause) {
      if (!(cause instanceof ControlPlaneFault)) throw cause;
      return cause.message;
    }
  }

  #taken(task: TaskId, { tokens }: TaskIdentityResponse): void {
    const { clock } = this.#parts;
    const dueAtMs = clock.monotonicMs() + Math.max(EXCHANGE_MS_MIN, exchangeAfterMs(tokens));
    const kept = this.#kept.get(task);
    this.#kept.set(task, Object.assign(kept ?? { isBusy: false }, { dueAtMs, failures: 0 }));
  }

  #failed(task: TaskId, kept: Kept, cause: string): void {
    const { clock, random, log } = this.#parts;
    const waitMs = jitteredBackoffMs(RETRY, kept.failures, random.next());
    kept.failures += 1;
    kept.dueAtMs = clock.monotonicMs() + waitMs;
    if (this.#over.signal.aborted || !this.#kept.has(task)) return;
    log.warn('could not exchange the tokens of a task; it will be tried again', { task, cause, waitMs });
  }
}

function ended(message: string): IdentityResult {
  return { type: 'ended', ending: ending('error', 'refused-by-node', message) };
}
