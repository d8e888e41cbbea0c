/** Who did what, over REST: read and followed, and what was refused at the doors. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEventParser } from '../../../shared/client/server-sent-events.ts';
import { type AuditView, auditViewSchema } from '../../../shared/protocol/audit.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { eventually } from '../../support/processes.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
});
afterEach(() => berth.stop());

const submit = (name: string, role = 'default') =>
  berth.send('POST', '/v1/jobs', { json: { name, role, groups: [{ image: 'busybox' }] } });

async function read(query = ''): Promise<AuditView[]> {
  await caughtUp(berth.replica.ctx);
  const response = await berth.send('GET', `/v1/audit?order=oldest${query}`);
  const { items } = (await response.json()) as { items: AuditView[] };
  return items;
}

/** What the stream brings, so many records of it. */
async function followed(headers: Record<string, string>, count: number, query = ''): Promise<string[]> {
  const ending = new AbortController();
  const all = { accept: 'text/event-stream', ...headers };
  const response = await berth.send('GET', `/v1/audit${query}`, { headers: all, signal: ending.signal });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const parse = createEventParser();
  const decoder = new TextDecoder();
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const ids: string[] = [];
  while (ids.length < count) {
    const { value } = await reader.read();
    for (const { id, data } of parse(decoder.decode(value, { stream: true }))) {
      if (data === null) continue;
      expect(auditViewSchema.parse(JSON.parse(data)).id).toBe(id);
      ids.push(String(id));
    }
  }
  ending.abort();
  return ids;
}

describe('GET /v1/audit', () => {
  it('tells of each change once, and by role only of its own', async () => {
    await submit('train', 'eng/ml');
    await submit('web', 'ops');
    const token = await berth.token({ roles: ['eng'], actions: ['audit:read'] });
    const all = await read();
    expect(all.map(({ objects }) => objects[0]?.id).sort()).toEqual(['train', 'web']);
    const { items } = (await (await berth.send('GET', '/v1/audit', { token })).json()) as { items: AuditView[] };
    expect(items).toMatchObject([{ objects: [{ kind: 'job', id: 'train', role: 'eng/ml' }] }]);
    expect((await berth.send('GET', '/v1/audit', { token: await berth.token({ actions: ['job:*'] }) })).status).toBe(
      403,
    );
  });

  it.each([
    ['object=web', 'query:object'],
    ['object=shoe/web', 'query:object'],
    ['since=yesterday', 'query:since'],
    ['after=x', 'query:after'],
    ['order=random', 'query:order'],
  ])('says what is wrong with %s', async (query, path) => {
    const response = await berth.send('GET', `/v1/audit?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ faults: [{ path }] });
  });

  it('is followed, and taken up again after any record', async () => {
    for (const name of ['one', 'two', 'three']) await submit(name);
    const [first, ...others] = (await read()).map(({ id }) => id);
    expect((await followed({ 'last-event-id': String(first) }, 2)).sort()).toEqual(others.sort());
    expect(await followed({}, 3, '?since=2020-01-01T00:00:00Z')).toHaveLength(3);
    const gone = await berth.send('GET', '/v1/audit', {
      headers: { accept: 'text/event-stream', 'last-event-id': '1700000000000-0123456789abcdef' },
    });
    expect([gone.status, (await gone.json()).code]).toEqual([410, 'history-gone']);
  });

  it('tells who has issued which token, for what', async () => {
    const json = { subject: 'ci', roles: ['eng'], actions: ['job:read'], ttlSeconds: 60 };
    const { id } = (await (await berth.send('POST', '/v1/tokens', { json })).json()) as { id: string };
    expect(await read(`&object=${encodeURIComponent(`token/${id}`)}`)).toMatchObject([
      {
        who: { subject: 'admin' },
        objects: [
          {
            change: 'issued',
            role: 'eng',
            grants: [expect.stringMatching(/^user token for "ci" until /), 'job:read in eng'],
          },
        ],
      },
    ]);
  });
});

describe('what is refused', () => {
  const refused = (count: number) =>
    eventually(`${count} refusals on record`, async () => {
      const items = await read('&outcome=refused');
      return items.length === count && items;
    });

  it('is on record with who tried it, what for and why', async () => {
    const token = await berth.token({ subject: 'eve', roles: ['eng'], actions: ['job:*'] });
    const json = { image: 'x' };
    await berth.send('DELETE', '/v1/jobs/web?role=ops', { token, json });
    await berth.send('PUT', '/v1/settings', { token, json: {} });
    await berth.send('POST', '/v1/jobs', { token: null, json });
    const agent = await ApiAgent.register(berth);
    await agent.send('PUT', '/v1/settings', { json: {} });
    const told = (await refused(4)).map(({ who, operation, refusal }) => [who?.subject, operation, refusal?.code]);
    expect(told.sort()).toEqual(
      [
        ['eve', 'DELETE /v1/jobs/{name}', 'not-found'],
        ['eve', 'PUT /v1/settings', 'forbidden'],
        [undefined, 'POST /v1/jobs', 'unauthenticated'],
        ['edge-1', 'PUT /v1/settings', 'forbidden'],
      ].sort(),
    );
    expect(await read('&role=ops')).toMatchObject([{ refusal: { target: '/v1/jobs/web' } }]);
  });

  it('is on record at the Mesos door as well', async () => {
    const token = await berth.token({ subject: 'eve', actions: ['job:read'] });
    const json = { type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: { value: 'edge-1' } } };
    await berth.send('POST', '/api/v1', { token, json });
    await berth.send('POST', '/api/v1', { token: null, json });
    const told = (await refused(2)).map(({ who, operation, refusal }) => [who?.subject, operation, refusal?.code]);
    expect(told.sort()).toEqual(
      [
        ['eve', 'POST /api/v1', 'forbidden'],
        [undefined, 'POST /api/v1', 'unauthenticated'],
      ].sort(),
    );
  });

  it('is not, where it was only asked for something', async () => {
    await berth.send('GET', '/v1/jobs/none');
    await berth.send('GET', '/v1/jobs', { token: null });
    await submit('one');
    expect(await read()).toMatchObject([{ outcome: 'done' }]);
  });
});

describe('what is done at the Mesos door', () => {
  it('is on record with the call', async () => {
    await ApiAgent.register(berth);
    await caughtUp(berth.replica.ctx);
    const json = { type: 'DEACTIVATE_AGENT', deactivate_agent: { agent_id: { value: 'edge-1' } } };
    const response = await berth.send('POST', '/api/v1', { json });
    expect(response.status).toBe(200);
    expect((await read()).at(-1)).toMatchObject({
      ...{ operation: 'POST /api/v1 DEACTIVATE_AGENT', requestId: response.headers.get('berth-request-id') },
      objects: [{ kind: 'node', id: 'edge-1', change: 'changed', fields: ['/eligible'] }],
    });
  });
});
