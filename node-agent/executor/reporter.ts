/**
 * Tells the control plane what has become of tasks: in order, in batches, again and again until it has answered. What
 * waits is on record in the journal, so that neither a crash nor a lost uplink loses any of it.
 */
import { STATUSES_MAX, type StatusesRequest, type TaskStatus } from '../../shared/protocol/agent.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Book } from './book.ts';
import type { SessionCalls } from './session.ts';

/** Statuses that come within this time of each other go together. */
const COALESCE_MS = 1;

export interface ReporterParts {
  readonly book: Book;
  readonly clock: Clock;
}

export class Reporter {
  readonly #parts: ReporterParts;
  readonly #statuses: TaskStatus[] = [];
  readonly #released: string[] = [];
  /** Tasks of which something was answered since the session began, until {@link takeAnswered} asks. */
  #answered: Set<string> | null = null;
  #wake: (() => void) | null = null;

  constructor(parts: ReporterParts) {
    this.#parts = parts;
  }

  /** Takes up what the journal says is still unanswered, oldest first. */
  restore(): void {
    const tasks = [...this.#parts.book.tasks.values()];
    const waiting = tasks.flatMap((task) => task.unanswered).sort((a, b) => a.atMs - b.atMs);
    this.#statuses.push(...waiting);
    for (const task of tasks) if (task.release === 'pending') this.#released.push(task.id);
  }

  /** The status is on record and waits to be told. */
  add(status: TaskStatus): void {
    this.#statuses.push(status);
    this.#wake?.();
  }

  addReleased(task: string): void {
    this.#released.push(task);
    this.#wake?.();
  }

  /**
   * The tasks that the control plane has been told of since the session began: an assignment that was on its way meanwhile
   * may not show it. To be asked once in a session.
   */
  takeAnswered(): ReadonlySet<string> {
    const answered = this.#answered ?? new Set<string>();
    this.#answered = null;
    return answered;
  }

  /** Sends for as long as the session lasts. */
  async run(calls: SessionCalls): Promise<void> {
    this.#answered = new Set();
    while (!calls.signal.aborted) {
      if (this.#statuses.length + this.#released.length === 0) {
        await this.#something(calls.signal);
        await sleep(this.#parts.clock, COALESCE_MS, calls.signal);
        continue;
      }
      await this.#sendOnce(calls);
    }
  }

  async #sendOnce(calls: SessionCalls): Promise<void> {
    const request: StatusesRequest = {
      statuses: this.#statuses.slice(0, STATUSES_MAX),
      released: this.#released.slice(0, STATUSES_MAX),
    };
    const response = await calls.untilAnswered((controlPlane, epoch, signal) =>
      controlPlane.statuses(epoch, request, signal),
    );
    if (response === null) return;
    const { book } = this.#parts;
    for (const { task, state } of request.statuses) book.write({ kind: 'answered', task, state });
    for (const task of request.released) book.write({ kind: 'release', task, answered: true });
    for (const { task } of request.statuses) this.#answered?.add(task);
    for (const task of request.released) this.#answered?.add(task);
    this.#statuses.splice(0, request.statuses.length);
    this.#released.splice(0, request.released.length);
    calls.onAnswered();
  }

  #something(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#wake = null;
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }
}
