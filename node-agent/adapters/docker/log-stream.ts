/**
 * A container's output, line by line, read only as fast as it is taken. The engine's own way to follow can't be relied on: the
 * stream ends where a log file is rotated and where the container ends before all was sent, gives a new file twice, and skips
 * one when it comes late. So what counts is reads of what there is, which are exact; following only serves to be quick
 * where the reader has caught up, and is left for such a read at the first sign of trouble.
 */
import type Docker from 'dockerode';
import type { LogLine } from '../../../shared/protocol/agent.ts';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import { utcTime } from '../../../shared/util/utc-time.ts';
import { type LogRequest, RuntimeFault } from '../../executor/contracts.ts';
import { engineWords, statusOf } from './engine-errors.ts';
import { fullTime, LogFrames } from './log-frames.ts';
import { ResumePoint } from './log-resume.ts';

/** A look back at so many of the latest entries spares the engine from going through the whole log. */
const LOOK_BACK_LINES = 1000;
/** Lines of stdout and stderr may be dated in another order than they are kept in, by less than this. */
const DISORDER_MS = 1000;
/** A read that gave more has been overtaken meanwhile: read again before following. */
const CAUGHT_UP_LINES_MAX = 2000;
/** Lines that come later than this through a follow: it may soon skip a file. */
const LATE_MS = 500;
/** So long a silence is believed before it is checked; longer each time that it was true. */
const SILENCE_MIN_MS = 2000;
const SILENCE_MAX_MS = 30_000;
/** Before a look that follows one that found nothing, where the engine didn't wait. */
const PAUSE_MS = 100;

export interface LogSource {
  readonly docker: Docker;
  readonly container: string;
  readonly clock: Clock;
}

type Batches = AsyncGenerator<readonly LogLine[], number>;

export async function* readLogs(
  source: LogSource,
  request: LogRequest,
  signal: AbortSignal,
): AsyncGenerator<readonly LogLine[]> {
  const reader = new Reader(source, request, signal);
  try {
    yield* request.follow ? reader.follow() : reader.once();
  } catch (cause) {
    if (signal.aborted) return;
    throw new RuntimeFault(`read the output of container ${source.container}: ${engineWords(cause)}`, { cause });
  }
}

class Reader {
  readonly #source: LogSource;
  readonly #request: LogRequest;
  readonly #signal: AbortSignal;
  readonly #point = new ResumePoint();
  /** Only lines after this time are wanted. */
  readonly #after: string;
  /** And none before this one, where reading began with the latest lines: the earliest of those that the first read gave. */
  #first = '';
  #isFirstRead = true;

  constructor(source: LogSource, request: LogRequest, signal: AbortSignal) {
    this.#source = source;
    this.#request = request;
    this.#signal = signal;
    const isFromNow = request.follow && request.tail === 0;
    const now = isFromNow ? fullTime(new Date(source.clock.now()).toISOString()) : '';
    const since = request.since === null ? '' : (utcTime(request.since) ?? fullTime(request.since));
    this.#after = since > now ? since : now;
  }

  once(): Batches {
    return this.#read(this.#request.tail, true);
  }

