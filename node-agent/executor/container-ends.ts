/** Ends what runs in a container, and takes away what is left of it. Each step is on record before the engine is asked for it. */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { Step } from '../core/diff.ts';
import { clipMessage } from '../core/model.ts';
import type { Book } from './book.ts';
import type { Runtime } from './contracts.ts';
import type { EngineView } from './engine-view.ts';

type StepOf<Type extends Step['type']> = Extract<Step, { readonly type: Type }>;

export interface ContainerEndsParts {
  readonly book: Book;
  readonly engine: EngineView;
  readonly runtime: Runtime;
}

export class ContainerEnds {
  readonly #parts: ContainerEndsParts;

  constructor(parts: ContainerEndsParts) {
    this.#parts = parts;
  }

  async stop({ task, container, signal, delayMs, graceMs, cause, message }: StepOf<'stop'>): Promise<void> {
    const { book, runtime } = this.#parts;
    const about = { task, graceMs, cause, message: clipMessage(message), atMs: book.now().wallMs };
    book.write({ kind: 'stopping', ...about, ...(delayMs > 0 && { delayMs }) });
    await book.durable();
    if (delayMs === 0) await runtime.signal(container, signal);
  }

  async signal({ task, container, signal }: StepOf<'signal'>): Promise<void> {
    const { book, runtime } = this.#parts;
    book.write({ kind: 'signalled', task, atMs: book.now().wallMs });
    await book.durable();
    await runtime.signal(container, signal);
  }

  async kill({ container }: StepOf<'kill'>): Promise<void> {
    await this.#parts.runtime.signal(container, 'SIGKILL');
  }

  async remove(step: StepOf<'remove'>): Promise<void> {
    const { book, runtime, engine } = this.#parts;
    if (step.isUnused && !(await this.#isStillUnused(step))) return;
    // The end must be on record before its only other witness goes.
    await book.durable();
    if (await runtime.remove(step.container)) engine.miss(step.task, step.container);
    else await engine.inspect(step.task, step.container);
  }

  /** It is to end at once, whatever the diff says of it: the next look kills it. */
  putEnd(task: TaskId, why: string): void {
    const { book } = this.#parts;
    if (book.tasks.get(task)?.stop !== null) return;
    const message = clipMessage(why);
    book.write({ kind: 'stopping', task, atMs: book.now().wallMs, graceMs: 0, cause: 'unguarded', message });
  }

  /** Puts it on record that the task has not run. A start that an agent before this one had sent may have come true meanwhile. */
  async #isStillUnused({ task, container }: StepOf<'remove'>): Promise<boolean> {
    const { book, runtime, engine } = this.#parts;
    const seen = await runtime.inspect(container);
    if (seen?.state === 'created') {
      if (book.tasks.has(task)) book.write({ kind: 'launch', task, isSent: false, boot: null });
      return true;
    }
    if (seen === null) engine.miss(task, container);
    else engine.see(seen);
    return false;
  }
}
