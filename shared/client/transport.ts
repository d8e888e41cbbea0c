/**
 * One request and its answer. What may be repeated is repeated here, and only that: reads, calls that carry an idempotency
 * key, and calls that certainly never left. Every answer's revision is remembered and sent along with the next request, so
 * that no replica answers from a past that this client has already left behind.
 */
import type { z } from 'zod';
import { isLater, parsePosition, positionText, type StatePosition } from '../protocol/position.ts';
import { type Problem, problemSchema } from '../protocol/views.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../util/backoff.ts';
import { type Clock, sleep } from '../util/clock.ts';
import type { Random } from '../util/random.ts';
import { ApiError, networkReason, UnexpectedAnswerError, UnreachableError, wasNeverSent } from './errors.ts';

export interface ClientOptions {
  /** Where the control plane listens, such as `http://127.0.0.1:7878`; a path is kept as a prefix. */
  readonly address: string;
  /** Where the same control plane listens as well: taken in turn when the last one that was asked doesn't answer. */
  readonly otherAddresses?: readonly string[];
  /** A JWT; null sends none. */
  readonly token: string | null;
  /**
   * Asked when the token is refused: which one to go on with, such as what its file holds by now; null: there is no other. Never
   * rejects. Absent: the token is never changed.
   */
  readonly freshToken?: () => Promise<string | null>;
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  readonly random: Random;
  /** A whole call may take this long, attempts and the waits between them included. Default: 60 s. */
  readonly timeoutMs?: number;
  /** Default: 4. */
  readonly attemptsMax?: number;
  /** Told before each wait: a person wants to know why nothing happens. */
  readonly onRetry?: (note: RetryNote) => void;
}

export interface RetryNote {
  readonly why: string;
  readonly waitMs: number;
}

export type QueryValue = string | number | boolean | readonly string[] | null | undefined;

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** From `/v1` on, each segment already escaped. */
  readonly path: string;
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** `safe`: a second time does nothing more. `unsent`: repeat it only if the first try can't have arrived. */
  readonly repeat: 'safe' | 'unsent';
  readonly signal?: AbortSignal | undefined;
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
  /** The version in the ETag, to be handed back as `ifVersion`; null where the answer has none. */
  readonly version: number | null;
  /** The same call had been carried out before; this is its first answer. */
  readonly replayed: boolean;
}

export interface OpenedStream {
  readonly body: ReadableStream<Uint8Array>;
  /** Nothing comes any more from where it was opened: the next call goes elsewhere, if there is another address. */
  readonly leave: () => void;
  /** Whether there is another token by now than the one that it was opened with; the next call goes with that. */
  readonly renewToken: () => Promise<boolean>;
}

export interface Transport {
  readonly options: ClientOptions;
  call<S extends z.ZodType>(request: ApiRequest, schema: S): Promise<Answer<z.output<S>>>;
  /** Opens a stream: resolves once the server has accepted, with the body still to be read. Tries once. */
  open(request: ApiRequest, signal: AbortSignal): Promise<OpenedStream>;
  /**
   * How far any answer has shown the state; null before the first. Once the cluster was recovered from an older state, the next
   * call throws an ApiError with the code `history-changed`, and this goes on from there.
   */
  position(): StatePosition | null;
}

const TIMEOUT_MS = 60_000;
const ATTEMPTS_MAX = 4;
const RETRY: BackoffPolicy = { baseMs: 150, factor: 2, maxMs: 5_000 };
const RETRY_AFTER_MAX_MS = 10_000;

