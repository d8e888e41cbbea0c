import { describe, expect, it } from 'vitest';
import { allPages, createClient } from '../../../shared/client/client.ts';
import { ApiError, UnexpectedAnswerError, UnreachableError } from '../../../shared/client/errors.ts';
import { json, networkFault, problem, scriptedServer, silence, VirtualClock } from './scripted-server.ts';

const SUMMARY = {
  uid: 'u1',
  name: 'hello',
  role: 'default',
  kind: 'batch',
  version: 3,
  priority: 50,
  state: 'running',
  message: 'one runs',
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  createdBy: 'ci',
  endedAt: null,
  tasks: { pending: 0, staging: 0, starting: 0, running: 1, finished: 0, failed: 0, killed: 0, error: 0, lost: 0 },
};
const SPEC = { name: 'hello', groups: [{ image: 'busybox' }] };
const VIEW = { ...SUMMARY, stop: null, spec: SPEC };
const STATUS_PATH = '/v1/jobs/hello';
const KEY = { name: 'hello', role: 'eng/ml' };

describe('a request', () => {
  it('carries the token, and escapes names in its path', async () => {
    const server = scriptedServer([json(VIEW)]);
    await server.client.jobs.get({ name: 'a/../b?', role: 'eng/ml' });
    const [request] = server.requests;
    expect(request?.headers.get('Authorization')).toBe('Bearer a-token');
    expect(request?.url.pathname).toBe('/v1/jobs/a%2F..%2Fb%3F');
    expect(request?.url.searchParams.get('role')).toBe('eng/ml');
  });

  it('sends the highest revision that was seen, and never a lower one', async () => {
    const at = (revision: number) => json(VIEW, { headers: { 'Berth-Revision': String(revision) } });
    const server = scriptedServer([at(7), at(5), at(9)]);
    for (let call = 0; call < 3; call += 1) await server.client.jobs.get(KEY);
    expect(server.requests.map((request) => request.headers.get('Berth-Revision'))).toEqual([null, '7', '7']);
    expect(server.client.position()).toEqual({ incarnation: 1, revision: 9 });
  });

  it('hears once that history has changed, and goes on from the lower revision', async () => {
    const at = (position: string) => ({ headers: { 'Berth-Revision': position } });
    const refusal = {
      type: 'about:blank',
      title: '',
      status: 410,
      code: 'history-changed',
      detail: '',
      requestId: 'r',
    };
    const changed = json(refusal, { status: 410, ...at('1800000000-5') });
    const server = scriptedServer([
      json(VIEW, at('90')),
      changed,
      json(VIEW, at('1800000000-6')),
      json(VIEW, at('95')),
    ]);
    await server.client.jobs.get(KEY);
    await expect(server.client.jobs.get(KEY)).rejects.toMatchObject({ code: 'history-changed' });
    for (let call = 0; call < 2; call += 1) await server.client.jobs.get(KEY);
    const sent = server.requests.map((request) => request.headers.get('Berth-Revision'));
    expect(sent).toEqual([null, '90', '1800000000-5', '1800000000-6']);
    // A replica that still lives before the recovery takes nobody back.
    expect(server.client.position()).toEqual({ incarnation: 1_800_000_000, revision: 6 });
  });

  it('reads the version from the ETag and whether the answer is a replay', async () => {
    const server = scriptedServer([json(VIEW, { headers: { ETag: '"3"', 'Idempotency-Replayed': 'true' } })]);
    const answer = await server.client.jobs.submit(SPEC);
    expect(answer).toMatchObject({ version: 3, replayed: true, status: 200 });
  });

  it('repeats what lists of states ask for', async () => {
    const server = scriptedServer([json({ items: [], next: null })]);
    await server.client.tasks.list({ state: ['live', 'lost'], job: 'hello' });
    expect(server.requests[0]?.url.search).toBe('?state=live&state=lost&job=hello');
  });
});

