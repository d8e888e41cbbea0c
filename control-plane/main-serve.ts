/** A replica's API on its sockets, with its certificate kept as its files are, until it is closed. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Http2SecureServer, Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { Socket } from 'node:net';
import { getRequestListener, type Http2Bindings, type HttpBindings } from '@hono/node-server';
import { Refusal, type RefusalCode } from '../shared/domain/errors.ts';
import type { Logger } from '../shared/util/log.ts';
import {
  type ApiServer,
  createApiServer,
  type EarlyAnswer,
  type EarlyTrouble,
  type ServerTimes,
} from './adapters/http/api-server.ts';
import {
  describe,
  readTls,
  secureContextOf,
  type TlsFiles,
  type TlsTexts,
  watchTls,
} from './adapters/http/tls-files.ts';
import { problemOf, problemResponse } from './api/http/problem.ts';
import { secureHeaders } from './api/http/security-headers.ts';
import { ConfigError } from './main-setting.ts';
import type { TransportConfig } from './main-transport-config.ts';
import { REQUEST_ID_HEADER } from './services/origin.ts';

/** After the end was asked for, what is still open is cut. */
const CLOSE_GRACE_MS = 1000;

export interface Serving {
  /** Where it listens. */
  readonly port: number;
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly fetch: (request: Request, env: object) => Response | Promise<Response>;
  readonly listen: { readonly host: string; readonly port: number };
  readonly transport: TransportConfig;
  readonly log: Logger;
  readonly requestId: () => string;
  /** Told of each certificate that takes the place of the one before. */
  readonly onCertificate?: (texts: TlsTexts) => void;
  /** For tests; absent: the bounds of the server. */
  readonly times?: Partial<ServerTimes>;
}

/** Resolves once it listens. Throws {@link ConfigError} where it can't. */
export async function serveApi(options: ServeOptions): Promise<Serving> {
  const { listen, transport, log } = options;
  const tls = readServedTls(transport);
  const server = createApiServer({
    listener: requestListener(options),
    tls,
    connectionsMax: transport.connectionsMax,
    answerTo: (trouble) => earlyAnswer(trouble, tls !== null, options),
    onCut: (address) => log.info({ address }, 'a client has been cut that took nothing of its answer'),
    ...(options.times && { times: options.times }),
  });
  const connections = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  await listening(server, listen);
  const letGo =
    transport.tls === null || tls === null
      ? onHangUp(() => log.info({}, 'there is no certificate to read again'))
      : keepTls(server as Http2SecureServer, transport.tls, tls, options);
  const at = server.address();
  return {
    port: typeof at === 'object' && at !== null ? at.port : listen.port,
    close() {
      letGo();
      return closed(server, connections);
    },
  };
}

type Bindings = HttpBindings | Http2Bindings;

function requestListener(options: ServeOptions) {
  const { log, requestId } = options;
  const isSecure = options.transport.tls !== null;
  const answer = async (request: Request, env: Bindings): Promise<Response> => {
    const { incoming } = env;
    const response = await options.fetch(request, env);
    // HTTP/2 has frames of its own, and takes no header that is about the connection.
    if (incoming instanceof Http2ServerRequest) response.headers.delete('transfer-encoding');
    return response;
  };
  const listener = getRequestListener(answer, {
    // What isn't even a request: a host that is none, a path that is no URL.
    errorHandler: (error) => {
      const refusal = new Refusal('invalid-request', 'the request has no usable host or path', { cause: error });
      const isRequest = error instanceof Error && error.name !== 'RequestError';
      return secured(problemResponse(isRequest ? error : refusal, requestId(), log), isSecure);
    },
  });
  return (
    incoming: IncomingMessage | Http2ServerRequest,
    outgoing: ServerResponse | Http2ServerResponse,
  ): Promise<void> => listener(incoming, outgoing);
}

function secured(response: Response, isOverTls: boolean): Response {
  secureHeaders(response.headers, { isOverTls });
  return response;
}

const EARLY: Readonly<Record<EarlyTrouble, { readonly code: RefusalCode; readonly message: string }>> = {
  'headers-too-large': {
    code: 'headers-too-large',
    message: 'the request has more headers, or longer ones, than are read',
  },
  late: { code: 'request-timeout', message: 'the request did not arrive in time' },
  unreadable: { code: 'invalid-request', message: 'this is not an HTTP request that can be read' },
};

function earlyAnswer(trouble: EarlyTrouble, isOverTls: boolean, { log, requestId }: ServeOptions): EarlyAnswer {
  const { code, message } = EARLY[trouble];
  const problem = problemOf(new Refusal(code, message), requestId(), log);
  const headers = new Headers({ 'content-type': 'application/problem+json', [REQUEST_ID_HEADER]: problem.requestId });
  secureHeaders(headers, { isOverTls });
  return { status: problem.status, headers: Object.fromEntries(headers), body: JSON.stringify(problem) };
}

/** What the replica shows; null: it serves plain HTTP. Throws {@link ConfigError}. */
export function readServedTls({ tls }: TransportConfig): TlsTexts | null {
  try {
    return tls === null ? null : readTls(tls);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

/** Renewed certificates are taken into use as they come, and at once on SIGHUP. */
function keepTls(
  server: Http2SecureServer,
  files: TlsFiles,
  first: TlsTexts,
  { log, onCertificate }: ServeOptions,
): () => void {
  log.info(describe(first), 'serving with a certificate');
  const use = (texts: TlsTexts) => {
    server.setSecureContext(secureContextOf(texts));
    onCertificate?.(texts);
  };
  const watch = watchTls({ files, first, use, log });
  const letGo = onHangUp(watch.look);
  return () => {
    letGo();
    watch.stop();
  };
}

/** Without somebody who listens, the signal would end the process. */
function onHangUp(look: () => void): () => void {
  process.on('SIGHUP', look);
  return () => process.off('SIGHUP', look);
}

function listening(server: ApiServer, listen: ServeOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, listen)));
    server.listen(listen.port, listen.host, () => resolve());
  });
}

function listenError(error: NodeJS.ErrnoException, { host, port }: ServeOptions['listen']): Error {
  if (error.code === 'EADDRINUSE') return new ConfigError(`--listen ${host}:${port} is in use; choose another port`);
  return new ConfigError(`--listen ${host}:${port} can't be used: ${error.message}`);
}

function closed(server: ApiServer, connections: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if ('closeIdleConnections' in server) server.closeIdleConnections();
    setTimeout(() => {
      for (const connection of connections) connection.destroy();
    }, CLOSE_GRACE_MS).unref();
  });
}
