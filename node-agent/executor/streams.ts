/**
 * Sends tasks' output to whoever asked for it. The control plane lists what is wanted; each stream is dialled out once and
 * lives until its output has ended or it disappears from the list. One that fails while it is still listed is dialled again:
 * where the reader had been reached the control plane refuses it, and the reader asks anew, and says from where.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { LogLine, StreamRequest } from '../../shared/protocol/agent.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import type { Container } from '../core/model.ts';
import { type ControlPlane, ControlPlaneFault, type Log, type Runtime, RuntimeFault } from './contracts.ts';
import { Limiter } from './limiter.ts';

/**
 * Streams that are read and sent at a time. One that follows stays for as long as its task, so there is no sense in waiting for
 * a place: further readers are told so. A quiet one takes some 50 KiB, for its two connections.
 */
export const STREAMS_AT_ONCE_MAX = 256;
/** Readers that are being turned away at a time; it takes each one call, so the others wait. */
const REFUSALS_AT_ONCE_MAX = 8;
/** A reader waits ten seconds for the agent. */
const DIAL_BACKOFF: BackoffPolicy = { baseMs: 250, factor: 2, maxMs: 5000 };

export interface StreamsParts {
  readonly controlPlane: ControlPlane;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly random: Random;
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
}

type Lines = (signal: AbortSignal) => AsyncIterable<readonly LogLine[]>;

export class Streams {
  readonly #parts: StreamsParts;
  readonly #streams = new Map<string, Stream>();
  readonly #waiters = new Set<() => void>();
  readonly #refusals = new Limiter(REFUSALS_AT_ONCE_MAX);
  /** Those that are listed, and read and sent. */
  readonly #sending = new Set<Stream>();

  constructor(parts: StreamsParts) {
    this.#parts = parts;
  }

  /** What is wanted now. Streams that are no longer listed end; those that have ended are forgotten with their listing. */
  want(requests: readonly StreamRequest[]): void {
    const listed = new Map(requests.map((request) => [request.id, request]));
    for (const [id, stream] of this.#streams) {
      if (listed.has(id)) continue;
      stream.abort.abort();
      this.#sending.delete(stream);
      this.#streams.delete(id);
    }
    for (const [id, request] of listed) {
      if (this.#streams.has(id)) continue;
      const stream = { request, abort: new AbortController() };
      this.#streams.set(id, stream);
      this.#begin(stream);
    }
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

  #begin(stream: Stream): void {
    if (this.#sending.size >= STREAMS_AT_ONCE_MAX) {
      void this.#refusals.run(() => this.#send(stream, tooMany));
      return;
    }
    this.#sending.add(stream);
    void this.#send(stream, (signal) => this.#lines(stream.request, signal)).finally(() => {
      this.#sending.delete(stream);
    });
  }

  /** Until it has been sent, or is no longer listed. */
  async #send(stream: Stream, lines: Lines): Promise<void> {
    const { clock, random } = this.#parts;
    const { signal } = stream.abort;
    for (let retry = 0; !signal.aborted; retry += 1) {
      if (await this.#dial(stream, lines)) return;
      await sleep(clock, jitteredBackoffMs(DIAL_BACKOFF, retry, random.next()), signal);
    }
  }

  /** False: it may help to dial again. */
  async #dial({ request, abort }: Stream, lines: Lines): Promise<boolean> {
    const { controlPlane, log, epoch } = this.#parts;
    const over = new AbortController();
    const end = () => over.abort();
    abort.signal.addEventListener('abort', end, { once: true });
    try {
      await controlPlane.stream(epoch(), request.id, lines(over.signal), over.signal);
      return true;
    } catch (cause) {
      if (abort.signal.aborted) return true;
      if (!(cause instanceof ControlPlaneFault)) throw cause;
      log.debug('a stream of output broke off', { stream: request.id, task: request.task, cause: cause.message });
      return cause.kind === 'refused' || cause.kind === 'invalid';
    } finally {
      abort.signal.removeEventListener('abort', end);
      // Nobody takes further lines: whatever still reads them ends.
      end();
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

async function* tooMany(): AsyncGenerator<readonly LogLine[]> {
  yield [
    lastWords(`the node sends output to ${STREAMS_AT_ONCE_MAX} readers already; try again when one of them has left`),
  ];
}

function lastWords(error: string): LogLine {
  return { at: '', stream: 'stderr', text: '', error };
}
