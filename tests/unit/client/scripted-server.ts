/** A strict stand-in for the network: each request must be the next one that the test expects, and gets what it says. */
import { expect } from 'vitest';
import { type BerthClient, createClient } from '../../../shared/client/client.ts';
import type { ClientOptions, RetryNote } from '../../../shared/client/transport.ts';
import type { Clock } from '../../../shared/util/clock.ts';

export interface SeenRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: unknown;
  readonly signal: AbortSignal;
}

export type Reply = (request: SeenRequest) => Response | Promise<Response>;

export interface ScriptedServer {
  readonly client: BerthClient;
  /** What the client calls. */
  readonly fetch: typeof fetch;
  readonly clock: VirtualClock;
  readonly requests: readonly SeenRequest[];
  readonly retries: readonly RetryNote[];
  /** Lets virtual time pass whenever nothing else happens, until the promise settles. */
  settle<T>(promise: Promise<T>): Promise<T>;
}

export function scriptedServer(
  replies: readonly Reply[],
  options: Partial<Pick<ClientOptions, 'timeoutMs' | 'otherAddresses' | 'freshToken'>> = {},
): ScriptedServer {
  const clock = new VirtualClock();
  const requests: SeenRequest[] = [];
  const retries: RetryNote[] = [];
  const answer: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const text = await request.clone().text();
    const seen: SeenRequest = {
      method: request.method,
      url: new URL(request.url),
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      signal: request.signal,
    };
    const reply = replies[requests.length];
    requests.push(seen);
    if (reply === undefined) throw new Error(`no reply is scripted for ${seen.method} ${seen.url.href}`);
    return reply(seen);
  };
  const client = createClient({
    address: 'http://berth.test/',
    token: 'a-token',
    clock,
    random: { next: () => 0.5, bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) },
    onRetry: (note) => retries.push(note),
    ...options,
    fetch: answer,
  });
  return { client, fetch: answer, clock, requests, retries, settle: (promise) => settle(clock, promise) };
}

async function settle<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const mark = () => {
    settled = true;
  };
  promise.then(mark, mark);
  for (let turns = 0; !settled; turns += 1) {
    expect(turns, 'the promise settles').toBeLessThan(10_000);
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    if (!settled) clock.fireNext();
  }
  return promise;
}

export class VirtualClock implements Clock {
  #nowMs = Date.UTC(2026, 0, 1);
  #timers: { atMs: number; callback: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void) {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((each) => each !== timer);
      },
    };
  }

  /** Goes to the time of the next timer and fires it. */
  fireNext(): void {
    const [next] = this.#timers.toSorted((a, b) => a.atMs - b.atMs);
    if (next === undefined) return;
    this.#timers = this.#timers.filter((each) => each !== next);
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.callback();
  }
}

export function json(body: unknown, options: { status?: number; headers?: Record<string, string> } = {}): Reply {
  return () => Response.json(body, options);
}

export function problem(status: number, code: string, more: object = {}): Reply {
  const body = { type: 'about:blank', title: code, status, code, detail: `it is ${code}`, requestId: 'r-1', ...more };
  return () => new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/problem+json' } });
}

/** What fetch throws when a connection can't be made, or breaks. */
export function networkFault(code: string): Reply {
  return () => {
    throw new TypeError('fetch failed', { cause: Object.assign(new Error(`connect ${code}`), { code }) });
  };
}

/** Never answers; gives up when the caller does, as fetch does. */
export function silence(): Reply {
  return ({ signal }) =>
    new Promise((_resolve, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener('abort', () => reject(signal.reason));
    });
}

/** A stream of these pieces of text; then it ends, breaks, or stays open without a word. */
export function stream(pieces: readonly string[], end: 'close' | 'break' | 'hang' = 'close'): Reply {
  return ({ signal }) => {
    const encoder = new TextEncoder();
    let at = 0;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        signal.addEventListener('abort', () => controller.error(signal.reason));
      },
      pull(controller) {
        const piece = pieces[at];
        at += 1;
        if (piece !== undefined) controller.enqueue(encoder.encode(piece));
        else if (end === 'close') controller.close();
        else if (end === 'break') controller.error(new TypeError('terminated'));
      },
    });
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
  };
}
