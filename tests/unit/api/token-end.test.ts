/** Whatever a token opened ends with it, at that moment, and says so in the manner of its kind. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEventParser } from '../../../shared/client/server-sent-events.ts';
import { ManualClock, settle } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, line, ndjson, placeTask } from '../../support/api-agent.ts';
import { SCHEDULER, subscription } from '../../support/mesos-client.ts';
import { OPERATOR } from '../../support/mesos-operator.ts';
import { caughtUp } from '../../support/replica.ts';

/** So long a token counts beyond its expiry, as clocks differ. */
const TOLERANCE_SECONDS = 30;
const LEFT_SECONDS = 5;
const TOKEN_OVER = 'the token has expired; go on with another one';
const EVENTS = { accept: 'text/event-stream' };

let clock: ManualClock;
let berth: TestApi;
/** Good for {@link LEFT_SECONDS} more. */
let token: string;

beforeEach(async () => {
  clock = new ManualClock();
  berth = await startApi({ clock });
  token = await berth.token({ ttlSeconds: LEFT_SECONDS - TOLERANCE_SECONDS });
});
afterEach(() => berth.stop());

/** What of a body has come so far. */
class Body {
  text = '';
  isOver = false;
  isBroken = false;

  constructor(response: Response) {
    expect(response.status).toBe(200);
    void this.#read(response).catch(() => {
      this.isBroken = true;
    });
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) this.text += decoder.decode(chunk, { stream: true });
    this.isOver = true;
  }

  get lastEvent() {
    return createEventParser()(this.text).at(-1);
  }
}

function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return berth.send('GET', path, { token, headers });
}

async function frameworkStream(): Promise<Response> {
  const wishes = { name: 'painter', roles: ['default'], failoverTimeoutSeconds: 60 };
  const { id, session } = await (await berth.send('POST', '/v1/frameworks', { json: wishes, token })).json();
  await caughtUp(berth.replica.ctx);
  return get(`/v1/frameworks/${id}/events?session=${session}`);
}

/** After this the token is known, and the next request with it waits at once. */
async function revision(): Promise<string> {
  return (await get('/v1/status')).headers.get('berth-revision') ?? '';
}

describe('a stream ends with its token', () => {
  it.each([
    ['of events', () => get('/v1/events', EVENTS)],
    ['of endpoints', () => get('/v1/endpoints/watch')],
    ['of a framework', frameworkStream],
    ["of a task's output", async () => get(`/v1/tasks/${await placeTask(berth)}/logs?follow=true`, EVENTS)],
  ])('%s, and says as its last event why', async (_of, open) => {
    await ApiAgent.register(berth);
    const body = new Body(await open());
    await clock.advance(LEFT_SECONDS * 1000 - 1);
    expect([body.isOver, body.lastEvent?.type]).not.toEqual([true, 'error']);
    expect(body.isOver).toBe(false);
    await clock.advance(1);
    expect(body.isOver).toBe(true);
    const { type, data, id } = body.lastEvent ?? {};
    expect([type, id]).toEqual(['error', null]);
    expect(JSON.parse(data ?? '')).toMatchObject({ code: 'unauthenticated', status: 401, detail: TOKEN_OVER });
    expect((await get('/v1/events', EVENTS)).status).toBe(401);
  });

  it("of a task's output as text, and says in its last line why", async () => {
    await ApiAgent.register(berth);
    const body = new Body(await get(`/v1/tasks/${await placeTask(berth)}/logs?follow=true`));
    await clock.advance(LEFT_SECONDS * 1000 - 1);
    expect([body.isOver, body.text]).toEqual([false, '']);
    await clock.advance(1);
    expect([body.isOver, body.text]).toEqual([true, `berth: the output ends here: ${TOKEN_OVER}\n`]);
  });

  it.each([
    ['a framework', () => berth.send('POST', SCHEDULER, { token, json: subscription() })],
    [
      'a framework, by name and password',
      () => {
        const headers = { authorization: `Basic ${btoa(`painter:${token}`)}` };
        return berth.send('POST', SCHEDULER, { token: null, headers, json: subscription() });
      },
    ],
    ['an operator', () => berth.send('POST', OPERATOR, { token, json: { type: 'SUBSCRIBE' } })],
  ])('of %s that speaks the API of Mesos, which is closed', async (_of, open) => {
    const body = new Body(await open());
    await clock.advance(LEFT_SECONDS * 1000 - 1);
    expect([body.isOver, body.text.includes('SUBSCRIBED')]).toEqual([false, true]);
    await clock.advance(1);
    expect([body.isOver, body.text.includes('ERROR')]).toEqual([true, false]);
  });

  it('and the framework that it was of counts as disconnected from then on', async () => {
    const body = new Body(await frameworkStream());
    await settle();
    const { snapshot } = berth.replica.ctx.mirror;
    expect(snapshot.connections.size).toBe(1);
    await clock.advance(LEFT_SECONDS * 1000);
    await caughtUp(berth.replica.ctx);
    expect([body.isOver, berth.replica.ctx.mirror.snapshot.connections.size]).toEqual([true, 0]);
  });

  it('and not with another one', async () => {
    token = berth.admin;
    const body = new Body(await get('/v1/events', EVENTS));
    await clock.advance(1_800_000);
    expect(body.isOver).toBe(false);
    await clock.advance(1_800_000 + TOLERANCE_SECONDS * 1000);
    expect([body.isOver, body.lastEvent?.type]).toEqual([true, 'error']);
  });

  it('after which nothing waits any more, as after any other end', async () => {
    const before = clock.pending;
    new Body(await get('/v1/events', EVENTS));
    await clock.advance(LEFT_SECONDS * 1000);
    const leaving = new AbortController();
    token = berth.admin;
    new Body(await berth.send('GET', '/v1/events', { headers: EVENTS, signal: leaving.signal }));
    await settle();
    expect(clock.pending).toBeGreaterThan(before);
    leaving.abort();
    await settle();
    expect(clock.pending).toBe(before);
  });
});

