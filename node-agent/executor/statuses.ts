/**
 * What has become of a task: put on record here, and then told. An end that the journal could forget over a power cut is on disk
 * before anybody hears of it, since an end is final, be it the task's or that of one of its runs.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import type { TaskStatus } from '../../shared/protocol/agent.ts';
import { againAtMs } from '../core/again.ts';
import { couldBeginAgain } from '../core/alone.ts';
import { clipMessage, type Ending } from '../core/model.ts';
import type { Book } from './book.ts';
import type { StartingReason } from './start-task.ts';

export interface StatusesParts {
  readonly book: Book;
  /** A status was put on record: tell it. */
  readonly onStatus: (status: TaskStatus) => void;
  /** Of the task, as the control plane has told it last; 0: it has told of none. */
  readonly toldRun: (task: TaskId) => number;
}

export class Statuses {
  readonly #parts: StatusesParts;

  constructor(parts: StatusesParts) {
    this.#parts = parts;
  }

  starting(task: TaskId, reason: StartingReason, message: string): void {
    this.#put({ task, state: 'starting', reason, message: clipMessage(message), exitCode: null }, null);
  }

  /** `message` is about a first run. `atMs`: when it began, where that is known, on the wall clock. */
  running(task: TaskId, message: string, atMs: number | null): void {
    const { run = 0, why = null } = this.#parts.book.tasks.get(task) ?? {};
    const beginning = run === 0 ? ({ reason: 'started', message } as const) : furtherBeginning(run, why);
    this.#put({ task, state: 'running', ...beginning, exitCode: null }, atMs);
  }

  /** Its present run follows one that has ended, after a pause. Until it begins nothing of the task runs, which others have to know. */
  again(task: TaskId): void {
    const { book } = this.#parts;
    const local = book.tasks.get(task);
    if (local === undefined || local.why === null) return;
    const waitMs = Math.max(0, againAtMs(local) - book.now().steadyMs);
    const message = clipMessage(
      `is started again in place in ${waitMs / 1000} s, as run ${local.run + 1}; before: ${local.why}`,
    );
    this.#put({ task, state: 'starting', reason: 'restarted-in-place', message, exitCode: null }, null);
  }

  ended(task: TaskId, ending: Ending, atMs: number | null): void {
    this.#put({ task, ...ending, message: clipMessage(ending.message) }, atMs);
  }

  /** A journal that can't be written must not keep it back: nothing is begun with such a one either. */
  onceDurable(tell: () => void): void {
    this.#parts.book.durable().then(tell, tell);
  }

  #put(about: Omit<TaskStatus, 'atMs' | 'run'>, atMs: number | null): void {
    const { book, onStatus, toldRun } = this.#parts;
    const known = book.tasks.get(about.task);
    // Where the journal knows less than the control plane has been told, what was told last is meant.
    const run = Math.max(known?.run ?? 0, toldRun(about.task));
    const status = { ...about, run, atMs: atMs ?? book.now().wallMs };
    book.write({ kind: 'status', status });
    const tell = () => onStatus(status);
    // A further run that is only being started says that the one before has ended.
    const isEnd = isTerminal(status.state) || (status.state === 'starting' && run > 0);
    if (isEnd && known !== undefined && couldBeginAgain(known)) this.onceDurable(tell);
    else tell();
  }
}

function furtherBeginning(run: number, why: string | null): Pick<TaskStatus, 'reason' | 'message'> {
  if (why === null) {
    const message = `started again after its node had gone down under it, as run ${run + 1}`;
    return { reason: 'restarted-after-reboot', message };
  }
  return {
    reason: 'restarted-in-place',
    message: clipMessage(`started again in place as run ${run + 1}; before: ${why}`),
  };
}
