/** The control plane over HTTP, as the protocol's file describes it. Keeps the node's token and finds its way back with the join token. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import type * as Https from 'node:https';
import {
  type AssignmentResponse,
  EPOCH_HEADER,
  type HeartbeatResponse,
  type LogLine,
  type MessagesRequest,
  type MessagesResponse,
  type RegisterRequest,
  type RegisterResponse,
  type StatusesRequest,
  type StatusesResponse,
  type TaskIdentityResponse,
  type TaskSecretsResponse,
} from '../../../shared/protocol/agent.ts';
import { type AssignmentQuery, type ControlPlane, ControlPlaneFault, type Log } from '../../executor/contracts.ts';
import {
  assignmentResponse,
  faultIn,
  heartbeatResponse,
  identityResponse,
  messagesResponse,
  registerResponse,
  secretsResponse,
  statusesResponse,
} from './answers.ts';
import { type HttpAnswer, HttpCalls, readAnswer } from './http-calls.ts';
import type { Trust } from './trust.ts';

const CALL_TIMEOUT_MS = 15_000;
/** A heartbeat that hangs has to be noticed while there is time for other addresses before the lease is over. */
const HEARTBEATS_PER_LEASE = 4;
const LEASE_TTL_DEFAULT_MS = 10_000;

/**
 * Where tokens are kept. The join token is read again each time, so that an operator can put a new one there. Each call may fail:
 * a token that can't be written serves from memory, and one that can't be read is tried again.
 */
export interface TokenStore {
  readNodeToken(): Promise<string | null>;
  writeNodeToken(token: string | null): Promise<void>;
  readJoinToken(): Promise<string | null>;
}

export interface HttpControlPlaneOptions {
  /** At least one; the first is tried first. */
  readonly urls: readonly string[];
  readonly tokens: TokenStore;
  readonly userAgent: string;
  readonly https: () => typeof Https;
  /** For addresses with https; absent: what the system trusts. */
  readonly trust?: () => Trust;
  readonly log: Log;
}

export class HttpControlPlane implements ControlPlane {
  readonly #options: HttpControlPlaneOptions;
  readonly #calls: HttpCalls;
  #nodeToken: string | null = null;
  #leaseTtlMs = LEASE_TTL_DEFAULT_MS;
  #isUnkeptTold = false;

  constructor(options: HttpControlPlaneOptions) {
    this.#options = options;
    this.#calls = new HttpCalls(options.urls, options.https, options.trust);
  }

  async register(request: RegisterRequest, signal: AbortSignal): Promise<RegisterResponse> {
    const own = this.#nodeToken ?? (await this.#readNodeToken());
    const answer = own === null ? null : await this.#register(request, own, signal);
    const final = answer === null || needsJoin(answer) ? await this.#join(request, answer, signal) : answer;
    const fault = faultIn(final);
    if (fault !== null) throw fault;
    const response = registerResponse(final.body);
    this.#leaseTtlMs = response.leaseTtlMs;
    await this.#keepToken(response.nodeToken);
    return response;
  }

  async assignment(epoch: number, query: AssignmentQuery, signal: AbortSignal): Promise<AssignmentResponse | null> {
    const { position, streamsVersion, waitMs } = query;
    const parameters = new URLSearchParams({ waitMs: String(waitMs) });
    if (position !== null) {
      parameters.set('incarnation', String(position.incarnation));
      parameters.set('generation', String(position.generation));
    }
    if (streamsVersion !== null) parameters.set('streams', streamsVersion);
    const path = `/v1/agent/assignment?${parameters}`;
    const timeoutMs = waitMs + CALL_TIMEOUT_MS;
    const answer = await this.#call({ method: 'GET', path, epoch, timeoutMs, signal });
    return answer.status === 204 ? null : assignmentResponse(answer.body);
  }

