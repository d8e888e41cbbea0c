/** What takes no token: whether the replica is well, its public keys, and the description of the API. */
import type { Context, Hono } from 'hono';
import { Refusal } from '../../../shared/domain/errors.ts';
import { KEYS_MAX_AGE_SECONDS, OWN_ALGORITHM } from '../../auth/keys.ts';
import { unreadiness } from '../../services/gauges.ts';
import { docsPage } from '../docs-page.ts';
import type { EndpointDocument } from '../http/endpoint.ts';
import { HttpRefusal } from '../http/problem.ts';
import { openApiDocument } from '../openapi.ts';
import type { ApiParts } from '../parts.ts';

interface Env {
  Variables: { requestId: string; route: string };
}

/** The page has styles of its own and nothing else; nothing in it may ever be run or fetched. */
const DOCS_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Asked for by what watches over replicas, which must never be told to come later. */
const PROBES: readonly string[] = ['/healthz', '/readyz'];

type Handler = (c: Context<Env>) => Response | Promise<Response>;

export function openRoutes(app: Hono<Env>, parts: ApiParts, documents: readonly EndpointDocument[]): void {
  const { ctx, ring } = parts;
  const isServing = servingSign(parts);
  const description = once(() => openApiDocument(documents, ctx.config.version));
  const page = once(() => docsPage(description()));
  const routes: Readonly<Record<string, Handler>> = {
    '/healthz': (c) => c.json({ status: 'ok' }),
    '/readyz': async (c) => {
      const why = isServing() ? await unreadiness(ctx) : 'this replica is going away or has lost track of the state';
      if (why !== null) throw new Refusal('unavailable', why, { retryAfterSeconds: 1 });
      return c.json({ status: 'ready' });
    },
    '/.well-known/jwks.json': (c) =>
      c.json(ring.publicKeys, 200, { 'cache-control': `public, max-age=${KEYS_MAX_AGE_SECONDS}` }),
    '/.well-known/openid-configuration': (c) =>
      c.json(discoveryOf(ctx.config.issuerUrl), 200, { 'cache-control': `public, max-age=${KEYS_MAX_AGE_SECONDS}` }),
    '/openapi.json': (c) => c.json(description()),
    '/docs': (c) => c.html(page(), 200, { 'content-security-policy': DOCS_POLICY }),
  };
  for (const [path, handler] of Object.entries(routes)) {
    app.get(path, (c) => {
      c.set('route', path);
      if (!PROBES.includes(path)) parts.limits.countStranger(parts.clientAddress(c.req.raw, c.env));
      return handler(c);
    });
    app.all(path, (c) => {
      throw new HttpRefusal('method-not-allowed', `${c.req.method.slice(0, 20)} is not possible here, only GET, HEAD`, {
        allow: 'GET, HEAD',
      });
    });
  }
}

/** What OpenID Connect wants of an issuer whose tokens nobody asks for with a browser. */
function discoveryOf(issuer: string | undefined): object {
  if (issuer === undefined) {
    throw new Refusal('not-found', 'this cluster has no issuer URL; its operator sets one with --issuer-url');
  }
  return {
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [OWN_ALGORITHM],
    claims_supported: ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'cluster', 'role', 'job', 'group', 'task', 'node'],
  };
}

/** Whether the replica still follows the state and isn't on its way out. */
function servingSign({ ctx, signal }: ApiParts): () => boolean {
  let follows = true;
  void ctx.mirror.stopped.then(() => {
    follows = false;
  });
  return () => follows && !signal.aborted;
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
