import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, placeTask } from '../../support/api-agent.ts';

let berth: TestApi;

beforeAll(async () => {
  berth = await startApi();
  await ApiAgent.register(berth);
  await placeTask(berth);
});
afterAll(() => berth.stop());

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, { operationId: string; responses: object; security?: object }>>;
  readonly components: { readonly schemas: Record<string, { readonly type?: string }> };
}

describe('without a token', () => {
  it.each([
    ['/healthz', 'application/json'],
    ['/readyz', 'application/json'],
    ['/openapi.json', 'application/json'],
    ['/.well-known/jwks.json', 'application/json'],
    ['/docs', 'text/html'],
  ])('%s can be read', async (path, type) => {
    const response = await berth.send('GET', path, { token: null });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain(type);
    expect(response.headers.get('berth-revision')).toMatch(/^\d+$/);
  });

  it('everything else says how to get in', async () => {
    const { paths } = await description();
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, { security }] of Object.entries(operations)) {
        // What takes a token in its body says that it needs none beside it.
        if (Array.isArray(security) && security.length === 0) continue;
        const response = await berth.send(method.toUpperCase(), path.replace(/\{\w+\}/g, 'x'), { token: null });
        expect([path, response.status]).toEqual([path, 401]);
        expect(response.headers.get('www-authenticate')).toBe('Bearer realm="berth"');
      }
    }
  });

  it.each(['Basic YTpi', 'Bearer', 'Bearer a b', 'bearer x.y'])('%s is no way in', async (authorization) => {
    const response = await berth.send('GET', '/v1/jobs', { token: null, headers: { authorization } });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toContain('Bearer realm="berth"');
  });
});

async function description(): Promise<Document> {
  return (await (await berth.send('GET', '/openapi.json', { token: null })).json()) as Document;
}

describe('the description of the API', () => {
  it('is OpenAPI 3.1 with every operation named once', async () => {
    const { openapi, paths } = await description();
    expect(openapi).toBe('3.1.0');
    const ids = Object.values(paths).flatMap((item) => Object.values(item).map((operation) => operation.operationId));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain('getV1JobsByNameVersionsByVersion');
  });

  it('refers to nothing that it does not hold', async () => {
    const document = await description();
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      expect(document.components.schemas).toHaveProperty(name ?? '');
    }
    for (const name of ['JobSpec', 'Job', 'Task', 'Node', 'Event', 'Problem', 'Plan', 'Status', 'TokenRequest']) {
      expect(document.components.schemas[name]).toMatchObject({ type: 'object' });
    }
  });

  it('lets null be where a named thing may be absent', async () => {
    const { components } = await description();
    const { properties } = components.schemas['Job'] as { properties?: Record<string, unknown> };
    expect(properties?.['stop']).toMatchObject({ anyOf: [{ $ref: '#/components/schemas/Stop' }, { type: 'null' }] });
    expect(components.schemas['Stop']?.type).toBe('object');
  });

  it('says of every operation that it may be asked too often, and of those that take JSON how a body is refused', async () => {
    const { paths } = await description();
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, { responses, ...rest }] of Object.entries(operations)) {
        const codes = Object.keys(responses);
        expect([path, method, codes]).toEqual([path, method, expect.arrayContaining(['429', 'default'])]);
        const takesJson = JSON.stringify(rest).includes('"requestBody":{"required":true,"content":{"application/json"');
        if (takesJson) expect([path, method, codes]).toEqual([path, method, expect.arrayContaining(['408', '413'])]);
      }
    }
  });

  it('says of every call of a framework how it is refused in an old session, and after a teardown', async () => {
    const { paths } = await description();
    for (const call of 'accept decline revive suppress kill acknowledge reconcile messages'.split(' ')) {
      const responses = Object.keys(paths[`/v1/frameworks/{id}/${call}`]?.['post']?.responses ?? {});
      expect([call, responses]).toEqual([call, expect.arrayContaining(['409', '410'])]);
    }
  });

  it('is a page that fetches nothing and runs nothing', async () => {
    const response = await berth.send('GET', '/docs', { token: null });
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    const html = await response.text();
    expect(html).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|src=|https?:/);
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of html.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
    for (const path of Object.keys((await description()).paths)) expect(html).toContain(`<code>${path}</code>`);
  });
});

describe('metrics', () => {
  it('count requests by route and nodes, jobs and tasks by state', async () => {
    await berth.send('GET', '/v1/jobs/there-is-none');
    await berth.send('GET', '/v1/nowhere/at/all');
    const response = await berth.send('GET', '/metrics');
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await response.text();
    expect(text).toContain('berth_http_request_seconds_count{method="GET",route="/v1/jobs/{name}",status="404"} 1\n');
    expect(text).toContain('berth_http_request_seconds_count{method="GET",route="none",status="404"} 1\n');
    expect(text).toContain('berth_nodes{state="ready"} 1\n');
    expect(text).toContain('berth_tasks{state="staging"} 1\n');
    expect(text).toContain('berth_jobs{state="running"} 1\n');
    expect(text).toMatch(/^berth_store_size_bytes \d+$/m);
    expect(text).not.toContain('there-is-none');
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(
        /^(?:# (?:HELP|TYPE) \S+ .+|[a-z_]+(?:\{(?:[a-z]+="[^"\n]*",?)+\})? (?:[\d.e+-]+|NaN|\+Inf))$/,
      );
    }
  });

  it('need the right to read them', async () => {
    const token = await berth.token({ actions: ['job:*'] });
    expect((await berth.send('GET', '/metrics', { token })).status).toBe(403);
  });
});

describe('tokens over REST', () => {
  it('are made by those who may, and work', async () => {
    const json = { subject: 'ci', roles: ['eng'], actions: ['job:read'], ttlSeconds: 600 };
    const response = await berth.send('POST', '/v1/tokens', { json });
    expect(response.status).toBe(201);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const { token, expiresAt } = (await response.json()) as { token: string; expiresAt: string };
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(590_000);
    expect((await berth.send('GET', '/v1/jobs', { token })).status).toBe(200);
    expect((await berth.send('POST', '/v1/tokens', { token, json })).status).toBe(403);
  });

  it('are one token for one idempotency key, which is stored nowhere', async () => {
    const headers = { 'Idempotency-Key': 'token-1' };
    const make = (json: object) => berth.send('POST', '/v1/tokens', { json, headers });
    const first = await make({ subject: 'ci' });
    const second = await make({ subject: 'ci' });
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    const { token } = (await first.json()) as { token: string };
    expect(await second.json()).toMatchObject({ token });
    expect((await make({ subject: 'else' })).status).toBe(422);
    const { keyValues } = await berth.replica.ctx.store.range({ prefix: '/berth/' });
    const signature = token.split('.')[2] ?? '';
    expect(keyValues.some(({ value }) => value.includes(signature))).toBe(false);
  });

  it.each([
    [{ subject: 'x', kind: 'join', roles: ['eng'] }, '/roles'],
    [{ subject: 'x', actions: ['job:fly'] }, '/actions/0'],
    [{ subject: 'x', roles: ['..'] }, '/roles/0'],
    [{ subject: 'x', kind: 'node' }, '/kind'],
    [{ subject: 'a#b' }, '/subject'],
    [{ subject: 'x', ttlSeconds: 1e9 }, '/ttlSeconds'],
  ])('are not made of %j', async (json, path) => {
    const response = await berth.send('POST', '/v1/tokens', { json });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ faults: [{ path }] });
  });
});
