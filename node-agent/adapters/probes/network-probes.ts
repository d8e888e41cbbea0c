/**
 * Checks by way of the network. The node's own loopback leads to what its tasks have published and to what they listen on in the
 * node's network, however the node's address changes. Each probe has a connection of its own: one that was kept would say that a
 * listener is there long after it has gone.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { CheckSpec } from '../../../shared/domain/service.ts';
import type { ProbeOutcome } from '../../core/checks.ts';
import type { Probes, ProbeTarget } from '../../executor/contracts.ts';

const LOOPBACK = '127.0.0.1';
const DEFAULT_STATUSES = [{ first: 200, last: 399 }];
/** Of a body, so that whoever sends it isn't cut off in the middle of a small one. */
const BODY_BYTES_MAX = 64 * 1024;
const BODY_WAIT_MAX_MS = 1000;
/** Of a body that comes with a status that doesn't pass. */
const WORDS_LENGTH_MAX = 200;
/** Longer than it takes the engine to find out that nobody listens within a task. */
const CONNECTION_LASTS_MS = 200;
const CLOSED_EARLY = 'the connection was closed without an answer';

/** `https`: loaded by the first check that needs it, since it takes memory that most nodes never need. */
export class NetworkProbes implements Probes {
  readonly #https: () => typeof import('node:https');
  readonly #userAgent: string;

  constructor({
    https,
    userAgent,
  }: {
    readonly https: () => typeof import('node:https');
    readonly userAgent: string;
  }) {
    this.#https = https;
    this.#userAgent = userAgent;
  }

  probe({ spec, port }: ProbeTarget, signal: AbortSignal): Promise<ProbeOutcome> {
    return spec.type === 'tcp' ? connects(spec, port, signal) : this.#answers(spec, port, signal);
  }

  /** Redirects aren't followed, and certificates not verified: it is asked whether the task answers, not whether to trust it. */
  #answers(spec: CheckSpec, port: number, signal: AbortSignal): Promise<ProbeOutcome> {
    const { method = 'GET', path = '/' } = spec;
    const what = `${method} ${path}`;
    const headers = { 'user-agent': this.#userAgent, connection: 'close', ...lowerCase(spec.headers ?? {}) };
    const options = { host: LOOPBACK, port, method, path, headers, agent: false, signal } as const;
    return new Promise((resolve) => {
      const answered = async (response: IncomingMessage) =>
        resolve(outcomeOf(spec, what, response, await words(response)));
      const failed = (cause: Error) => resolve({ type: 'failed', message: `${what}: ${saying(cause)}` });
      try {
        const request =
          spec.type === 'https'
            ? this.#https().request({ ...options, rejectUnauthorized: false })
            : httpRequest(options);
        request.on('response', (response) => void answered(response));
        request.on('upgrade', (response, socket) => {
          socket.destroy();
          void answered(response);
        });
        request.on('error', failed);
        request.end();
      } catch (cause) {
        // A header that can't be sent.
        failed(cause instanceof Error ? cause : new Error(String(cause)));
      }
    });
  }
}

function outcomeOf(
  { statuses = DEFAULT_STATUSES }: CheckSpec,
  what: string,
  response: IncomingMessage,
  said: string,
): ProbeOutcome {
  const { statusCode = 0 } = response;
  const isPassing = statuses.some(({ first, last }) => first <= statusCode && statusCode <= last);
  if (isPassing) return { type: 'passed', message: `${what}: status ${statusCode}` };
  return { type: 'failed', message: `${what}: status ${statusCode}${said === '' ? '' : `: ${said}`}` };
}

/** The status decides: the body is taken in within bounds, and a part of it kept for people. */
function words(response: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let bytes = 0;
    let said = '';
    const done = () => {
      clearTimeout(timer);
      response.destroy();
      resolve(said.trim());
    };
    const timer = setTimeout(done, BODY_WAIT_MAX_MS);
    response.on('data', (chunk: Buffer) => {
      if (said.length < WORDS_LENGTH_MAX) said = (said + chunk.toString('utf8')).slice(0, WORDS_LENGTH_MAX);
      bytes += chunk.length;
      if (bytes >= BODY_BYTES_MAX) done();
    });
    response.on('error', done);
    response.on('close', done);
    response.on('end', done);
  });
}

/**
 * The engine's own forwarder takes every connection to a port that a task publishes, and hangs up where nobody listens within the task.
 * So a connection counts once it has lasted, or something has come over it.
 */
function connects({ timeoutSeconds }: CheckSpec, port: number, signal: AbortSignal): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const socket = connect({ host: LOOPBACK, port, signal });
    const lastsMs = Math.min(CONNECTION_LASTS_MS, (timeoutSeconds * 1000) / 2);
    let timer: NodeJS.Timeout | undefined;
    const end = (outcome: ProbeOutcome) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const passed = () => end({ type: 'passed', message: `port ${port} takes connections` });
    const failed = (why: string) => end({ type: 'failed', message: `port ${port}: ${why}` });
    socket.on('connect', () => {
      timer = setTimeout(passed, lastsMs);
    });
    socket.on('data', passed);
    socket.on('end', () => failed(CLOSED_EARLY));
    socket.on('error', (cause) => failed(saying(cause)));
  });
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function saying(cause: Error): string {
  if (!('code' in cause)) return cause.message;
  switch (cause.code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ECONNRESET':
      return CLOSED_EARLY;
    default:
      return cause.message;
  }
}
