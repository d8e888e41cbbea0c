/**
 * Walks every route of both doors: none is reached without a token, with one of a wrong kind or without rights; and with a token that may
 * do everything in another role, nothing shows of what isn't its own: neither by an answer's status, headers or body, nor by a total.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApi } from '../../../control-plane/api/api.ts';
import { OutsideTokens } from '../../../control-plane/auth/outside-tokens.ts';
import type { Grant, Principal } from '../../../control-plane/auth/principal.ts';
import { RateLimits } from '../../../control-plane/auth/rate-limits.ts';
import { RefusalLog } from '../../../control-plane/services/audit-refusals.ts';
import { FrameworkStreams } from '../../../control-plane/services/framework-streams.ts';
import { ensureSigningKey } from '../../../control-plane/services/signing-keys.ts';
import type { FrameworkView } from '../../../shared/protocol/framework.ts';
import { present } from '../../../shared/util/assert.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { Hand } from '../../support/frameworks.ts';
import { caughtUp, envelopeKey, envelopeOf } from '../../support/replica.ts';
import {
  API_SAMPLES,
  DOOR_SAMPLES,
  type Names,
  NODE,
  OPEN_ROUTES,
  OPERATOR_SAMPLES,
  type RouteSample,
  SCHEDULER_SAMPLES,
} from '../../support/route-samples.ts';

const CALLS = ['/api/v1', '/api/v1/*', '/api/v1/scheduler'];
const SAMPLES = [
  ...API_SAMPLES,
  ...DOOR_SAMPLES,
  ...Object.values(OPERATOR_SAMPLES),
  ...Object.values(SCHEDULER_SAMPLES),
];
/** Stands in every name of the role that nobody else is to know of, and in nothing else. */
const SECRET = 'hush';
const KINDS = ['user', 'join', 'node', 'peer'] as const;

let berth: TestApi;
let there: Names;
let absent: Names;
let other: string;
/** What the other role is answered before there is anything in this one. */
let before: Map<string, string>;

beforeAll(async () => {
  berth = await startApi({ envelope: await envelopeOf(envelopeKey('k1')) });
  await ApiAgent.register(berth, NODE);
  other = await berth.token({ subject: 'other', roles: ['other'], actions: ['*'] });
  expect(
    (await send('POST', '/v1/jobs', { name: 'mine', role: 'other', groups: [{ image: 'x' }] }, other)).status,
  ).toBe(201);
  await berth.replica.settle();
  before = await totals();
  there = await fill();
  const gone = (text: string) => text.replaceAll(SECRET, 'gone');
  absent = {
    ...there,
    ...Object.fromEntries(Object.entries(there).map(([key, name]) => [key, gone(name)])),
    framework: `f${'0'.repeat(there.framework.length - 1)}`,
    offer: '1-999999-1',
  };
});
afterAll(() => berth.stop());

/** Puts one thing of each sort into the role. */
async function fill(): Promise<Names> {
  const role = `${SECRET}/ml`;
  const put = async (method: string, path: string, json: unknown, status: number, token = berth.admin) => {
    const response = await send(method, path, json, token);
    const body = (await response.json()) as Record<string, unknown>;
    expect([path, response.status, body]).toEqual([path, status, body]);
    await caughtUp(berth.replica.ctx);
    return body;
  };
  await put('PUT', `/v1/roles/${role}`, { weight: 2, limit: { cpus: 3 }, guarantee: { cpus: 1 } }, 200);
  await put('PUT', `/v1/secrets/${SECRET}-web?role=${role}`, { value: 'x' }, 201);
  await put(
    'POST',
    `/v1/nodes/${NODE}/reservations`,
    { id: `${SECRET}-r`, role, amounts: { cpus: 0.5, diskMiB: 100 } },
    201,
  );
  await put('POST', `/v1/nodes/${NODE}/volumes`, { id: `${SECRET}-v`, reservation: `${SECRET}-r`, sizeMiB: 50 }, 201);
  const group = { image: `${SECRET}/image`, ports: [{ name: 'http', containerPort: 80 }] };
  await put('POST', '/v1/jobs', { name: `${SECRET}-web`, role, kind: 'service', groups: [group] }, 201);
  await berth.replica.settle();
  const owner = await berth.token({ subject: `${SECRET}-owner`, roles: [role], actions: ['*'] });
  const framework = (await put(
    'POST',
    '/v1/frameworks',
    { name: `${SECRET}-fw`, roles: [role] },
    201,
    owner,
  )) as unknown as FrameworkView;
  const hand = new Hand(berth.replica.ctx);
  await hand.launch(framework.id, `${SECRET}-launched`, { role, jobName: `${SECRET}-fw` });
  await put('PUT', `/v1/nodes/${NODE}/maintenance`, { startsAt: '2040-01-01T00:00:00Z' }, 200);
  const offer = await hand.offer(framework.id, { role });
  const { snapshot } = berth.replica.ctx.mirror;
  const job = present(snapshot.jobByKey({ role, name: `${SECRET}-web` }), 'the job');
  const [task] = snapshot.tasksOfJob(job.uid);
  const [deployment] = snapshot.deploymentsOfJob(job.uid);
  return {
    role,
    job: job.spec.name,
    task: present(task, 'its task').id,
    deployment: present(deployment, 'its deployment').id,
    framework: framework.id,
    offer: offer.id,
    launched: `${SECRET}-launched`,
    reservation: `${SECRET}-r`,
    volume: `${SECRET}-v`,
  };
}

