/**
 * The sockets that the API is served on: HTTP/1.1, and with a certificate HTTP/2 beside it on the same port. What is bounded here
 * is what comes before a request is one: connections, handshakes, headers, streams of one connection; and clients that take
 * nothing of their answers. What a request may do is up to the app behind it.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ChunkedResponse } from './chunked-response.ts';
import { secureContextOf, type TlsTexts } from './tls-files.ts';

/** A token of the longest kind, and as much again. */
const HEADER_BYTES_MAX = 16_384;
const HEADERS_MAX = 100;
const HEADERS_ARRIVAL_MS = 15_000;
const HANDSHAKE_MS = 15_000;
/** Longer than proxies keep theirs by default, so that these close them and never use one that we have just closed. */
const IDLE_MS = 65_000;
/** A client that takes nothing of what waits for it is cut after this time. */
const STALL_MS = 60_000;
/** How often late headers are looked for. */
const CHECK_EVERY_MS = 5_000;
/** The last one says that the connection closes, so that those who keep one for ever come to other replicas as well. */
const REQUESTS_PER_CONNECTION_MAX = 100_000;

const HTTP2_LIMITS = {
  // What else comes at the same time waits at the client. Agents and the CLI speak HTTP/1.1; this is for proxies and browsers.
  settings: { maxConcurrentStreams: 128, maxHeaderListSize: HEADER_BYTES_MAX, enablePush: false },
  maxHeaderListPairs: HEADERS_MAX,
  // In MiB: what one connection may have buffered here.
  maxSessionMemory: 10,
  // Opening streams only to reset them costs the client nothing and us a request each (CVE-2023-44487).
  streamResetBurst: 200,
  streamResetRate: 20,
  maxSessionInvalidFrames: 50,
  maxSessionRejectedStreams: 50,
  maxOutstandingPings: 4,
  maxSettings: 16,
  unknownProtocolTimeout: HANDSHAKE_MS,
} as const;

/** What can be wrong with a request before there is one. */
export type EarlyTrouble = 'headers-too-large' | 'late' | 'unreadable';

export interface EarlyAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface ApiServerOptions {
  readonly listener: (
    incoming: IncomingMessage | Http2ServerRequest,
    outgoing: ServerResponse | Http2ServerResponse,
  ) => unknown;
  /** Null: plain HTTP/1.1. */
  readonly tls: TlsTexts | null;
  /** More than these are closed as they come. */
  readonly connectionsMax: number;
  readonly answerTo: (trouble: EarlyTrouble) => EarlyAnswer;
  /** Told of clients that have been cut since they took nothing of what waited for them. */
  readonly onCut: (address: string | null) => void;
  /** For tests; absent: the bounds above. */
  readonly times?: Partial<ServerTimes>;
}

export interface ServerTimes {
  readonly headersArrivalMs: number;
  readonly checkEveryMs: number;
  readonly stallMs: number;
}

export type ApiServer = Server | Http2SecureServer;

/** To be listened with. */
export function createApiServer(options: ApiServerOptions): ApiServer {
  const { headersArrivalMs = HEADERS_ARRIVAL_MS, checkEveryMs = CHECK_EVERY_MS } = options.times ?? {};
  const http1 = {
    ServerResponse: ChunkedResponse,
    maxHeaderSize: HEADER_BYTES_MAX,
    connectionsCheckingInterval: checkEveryMs,
    headersTimeout: headersArrivalMs,
    // How long a body may take, the app decides: output of tasks comes for days.
    requestTimeout: 0,
    keepAliveTimeout: IDLE_MS,
  };
  const { answering, listener } = withBounds(options);
  const server =
    options.tls === null ? createServer(http1, listener as RequestListener) : secure(options.tls, http1, listener);
  server.maxConnections = options.connectionsMax;
  Object.assign(server, { maxHeadersCount: HEADERS_MAX + 1, maxRequestsPerSocket: REQUESTS_PER_CONNECTION_MAX });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (answering.has(socket)) socket.destroy();
    else refuseEarly(socket, options.answerTo(troubleOf(error)));
  });
  cutStalled(server, options.times?.stallMs ?? STALL_MS, options.onCut);
  return server;
}

type Listener = ApiServerOptions['listener'];

function secure(tls: TlsTexts, http1Options: object, listener: Listener): Http2SecureServer {
  const server = createSecureServer(
    {
      ...secureContextOf(tls),
      ...(tls.clientCa === null ? {} : { requestCert: true, rejectUnauthorized: true }),
      allowHTTP1: true,
      handshakeTimeout: HANDSHAKE_MS,
      ...HTTP2_LIMITS,
      ...http1Options,
      http1Options,
      // What Node.js calls it before version 26.
      Http1ServerResponse: ChunkedResponse,
    },
    listener as (incoming: Http2ServerRequest, outgoing: Http2ServerResponse) => void,
  );
  return Object.assign(server, http1Options);
}

/** Node.js leaves out the headers that are too many; a request of which something is missing is better refused. */
function withBounds({ listener, answerTo }: ApiServerOptions): { answering: WeakSet<Duplex>; listener: Listener } {
  const answering = new WeakSet<Duplex>();
  return {
    answering,
    listener(incoming, outgoing) {
      const { socket } = incoming;
      answering.add(socket);
      outgoing.once('close', () => answering.delete(socket));
      if (incoming.rawHeaders.length <= 2 * HEADERS_MAX) return listener(incoming, outgoing);
      const { status, headers, body } = answerTo('headers-too-large');
      // Of HTTP/2 there are only as many headers as are allowed.
      (outgoing as ServerResponse).writeHead(status, { ...headers, connection: 'close' }).end(body);
      return undefined;
    },
  };
}

function troubleOf({ code }: NodeJS.ErrnoException): EarlyTrouble {
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers-too-large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'late' : 'unreadable';
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

function refuseEarly(socket: Duplex, { status, headers, body }: EarlyAnswer): void {
  if (!socket.writable) return void socket.destroy();
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.end(`HTTP/1.1 ${status} ${REASONS[status] ?? 'Refused'}\r\n${head}\r\n${body}`, () => socket.destroy());
}

/**
 * Nothing has moved on a connection for the time: if something waits to be sent, its client doesn't take it. Otherwise it is one that
 * has nothing to say, such as the output of a quiet task; HTTP/2 connections of that kind are closed once nothing is open on them.
 */
function cutStalled(server: ApiServer, stallMs: number, onCut: ApiServerOptions['onCut']): void {
  const open = new WeakMap<ServerHttp2Session, number>();
  server.setTimeout(stallMs);
  server.on('timeout', (quiet: Socket | ServerHttp2Session) => {
    if (!('writableLength' in quiet)) {
      if ((open.get(quiet) ?? 0) === 0) quiet.close();
    } else if (quiet.writableLength > 0) {
      onCut(quiet.remoteAddress ?? null);
      quiet.destroy();
    }
  });
  server.on('stream', (stream: ServerHttp2Stream) => {
    const session = stream.session as ServerHttp2Session | undefined;
    if (session === undefined) return;
    open.set(session, (open.get(session) ?? 0) + 1);
    stream.once('close', () => open.set(session, (open.get(session) ?? 1) - 1));
    stream.setTimeout(stallMs, () => {
      if (stream.writableLength === 0) return;
      onCut(session.socket?.remoteAddress ?? null);
      stream.destroy();
    });
  });
}