  async heartbeat(epoch: number, sentAtMs: number, signal: AbortSignal): Promise<HeartbeatResponse> {
    const timeoutMs = this.#leaseTtlMs / HEARTBEATS_PER_LEASE;
    const answer = await this.#post('/v1/agent/heartbeat', { sentAtMs }, { epoch, timeoutMs, signal });
    const response = heartbeatResponse(answer.body);
    if (response.nodeToken !== null) await this.#keepToken(response.nodeToken);
    return response;
  }

  async statuses(epoch: number, request: StatusesRequest, signal: AbortSignal): Promise<StatusesResponse> {
    const timeoutMs = CALL_TIMEOUT_MS;
    const answer = await this.#post('/v1/agent/statuses', request, { epoch, timeoutMs, signal });
    return statusesResponse(answer.body);
  }

  async messages(epoch: number, request: MessagesRequest, signal: AbortSignal): Promise<MessagesResponse> {
    const timeoutMs = CALL_TIMEOUT_MS;
    const answer = await this.#post('/v1/agent/messages', request, { epoch, timeoutMs, signal });
    return messagesResponse(answer.body);
  }

  async identity(epoch: number, task: string, signal: AbortSignal): Promise<TaskIdentityResponse> {
    const path = `/v1/agent/tasks/${encodeURIComponent(task)}/identity`;
    const answer = await this.#call({ method: 'POST', path, epoch, timeoutMs: CALL_TIMEOUT_MS, signal });
    return identityResponse(answer.body);
  }

  async secrets(epoch: number, task: string, signal: AbortSignal): Promise<TaskSecretsResponse> {
    const path = `/v1/agent/tasks/${encodeURIComponent(task)}/secrets`;
    const answer = await this.#call({ method: 'POST', path, epoch, timeoutMs: CALL_TIMEOUT_MS, signal });
    return secretsResponse(answer.body);
  }

  async stream(
    epoch: number,
    id: string,
    lines: AsyncIterable<readonly LogLine[]>,
    signal: AbortSignal,
  ): Promise<void> {
    const { request, address } = this.#calls.open({
      method: 'POST',
      path: `/v1/agent/streams/${encodeURIComponent(id)}`,
      headers: { ...this.#headers(epoch), 'content-type': 'application/x-ndjson' },
      signal,
    });
    const upload = new Upload(request);
    // At once, and not with the first line: a quiet task's reader has to know that somebody is there.
    request.flushHeaders();
    try {
      await upload.send(lines);
      const fault = faultIn(await upload.answer());
      if (fault !== null) throw fault;
    } catch (cause) {
      request.destroy();
      // Ended from here: that says nothing about the address.
      if (signal.aborted || cause instanceof ControlPlaneFault) throw cause;
      throw this.#calls.away(address, cause);
    }
  }

  close(): void {
    this.#calls.close();
  }

  async #join(request: RegisterRequest, refused: HttpAnswer | null, signal: AbortSignal): Promise<HttpAnswer> {
    const token = await this.#joinToken();
    const joined = token === null ? null : await this.#register(request, token, signal);
    // That the node was declared gone is more than that the join token has run out meanwhile.
    if (refused !== null && isGone(refused) && (joined === null || isUnauthorized(joined))) return refused;
    if (joined !== null) return joined;
    if (refused !== null) return refused;
    const message = 'this node has no token of its own, and no join token was given (--join-token, --join-token-file)';
    throw new ControlPlaneFault('unauthenticated', message);
  }

  async #joinToken(): Promise<string | null> {
    try {
      return await this.#options.tokens.readJoinToken();
    } catch (cause) {
      throw new ControlPlaneFault('unauthenticated', `the join token can't be read: ${String(cause)}`, { cause });
    }
  }

  #register(request: RegisterRequest, token: string, signal: AbortSignal): Promise<HttpAnswer> {
    return this.#calls.send({
      method: 'POST',
      path: '/v1/agent/register',
      headers: { ...this.#headers(null), authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(request),
      timeoutMs: CALL_TIMEOUT_MS,
      signal,
    });
  }

  #post(
    path: string,
    body: object,
    how: { readonly epoch: number; readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<HttpAnswer> {
    return this.#call({ method: 'POST', path, body: JSON.stringify(body), ...how });
  }

  async #call(call: {
    readonly method: 'GET' | 'POST';
    readonly path: string;
    readonly epoch: number;
    readonly body?: string;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  }): Promise<HttpAnswer> {
    const { epoch, ...rest } = call;
    const type = call.body === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await this.#calls.send({ ...rest, headers: { ...this.#headers(epoch), ...type } });
    const fault = faultIn(answer);
    if (fault !== null) throw fault;
    return answer;
  }

  #headers(epoch: number | null): Record<string, string> {
    return {
      'user-agent': this.#options.userAgent,
      accept: 'application/json',
      ...(this.#nodeToken === null ? {} : { authorization: `Bearer ${this.#nodeToken}` }),
      ...(epoch === null ? {} : { [EPOCH_HEADER]: String(epoch) }),
    };
  }

  async #readNodeToken(): Promise<string | null> {
    try {
      return await this.#options.tokens.readNodeToken();
    } catch (cause) {
      throw new ControlPlaneFault('away', `the node token can't be read: ${String(cause)}`, { cause });
    }
  }

  /** A full disk must not cost the node its session. */
  async #keepToken(token: string): Promise<void> {
    this.#nodeToken = token;
    try {
      await this.#options.tokens.writeNodeToken(token);
      this.#isUnkeptTold = false;
    } catch (cause) {
      const message = 'the node token could not be kept; the next start needs the join token';
      if (!this.#isUnkeptTold) this.#options.log.warn(message, { cause: String(cause) });
      this.#isUnkeptTold = true;
    }
  }
}

