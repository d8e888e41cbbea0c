/**
 * `fetch` over TLS with authorities and a certificate of the operator's choice. The platform's own can be given neither without a further
 * package, and this much of it is all that our programs need: one request, its answer as a stream, no redirects.
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import type { ReadableStream as NodeStream } from 'node:stream/web';

/** In PEM. */
export interface Trust {
  /** Those that a server's certificate may be signed by. Null: those of the system. */
  readonly ca: readonly string[] | null;
  /** What this client shows of itself, where it is asked; null: nothing. */
  readonly identity: { readonly cert: string; readonly key: string } | null;
}

/** `trust` is asked for each request, so that a renewed certificate is used from then on. Plain HTTP goes by the platform's own fetch. */
export function trustingFetch(trust: () => Trust): typeof fetch {
  const agent = new Agent({ keepAlive: true });
  return async (input, init) => {
    const request = new Request(input, init);
    if (!request.url.startsWith('https:')) return globalThis.fetch(request);
    const body = typeof init?.body === 'string' ? init.body : request.body;
    const { ca, identity } = trust();
    const outgoing = httpsRequest(request.url, {
      method: request.method,
      headers: Object.fromEntries(request.headers),
      signal: request.signal,
      agent,
      ...(ca === null ? {} : { ca: [...ca] }),
      ...(identity === null ? {} : { cert: identity.cert, key: identity.key }),
    });
    return answerTo(outgoing, body, request);
  };
}

function answerTo(
  outgoing: ClientRequest,
  body: string | ReadableStream<Uint8Array> | null,
  { signal, redirect }: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(signal.aborted ? signal.reason : new TypeError('fetch failed', { cause }));
    outgoing.on('error', fail);
    outgoing.on('response', (incoming) => {
      if (!isRedirect(incoming) || redirect === 'manual') return resolve(responseOf(incoming));
      incoming.destroy();
      fail(new Error(`it leads elsewhere (${incoming.statusCode}), and that is not followed`));
    });
    if (body === null || typeof body === 'string') outgoing.end(body ?? undefined);
    else sendStream(body, outgoing);
  });
}

function sendStream(body: ReadableStream<Uint8Array>, outgoing: ClientRequest): void {
  const source = Readable.fromWeb(body as NodeStream<Uint8Array>);
  source.on('error', (error) => outgoing.destroy(error));
  outgoing.on('close', () => source.destroy());
  outgoing.flushHeaders();
  source.pipe(outgoing);
}

function isRedirect({ statusCode = 0, headers }: IncomingMessage): boolean {
  return statusCode >= 300 && statusCode < 400 && headers.location !== undefined;
}

const WITHOUT_BODY: readonly number[] = [101, 204, 205, 304];

function responseOf(incoming: IncomingMessage): Response {
  const { statusCode: status = 0, statusMessage = '', rawHeaders } = incoming;
  const headers = new Headers();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '');
  if (WITHOUT_BODY.includes(status)) {
    incoming.resume();
    return new Response(null, { status, statusText: statusMessage, headers });
  }
  const body = Readable.toWeb(incoming) as ReadableStream<Uint8Array>;
  return new Response(body, { status, statusText: statusMessage, headers });
}
