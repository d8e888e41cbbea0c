import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEventParser, type ServerSentEvent } from '../../../shared/client/server-sent-events.ts';
import type { EventView } from '../../../shared/protocol/views.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
});
afterEach(() => berth.stop());

async function submit(name: string, change: object = {}): Promise<number> {
  const json = { name, groups: [{ image: 'busybox' }], ...change };
  const response = await berth.send('POST', '/v1/jobs', { json });
  expect(response.status).toBe(201);
  await caughtUp(berth.replica.ctx);
  return Number(response.headers.get('berth-revision'));
}

async function page(query: string, token?: string): Promise<{ items: EventView[]; next: string }> {
  const response = await berth.send('GET', `/v1/events?${query}`, token === undefined ? {} : { token });
  expect(response.status).toBe(200);
  return (await response.json()) as { items: EventView[]; next: string };
}

/** Reads events of a stream until there are as many as wanted, then lets go of it. */
async function read(response: Response, count: number): Promise<ServerSentEvent[]> {
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const parse = createEventParser();
  const events: ServerSentEvent[] = [];
  const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader();
  while (events.length < count) {
    const { done, value } = await reader.read();
    if (done) break;
    events.push(...parse(new TextDecoder().decode(value)));
  }
  await reader.cancel();
  return events;
}

function stream(query = '', headers: Record<string, string> = {}): Promise<Response> {
  return berth.send('GET', `/v1/events?${query}`, { headers: { accept: 'text/event-stream', ...headers } });
}

describe('events as pages', () => {
  it('are what happened after a revision, with where to go on', async () => {
    const first = await submit('one');
    const second = await submit('two');
    const all = await page(`after=${first - 1}&type=job.created`);
    expect(all.items).toMatchObject([
      { type: 'job.created', job: 'one', revision: first },
      { type: 'job.created', job: 'two', revision: second },
    ]);
    expect(await page(`after=${all.next}`)).toMatchObject({ items: [] });
    expect((await page(`after=${first - 1}&limit=1&type=job.created`)).items).toHaveLength(1);
  });

  it('wait for news when there is none', async () => {
    const after = await submit('one');
    const waiting = page(`after=${after}&waitMs=10000`);
    await submit('two');
    expect((await waiting).items).toMatchObject([{ job: 'two' }]);
  });

  it('end their wait without news', async () => {
    const after = await submit('one');
    const { items, next } = await page(`after=${after}&waitMs=20`);
    expect(items).toEqual([]);
    expect(Number(next)).toBeGreaterThanOrEqual(after);
  });

  it('show nobody more than their roles', async () => {
    const after = (await submit('mine', { role: 'eng/ml' })) - 1;
    await submit('theirs', { role: 'ops' });
    await ApiAgent.register(berth);
    const token = await berth.token({ roles: ['eng'], actions: ['event:read'] });
    const { items } = await page(`after=${after}`, token);
    expect(items.map((event) => event.job)).toEqual(['mine']);
  });
});

describe('events as a stream', () => {
  it('carry their revision as id and resume after it', async () => {
    const first = await submit('one');
    const started = await read(await stream(`after=${first - 1}`), 1);
    expect(started).toMatchObject([{ type: 'job.created', id: String(first) }]);
    const second = await submit('two');
    const resumed = await read(await stream('after=0', { 'last-event-id': String(first) }), 1);
    expect(resumed.map((event) => [event.type, event.id])).toEqual([['job.created', String(second)]]);
    expect(JSON.parse(resumed[0]?.data ?? '')).toMatchObject({ job: 'two', role: 'default' });
  });

  it('come as they happen', async () => {
    const events = read(await stream(), 2);
    await submit('one');
    await submit('two');
    expect((await events).map((event) => (JSON.parse(event.data ?? '') as EventView).job)).toEqual(['one', 'two']);
  });

  it('leave nothing behind when the reader goes', async () => {
    const response = await stream();
    await submit('one');
    await response.body?.cancel();
    await submit('two');
    expect((await stream()).status).toBe(200);
  });

  it('say 410 when they are asked for from too long ago', async () => {
    const fresh = await startApi({ store: berth.replica.ctx.store, id: 'later' });
    const { ctx } = berth.replica;
    for (let n = 0; n < 3; n++) await submit(`job-${n}`);
    const { revision } = await ctx.store.status();
    await ctx.store.compact(revision);
    const late = await startApi({ store: ctx.store, id: 'latest' });
    const response = await late.send('GET', '/v1/events?after=1', { headers: { accept: 'text/event-stream' } });
    expect(response.status).toBe(410);
    expect(await response.json()).toMatchObject({ code: 'history-gone' });
    fresh.stop();
    late.stop();
  });

  it('need the right to read events', async () => {
    const token = await berth.token({ actions: ['job:read'] });
    const response = await berth.send('GET', '/v1/events', { token, headers: { accept: 'text/event-stream' } });
    expect(response.status).toBe(403);
  });
});
