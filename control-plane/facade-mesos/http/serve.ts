/** What every endpoint of the door does first: who calls, and by which method. Then it has the request to itself. */
import type { Context, Hono } from 'hono';
import { Refusal } from '../../../shared/domain/errors.ts';
import { withoutBody } from '../../../shared/util/body-stream.ts';
import { randomId } from '../../../shared/util/random.ts';
import { Lasting } from '../../auth/lasting.ts';
import type { RefusedCall } from '../../services/audit-refusals.ts';
import { type Origin, REQUEST_ID_HEADER } from '../../services/origin.ts';
import type { FacadeParts } from '../parts.ts';
import { authenticate, type Identity, type Realm } from './authenticate.ts';
import type { Caller } from './caller.ts';
import { refusalResponse, WireRefusal, wireRefusalOf } from './wire-refusal.ts';

export interface EndpointOptions {
  /** As the router spells them; each is served alike. */
  readonly paths: readonly string[];
  readonly methods: readonly ('GET' | 'POST' | 'PUT' | 'DELETE')[];
  /** Null: anybody may call it. */
  readonly realm: Realm | null;
}

export interface ServedRequest {
  readonly request: Request;
  readonly url: URL;
}

export interface ServedByCaller extends ServedRequest {
  readonly caller: Caller;
  /** What a stream ends with. */
  readonly lasting: Lasting;
}

/** An endpoint for callers with a token. */
export function serve(
  app: Hono,
  parts: FacadeParts,
  options: EndpointOptions & { readonly realm: Realm },
  handle: (served: ServedByCaller) => Response | Promise<Response>,
): void {
  const { realm } = options;
  answerAt(app, parts, options.paths, async (c, origin) => {
    let identity: Identity | null = null;
    try {
      identity = await authenticate(c.req.raw, parts, realm);
      demandMethod(c.req.raw, options.methods);
      const { clock } = parts.ctx;
      const ends = [c.req.raw.signal, parts.signal];
      const lasting = new Lasting({ clock, goodUntilMs: identity.goodUntilMs, ends });
      const caller = { ...identity, origin };
      return await lasting.until(() => handle({ ...servedOf(c), caller, lasting }));
    } catch (error) {
      noteRefusal(parts, { request: c.req.raw, origin, principal: identity?.principal ?? null }, error);
      throw error;
    }
  });
}

/** Whoever only asks changes nothing that would be on record. */
function noteRefusal(
  { refusals }: FacadeParts,
  { request, ...call }: Pick<RefusedCall, 'origin' | 'principal'> & { readonly request: Request },
  error: unknown,
): void {
  if (request.method === 'GET' || request.method === 'HEAD') return;
  const refusal = error instanceof WireRefusal ? refusalOfStatus(error) : error;
  if (!(refusal instanceof Refusal)) return;
  refusals.note({ ...call, target: new URL(request.url).pathname, role: null }, refusal);
}

/** What Mesos's words stand for where they are about rights. */
function refusalOfStatus({ status, message }: WireRefusal): Refusal | null {
  if (status === 401) return new Refusal('unauthenticated', message);
  return status === 403 ? new Refusal('forbidden', message) : null;
}

/** An endpoint for everybody. */
export function serveOpen(
  app: Hono,
  parts: FacadeParts,
  options: Omit<EndpointOptions, 'realm'>,
  handle: (served: ServedRequest) => Response | Promise<Response>,
): void {
  answerAt(app, parts, options.paths, async (c) => {
    demandMethod(c.req.raw, options.methods);
    return handle(servedOf(c));
  });
}

function answerAt(
  app: Hono,
  { ctx, clientAddress }: FacadeParts,
  paths: readonly string[],
  answer: (c: Context, origin: Origin) => Promise<Response>,
): void {
  for (const path of paths) {
    app.all(path, async (c) => {
      const request = c.req.raw;
      const requestId = randomId(ctx.random);
      const operation = `${request.method.slice(0, METHOD_LENGTH_MAX)} ${path}`;
      const origin = { requestId, address: clientAddress(request, c.env), operation };
      const answered = await answer(c, origin).catch((error: unknown) =>
        refusalResponse(wireRefusalOf(error, ctx.log)),
      );
      const response = request.method === 'HEAD' ? withoutBody(answered) : answered;
      response.headers.set(REQUEST_ID_HEADER, requestId);
      return response;
    });
  }
}

function servedOf(c: Context): ServedRequest {
  const request = c.req.raw;
  return { request, url: new URL(request.url) };
}

/** Methods are free text. */
const METHOD_LENGTH_MAX = 20;

/** HEAD is answered like GET, by whoever sends the response. */
function demandMethod({ method }: Request, methods: EndpointOptions['methods']): void {
  const known: readonly string[] = methods;
  if (known.includes(method === 'HEAD' ? 'GET' : method)) return;
  const wanted = methods.map((one) => `'${one}'`).join(', ');
  const text = `Expecting one of { ${wanted} }, but received '${method.slice(0, METHOD_LENGTH_MAX)}'`;
  throw new WireRefusal(405, text, [['allow', methods.join(', ')]]);
}