function send(method: string, path: string, json: unknown, token: string | null): Promise<Response> {
  return berth.send(method, path, { token, ...(json !== undefined && { json }) });
}

function ask(sample: RouteSample, names: Names, token: string | null): Promise<Response> {
  const headers = sample.admits.includes('node') ? { 'Berth-Epoch': '1' } : {};
  const form = sample.form?.(names);
  const json = sample.body?.(names);
  const path = sample.path(names);
  if (form !== undefined)
    return berth.send(sample.method, path, { token, headers, body: new URLSearchParams(form).toString() });
  return berth.send(sample.method, path, { token, headers, ...(json !== undefined && { json }) });
}

/** All of an answer; of a stream that goes on, what comes at once. */
const BEGIN_MAX_MS = 5000;

async function told(response: Response, isStream = false): Promise<string> {
  if (response.body === null) return '';
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  // Each stream begins with something; after that, nothing more happens by itself.
  const quiet = async () => {
    if (text === '') await new Promise((resolve) => setTimeout(resolve, BEGIN_MAX_MS));
    for (let turns = 0; turns < 200; turns++) await new Promise((resolve) => setImmediate(resolve));
    return null;
  };
  for (;;) {
    const part = await (isStream ? Promise.race([reader.read(), quiet()]) : reader.read());
    if (part === null || part.done) break;
    text += decoder.decode(part.value, { stream: true });
  }
  if (isStream) void reader.cancel();
  return text;
}

async function wholeOf(response: Response, isStream: boolean): Promise<string> {
  const headers = [...response.headers].filter(
    ([name]) => !['berth-request-id', 'date', 'mesos-stream-id'].includes(name),
  );
  const text = (await told(response, isStream)).replace(/"(requestId|instance)":"[^"]*"/g, '"$1":""');
  return JSON.stringify([response.status, headers, text]);
}

function titleOf({ method, route }: RouteSample): string {
  return route.includes(' ') ? route : `${method} ${route}`;
}

/** Whether what it answers goes on. */
function isLong({ route }: RouteSample): boolean {
  return route === 'SUBSCRIBE' || route.endsWith('/watch');
}

/** Names are told apart by what they are of, not by what they say. */
function unnamed(text: string, names: Names): string {
  const all = Object.entries(names).sort(([, a], [, b]) => b.length - a.length);
  return all.reduce(
    (sofar, [key, name]) => sofar.replaceAll(name, `<${key}>`).replaceAll(name.replaceAll('/', '~1'), `<${key}>`),
    text,
  );
}

const COUNTED = ['/v1/status', '/metrics', '/metrics/snapshot', '/v1/roles', '/v1/jobs', '/roles', '/state-summary'];

/** What is summed over things of the role that asks; what is of the nodes and of the replica changes by itself. */
async function totals(): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const path of COUNTED) {
    const response = await send('GET', path, undefined, other);
    const text = await response.text();
    expect([path, response.status, text]).toEqual([path, 200, text]);
    all.set(path, ownTotals(path, text));
  }
  return all;
}

