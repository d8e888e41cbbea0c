/**
 * Tells when tasks end. A supervisor leaves a file in a folder that is watched, so that an end is known at once; a look at all that
 * runs once a second makes up for what the watch misses, and for a supervisor that was killed.
 */
import { type FSWatcher, watch } from 'node:fs';
import type { Clock, Timer } from '../../../shared/util/clock.ts';
import type { Container } from '../../core/model.ts';
import type { RuntimeListener, Subscription } from '../../executor/contracts.ts';

const LOOK_EVERY_MS = 1000;

export interface EndWatchParts {
  /** Where supervisors leave a file named after the task. */
  readonly dir: string;
  readonly clock: Clock;
  readonly isOver: (container: string) => Promise<boolean>;
  /** At each look, of what runs. */
  readonly onLook: (container: string) => void;
  /** Begins and ends being looked at. */
  readonly onSeen: (container: string, isRunning: boolean) => void;
}

type Running = Pick<Container, 'id' | 'task'>;

export class EndWatch {
  readonly #parts: EndWatchParts;
  readonly #running = new Map<string, Running>();
  #listener: RuntimeListener | null = null;
  #watcher: FSWatcher | null = null;
  #timer: Timer | null = null;

  constructor(parts: EndWatchParts) {
    this.#parts = parts;
  }

  open(listener: RuntimeListener): Subscription {
    this.#listener = listener;
    const watcher = watch(this.#parts.dir, { persistent: false }, (_event, name) => this.#ended(name));
    // Without a watch the looks are still there.
    watcher.on('error', () => watcher.close());
    this.#watcher = watcher;
    queueMicrotask(() => this.#listener?.onGap());
    this.#lookAgain();
    return { close: () => this.#close() };
  }

  /** Everything that runs. */
  set(running: readonly Running[]): void {
    const ids = new Set(running.map(({ id }) => id));
    for (const id of [...this.#running.keys()]) if (!ids.has(id)) this.drop(id);
    for (const each of running) this.add(each);
  }

  add(running: Running): void {
    if (this.#running.has(running.id)) return;
    this.#running.set(running.id, { id: running.id, task: running.task });
    this.#parts.onSeen(running.id, true);
  }

  drop(container: string): void {
    if (this.#running.delete(container)) this.#parts.onSeen(container, false);
  }

  #ended(task: string | null): void {
    for (const running of this.#running.values()) {
      if (running.task === task) this.#listener?.onEnd(running.task, running.id);
    }
  }

  async #look(): Promise<void> {
    for (const { id, task } of [...this.#running.values()]) {
      this.#parts.onLook(id);
      if ((await this.#parts.isOver(id)) && this.#running.has(id)) this.#listener?.onEnd(task, id);
    }
  }

  #lookAgain(): void {
    this.#timer = this.#parts.clock.setTimer(LOOK_EVERY_MS, () => {
      const again = () => {
        if (this.#listener !== null) this.#lookAgain();
      };
      // What can't be looked at is looked at again; whoever asks about it meanwhile is told why it can't be.
      this.#look().then(again, again);
    });
  }

  #close(): void {
    this.#listener = null;
    this.#watcher?.close();
    this.#timer?.cancel();
  }
}
