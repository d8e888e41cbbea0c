/**
 * One HTTP request with JSON in and out, over connections that are kept. Plain `node:http`: on a small box `fetch` costs more
 * memory than the rest of the agent.
 */
import type { ClientRequest, Agent as HttpAgent, IncomingMessage } from 'node:http';
import { Agent, request as httpRequest } from 'node:http';
import type * as Https from 'node:https';
import { tlsAdvice } from '../../../shared/util/tls-advice.ts';
import { ControlPlaneFault } from '../../executor/contracts.ts';
import type { Trust } from './trust.ts';

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Until an answer begins, and then between its parts. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** An assignment of a thousand tasks with large environments stays well below it. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Requests go to one of the control plane's addresses until it fails, then to the next. */
export class HttpCalls {
  readonly #urls: readonly URL[];
  readonly #https: () => typeof Https;
  readonly #trust: () => Trust;
  readonly #agents = new Map<string, HttpAgent>();
  #current = 0;

  /** `https` is loaded only where an address needs it: its library is a large part of the agent's memory. */
  constructor(urls: readonly string[], https: () => typeof Https, trust: () => Trust = () => ({})) {
    this.#urls = urls.map((url) => new URL(url));
    this.#https = https;
    this.#trust = trust;
  }

  async send(call: HttpCall): Promise<HttpAnswer> {
    const index = this.#current;
    try {
      return await this.#exchange(index, call).catch((cause: unknown) => {
        if (cause instanceof ClosedWhileIdle) return this.#exchange(index, call);
        throw cause;
      });
    } catch (cause) {
      if (call.signal.aborted) throw cause;
      throw this.away(index, cause);
    }
  }

  /** A request whose body is written by the caller. */
  open(call: Omit<HttpCall, 'body' | 'timeoutMs'>): { readonly request: ClientRequest; readonly address: number } {
    return { request: this.#request(this.#current, call), address: this.#current };
  }

  /** The address didn't answer: the next call goes to another one. */
  away(address: number, cause: unknown): ControlPlaneFault {
    const url = this.#urls[address];
    if (this.#current === address) this.#current = (address + 1) % this.#urls.length;
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : null;
    const words = tlsAdvice(code) ?? (cause instanceof Error ? cause.message : String(cause));
    return new ControlPlaneFault('away', `${url?.origin}: ${words}`, { cause });
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  #request(index: number, call: Omit<HttpCall, 'body' | 'timeoutMs'>): ClientRequest {
    const url = this.#urls[index];
    if (url === undefined) throw new RangeError(`there is no control plane number ${index}`);
    const { method, path, headers, signal } = call;
    const target = new URL(`${url.pathname.replace(/\/$/, '')}${path}`, url);
    const how = { method, headers, signal, agent: this.#agent(url.protocol) };
    return url.protocol === 'https:'
      ? this.#https().request(target, { ...how, ...this.#trust() })
      : httpRequest(target, how);
  }

  #agent(protocol: string): HttpAgent {
    const known = this.#agents.get(protocol);
    if (known !== undefined) return known;
    const agent =
      protocol === 'https:' ? new (this.#https().Agent)({ keepAlive: true }) : new Agent({ keepAlive: true });
    this.#agents.set(protocol, agent);
    return agent;
  }

  #exchange(index: number, call: HttpCall): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const request = this.#request(index, call);
      request.on('error', (cause) => reject(isClosedWhileIdle(request, cause) ? new ClosedWhileIdle() : cause));
      const giveUp = () => request.destroy(new Error(`no answer within ${call.timeoutMs / 1000} s`));
      // A timer of its own, since a socket's begins to count only once it is connected, and a dead machine never gets so far.
      const timer = setTimeout(giveUp, call.timeoutMs);
      request.on('close', () => clearTimeout(timer));
      request.on('response', (response) => {
        clearTimeout(timer);
        request.setTimeout(call.timeoutMs, giveUp);
        readAnswer(response).then(resolve, reject);
      });
      request.end(call.body);
    });
  }
}

/** The other side closed a kept connection at the moment when it was used again: nothing has been lost but the connection. */
class ClosedWhileIdle extends Error {
  override readonly name = 'ClosedWhileIdle';
}

function isClosedWhileIdle(request: ClientRequest, cause: Error): boolean {
  return request.reusedSocket && 'code' in cause && cause.code === 'ECONNRESET';
}

export async function readAnswer(response: IncomingMessage): Promise<HttpAnswer> {
  let body = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    body += String(chunk);
    if (body.length > ANSWER_BYTES_MAX) throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
  }
  return { status: response.statusCode ?? 0, body };
}