describe('repeating', () => {
  it('tries a read again with growing waits, and says why', async () => {
    const server = scriptedServer([networkFault('ECONNRESET'), networkFault('ECONNRESET'), json(VIEW)]);
    await server.settle(server.client.jobs.get(KEY));
    expect(server.retries.map((note) => note.waitMs)).toEqual([113, 225]);
    expect(server.retries[0]?.why).toContain('ECONNRESET');
  });

  it('repeats a POST under one and the same key, and takes another for the next call', async () => {
    const server = scriptedServer([networkFault('ECONNRESET'), json(VIEW), json(VIEW)]);
    await server.settle(server.client.jobs.submit(SPEC));
    await server.client.jobs.submit(SPEC);
    const [first, second, third] = server.requests.map((request) => request.headers.get('Idempotency-Key'));
    expect(first).toMatch(/^[0-9a-z]{26}$/);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });

  it('repeats a PUT without a condition', async () => {
    const server = scriptedServer([networkFault('ECONNRESET'), json(VIEW)]);
    await server.settle(server.client.jobs.put(SPEC));
    expect(server.requests).toHaveLength(2);
  });

  it('does not repeat a conditional PUT that may have arrived', async () => {
    const server = scriptedServer([networkFault('ECONNRESET')]);
    await expect(server.client.jobs.put(SPEC, { ifVersion: 3 })).rejects.toThrow(UnreachableError);
    expect(server.requests[0]?.headers.get('If-Match')).toBe('"3"');
  });

  it('repeats a conditional PUT that certainly never left', async () => {
    const server = scriptedServer([networkFault('ECONNREFUSED'), json(VIEW)]);
    await server.settle(server.client.jobs.put(SPEC, { onlyCreate: true }));
    expect(server.requests.map((request) => request.headers.get('If-None-Match'))).toEqual(['*', '*']);
  });

  it('waits as long as the server asks for', async () => {
    const busy = () => new Response('{}', { status: 503, headers: { 'Retry-After': '2' } });
    const server = scriptedServer([busy, json(VIEW)]);
    await server.settle(server.client.jobs.get(KEY));
    expect(server.retries).toEqual([{ why: 'it answered 503', waitMs: 2000 }]);
  });

  it('repeats what was refused for coming too often, whatever it is, after the time that the server asks for', async () => {
    const busy = () => new Response('{}', { status: 429, headers: { 'Retry-After': '3' } });
    const server = scriptedServer([busy, json(VIEW)]);
    await server.settle(server.client.jobs.put(SPEC, { ifVersion: 3 }));
    expect(server.retries).toEqual([{ why: 'it answered 429', waitMs: 3000 }]);
    expect(server.requests).toHaveLength(2);
  });

  it('gives up after four attempts, with the last refusal', async () => {
    const server = scriptedServer(Array.from({ length: 4 }, () => problem(503, 'unavailable')));
    await expect(server.settle(server.client.jobs.get(KEY))).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('gives up on an address where nothing answers, and names it', async () => {
    const server = scriptedServer(Array.from({ length: 4 }, () => networkFault('ECONNREFUSED')));
    const failure = server.settle(server.client.jobs.get(KEY));
    await expect(failure).rejects.toThrow(
      /no answer from the control plane at http:\/\/berth.test\/: connect ECONNREFUSED/,
    );
  });

  it('ends a call that takes too long', async () => {
    const server = scriptedServer([silence()], { timeoutMs: 5000 });
    const before = server.clock.now();
    await expect(server.settle(server.client.jobs.get(KEY))).rejects.toThrow(/it took too long/);
    expect(server.clock.now() - before).toBe(5000);
  });
});

describe('an answer', () => {
  it('that is a refusal becomes an ApiError with its code and faults', async () => {
    const faults = [{ path: '/groups/0/count', message: 'must be at least 1' }];
    const server = scriptedServer([problem(400, 'invalid-request', { faults })]);
    const error = await server.client.jobs.submit(SPEC).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ code: 'invalid-request', message: 'it is invalid-request', faults, repeated: false });
  });

  it('to a repeated call says so, since the first copy may have counted', async () => {
    const server = scriptedServer([networkFault('ECONNRESET'), problem(409, 'already-exists')]);
    await expect(server.settle(server.client.jobs.submit(SPEC))).rejects.toMatchObject({ repeated: true });
  });

  it.each([
    ['a page of another server', () => new Response('<html>It works!</html>'), /isn't Berth's API: "<html>It works!/],
    ['a page of another server that refuses', () => new Response('<html>Not here', { status: 404 }), /status 404/],
    ['a job without a version', json({ ...VIEW, version: undefined }), /at \/version/],
    ['nothing', () => new Response(''), /an empty body/],
  ])('that is %s is refused', async (_what, reply, message) => {
    const server = scriptedServer([reply]);
    const error = await server.client.jobs.get(KEY).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnexpectedAnswerError);
    expect((error as Error).message).toMatch(message);
  });

  it('of a proxy that finds no replica counts as unavailable', async () => {
    const page = () => new Response('<html>Bad Gateway</html>', { status: 502 });
    const server = scriptedServer([page, page, page, page]);
    const failure = server.settle(server.client.jobs.get(KEY));
    await expect(failure).rejects.toMatchObject({ code: 'unavailable', message: /answered 502: "<html>Bad Gateway/ });
  });
});

describe('pages', () => {
  it('are read to the last', async () => {
    const server = scriptedServer([
      json({ items: [SUMMARY, SUMMARY], next: 'c1' }),
      json({ items: [SUMMARY], next: null }),
    ]);
    const names: string[] = [];
    for await (const job of allPages((page) => server.client.jobs.list({ ...page, role: 'eng' }))) names.push(job.name);
    expect(names).toHaveLength(3);
    expect(server.requests.map(({ url }) => url.search)).toEqual([
      '?limit=1000&role=eng',
      '?limit=1000&after=c1&role=eng',
    ]);
  });
});

describe('without a token', () => {
  it('none is sent', async () => {
    let authorization: string | null = 'unset';
    const client = createClient({
      address: 'http://berth.test',
      token: null,
      clock: new VirtualClock(),
      random: { next: () => 0, bytes: (length) => new Uint8Array(length) },
      fetch: async (input, init) => {
        const request = new Request(input, init);
        authorization = request.headers.get('Authorization');
        expect(new URL(request.url).pathname).toBe(STATUS_PATH);
        return Response.json(VIEW);
      },
    });
    await client.jobs.get(KEY);
    expect(authorization).toBeNull();
  });
});
