/**
 * The REST API. Portable: the same app runs in a Node.js replica and on Workers. It authenticates, checks what was sent, calls
 * one use case and puts the outcome into HTTP; what may be done and what is done is decided there, never here.
 */
import { type Context, Hono } from 'hono';
import { Refusal } from '../../shared/domain/errors.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { roleSchema } from '../../shared/protocol/job.ts';
import { positionText } from '../../shared/protocol/position.ts';
import { withoutBody } from '../../shared/util/body-stream.ts';
import { type Histogram, MetricsRegistry } from '../../shared/util/metrics.ts';
import { randomId } from '../../shared/util/random.ts';
import { Lasting } from '../auth/lasting.ts';
import type { Principal } from '../auth/principal.ts';
import { guarded } from '../auth/rate-limits.ts';
import { goodUntilMs } from '../auth/verify.ts';
import { EndpointTable } from '../services/endpoint-table.ts';
import { LogRelay } from '../services/log-relay.ts';
import { REQUEST_ID_HEADER } from '../services/origin.ts';
import { positionNow, reach } from '../services/reach.ts';
import { mintPeerToken } from '../services/tokens.ts';
import { authenticate, demandKind, NOBODY } from './http/authenticate.ts';
import type { Endpoint, EndpointDocument, Exchange, Method, Outcome } from './http/endpoint.ts';
import { HttpRefusal, problemResponse } from './http/problem.ts';
import { REVISION_HEADER, seenPosition } from './input/headers.ts';
import type { ApiOptions, ApiParts } from './parts.ts';
import { agentEndpoints } from './routes/agents.ts';
import { auditEndpoints } from './routes/audit.ts';
import { authEndpoints } from './routes/auth.ts';
import { clusterEndpoints } from './routes/cluster.ts';
import { credentialEndpoints } from './routes/credentials.ts';
import { deploymentEndpoints } from './routes/deployments.ts';
import { endpointEndpoints } from './routes/endpoints.ts';
import { eventEndpoints } from './routes/events.ts';
import { explanationEndpoints } from './routes/explanation.ts';
import { frameworkEndpoints } from './routes/frameworks.ts';
import { jobChangeEndpoints } from './routes/job-changes.ts';
import { jobEndpoints } from './routes/jobs.ts';
import { maintenanceEndpoints } from './routes/maintenance.ts';
import { nodeEndpoints } from './routes/nodes.ts';
import { offerEndpoints } from './routes/offers.ts';
import { openRoutes } from './routes/open.ts';
import { policyEndpoints } from './routes/policies.ts';
import { reservationEndpoints } from './routes/reservations.ts';
import { roleEndpoints } from './routes/roles.ts';
import { secretEndpoints } from './routes/secrets.ts';
import { taskLogEndpoints } from './routes/task-logs.ts';
import { taskEndpoints } from './routes/tasks.ts';

const LATENCY_BOUNDS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

interface Env {
  Variables: { requestId: string; route: string };
}

/** Puts the API together. Its streams end with `options.signal`, or with the token that they were opened with. */
export function createApi(options: ApiOptions): Hono {
  const parts = partsOf(options);
  const endpoints = endpointsOf(parts);
  const app = new Hono<Env>();
  frame(app, parts);
  for (const one of endpoints) {
    app.on(one.document.method.toUpperCase(), routerPath(one.document), (c) => serve(c, one, parts));
  }
  openRoutes(
    app,
    parts,
    endpoints.map((one) => one.document),
  );
  refuseOtherMethods(app, endpoints);
  // Nobody outside needs to know what is kept with a request.
  return app as unknown as Hono;
}

function partsOf(options: ApiOptions): ApiParts {
  const { ctx, mint, fetch, signal, meeting } = options;
  const peerToken = async () => (await mintPeerToken(mint, ctx.replica.id)).token;
  const relay = new LogRelay({ ctx, peerToken, fetch, ...(meeting !== undefined && { meeting }) });
  signal.addEventListener('abort', () => relay.close(), { once: true });
  const endpoints = new EndpointTable(ctx.mirror);
  return { ...options, relay, endpoints, metrics: options.metrics ?? new MetricsRegistry() };
}

function endpointsOf(parts: ApiParts): readonly Endpoint[] {
  return [
    ...jobEndpoints(parts),
    ...jobChangeEndpoints(parts),
    ...deploymentEndpoints(parts),
    ...explanationEndpoints(parts),
    ...taskEndpoints(parts),
    ...taskLogEndpoints(parts),
    ...nodeEndpoints(parts),
    ...maintenanceEndpoints(parts),
    ...roleEndpoints(parts),
    ...secretEndpoints(parts),
    ...reservationEndpoints(parts),
    ...frameworkEndpoints(parts),
    ...offerEndpoints(parts),
    ...endpointEndpoints(parts),
    ...eventEndpoints(parts),
    ...authEndpoints(parts),
    ...policyEndpoints(parts),
    ...auditEndpoints(parts),
    ...clusterEndpoints(parts),
    ...credentialEndpoints(parts),
    ...agentEndpoints(parts),
  ];
}

