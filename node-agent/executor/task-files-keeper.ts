/**
 * Takes from the node's memory what tasks were given in confidence, as soon as nothing of them runs or may yet be started here. What an
 * agent that crashed has left goes with the first look of the next one.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import { jitteredBackoffMs } from '../../shared/util/backoff.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import type { Containers, LocalTasks } from '../core/model.ts';
import { type Log, type TaskFiles, TaskFilesFault } from './contracts.ts';
import { ENGINE_BACKOFF } from './engine-view.ts';

export interface TaskFilesKeeperParts {
  /** Absent: there are none. */
  readonly files?: TaskFiles | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Null: the engine is in doubt. */
  readonly seen: () => { readonly tasks: LocalTasks; readonly containers: Containers } | null;
}

export class TaskFilesKeeper {
  readonly #parts: TaskFilesKeeperParts;
  readonly #busy = new Set<TaskId>();
  #failures = 0;
  #again: Timer | null = null;
  #isClosed = false;

  constructor(parts: TaskFilesKeeperParts) {
    this.#parts = parts;
  }

  /** Something may have ended. */
  look(): void {
    const { files, seen } = this.#parts;
    if (files === undefined || this.#isClosed || this.#again !== null || files.held.size === 0) return;
    const known = seen();
    if (known === null) return;
    for (const task of files.held) {
      if (this.#busy.has(task) || isNeeded(task, known)) continue;
      this.#busy.add(task);
      void this.#remove(files, task);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#again?.cancel();
  }

  async #remove(files: TaskFiles, task: TaskId): Promise<void> {
    try {
      await files.remove(task);
      this.#failures = 0;
    } catch (cause) {
      if (!(cause instanceof TaskFilesFault)) throw cause;
      this.#retry(cause);
    } finally {
      this.#busy.delete(task);
    }
  }

  #retry(fault: TaskFilesFault): void {
    const { clock, random, log } = this.#parts;
    if (this.#isClosed || this.#again !== null) return;
    const waitMs = jitteredBackoffMs(ENGINE_BACKOFF, this.#failures, random.next());
    this.#failures += 1;
    log.warn('could not remove what a task was given; it will be tried again', { cause: fault.message, waitMs });
    this.#again = clock.setTimer(waitMs, () => {
      this.#again = null;
      this.look();
    });
  }
}

function isNeeded(
  task: TaskId,
  { tasks, containers }: { readonly tasks: LocalTasks; readonly containers: Containers },
): boolean {
  const local = tasks.get(task);
  const mayStart = local !== undefined && local.phase !== 'ended';
  return mayStart || containers.get(task)?.state === 'running';
}
