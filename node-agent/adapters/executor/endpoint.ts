/**
 * What an executor is served on its socket. Says and hears; what comes of it is decided by whoever hands in the parts. Whoever can
 * open the socket is the executor: it is given to nobody else.
 */
import { chmod, chown, lstat, rename, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { MESSAGE_BYTES_MAX } from '../../../shared/protocol/agent.ts';
import {
  confirmationIn,
  type ExecutorEvent,
  type HostedMessage,
  type HostedStatus,
  messageIn,
  type Parsed,
  statusIn,
} from './protocol.ts';

/** In JSON a byte may take six characters. */
const BODY_BYTES_MAX = 8 * MESSAGE_BYTES_MAX;
/** An executor that doesn't read is cut off when so much waits for it; it is told again what it hasn't confirmed. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;
const CONNECTIONS_MAX = 32;

/** Shorter than the name that it gets, since the system bounds the path. */
const NEW_SOCKET = 'new.sock';

export interface EndpointParts {
  /** In a folder that nobody but the agent changes. */
  readonly socket: string;
  readonly socketMode: number;
  /** What the executor has not confirmed, in the order in which it is told. */
  readonly outstanding: () => readonly ExecutorEvent[];
  readonly onStatus: (status: HostedStatus) => Promise<Answer>;
  readonly onMessage: (message: HostedMessage) => Answer;
  readonly onConfirmed: (message: string) => Answer;
}

/** `why`: for what is refused. */
export interface Answer {
  readonly code: 202 | 204 | 400 | 404 | 405 | 410 | 413 | 429 | 500;
  readonly why?: string;
}

export class Endpoint {
  readonly #parts: EndpointParts;
  readonly #server: Server;
  #reader: ServerResponse | null = null;

  private constructor(parts: EndpointParts) {
    this.#parts = parts;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.maxConnections = CONNECTIONS_MAX;
    // A line that can't be taken is tried again by the executor.
    this.#server.on('error', () => {});
  }

  /** Takes the place of one that an earlier agent has left, and belongs to whom that one was given. */
  static async open(parts: EndpointParts): Promise<Endpoint> {
    const { socket, socketMode } = parts;
    const endpoint = new Endpoint(parts);
    const made = join(dirname(socket), NEW_SOCKET);
    await rm(made, { force: true });
    await new Promise<void>((resolve, reject) => {
      endpoint.#server.once('error', reject);
      endpoint.#server.listen(made, resolve);
    });
    await chmod(made, socketMode);
    const before = await lstat(socket).catch(() => null);
    if (before !== null) await chown(made, before.uid, before.gid);
    await rename(made, socket);
    return endpoint;
  }

  /** Tells it, if the executor is listening; otherwise it is told with the rest when it does. */
  tell(event: ExecutorEvent): void {
    this.#write([event]);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Nothing may be thrown from here, whatever was sent: it would end the agent, and with it all that the node is told. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // What breaks off concerns nobody but the executor, which tries again.
    request.on('error', () => {});
    response.on('error', () => {});
    try {
      const answer = await this.#answerTo(request, response);
      if (answer !== 'listens') reply(response, answer);
    } catch (cause) {
      if (response.headersSent) return void response.destroy();
      reply(response, { code: 500, why: cause instanceof Error ? cause.message : String(cause) });
    }
  }

  async #answerTo(request: IncomingMessage, response: ServerResponse): Promise<Answer | 'listens'> {
    // Taken apart by hand: a target such as `//` is valid in HTTP, but no URL.
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (path === '/events' && request.method === 'GET') {
      this.#listen(response);
      return 'listens';
    }
    const act = this.#actOf(path);
    if (act === null) return { code: 404, why: `there is no ${path} here` };
    if (request.method !== 'POST') return { code: 405, why: `use POST for ${path}` };
    const body = await bodyOf(request);
    return body === null ? { code: 413, why: `longer than ${BODY_BYTES_MAX} bytes` } : act(body);
  }

  #actOf(path: string): ((body: string) => Answer | Promise<Answer>) | null {
    const { onStatus, onMessage, onConfirmed } = this.#parts;
    switch (path) {
      case '/status':
        return (body) => acted(statusIn(body), onStatus);
      case '/message':
        return (body) => acted(messageIn(body, MESSAGE_BYTES_MAX), onMessage);
      case '/confirm':
        return (body) => acted(confirmationIn(body), onConfirmed);
      default:
        return null;
    }
  }

  #listen(response: ServerResponse): void {
    this.#reader?.end();
    this.#reader = response;
    response.on('close', () => {
      if (this.#reader === response) this.#reader = null;
    });
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    this.#write(this.#parts.outstanding());
  }

  #write(events: readonly ExecutorEvent[]): void {
    const reader = this.#reader;
    if (reader === null || events.length === 0) return;
    reader.write(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    if (reader.writableLength > UNREAD_BYTES_MAX) reader.destroy();
  }
}

function acted<T>(parsed: Parsed<T>, act: (value: T) => Answer | Promise<Answer>): Answer | Promise<Answer> {
  return parsed.ok ? act(parsed.value) : { code: 400, why: parsed.why };
}

function reply(response: ServerResponse, { code, why }: Answer): void {
  if (why === undefined) return void response.writeHead(code).end();
  response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify({ message: why })}\n`);
}

/** Null: it is too long. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
