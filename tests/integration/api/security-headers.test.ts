/** What every answer carries, whatever is asked and however it ends. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startApi, type TestApi } from '../../support/api.ts';

let berth: TestApi;

beforeAll(async () => {
  berth = await startApi();
});
afterAll(() => berth.stop());

const documentSchema = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) });
const METHODS = ['get', 'post', 'put', 'delete'];

interface Place {
  readonly method: string;
  readonly path: string;
}

async function everyRoute(): Promise<Place[]> {
  const { paths } = documentSchema.parse(await (await berth.send('GET', '/openapi.json')).json());
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations)
      .filter((method) => METHODS.includes(method))
      .map((method) => ({ method: method.toUpperCase(), path: path.replaceAll(/\{\w+\}/g, 'none') })),
  );
}

const OPEN = ['/healthz', '/readyz', '/docs', '/openapi.json', '/.well-known/jwks.json'];
const MESOS = [
  '/state',
  '/version',
  '/health',
  '/redirect',
  '/api/v1',
  '/api/v1/scheduler',
  '/master/roles',
  '/slaves',
];

function expectSecure(response: Response, where: string): void {
  const { headers } = response;
  expect(headers.get('x-content-type-options'), where).toBe('nosniff');
  expect(headers.get('x-frame-options'), where).toBe('DENY');
  expect(headers.get('referrer-policy'), where).toBe('no-referrer');
  expect(headers.get('content-security-policy'), where).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
  expect(headers.get('cache-control'), where).not.toBeNull();
  for (const absent of ['server', 'x-powered-by', 'access-control-allow-origin', 'strict-transport-security']) {
    expect(headers.get(absent), where).toBeNull();
  }
  if (response.status >= 400)
    expect(headers.get('content-type'), where).toMatch(/^(application\/problem\+json|text\/plain)/);
}

async function ask({ method, path }: Place, token: string | null): Promise<Response> {
  const ending = new AbortController();
  const origin = { origin: 'https://evil.example' };
  const response = await berth.send(method, path, { token, headers: origin, signal: ending.signal });
  ending.abort();
  await response.body?.cancel().catch(() => undefined);
  return response;
}

describe('every route', () => {
  it('answers with headers that bind browsers, with a token and without', async () => {
    const routes = await everyRoute();
    expect(routes.length).toBeGreaterThan(60);
    const open = [...OPEN, ...MESOS, '/nothing/here'].map((path) => ({ method: 'GET', path }));
    for (const place of [...routes, ...open]) {
      for (const token of [berth.admin, null]) {
        const response = await ask(place, token);
        expectSecure(response, `${place.method} ${place.path} (${response.status})`);
        if (token !== null && !OPEN.includes(place.path)) {
          expect(response.headers.get('cache-control'), place.path).toBe('no-store');
        }
      }
    }
  });

  it('lets no page of another origin ask', async () => {
    for (const path of ['/v1/jobs', '/state', '/docs']) {
      const response = await ask({ method: 'OPTIONS', path }, berth.admin);
      expect(response.status).toBe(405);
      expectSecure(response, path);
    }
  });

  it('says nothing back that a browser could run', async () => {
    const script = '<script>alert(1)</script>';
    const places = [
      `/v1/jobs/${script}`,
      `/v1/jobs?role=${script}`,
      `/${script}`,
      `/api/v1?${script}`,
      `/redirect${script}`,
    ];
    for (const path of places) {
      const response = await berth.send('GET', path);
      expectSecure(response, path);
      expect(response.headers.get('content-type')).not.toContain('html');
    }
  });

  it('over TLS is to be asked over TLS from then on', async () => {
    for (const path of ['/healthz', '/state', '/nothing/here']) {
      const response = await berth.api.fetch(new Request(`https://berth.example${path}`));
      expect(response.headers.get('strict-transport-security')).toBe('max-age=31536000');
    }
  });
});