  async *follow(): AsyncGenerator<readonly LogLine[]> {
    const { clock } = this.#source;
    let silenceMs = SILENCE_MIN_MS;
    for (let isFirst = true; !this.#signal.aborted; isFirst = false) {
      // Asked before the read: once it has ended, nothing comes after what is read then.
      const isRunning = await this.#isRunning();
      const read = yield* isFirst ? this.#read(this.#request.tail, !isRunning) : this.#readOn(!isRunning);
      if (!isRunning) return;
      if (read > CAUGHT_UP_LINES_MAX) continue;
      const beganMs = clock.monotonicMs();
      const followed = yield* this.#followOn(silenceMs);
      silenceMs = read + followed > 0 ? SILENCE_MIN_MS : Math.min(SILENCE_MAX_MS, silenceMs * 2);
      if (followed === 0 && clock.monotonicMs() - beganMs < PAUSE_MS) await sleep(clock, PAUSE_MS, this.#signal);
    }
  }

  /** What there is after the last line that was taken; resolves to how many lines that was. */
  async *#readOn(isLast: boolean): Batches {
    if (this.#point.latest === null) return yield* this.#read(this.#request.tail, isLast);
    const found = yield* this.#read(LOOK_BACK_LINES, isLast, true);
    return found >= 0 ? found : yield* this.#read(null, isLast);
  }

  /** With `mustOverlap`, -1 and nothing read where lines between may be missing. */
  async *#read(tail: number | null, isLast: boolean, mustOverlap = false): Batches {
    this.#isFirstRead = this.#point.latest === null;
    let count = 0;
    let isChecked = !mustOverlap;
    const frames = new LogFrames();
    this.#point.begin();
    const leaving = new AbortController();
    const since = mustOverlap ? null : this.#since();
    try {
      const signal = AbortSignal.any([this.#signal, leaving.signal]);
      for await (const chunk of await openLogs(this.#source, { follow: false, tail, since }, signal)) {
        const lines = frames.push(Buffer.from(chunk));
        const [first] = lines;
        if (!isChecked && first !== undefined) {
          if (!this.#point.isBefore(first)) return -1;
          isChecked = true;
        }
        const fresh = lines.filter((line) => this.#take(line));
        count += fresh.length;
        if (fresh.length > 0) yield fresh;
      }
    } finally {
      leaving.abort();
    }
    if (!isChecked) return -1;
    // What has no end yet may still get one: the next read gives it whole.
    const rest = isLast ? frames.end().filter((line) => this.#take(line)) : [];
    if (rest.length > 0) yield rest;
    return count + rest.length;
  }

  /** Until the engine ends it, is silent for so long, or gives what a follow in good order doesn't. */
  async *#followOn(silenceMs: number): Batches {
    const { clock } = this.#source;
    const openedMs = clock.now();
    const frames = new LogFrames();
    this.#point.begin();
    const leaving = new AbortController();
    const signal = AbortSignal.any([this.#signal, leaving.signal]);
    const isResumed = this.#point.latest !== null;
    this.#isFirstRead = !isResumed;
    const options = { follow: true, tail: isResumed ? LOOK_BACK_LINES : null, since: isResumed ? null : this.#since() };
    let count = 0;
    let isChecked = !isResumed;
    try {
      const chunks = (await openLogs(this.#source, options, signal))[Symbol.asyncIterator]();
      for (;;) {
        const next = await within(chunks.next(), silenceMs, clock);
        if (next === null || next.done === true) return count;
        const lines = frames.push(Buffer.from(next.value));
        const [first] = lines;
        if (!isChecked && first !== undefined && !this.#point.isBefore(first)) return count;
        isChecked ||= first !== undefined;
        const { fresh, isInOrder } = this.#takeInOrder(lines, openedMs);
        count += fresh.length;
        if (fresh.length > 0) yield fresh;
        if (!isInOrder) return count;
      }
    } finally {
      leaving.abort();
    }
  }

  #takeInOrder(lines: readonly LogLine[], openedMs: number): { fresh: LogLine[]; isInOrder: boolean } {
    const nowMs = this.#source.clock.now();
    const fresh: LogLine[] = [];
    for (const line of lines) {
      const atMs = Date.parse(line.at);
      const isLate = atMs > openedMs && atMs < nowMs - LATE_MS;
      if (isLate || this.#point.isRepeated(line)) return { fresh, isInOrder: false };
      if (this.#take(line)) fresh.push(line);
    }
    return { fresh, isInOrder: true };
  }

  #take(line: LogLine): boolean {
    if (line.at <= this.#after) return false;
    // Lines of stdout and stderr may come in another order than they are dated in: the first one needn't be the earliest.
    if (!this.#isFirstRead && line.at < this.#first) return false;
    if (this.#isFirstRead && this.#request.tail !== null && (this.#first === '' || line.at < this.#first)) {
      this.#first = line.at;
    }
    return this.#point.take(line);
  }

  #since(): string | null {
    const { latest } = this.#point;
    if (latest === null) return this.#after === '' ? null : this.#after;
    return new Date(Date.parse(latest) - DISORDER_MS).toISOString();
  }

  async #isRunning(): Promise<boolean> {
    const { docker, container } = this.#source;
    try {
      const { State: state } = await docker.getContainer(container).inspect({ abortSignal: this.#signal });
      return state.Running;
    } catch (cause) {
      if (statusOf(cause) === 404) return false;
      throw cause;
    }
  }
}

/** Null: it took longer. */
async function within<T>(promise: Promise<T>, ms: number, clock: Clock): Promise<T | null> {
  const over = new AbortController();
  // Where nobody waits for it any more, its failure is nobody's.
  promise.catch(() => {});
  try {
    return await Promise.race([promise, sleep(clock, ms, over.signal).then(() => null)]);
  } finally {
    over.abort();
  }
}

/**
 * Through the client's own transport, since its `logs` would read the whole output into memory where it isn't followed.
 */
function openLogs(
  { docker, container }: LogSource,
  request: LogRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const options = {
    stdout: true,
    stderr: true,
    timestamps: true,
    follow: request.follow,
    tail: request.tail === null ? 'all' : String(request.tail),
    ...(request.since === null ? {} : { since: epochSeconds(request.since) }),
  };
  return new Promise((resolve, reject) => {
    docker.modem.dial(
      {
        path: `/containers/${container}/logs?`,
        method: 'GET',
        isStream: true,
        abortSignal: signal,
        statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
        options,
      },
      (error: unknown, stream: unknown) => {
        if (error) reject(error);
        else resolve(stream as AsyncIterable<Uint8Array>);
      },
    );
  });
}

/** Seconds with all nine decimals, as a text: a number would lose the last ones. */
export function epochSeconds(time: string): string {
  const full = utcTime(time) ?? fullTime(time);
  const fraction = /\.(\d{9})Z$/.exec(full)?.[1] ?? '000000000';
  return `${Math.floor(Date.parse(time) / 1000)}.${fraction}`;
}