export function createTransport(options: ClientOptions): Transport {
  const addresses = addressRing(options);
  const tokens = tokenHolder(options);
  let position: StatePosition | null = null;

  /** A call that is refused for its token was not carried out: it goes once more with another one, where there is one. */
  async function send(request: ApiRequest, signal: AbortSignal): Promise<Response> {
    const used = tokens.current();
    const response = await sendWith(used, request, signal);
    if (response.status !== 401 || !(await tokens.renew(used))) return response;
    await response.body?.cancel();
    return sendWith(tokens.current(), request, signal);
  }

  async function sendWith(token: string | null, request: ApiRequest, signal: AbortSignal): Promise<Response> {
    const response = await addresses.ask((base) =>
      options.fetch(base + request.path + queryString(request.query), {
        method: request.method,
        headers: headersOf(request, token, position),
        body: request.body === undefined ? null : JSON.stringify(request.body),
        signal,
        redirect: 'error',
      }),
    );
    const seen = parsePosition(response.headers.get('Berth-Revision') ?? '');
    if (seen !== null && (position === null || isLater(seen, position))) position = seen;
    return response;
  }

  return {
    options,
    position: () => position,
    async call(request, schema) {
      const { response, text, repeated } = await sendWithRetries(options, request, send);
      if (!response.ok) throw new ApiError(problemOf(addresses.current(), response, text), { repeated });
      return {
        status: response.status,
        body: parseBody(addresses.current(), text, schema),
        version: versionOf(response.headers.get('ETag')),
        replayed: response.headers.get('Idempotency-Replayed') === 'true',
      };
    },
    async open(request, signal) {
      const asked = addresses.current();
      const used = tokens.current();
      const response = await send(request, signal);
      if (!response.ok) throw new ApiError(problemOf(addresses.current(), response, await response.text()));
      if (response.body === null) throw new UnexpectedAnswerError(addresses.current(), 'a stream without a body');
      return { body: response.body, leave: () => addresses.leave(asked), renewToken: () => tokens.renew(used) };
    },
  };
}

interface TokenHolder {
  current(): string | null;
  /** Whether there is another one than that. */
  renew(refused: string | null): Promise<boolean>;
}

function tokenHolder({ token: first, freshToken }: ClientOptions): TokenHolder {
  let token = first;
  return {
    current: () => token,
    async renew(refused) {
      // Another call may have been refused before, and has renewed it.
      if (token !== refused) return true;
      token = (await freshToken?.()) ?? token;
      return token !== refused;
    },
  };
}

interface AddressRing {
  /** Asks at the address that answered last. If it doesn't, or says that it can't now, the next call goes to the next one. */
  ask(send: (base: string) => Promise<Response>): Promise<Response>;
  current(): string;
  /** Several calls that fail at one address lead to the next one together, not each of them one further. */
  leave(failed: string): void;
}

function addressRing({ address, otherAddresses = [] }: ClientOptions): AddressRing {
  const bases = [address, ...otherAddresses].map((one) => one.replace(/\/+$/, ''));
  let at = 0;
  const current = () => bases[at] ?? address;
  const leave = (failed: string) => {
    if (current() === failed) at = (at + 1) % bases.length;
  };
  return {
    current,
    leave,
    async ask(send) {
      const asked = current();
      try {
        const response = await send(asked);
        if (isAway(response)) leave(asked);
        return response;
      } catch (error) {
        leave(asked);
        throw error;
      }
    },
  };
}

/** The server, or a proxy before it, can't answer at present. */
function isAway({ status }: Response): boolean {
  return [502, 503, 504].includes(status);
}

interface Sent {
  readonly response: Response;
  readonly text: string;
  readonly repeated: boolean;
}

async function sendWithRetries(
  options: ClientOptions,
  request: ApiRequest,
  send: (request: ApiRequest, signal: AbortSignal) => Promise<Response>,
): Promise<Sent> {
  const deadline = deadlineSignal(options.clock, options.timeoutMs ?? TIMEOUT_MS, request.signal);
  const attemptsMax = options.attemptsMax ?? ATTEMPTS_MAX;
  try {
    for (let attempt = 0; ; attempt += 1) {
      const outcome = await sendOnce(request, send, deadline.signal);
      request.signal?.throwIfAborted();
      const last = attempt + 1 >= attemptsMax || deadline.signal.aborted;
      if (outcome.kind === 'answer' && (last || !isBusy(outcome.response, request))) {
        return { response: outcome.response, text: outcome.text, repeated: attempt > 0 };
      }
      if (outcome.kind === 'fault' && (last || !mayRepeat(request, outcome.error))) {
        throw new UnreachableError(
          options.address,
          deadline.expired() ? 'it took too long' : networkReason(outcome.error),
        );
      }
      await pause(options, attempt, outcome, deadline.signal);
    }
  } finally {
    deadline.cancel();
  }
}