/** What every answer gets, whoever makes it: a request id, the revision, a line in the statistics. */
function frame(app: Hono<Env>, parts: ApiParts): void {
  const { ctx, metrics } = parts;
  const seconds = metrics.histogram({
    name: 'berth_http_request_seconds',
    help: 'Time until the answer began, by route and status.',
    labels: ['method', 'route', 'status'],
    bounds: LATENCY_BOUNDS_SECONDS,
  });
  app.use(async (c, next) => {
    const startedAtMs = ctx.clock.monotonicMs();
    c.set('requestId', randomId(ctx.random));
    c.set('route', 'none');
    await next();
    if (c.req.method === 'HEAD') c.res = withoutBody(c.res);
    const { headers } = c.res;
    headers.set(REQUEST_ID_HEADER, c.get('requestId'));
    if (!headers.has(REVISION_HEADER)) headers.set(REVISION_HEADER, positionText(positionNow(ctx)));
    const elapsedMs = ctx.clock.monotonicMs() - startedAtMs;
    observe(seconds, c, elapsedMs / 1000);
    const { method } = c.req;
    const fields = { requestId: c.get('requestId'), method, route: c.get('route'), status: c.res.status, elapsedMs };
    ctx.log.debug(fields, 'a request has been answered');
  });
  app.onError((error, c) => problemResponse(error, c.get('requestId'), ctx.log));
  app.notFound((c) => problemResponse(nothingAt(c), c.get('requestId'), ctx.log));
}

function observe(seconds: Histogram, c: Context<Env>, elapsed: number): void {
  seconds.observe(elapsed, [knownMethod(c.req.method), c.get('route'), String(c.res.status)]);
}

/** Methods are free text; the statistics keep every one that they ever saw. */
function knownMethod(method: string): string {
  return ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'].includes(method) ? method : 'other';
}

function nothingAt(c: Context<Env>): Refusal {
  return new Refusal('not-found', `there is nothing at ${c.req.path.slice(0, 200)}; /docs describes what there is`);
}

async function serve(c: Context<Env>, one: Endpoint, parts: ApiParts): Promise<Response> {
  const { document } = one;
  c.set('route', document.path);
  const request = c.req.raw;
  const { limits } = parts;
  const address = parts.clientAddress(request, c.env);
  const origin = {
    requestId: c.get('requestId'),
    address,
    operation: `${document.method.toUpperCase()} ${document.path}`,
  };
  let principal: Principal | null = null;
  try {
    if (!request.headers.has('authorization')) limits.countStranger(address);
    const token =
      document.isOpen === true ? NOBODY : await authenticate(request, guarded(parts.verifier, limits, address));
    principal = token.principal;
    limits.countRequest(principal, address);
    demandKind(principal, document.admits);
    return await carryOut(one, parts, { request, origin, token, params: c.req.param() as Record<string, string> });
  } catch (error) {
    if (document.method !== 'get' && error instanceof Refusal) {
      const { pathname: target, searchParams } = new URL(request.url);
      parts.refusals.note({ origin, principal, target, role: knownRole(searchParams.get('role')) }, error);
    }
    throw error;
  }
}

function knownRole(text: string | null): RolePath | null {
  return roleSchema.safeParse(text).data ?? null;
}

async function carryOut(
  { serve: check }: Endpoint,
  parts: ApiParts,
  exchange: Omit<Exchange, 'clock' | 'lasting'>,
): Promise<Response> {
  const { request, token, origin } = exchange;
  const { clock } = parts.ctx;
  const ends = [request.signal, parts.signal];
  const whenRevoked = (tell: (why: string) => void) => parts.verifier.watch(token, tell);
  const hold = () => parts.limits.holdLasting(token.principal, origin.address);
  const lasting = new Lasting({ clock, goodUntilMs: goodUntilMs(token), whenRevoked, ends, hold });
  await catchUp(request, parts);
  const act = await check({ ...exchange, clock, lasting });
  const outcome = lasting.until(act);
  // Taken before anything is awaited: what a handler read at once, it read at this revision.
  const { revision } = parts.ctx.mirror;
  return toResponse(await outcome, (at) => positionText(positionNow(parts.ctx, at ?? revision)));
}

/** A client never sees a state that is older than one that it has seen, whichever replica it asks. */
async function catchUp(request: Request, { ctx, signal }: ApiParts): Promise<void> {
  const seen = seenPosition(request.headers, []);
  if (seen === null || (await reach(ctx, seen, signal))) return;
  throw new Refusal(
    'unavailable',
    `this replica has seen the state up to revision ${positionText(positionNow(ctx))}, not yet ${positionText(seen)}; try again`,
    { retryAfterSeconds: 1 },
  );
}

function toResponse(outcome: Outcome, position: (revision: number | undefined) => string): Response {
  if (outcome instanceof Response) return outcome;
  return new Response(JSON.stringify(outcome.body), {
    status: outcome.status,
    headers: {
      'content-type': 'application/json',
      [REVISION_HEADER]: position(outcome.revision),
      ...outcome.headers,
    },
  });
}

/** A path that is known under other methods says which. */
function refuseOtherMethods(app: Hono<Env>, endpoints: readonly Endpoint[]): void {
  const methods = Map.groupBy(endpoints, (one) => one.document.path);
  for (const [path, known] of methods) {
    const [first] = known;
    if (first === undefined) continue;
    const allow = allowOf(known.map((one) => one.document.method));
    app.all(routerPath(first.document), (c) => {
      c.set('route', path);
      throw new HttpRefusal('method-not-allowed', `${c.req.method.slice(0, 20)} is not possible here, only ${allow}`, {
        allow,
      });
    });
  }
}

function allowOf(methods: readonly Method[]): string {
  return methods.flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()])).join(', ');
}

/** `/v1/jobs/{name}` as the router spells it: `/v1/jobs/:name`, or where it is greedy, `/v1/jobs/:name{.+}`. */
function routerPath({ path, isGreedy = false }: EndpointDocument): string {
  const spelled = path.replace(/\{(\w+)\}/g, ':$1');
  return isGreedy ? `${spelled}{.+}` : spelled;
}