describe('a long wait ends with its token', () => {
  it.each([
    ['a page of events', '/v1/events'],
    ['the list of endpoints', '/v1/endpoints'],
  ])('for %s, with what there is', async (_for, path) => {
    const after = await revision();
    const before = clock.pending;
    let answer: Response | null = null;
    void get(`${path}?waitMs=60000&after=${after}`).then((response) => {
      answer = response;
    });
    await clock.advance(LEFT_SECONDS * 1000 - 1);
    expect(answer).toBeNull();
    await clock.advance(1);
    expect(answer).toMatchObject({ status: 200 });
    expect(clock.pending).toBe(before);
  });

  it("for a node's assignment, as if nothing had changed: the agent asks again, and keeps session and tasks", async () => {
    const agent = await ApiAgent.register(berth);
    const task = await placeTask(berth);
    const { position, streamsVersion } = await agent.assignment(({ tasks }) => tasks.length > 0);
    const { token: short } = await berth.mint.mint({
      ...{ kind: 'node', subject: agent.node, grants: [], node: agent.node },
      ...{ ttlSeconds: LEFT_SECONDS - TOLERANCE_SECONDS, id: agent.credential },
    });
    // Known from here on, so that the next request with it waits at once.
    await agent.send('POST', '/v1/agent/heartbeat', { token: short, json: { sentAtMs: 0 } });
    const query = `incarnation=${position.incarnation}&generation=${position.generation}&streams=${streamsVersion}`;
    let answer: Response | null = null;
    void agent.send('GET', `/v1/agent/assignment?waitMs=60000&${query}`, { token: short }).then((response) => {
      answer = response;
    });
    await clock.advance(LEFT_SECONDS * 1000 - 1);
    expect(answer).toBeNull();
    await clock.advance(1);
    expect(answer).toMatchObject({ status: 204 });
    expect((await agent.send('POST', '/v1/agent/heartbeat', { json: { sentAtMs: 0 } })).status).toBe(200);
    expect((await agent.assignment()).tasks).toMatchObject([{ id: task }]);
  });
});

describe("a task's output that an agent brings", () => {
  it('is not called complete where the token of its reader has cut it off, though the task has ended', async () => {
    const agent = await ApiAgent.register(berth);
    const task = await placeTask(berth);
    await agent.report(task, 'running');
    const asked = get(`/v1/tasks/${task}/logs?follow=true`, EVENTS);
    const { streams } = await agent.assignment((assignment) => assignment.streams.length > 0);
    const some = new TextEncoder().encode(ndjson(line(1, 'there is more')));
    const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(some) });
    const delivered = agent.send('POST', `/v1/agent/streams/${streams[0]?.id}`, {
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    });
    const read = new Body(await asked);
    await agent.report(task, 'finished', { exitCode: 0, reason: 'exited' });
    await clock.advance(LEFT_SECONDS * 1000 - 1);
    expect(read.lastEvent?.type).toBe('log');
    await clock.advance(1);
    expect([read.isOver, read.lastEvent?.type]).toEqual([true, 'error']);
    expect(JSON.parse(read.lastEvent?.data ?? '')).toMatchObject({ code: 'unauthenticated', message: TOKEN_OVER });
    expect((await delivered).status).toBe(204);
  });

  it('ends with the token of the agent; who reads it takes it up again', async () => {
    token = berth.admin;
    const agent = await ApiAgent.register(berth);
    const task = await placeTask(berth);
    await agent.report(task, 'running');
    const asked = get(`/v1/tasks/${task}/logs?follow=true`, EVENTS);
    const { streams } = await agent.assignment((assignment) => assignment.streams.length > 0);
    const { token: short } = await berth.mint.mint({
      ...{ kind: 'node', subject: agent.node, grants: [], node: agent.node },
      ...{ ttlSeconds: LEFT_SECONDS - TOLERANCE_SECONDS, id: agent.credential },
    });
    const cut = `${ndjson(line(1, 'whole'))}{"at":"2030-01-01T00:00:02Z","str`;
    const delivered = agent.send('POST', `/v1/agent/streams/${streams[0]?.id}`, {
      token: short,
      headers: { 'content-type': 'application/x-ndjson' },
      body: new ReadableStream<Uint8Array>({ start: (body) => body.enqueue(new TextEncoder().encode(cut)) }),
    });
    const body = new Body(await asked);
    await clock.advance(LEFT_SECONDS * 1000 - 1);
    expect([body.isBroken, body.lastEvent?.type]).toEqual([false, 'log']);
    await clock.advance(1);
    expect([body.isBroken, body.lastEvent?.type]).toEqual([true, 'log']);
    expect((await delivered).status).toBe(401);
  });
});