type Outcome =
  | { readonly kind: 'answer'; readonly response: Response; readonly text: string }
  | { readonly kind: 'fault'; readonly error: unknown };

async function sendOnce(
  request: ApiRequest,
  send: (request: ApiRequest, signal: AbortSignal) => Promise<Response>,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    const response = await send(request, signal);
    return { kind: 'answer', response, text: await response.text() };
  } catch (error) {
    return { kind: 'fault', error };
  }
}

async function pause(options: ClientOptions, attempt: number, outcome: Outcome, signal: AbortSignal): Promise<void> {
  const backoff = jitteredBackoffMs(RETRY, attempt, options.random.next());
  const waitMs = outcome.kind === 'answer' ? Math.max(backoff, retryAfterMs(outcome.response)) : backoff;
  const why = outcome.kind === 'answer' ? `it answered ${outcome.response.status}` : networkReason(outcome.error);
  options.onRetry?.({ why, waitMs });
  await sleep(options.clock, waitMs, signal);
}

/** The server, or a proxy before it, asks to come back later. 429 was certainly not carried out. */
function isBusy(response: Response, request: ApiRequest): boolean {
  if (response.status === 429) return true;
  return request.repeat === 'safe' && isAway(response);
}

function mayRepeat(request: ApiRequest, error: unknown): boolean {
  return request.repeat === 'safe' || wasNeverSent(error);
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('Retry-After') ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) : 0;
}

interface Deadline {
  readonly signal: AbortSignal;
  expired(): boolean;
  cancel(): void;
}

function deadlineSignal(clock: Clock, timeoutMs: number, signal: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  const timer = clock.setTimer(timeoutMs, () => controller.abort(new Error(`took longer than ${timeoutMs / 1000} s`)));
  return {
    signal: signal === undefined ? controller.signal : AbortSignal.any([controller.signal, signal]),
    expired: () => controller.signal.aborted,
    cancel: () => timer.cancel(),
  };
}

function headersOf(request: ApiRequest, token: string | null, position: StatePosition | null): Record<string, string> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (token !== null) headers['Authorization'] = `Bearer ${token}`;
  if (position !== null) headers['Berth-Revision'] = positionText(position);
  if (request.body !== undefined) headers['Content-Type'] = 'application/json';
  return { ...headers, ...request.headers };
}

function queryString(query: ApiRequest['query']): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === null || value === undefined) continue;
    for (const item of Array.isArray(value) ? value : [value]) params.append(name, String(item));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

function versionOf(etag: string | null): number | null {
  const match = /^(?:W\/)?"(\d{1,15})"$/.exec(etag ?? '');
  return match === null ? null : Number(match[1]);
}

function parseBody<S extends z.ZodType>(address: string, text: string, schema: S): z.output<S> {
  const json = parseJson(text);
  if (json === undefined) throw new UnexpectedAnswerError(address, excerpt(text));
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new UnexpectedAnswerError(
    address,
    `at /${issue?.path.join('/') ?? ''}: ${issue?.message ?? 'it does not match'}. Client and server may be of different versions.`,
  );
}

/** A proxy's error page becomes a problem document too, so that callers see one kind of refusal. */
function problemOf(address: string, response: Response, text: string): Problem {
  const parsed = problemSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  if (response.status < 500) throw new UnexpectedAnswerError(address, `status ${response.status}, ${excerpt(text)}`);
  return {
    type: 'about:blank',
    title: `status ${response.status}`,
    status: response.status,
    code: response.status === 500 ? 'internal' : 'unavailable',
    detail: `${address} answered ${response.status}: ${excerpt(text)}`,
    requestId: response.headers.get('Berth-Request-Id') ?? '',
  };
}

/** Undefined: it isn't JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function excerpt(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  if (line === '') return 'an empty body';
  return line.length > 120 ? `"${line.slice(0, 117)}..."` : `"${line}"`;
}
