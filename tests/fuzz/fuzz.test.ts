import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { fuzz } from './fuzz.ts';
import { spoilt } from './hostile.ts';
import { judge } from './judge.ts';
import { growthOf } from './memory.ts';
import type { DrawnRequest } from './requests.ts';
import { drawnValue, type JsonSchema } from './schema-values.ts';
import { surfaceOf } from './surface.ts';

const REQUESTS = 6000;
/** Of a run this short; most of what is drawn is refused for a good reason. */
const ACCEPTED_SHARE_MIN = 0.5;

describe('a replica under drawn requests', () => {
  it('answers each as it should, and says yes at most of its routes', async () => {
    const { sent, findings, sites, statuses } = await fuzz({ seed: 7, requests: REQUESTS, perChapter: REQUESTS / 2 });
    expect(findings).toEqual([]);
    expect(sent).toBe(REQUESTS);
    expect(sites.called).toBe(sites.total);
    expect(sites.accepted / sites.total).toBeGreaterThan(ACCEPTED_SHARE_MIN);
    // Something was made, something wasn't there, somebody had no token, somebody no right.
    for (const status of [200, 201, 400, 401, 403, 404, 405]) expect(statuses.get(status) ?? 0).toBeGreaterThan(0);
  });
});

const drawn: DrawnRequest = {
  site: { door: 'api', method: 'GET', path: '/v1/jobs', parameters: [], body: null, mediaType: 'application/json' },
  method: 'GET',
  url: 'http://berth.test/v1/jobs',
  headers: [],
  body: null,
};
const atMesos: DrawnRequest = { ...drawn, site: { ...drawn.site, door: 'mesos' } };

function answer(status: number, type = 'application/problem+json', more: Record<string, string> = {}): Response {
  const headers = { 'content-type': type, 'x-content-type-options': 'nosniff', ...more };
  return new Response(null, { status, headers });
}

const problem = (status: number) => JSON.stringify({ status, code: 'not-found', detail: 'there is none' });

describe('the judge', () => {
  it.each([
    [drawn, answer(200, 'application/json'), '{}'],
    [drawn, answer(404), problem(404)],
    [drawn, answer(404), null],
    [atMesos, answer(501, 'text/plain'), 'UNKNOWN is not implemented'],
  ])('lets pass what is right: case %#', (request, response, text) => {
    expect(judge(request, response, text)).toBeNull();
  });

  it.each([
    ['500', drawn, answer(500), problem(500)],
    ['503', atMesos, answer(503, 'text/plain'), ''],
    ['501', drawn, answer(501), problem(501)],
    ['innards', drawn, answer(404), `${problem(404)}\n    at serve (api.ts:100:3)`],
    ['header', drawn, answer(200, 'application/json', { 'x-content-type-options': '' }), '{}'],
    ['no problem', drawn, answer(400, 'text/plain'), 'Bad Request'],
    ['no problem', drawn, answer(400), '{}'],
    ['no problem', drawn, answer(400), problem(404)],
  ])('finds %s', (what, request, response, text) => {
    expect(judge(request, response, text)?.what).toContain(what);
  });
});

describe('what is drawn', () => {
  const source = { resolve: () => ({ type: 'string' }) as const, meaningful: () => null };
  const schema: JsonSchema = {
    type: 'object',
    required: ['name', 'count'],
    properties: {
      name: { type: 'string', minLength: 1 },
      count: { type: 'integer', minimum: 1, maximum: 3 },
      kind: { enum: ['batch', 'service'] },
      more: { $ref: '#/components/schemas/More' },
    },
  };

  it('has what it needs, and is the same for the same seed', () => {
    for (let seed = 0; seed < 200; seed++) {
      const draw = () => drawnValue(schema, { ...source, random: new SeededRandom(seed) });
      expect(draw()).toMatchObject({ name: expect.any(String), count: expect.any(Number) });
      expect(draw()).toEqual(draw());
    }
  });

  it('is spoilt without being changed itself', () => {
    const value = { name: 'a', list: [1, { deep: true }] };
    const copies = new Set<string | undefined>();
    for (let seed = 0; seed < 200; seed++) copies.add(JSON.stringify(spoilt(value, new SeededRandom(seed))));
    expect(value).toEqual({ name: 'a', list: [1, { deep: true }] });
    expect(copies.size).toBeGreaterThan(50);
  });
});

it('the surface has every method of the document, what is open, and every path of the door', async () => {
  const app = new Hono();
  app.get('/openapi.json', (c) =>
    c.json({ paths: { '/v1/jobs/{name}': { get: {}, put: {} } }, components: { schemas: {} } }),
  );
  app.all('/master/slaves/:id', (c) => c.text(''));
  const { sites } = await surfaceOf(app);
  const names = sites.map(({ method, path }) => `${method} ${path}`);
  expect(names).toEqual(
    expect.arrayContaining(['GET /v1/jobs/{name}', 'PUT /v1/jobs/{name}', 'GET /healthz', 'POST /master/slaves/{id}']),
  );
});

describe('memory', () => {
  const after = (chapters: number, growthMiB: number) =>
    growthOf(Array.from({ length: chapters }, (_, place) => 40 + place * growthMiB)).grows;

  it.each([
    [40, 0, false],
    [40, 0.2, false],
    [40, 1, true],
    [5, 10, false],
  ])('over %s chapters with %s MiB more each: %s', (chapters, growthMiB, grows) => {
    expect(after(chapters, growthMiB)).toBe(grows);
  });
});
