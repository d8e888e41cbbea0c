/**
 * Tells the control plane what has become of tasks: in order, in batches, again and again until it has answered. What
 * waits is on record in the journal, so that neither a crash nor a lost uplink loses any of it. A batch that can never be taken is
 * sent again in halves until the one that spoils it is found; that one is dropped, and the others get through.
 */
import {
  HEALTH_REPORTS_MAX,
  type HealthReport,
  IMAGE_REPORTS_MAX,
  type ImageReport,
  STATUSES_MAX,
  type StatusesRequest,
  type TaskStatus,
} from '../../shared/protocol/agent.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { UNANSWERED_MAX } from '../core/records.ts';
import type { Book } from './book.ts';
import { ControlPlaneFault, type Log } from './contracts.ts';
import type { SessionCalls } from './session.ts';

/** That a start is under way is told with what comes of it, or after so long. */
const STARTING_WAITS_MS = 50;
/** Statuses and releases in one request. */
const BATCH_MAX = 2 * STATUSES_MAX;

export interface ReporterParts {
  readonly book: Book;
  readonly clock: Clock;
  readonly log: Log;
}

export class Reporter {
  readonly #parts: ReporterParts;
  #statuses: readonly TaskStatus[] = [];
  readonly #released: string[] = [];
  readonly #removedVolumes: string[] = [];
  /** The latest of each task. */
  readonly #health = new Map<string, HealthReport>();
  readonly #images: ImageReport[] = [];
  /** Tasks of which something was answered since the session began, until {@link takeAnswered} asks. */
  #answered: Set<string> | null = null;
  /** Something waits that has waited long enough. */
  #isDue = false;
  #wake: (() => void) | null = null;
  /** Smaller while a batch is being searched for what spoils it. */
  #batchMax = BATCH_MAX;

  constructor(parts: ReporterParts) {
    this.#parts = parts;
  }

  /** Takes up what the journal says is still unanswered, oldest first. */
  restore(): void {
    const tasks = [...this.#parts.book.tasks.values()];
    const waiting = tasks.flatMap((task) => task.unanswered).sort((a, b) => a.atMs - b.atMs);
    this.#statuses = [...this.#statuses, ...waiting];
    for (const task of tasks) if (task.release === 'pending') this.#released.push(task.id);
  }

  /** The status is on record and waits to be told. */
  add(status: TaskStatus): void {
    const { task, run } = status;
    const isOfIt = (other: TaskStatus) => other.task === task;
    // Only a task that is started again and again has so many to tell.
    const isTooMuch = run > 0 && this.#statuses.filter(isOfIt).length >= UNANSWERED_MAX;
    const oldest = isTooMuch ? this.#statuses.find(isOfIt) : undefined;
    this.#statuses = [...this.#statuses.filter((other) => other !== oldest), status];
    // The engine has its hands full, and most starts are over before anybody could have done anything with this.
    if (status.reason === 'accepted') this.#parts.clock.setTimer(STARTING_WAITS_MS, () => this.#sayDue());
    else this.#sayDue();
  }

  addReleased(task: string): void {
    this.#released.push(task);
    this.#sayDue();
  }

  /** On no record: what is to be deleted is asked for again after a crash. */
  addRemovedVolume(volume: string): void {
    this.#removedVolumes.push(volume);
    this.#sayDue();
  }

  /** On no record: what is found after a crash is told anew. In place of what waits to be told of the same task. */
  addHealth(report: HealthReport): void {
    this.#health.set(report.task, report);
    this.#sayDue();
  }

  /** On no record either: what is still wanted in the next session is told anew. */
  addImage(report: ImageReport): void {
    this.#images.push(report);
    this.#sayDue();
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
    this.#isDue = true;
    while (!calls.signal.aborted) {
      this.#isDue &&= this.#waiting() > 0;
      if (this.#isDue) await this.#sendOnce(calls);
      else await this.#something(calls.signal);
    }
  }

  #sayDue(): void {
    this.#isDue = true;
    this.#wake?.();
  }

  #waiting(): number {
    const lists = [this.#statuses, this.#released, this.#removedVolumes, this.#images];
    return lists.reduce((sum, { length }) => sum + length, this.#health.size);
  }

  async #sendOnce(calls: SessionCalls): Promise<void> {
    const statuses = this.#statuses.slice(0, Math.min(STATUSES_MAX, this.#batchMax));
    const released = this.#released.slice(0, Math.min(STATUSES_MAX, this.#batchMax - statuses.length));
    const volumes = this.#removedVolumes.slice(0, this.#batchMax - statuses.length - released.length);
    const others = statuses.length + released.length + volumes.length;
    const health = [...this.#health.values()].slice(0, Math.min(HEALTH_REPORTS_MAX, this.#batchMax - others));
    const images = this.#images.slice(0, Math.min(IMAGE_REPORTS_MAX, this.#batchMax - others - health.length));
    const request: StatusesRequest = {
      statuses,
      released,
      ...(volumes.length > 0 && { removedVolumes: volumes }),
      ...(health.length > 0 && { health }),
      ...(images.length > 0 && { images }),
    };
    const answer = await calls.untilAnswered((controlPlane, epoch, signal) =>
      controlPlane.statuses(epoch, request, signal).catch(orInvalid),
    );
    if (answer === null) return;
    const size = others + health.length + images.length;
    if (answer instanceof ControlPlaneFault && size > 1) {
      this.#batchMax = Math.ceil(size / 2);
      return;
    }
    if (answer instanceof ControlPlaneFault) this.#tellDropped(request, answer);
    else this.#batchMax = Math.min(BATCH_MAX, this.#batchMax * 2);
    this.#settle(request);
    calls.onAnswered();
  }

  #settle({ statuses, released, removedVolumes = [], health = [], images = [] }: StatusesRequest): void {
    const { book } = this.#parts;
    for (const { task, state, run } of statuses) book.write({ kind: 'answered', task, state, run });
    for (const task of released) book.write({ kind: 'release', task, answered: true });
    for (const { task } of statuses) this.#answered?.add(task);
    for (const task of released) this.#answered?.add(task);
    const settled = new Set(statuses);
    this.#statuses = this.#statuses.filter((status) => !settled.has(status));
    this.#released.splice(0, released.length);
    this.#removedVolumes.splice(0, removedVolumes.length);
    // What was found meanwhile is still to be told.
    for (const report of health) if (this.#health.get(report.task) === report) this.#health.delete(report.task);
    this.#images.splice(0, images.length);
  }

  #tellDropped({ statuses, released, health = [] }: StatusesRequest, { message }: ControlPlaneFault): void {
    const [status] = statuses;
    const other = released[0] ?? health[0]?.task ?? null;
    const what = status === undefined ? { task: other } : { task: status.task, state: status.state };
    this.#parts.log.error('dropped a report that will never be taken', { ...what, cause: message });
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

/** Everything else is tried again as it is. */
function orInvalid(cause: unknown): ControlPlaneFault {
  if (cause instanceof ControlPlaneFault && cause.kind === 'invalid') return cause;
  throw cause;
}
