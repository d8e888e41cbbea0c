/**
 * Sends tasks' output to whoever asked for it. The control plane lists what is wanted; each stream is dialled out once and
 * lives until its output has ended or it disappears from the list. A stream that breaks is not sent again by itself: the
 * reader asks anew, and says from where.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { LogLine, StreamRequest } from '../../shared/protocol/agent.ts';
import type { Container } from '../core/model.ts';
import { type ControlPlane, ControlPlaneFault, type Log, type Runtime, RuntimeFault } from './contracts.ts';

/** Streams that are read and sent at a time; further ones wait their turn. */
export const STREAMS_AT_ONCE_MAX = 16;

export interface StreamsParts {
  readonly controlPlane: ControlPlane;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly epoch: () => number;
  /** The task's container, if there is one. */
  readonly container: (task: TaskId) => Container | undefined;
  /** Whether the task may still get one. */
  readonly isAwaited: (task: TaskId) => boolean;
}

interface Stream {
  readonly request: StreamRequest;
  readonly abort: AbortController;
  isBegun: boolean;
}

export class Streams {
  readonly #parts: StreamsParts;
  readonly #streams = new Map<string, Stream>();
  readonly #waiters = new Set<() => void>();
  #sending = 0;

  constructor(parts: StreamsParts) {
    this.#parts = parts;
  }

  /** What is wanted now. Streams that are no longer listed end; those that have ended are forgotten with their listing. */
  want(requests: readonly StreamRequest[]): void {
    const listed = new Map(requests.map((request) => [request.id, request]));
    for (const [id, stream] of this.#streams) {
      if (listed.has(id)) continue;
      stream.abort.abort();
      this.#streams.delete(id);
    }
    for (const [id, request] of listed) {
      if (this.#streams.has(id)) continue;
      this.#streams.set(id, { request, abort: new AbortController(), isBegun: false });
    }
    this.#beginWaiting();
    this.look();
  }

  /** Containers have come or gone: streams that wait for one look again. */
  look(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.abort.abort();
    this.#streams.clear();
  }

  #beginWaiting(): void {
    for (const stream of this.#streams.values()) {
      if (this.#sending >= STREAMS_AT_ONCE_MAX) return;
      if (stream.isBegun) continue;
      stream.isBegun = true;
      this.#sending += 1;
      void this.#send(stream).finally(() => {
        this.#sending -= 1;
        this.#beginWaiting();
      });
    }
  }

  async #send({ request, abort }: Stream): Promise<void> {
    const { controlPlane, log, epoch } = this.#parts;
    try {
      await controlPlane.stream(epoch(), request.id, this.#lines(request, abort.signal), abort.signal);
    } catch (cause) {
      if (abort.signal.aborted) return;
      if (!(cause instanceof ControlPlaneFault)) throw cause;
      log.debug('a stream of output broke off', { stream: request.id, task: request.task, cause: cause.message });
    } finally {
      // Nobody takes further lines: whatever still reads them ends.
      abort.abort();
    }
  }

  async *#lines(request: StreamRequest, signal: AbortSignal): AsyncGenerator<readonly LogLine[]> {
    const container = await this.#container(request, signal);
    if (signal.aborted) return;
    if (container === undefined) {
      yield [lastWords('the node has no output of this task: it has not started, or its container is no longer kept')];
      return;
    }
    try {
      yield* this.#parts.runtime.logs(container.id, request, signal);
    } catch (cause) {
      if (signal.aborted) return;
      if (!(cause instanceof RuntimeFault)) throw cause;
      yield [lastWords(`the output can't be read: ${cause.message}`)];
    }
  }

  /** A stream that follows waits for its container to be started; the others take what there is. */
  async #container(request: StreamRequest, signal: AbortSignal): Promise<Container | undefined> {
    const { container, isAwaited } = this.#parts;
    for (;;) {
      const found = container(request.task);
      if (found !== undefined && found.state !== 'created') return found;
      if (!request.follow || signal.aborted || !isAwaited(request.task)) return found;
      await this.#somethingChanged(signal);
    }
  }

  #somethingChanged(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiters.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiters.add(done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }
}

function lastWords(error: string): LogLine {
  return { at: '', stream: 'stderr', text: '', error };
}
