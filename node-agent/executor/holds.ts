/** For which tasks the engine is left alone for a while, and how often in a row it has failed each of them. */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { Step } from '../core/diff.ts';

export type EngineStep = Extract<Step, { readonly type: 'start' | 'stop' | 'signal' | 'kill' | 'remove' }>;

const ENGINE_STEPS: readonly Step['type'][] = ['start', 'stop', 'signal', 'kill', 'remove'];

export function isEngineStep(step: Step): step is EngineStep {
  return ENGINE_STEPS.some((type) => type === step.type);
}

interface Hold {
  readonly untilMs: number;
  readonly isKillOnly: boolean;
}

export class Holds {
  readonly #holds = new Map<TaskId, Hold>();
  readonly #faults = new Map<TaskId, number>();

  /** No further step of the task at the engine until then. */
  hold(task: TaskId, untilMs: number): void {
    this.#holds.set(task, { untilMs, isKillOnly: false });
  }

  /** No further kill of it until then. */
  holdKill(task: TaskId, untilMs: number): void {
    this.#holds.set(task, { untilMs, isKillOnly: true });
  }

  /** On the steady clock. What only goes on record is never held back. */
  untilMs(step: Step): number {
    const hold = this.#holds.get(step.task);
    if (hold === undefined || !isEngineStep(step)) return 0;
    return hold.isKillOnly && step.type !== 'kill' ? 0 : hold.untilMs;
  }

  /** A step of the task came to nothing; how many have in a row. */
  failed(task: TaskId): number {
    const faults = (this.#faults.get(task) ?? 0) + 1;
    this.#faults.set(task, faults);
    return faults;
  }

  /** A step of the task was done. */
  succeeded(task: TaskId): void {
    this.#faults.delete(task);
  }

  forget(task: TaskId): void {
    this.#holds.delete(task);
    this.#faults.delete(task);
  }
}