function isUnauthorized({ status }: HttpAnswer): boolean {
  return status === 401 || status === 403;
}

function isGone(answer: HttpAnswer): boolean {
  return faultIn(answer)?.kind === 'gone';
}

/** The token of a node that was declared gone is good for nothing any more. */
function needsJoin(answer: HttpAnswer): boolean {
  return isUnauthorized(answer) || isGone(answer);
}

/** A request whose body goes out line by line, for as long as the other side takes it. */
class Upload {
  readonly #request: ClientRequest;
  readonly #response: Promise<IncomingMessage>;
  /** The other side has answered before the end, or the connection is gone: it wants no more. */
  #isOver = false;
  /** Ends the wait that is under way. */
  #onOver: () => void = () => undefined;

  constructor(request: ClientRequest) {
    this.#request = request;
    this.#response = new Promise((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', reject);
      request.on('close', () => reject(new Error('the connection was closed before an answer')));
    });
    const over = () => {
      this.#isOver = true;
      this.#onOver();
    };
    this.#response.then(over, over);
  }

  async send(lines: AsyncIterable<readonly LogLine[]>): Promise<void> {
    const iterator = lines[Symbol.asyncIterator]();
    while (!this.#isOver) {
      const next = await this.#orOver(iterator.next());
      if (next === null || next.done) break;
      const text = next.value.map((line) => `${JSON.stringify(line)}\n`).join('');
      if (!this.#request.write(text)) await this.#orOver(this.#drained());
    }
    this.#request.end();
  }

  async answer(): Promise<HttpAnswer> {
    return readAnswer(await this.#response);
  }

  /**
   * A quiet task may never give another line, so the end of the reader has to end the wait for it. Not a race against one promise
   * that lives as long as the stream: each race would leave something with it.
   */
  #orOver<T>(wait: Promise<T>): Promise<T | null> {
    return new Promise((resolve, reject) => {
      this.#onOver = () => resolve(null);
      if (this.#isOver) resolve(null);
      wait.then(resolve, reject);
    });
  }

  #drained(): Promise<null> {
    return new Promise((resolve) => this.#request.once('drain', () => resolve(null)));
  }
}
