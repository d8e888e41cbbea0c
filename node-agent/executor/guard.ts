/**
 * Keeps in the dead-man's care what must not run while the node is cut off: from before its start until its end is on record. What
 * an agent before this one started is taken into care as soon as it is seen.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Container, LocalTask } from '../core/model.ts';
import type { Book } from './book.ts';
import { type Fence, FenceFault, type Log, type Runtime, RuntimeFault } from './contracts.ts';
import type { EngineView } from './engine-view.ts';

/** A container that runs and has no process to be seen is looked at so often, before it counts as out of reach. */
const ESCAPE_LOOKS = 3;
const ESCAPE_LOOK_AGAIN_MS = 500;

export interface GuardParts {
  readonly fence: Fence;
  readonly book: Book;
  readonly engine: EngineView;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether the control plane can be reached, as far as is known, and has said in the present session that the task is wanted. */
  readonly isWanted: (task: TaskId) => boolean;
  /** The dead-man can't reach the task's container, which runs. */
  readonly onEscape: (task: TaskId, why: string) => void;
}

export class Guard {
  readonly #parts: GuardParts;
  /** Containers that are being started, which nobody has seen yet. */
  readonly #starting = new Map<TaskId, string>();
  /** Containers that the dead-man was found to reach, or that are being looked at. */
  readonly #checked = new Set<string>();
  /** Why a container was out of the dead-man's reach: so would be the next. */
  #escape: string | null = null;

  constructor(parts: GuardParts) {
    this.#parts = parts;
  }

  /** Why the node can't run the task; null: it can. */
  async refusalOf({ stopAfterDisconnectMs }: AssignedTask): Promise<string | null> {
    if (stopAfterDisconnectMs === null) return null;
    const why = this.#escape ?? (await this.#parts.fence.refusal());
    return why === null ? null : unable(why);
  }

  /**
   * Right before the engine is asked to start it. Throws {@link FenceFault} where the present session doesn't say that it is wanted (it
   * may have been given up while this process was held up, and run elsewhere by now), and where the dead-man would soon have to stop
   * it: half of the time that it may run without contact has to be left, since a start takes its time too.
   */
  async beforeStart({ id, stopAfterDisconnectMs }: AssignedTask, container: string): Promise<void> {
    if (stopAfterDisconnectMs === null) return;
    const { fence, isWanted } = this.#parts;
    this.#starting.set(id, container);
    await fence.arm(container, stopAfterDisconnectMs);
    if (isWanted(id) && fence.contactAgeMs() <= stopAfterDisconnectMs / 2) return;
    throw new FenceFault('start a task that may not run without contact: the control plane does not ask for it now');
  }

  /** No step of the task is under way any more. */
  settled(task: TaskId): void {
    this.#starting.delete(task);
  }

  /** Of the containers that have ended and aren't on record as ended yet, those that the dead-man has killed. */
  fenced(): ReadonlySet<string> {
    const { fence } = this.#parts;
    const ended = this.#ours().filter(
      ({ container, local }) => container.state === 'exited' && local.phase !== 'ended',
    );
    return new Set(ended.map(({ container }) => container.id).filter((id) => fence.hasStopped(id)));
  }

  /**
   * Takes into care and lets go, by what the engine shows. To be called only where that is known. What is in care stays there until it
   * has ended or is gone, whether or not the book knows it: an agent that has lost its journal must not set free what it doesn't
   * remember. Where the book does know it, until the end is on record.
   */
  look(): void {
    const { fence, book, engine } = this.#parts;
    const isOver = ({ state, task }: Container) =>
      state === 'exited' && (book.tasks.get(task)?.phase ?? 'ended') === 'ended';
    const kept = [...engine.containers.values()].filter((container) => !isOver(container));
    const ids = new Set(kept.map(({ id }) => id));
    fence.keepOnly(new Set([...this.#starting.values(), ...ids]));
    for (const id of this.#checked) if (!ids.has(id)) this.#checked.delete(id);
    for (const { container, local } of this.#ours()) if (container.state === 'running') this.#watch(container, local);
  }

  #watch({ id, task }: Container, { stopAfterMs, stop }: LocalTask): void {
    const { fence, log } = this.#parts;
    if (stopAfterMs !== null && !fence.isArmed(id)) {
      fence.arm(id, stopAfterMs).catch((cause: unknown) => {
        if (!(cause instanceof FenceFault)) throw cause;
        log.warn('a task is not under watch; it will be tried again', { task, cause: cause.message });
      });
    }
    if (stop !== null || this.#checked.has(id)) return;
    this.#checked.add(id);
    this.#check(id, task).catch((cause: unknown) => {
      if (!(cause instanceof RuntimeFault)) throw cause;
      // Looked at again when the engine answers.
      this.#checked.delete(id);
    });
  }

  async #check(container: string, task: TaskId): Promise<void> {
    const { fence, runtime, clock, onEscape } = this.#parts;
    for (let looks = 1; ; looks += 1) {
      const why = await fence.escapeOf(container);
      if (why === null) return;
      // What has just ended has no processes either, and the engine may take a moment to notice.
      const seen = await runtime.inspect(container);
      if (seen?.state !== 'running') return;
      if (looks === ESCAPE_LOOKS) {
        this.#escape = why;
        return onEscape(task, unable(why));
      }
      await sleep(clock, ESCAPE_LOOK_AGAIN_MS);
    }
  }

  #ours(): { readonly container: Container; readonly local: LocalTask }[] {
    const { engine, book } = this.#parts;
    return [...engine.containers.values()].flatMap((container) => {
      const local = book.tasks.get(container.task);
      return local === undefined || local.stopAfterMs === null ? [] : [{ container, local }];
    });
  }
}

function unable(why: string): string {
  return `the node can't see to it that the task stops when the node is cut off (stopAfterDisconnectSeconds): ${why}`;
}
