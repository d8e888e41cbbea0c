import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
});
afterEach(() => berth.stop());

const SPEC = { name: 'hello', groups: [{ image: 'busybox:1.36' }] };

async function submitted(change: object = {}): Promise<Response> {
  return berth.send('POST', '/v1/jobs', { json: { ...SPEC, ...change } });
}

describe('a job over REST', () => {
  it('is created, with where it is, its version and the revision', async () => {
    const response = await submitted();
    expect(response.status).toBe(201);
    expect(response.headers.get('location')).toBe('/v1/jobs/hello?role=default');
    expect(response.headers.get('etag')).toBe('"1"');
    expect(Number(response.headers.get('berth-revision'))).toBeGreaterThan(0);
    expect(response.headers.get('berth-request-id')).toMatch(/^[a-z0-9]{16}$/);
    expect(await response.json()).toMatchObject({ name: 'hello', role: 'default', version: 1, state: 'pending' });
  });

  it('is there for whoever carries the revision of its creation to the next call', async () => {
    const revision = (await submitted()).headers.get('berth-revision') ?? '';
    const response = await berth.send('GET', '/v1/jobs/hello', { headers: { 'Berth-Revision': revision } });
    expect(response.status).toBe(200);
    expect(response.headers.get('etag')).toBe('"1"');
  });

  it('is one job for one idempotency key', async () => {
    const send = (json: object) => berth.send('POST', '/v1/jobs', { json, headers: { 'Idempotency-Key': 'build-17' } });
    const first = await send(SPEC);
    const second = await send(SPEC);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(await second.json()).toEqual(await first.json());
    const other = await send({ ...SPEC, name: 'other' });
    expect(other.status).toBe(422);
    expect(await other.json()).toMatchObject({ code: 'idempotency-mismatch' });
  });

  it('is refused with 409 when its name is taken', async () => {
    await submitted();
    const again = await submitted();
    expect(again.status).toBe(409);
    expect(await again.json()).toMatchObject({ code: 'already-exists', status: 409, title: 'It exists already' });
  });

  it('changes under If-Match, and only then', async () => {
    await submitted();
    const change = { ...SPEC, priority: 70 };
    const put = (tag: string) => berth.send('PUT', '/v1/jobs/hello', { json: change, headers: { 'If-Match': tag } });
    const stale = await put('"7"');
    expect(stale.status).toBe(412);
    expect(await stale.json()).toMatchObject({
      code: 'revision-mismatch',
      faults: [{ path: 'header:If-Match' }],
    });
    const fresh = await put('"1"');
    expect(fresh.status).toBe(200);
    expect(fresh.headers.get('etag')).toBe('"2"');
    const malformed = await put('2');
    expect(malformed.status).toBe(400);
    expect(await malformed.json()).toMatchObject({ faults: [{ path: 'header:If-Match' }] });
  });

  it('is created by PUT as well, and with If-None-Match only created', async () => {
    const put = () => berth.send('PUT', '/v1/jobs/hello', { json: SPEC, headers: { 'If-None-Match': '*' } });
    expect((await put()).status).toBe(201);
    expect((await put()).status).toBe(412);
  });

  it('must be put under its own name and role', async () => {
    const response = await berth.send('PUT', '/v1/jobs/other?role=eng%2Fml', { json: SPEC });
    expect(response.status).toBe(400);
    const { faults } = (await response.json()) as { faults: { path: string }[] };
    expect(faults.map((fault) => fault.path)).toEqual(['/name', '/role']);
  });

  it('is stopped without a body, listed, versioned and deleted', async () => {
    await submitted();
    const stopped = await berth.send('POST', '/v1/jobs/hello/stop');
    expect(stopped.status).toBe(200);
    expect(await stopped.json()).toMatchObject({ stop: { by: 'admin', reason: 'no reason given' } });
    const revision = stopped.headers.get('berth-revision') ?? '';
    const list = await berth.send('GET', '/v1/jobs?state=stopping&state=pending&limit=10', {
      headers: { 'Berth-Revision': revision },
    });
    expect(await list.json()).toMatchObject({ items: [{ name: 'hello', state: 'stopping' }], next: null });
    expect(await (await berth.send('GET', '/v1/jobs/hello/versions')).json()).toMatchObject({
      items: [{ version: 1 }],
    });
    expect((await berth.send('GET', '/v1/jobs/hello/versions/1')).status).toBe(200);
    expect((await berth.send('GET', '/v1/jobs/hello/versions/2')).status).toBe(404);
    expect((await berth.send('DELETE', '/v1/jobs/hello')).status).toBe(202);
  });

  it('is planned without being written', async () => {
    const response = await berth.send('POST', '/v1/plan', { json: SPEC });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ placements: [], unplaced: [{ group: 'main', count: 1 }] });
    expect((await berth.send('GET', '/v1/jobs/hello')).status).toBe(404);
  });

  it('says why it does not run', async () => {
    await submitted();
    const response = await berth.send('GET', '/v1/jobs/hello/explain');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      job: { name: 'hello' },
      groups: [],
      summary: expect.stringContaining('1 of 1 tasks are not made yet'),
    });
    const unknown = await berth.send('GET', '/v1/jobs/hello/explain?task=hello-main-0-x-v1a0');
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ detail: expect.stringContaining('has no task') });
    expect((await berth.send('GET', '/v1/jobs/hello/explain?task=%2F')).status).toBe(400);
  });

  it('may not be larger than what can be kept', async () => {
    const env = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`V${index}`, 'x'.repeat(60_000)]));
    const response = await submitted({ groups: [{ image: 'busybox', env }] });
    expect(response.status).toBe(413);
  });

  it('of the largest size is kept, even if every character of it has to be escaped twice', async () => {
    const env = { A: '"\\'.repeat(25_000), B: '\u0001'.repeat(20_000) };
    const response = await berth.send('POST', '/v1/jobs', {
      json: { ...SPEC, groups: [{ image: 'busybox', env }] },
      headers: { 'Idempotency-Key': 'large' },
    });
    expect(response.status).toBe(201);
  });
});

describe('one role', () => {
  it('neither sees nor touches what belongs to another', async () => {
    await submitted({ role: 'eng/ml' });
    const token = await berth.token({ subject: 'ops', roles: ['ops'], actions: ['job:*', 'task:*'] });
    expect((await berth.send('GET', '/v1/jobs/hello?role=eng%2Fml', { token })).status).toBe(404);
    expect((await berth.send('GET', '/v1/jobs/hello/explain?role=eng%2Fml', { token })).status).toBe(404);
    expect((await berth.send('DELETE', '/v1/jobs/hello?role=eng%2Fml', { token })).status).toBe(404);
    expect((await berth.send('POST', '/v1/jobs', { token, json: { ...SPEC, role: 'eng' } })).status).toBe(403);
    expect(await (await berth.send('GET', '/v1/jobs', { token })).json()).toEqual({ items: [], next: null });
  });

  it('runs nothing dangerous without the right by name', async () => {
    const json = { ...SPEC, groups: [{ image: 'busybox', privileged: true, network: 'host' }] };
    const mild = await berth.token({ actions: ['job:*'] });
    const refused = await berth.send('POST', '/v1/jobs', { token: mild, json });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ detail: expect.stringContaining('job:host-network') });
    const bold = await berth.token({ actions: ['job:*', 'job:privileged', 'job:host-network'] });
    expect((await berth.send('POST', '/v1/jobs', { token: bold, json })).status).toBe(201);
  });
});