function ownTotals(path: string, text: string): string {
  if (path === '/metrics')
    return text
      .split('\n')
      .filter((line) => /^berth_(jobs|tasks)/.test(line))
      .join('\n');
  const body = JSON.parse(text) as Record<string, unknown>;
  if (path === '/v1/status') return JSON.stringify([body['jobs'], body['tasks']]);
  if (path === '/metrics/snapshot') {
    return JSON.stringify(Object.entries(body).filter(([key]) => /master\/(tasks|frameworks|outstanding)/.test(key)));
  }
  if (path === '/state-summary') return JSON.stringify(body['frameworks']);
  // What would be fair is told as it is: a share of all that want something, whoever they are.
  if (path === '/v1/roles') return text.replace(/"fairShare":[\d.]+/g, '');
  return path === '/roles' ? JSON.stringify((body['roles'] as { name: string }[]).map(({ name }) => name)) : text;
}

function tokenOf(kind: Principal['kind'], grant: Partial<Grant> = { roles: [], actions: [] }): Promise<string> {
  return berth.token({
    kind,
    subject: kind === 'node' ? NODE : 'somebody',
    node: kind === 'node' ? NODE : null,
    ...grant,
  });
}

describe('the list of samples', () => {
  it('has every route of the API and of the door for clients of Mesos, and no other', async () => {
    const document = (await (await send('GET', '/openapi.json', undefined, null)).json()) as {
      readonly paths: Readonly<Record<string, object>>;
    };
    const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const { ctx } = berth.replica;
    const nowhere = { peerToken: async () => '', fetch: globalThis.fetch };
    const { signal } = new AbortController();
    const frameworkStreams = new FrameworkStreams(ctx, nowhere, signal);
    const verifier = { verify: () => Promise.reject(new Error('nobody calls')), watch: () => () => undefined };
    const { mint } = berth;
    const ring = await ensureSigningKey(ctx);
    const clientAddress = () => null;
    const refusals = new RefusalLog(ctx, signal);
    const limits = new RateLimits({ policy: null, clock: ctx.clock });
    const api = createApi({
      ctx,
      verifier,
      mint,
      ring,
      fetch: nowhere.fetch,
      signal,
      frameworkStreams,
      clientAddress,
      refusals,
      limits,
      outsideTokens: new OutsideTokens({ clock: ctx.clock, fetch: nowhere.fetch }),
      outsideIssuers: [],
    });
    const served = api.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)(?:\{\.\+\})?/g, '{$1}')}`);
    const door = berth.api.routes
      // What is none of its own goes on to the API.
      .filter(({ path }) => path !== '/*')
      .map(({ path }) => path.replace(/^\/master(?=\/)/, '').replace(/(?<=.)(?:\/|\.json)$/, ''));
    const known = [...SAMPLES.map(({ route }) => route), ...OPEN_ROUTES, ...CALLS];
    const where =
      'add a sample for it to tests/support/route-samples.ts, or, if anybody may call it, to OPEN_ROUTES there';
    for (const route of new Set([...documented, ...served, ...door])) {
      expect(known, `the route "${route}" has no sample: ${where}`).toContain(route);
    }
    const calls = [...Object.keys(OPERATOR_SAMPLES), ...Object.keys(SCHEDULER_SAMPLES)];
    for (const route of known) {
      if (calls.includes(route)) continue;
      expect([...documented, ...served, ...door], `there is no route "${route}" any more`).toContain(route);
    }
  });

  it('names in the OpenAPI document what needs no token, and how all else is refused', async () => {
    const document = (await (await send('GET', '/openapi.json', undefined, null)).json()) as {
      readonly security?: unknown;
      readonly paths: Readonly<Record<string, Readonly<Record<string, { responses: object; security?: unknown }>>>>;
    };
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { responses, security = document.security }] of Object.entries(methods)) {
        const route = `${method.toUpperCase()} ${path}`;
        const isOpen = OPEN_ROUTES.includes(route);
        expect([route, security]).toEqual([route, isOpen ? [] : [{ token: [] }]]);
        if (!isOpen) expect([route, Object.keys(responses)]).toEqual([route, expect.arrayContaining(['401', '403'])]);
      }
    }
  });
});

describe('no route is reached', () => {
  const unsigned = `${btoa('{"alg":"none"}')}.${btoa('{}')}.`.replaceAll('=', '');

  it.each(SAMPLES.map((one) => [titleOf(one), one] as const))(
    '%s: without a token, or with garbage',
    async (_, one) => {
      for (const token of [null, '', 'garbage', unsigned, `${berth.admin}x`, berth.admin.slice(0, -2)]) {
        const response = await ask(one, there, token);
        expect([token, response.status]).toEqual([token, 401]);
        expect(response.headers.get('www-authenticate')).toMatch(/Bearer/);
        expect(await told(response)).not.toContain(SECRET);
      }
    },
  );

  it.each(SAMPLES.map((one) => [titleOf(one), one] as const))('%s: by a caller of a wrong kind', async (_, one) => {
    for (const kind of KINDS) {
      if (one.admits.includes(kind)) continue;
      const response = await ask(one, there, await tokenOf(kind, { roles: ['*'], actions: ['*'] }));
      expect([kind, response.status]).toEqual([kind, 403]);
      expect(await told(response)).not.toContain(SECRET);
    }
  });

  it.each(SAMPLES.filter(({ admits }) => admits.includes('user')).map((one) => [titleOf(one), one] as const))(
    '%s: with a token that allows nothing',
    async (_, one) => {
      const nothing = await tokenOf('user', { roles: ['*'], actions: [] });
      const [real, made] = [await ask(one, there, nothing), await ask(one, absent, nothing)];
      const text = await wholeOf(real, isLong(one));
      expect(unnamed(text, there)).toBe(unnamed(await wholeOf(made, isLong(one)), absent));
      // A stream of Mesos's says so itself, and what a token is its bearer may always ask.
      if (one.fate !== 'own' && one.route !== 'SUBSCRIBE' && !one.route.endsWith('/whoami'))
        expect(real.status).toBeGreaterThanOrEqual(400);
    },
  );
});

describe('another role', () => {
  it.each(
    SAMPLES.filter(({ fate }) => fate === 'hidden' || fate === 'refused').map((one) => [titleOf(one), one] as const),
  )('%s: is answered as if there were nothing', async (_, one) => {
    const [real, made] = [await ask(one, there, other), await ask(one, absent, other)];
    if (one.fate === 'hidden' && one.path(there).startsWith('/v1/')) expect(real.status).toBe(404);
    if (one.fate === 'refused' && one.path(there).startsWith('/v1/')) expect(real.status).toBe(403);
    const isSubscription = one.route === 'SUBSCRIBE';
    if (!isSubscription) expect(real.status).toBeGreaterThanOrEqual(400);
    expect(unnamed(await wholeOf(real, isLong(one)), there)).toBe(unnamed(await wholeOf(made, isLong(one)), absent));
  });

  it.each(
    SAMPLES.filter(({ fate, method }) => fate === 'own' || (fate === 'cluster' && method === 'GET'))
      .filter(({ admits }) => admits.includes('user'))
      .map((one) => [titleOf(one), one] as const),
  )('%s: shows nothing of this one', async (_, one) => {
    const response = await ask(one, there, other);
    const text = await told(response, isLong(one));
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain(there.framework);
    expect(text).not.toContain(there.deployment);
  });

  it('is told no total in which this one counts', async () => {
    expect(await totals()).toEqual(before);
  });

  it('sees it all with a token that reaches it, so that this proves something', async () => {
    const seen = await berth.token({ roles: ['*'], actions: ['*'] });
    const lists = SAMPLES.filter(({ fate, method }) => fate === 'own' && method === 'GET');
    for (const one of lists) {
      if (one.route === 'GET /v1/events' || one.route.startsWith('/slaves')) continue;
      const response = await ask(one, there, seen);
      expect([one.route, response.status, await told(response, isLong(one))]).toEqual([
        one.route,
        200,
        expect.stringContaining(SECRET),
      ]);
    }
    for (const one of API_SAMPLES.filter(({ fate, method }) => fate === 'hidden' && method === 'GET')) {
      if (one.route.endsWith('/logs') || one.route.endsWith('/events')) continue;
      const response = await ask(one, there, seen);
      expect([one.route, response.status]).toEqual([one.route, 200]);
      await told(response);
    }
  });
});
