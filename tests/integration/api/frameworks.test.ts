import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { FrameworkStreams } from '../../../control-plane/services/framework-streams.ts';
import { mintPeerToken } from '../../../control-plane/services/tokens.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { createEventParser } from '../../../shared/client/server-sent-events.ts';
import { type FrameworkEvent, type FrameworkView, frameworkEventSchema } from '../../../shared/protocol/framework.ts';
import type { EventView, Problem } from '../../../shared/protocol/views.ts';
import { ManualClock, settle } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { aGroup } from '../../support/builders.ts';
import { Hand } from '../../support/frameworks.ts';
import { eventually } from '../../support/processes.ts';
import { caughtUp } from '../../support/replica.ts';

let store: Store;
let peers: Map<string, TestApi>;
let a: TestApi;
let b: TestApi;

beforeEach(async () => {
  store = new MemoryStore({ clock: new SystemClock() });
  peers = new Map();
  a = await startApi({ store, id: 'a', peers });
  b = await startApi({ store, id: 'b', peers });
});
afterEach(() => {
  for (const berth of peers.values()) berth.stop();
});

const WISHES = { name: 'painter', roles: ['default'] };

async function subscribed(berth: TestApi, change: object = {}): Promise<FrameworkView> {
  const response = await berth.send('POST', '/v1/frameworks', { json: { ...WISHES, ...change } });
  expect([200, 201]).toContain(response.status);
  for (const one of peers.values()) await caughtUp(one.replica.ctx);
  return (await response.json()) as FrameworkView;
}

async function problem(berth: TestApi, method: string, path: string, json?: unknown): Promise<Problem> {
  const response = await berth.send(method, path, json === undefined ? {} : { json });
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  return (await response.json()) as Problem;
}

/** The events of one open stream, as a client reads them. */
class Stream {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #parse = createEventParser();
  readonly #unread: FrameworkEvent[] = [];

  constructor(response: Response) {
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    this.response = response;
    this.#reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader();
  }

  static async open(berth: TestApi, id: string, session: number): Promise<Stream> {
    return new Stream(await berth.send('GET', `/v1/frameworks/${id}/events?session=${session}`));
  }

  async next(): Promise<FrameworkEvent | null> {
    while (this.#unread.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      for (const { type, data } of this.#parse(new TextDecoder().decode(value))) {
        const event = frameworkEventSchema.parse(JSON.parse(data ?? ''));
        expect(event.type).toBe(type);
        this.#unread.push(event);
      }
    }
    return this.#unread.shift() ?? null;
  }

  close(): Promise<void> {
    return this.#reader.cancel();
  }
}

async function state(berth: TestApi, id: string): Promise<string> {
  const response = await berth.send('GET', `/v1/frameworks/${id}`);
  return ((await response.json()) as FrameworkView).state;
}

describe('a framework over HTTP', () => {
  it('subscribes, reads its stream, and counts as connected for as long as it does', async () => {
    const { id, session } = await subscribed(a);
    expect(session).toBe(1);
    expect(await state(b, id)).toBe('disconnected');
    const stream = await Stream.open(b, id, 1);
    expect(await stream.next()).toEqual({ type: 'subscribed', framework: id, session: 1, heartbeatSeconds: 5 });
    await eventually('it to be connected', async () => (await state(a, id)) === 'connected');
    await stream.close();
    await eventually('it to be disconnected', async () => (await state(a, id)) === 'disconnected');
  });

  it('comes back with its id on another replica: the old stream is told, and its session is refused', async () => {
    const { id } = await subscribed(a);
    const old = await Stream.open(a, id, 1);
    await old.next();
    expect(await subscribed(b, { id })).toMatchObject({ id, session: 2 });
    expect(await old.next()).toMatchObject({ type: 'superseded', session: 2 });
    expect(await old.next()).toBeNull();
    const kill = { session: 1, task: 'one' };
    expect(await problem(a, 'POST', `/v1/frameworks/${id}/kill`, kill)).toMatchObject({
      status: 409,
      code: 'session-moved',
    });
    expect(await problem(b, 'GET', `/v1/frameworks/${id}/events?session=1`)).toMatchObject({ code: 'session-moved' });
  });

  it('is gone once it was torn down, over the same and any other replica', async () => {
    const { id } = await subscribed(a);
    const response = await a.send('DELETE', `/v1/frameworks/${id}?reason=enough`);
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ state: 'ended', teardown: { by: 'admin', reason: 'enough' } });
    for (const one of peers.values()) await caughtUp(one.replica.ctx);
    expect(await problem(b, 'POST', '/v1/frameworks', { ...WISHES, id })).toMatchObject({
      status: 410,
      code: 'framework-gone',
    });
    const unknown = { ...WISHES, id: 'f000000000009' };
    expect(await problem(b, 'POST', '/v1/frameworks', unknown)).toMatchObject({ status: 404 });
  });

  it('changes what it wants, without a new session', async () => {
    const { id } = await subscribed(a, { suppressed: ['default'] });
    const json = { session: 1, name: 'painter', roles: ['default', 'eng'], annotations: { kept: 'this' } };
    const response = await b.send('PUT', `/v1/frameworks/${id}`, { json });
    expect(response.status).toBe(200);
    const changed = { session: 1, roles: ['default', 'eng'], suppressed: [], annotations: { kept: 'this' } };
    expect(await response.json()).toMatchObject(changed);
    expect(await problem(a, 'PUT', `/v1/frameworks/${id}`, { ...json, session: 2 })).toMatchObject({
      status: 409,
      code: 'session-moved',
    });
  });

  it('is told how its tasks stand on its stream, though it asks another replica', async () => {
    const agent = await ApiAgent.register(a);
    expect(agent).toBeDefined();
    const { id } = await subscribed(a);
    const stream = await Stream.open(b, id, 1);
    await stream.next();
    await caughtUp(a.replica.ctx);
    const node = [...a.replica.ctx.mirror.snapshot.ledgers.keys()][0] ?? '';
    await new Hand(a.replica.ctx).launch(id, 'one', { node, state: 'running' });
    expect(await stream.next()).toMatchObject({ type: 'update', update: { task: 'one', state: 'running' } });
    const json = { session: 1, tasks: ['one', 'two'] };
    const response = await a.send('POST', `/v1/frameworks/${id}/reconcile`, { json });
    const { updates } = (await response.json()) as { updates: unknown[] };
    expect(updates).toMatchObject([
      { task: 'one', state: 'running', reconciliation: true },
      { task: 'two', state: 'unknown', reconciliation: true },
    ]);
    expect(await stream.next()).toMatchObject({ update: updates[0] });
    expect(await stream.next()).toMatchObject({ update: { task: 'two', state: 'unknown' } });
    await a.send('POST', `/v1/frameworks/${id}/kill`, { json: { session: 1, task: 'three' } });
    expect(await stream.next()).toMatchObject({ update: { task: 'three', state: 'unknown', id: null } });
  });

  it('is told what another replica has to tell it, and a replica without its stream says that it is not', async () => {
    const { id } = await subscribed(a);
    const path = `/v1/peer/frameworks/${id}/told`;
    const token = (await mintPeerToken(a.mint, 'a')).token;
    const told = { type: 'maintenance-over', notice: 'over' } as const;
    const stream = await Stream.open(b, id, 1);
    await stream.next();
    await caughtUp(a.replica.ctx);
    const answers: unknown[] = [];
    for (const one of [a, b]) {
      const response = await one.send('POST', path, { token, json: { events: [told] } });
      answers.push(await response.json());
    }
    expect(answers).toEqual([{ isTold: false }, { isTold: true }]);
    expect(await stream.next()).toEqual(told);
    const unknown = await b.send('POST', path, { token, json: { events: [{ type: 'no-such-event' }] } });
    expect(await unknown.json()).toMatchObject({ faults: [{ path: '/events/0/type' }] });

    const ending = new AbortController();
    const toB = async (url: string | URL | Request, init?: RequestInit) =>
      b.api.request(new URL(String(url)).pathname, init);
    const streams = new FrameworkStreams(a.replica.ctx, { peerToken: async () => token, fetch: toB }, ending.signal);
    const next = { ...told, notice: 'from afar' };
    await eventually('the replicas to know each other', async () => a.replica.ctx.mirror.snapshot.replicas.has('b'));
    expect(await streams.tell(id, [next])).toBe(true);
    expect(await stream.next()).toEqual(next);
    await stream.close();
    ending.abort();
  });

  it('says something to its executor, and hears from it on its stream, over any replica', async () => {
    const agent = await ApiAgent.register(a);
    const { id } = await subscribed(a);
    const stream = await Stream.open(b, id, 1);
    await caughtUp(a.replica.ctx);
    const template = { group: { ...aGroup(), isExecutor: true as const }, priority: 50, replaceAfterSeconds: 60 };
    const hand = new Hand(a.replica.ctx);
    const { id: task } = await hand.launch(id, 'runner', { node: agent.node, state: 'running', template });
    const json = { session: 1, task: 'runner', data: 'good morning' };
    const sent = await a.send('POST', `/v1/frameworks/${id}/messages`, { json });
    expect(sent.status).toBe(202);
    const { messages = [], tasks } = await agent.assignment((assignment) => assignment.messages !== undefined);
    expect(messages).toMatchObject([{ task, data: 'good morning' }]);
    expect(tasks).toMatchObject([{ id: task, name: 'runner', group: { isExecutor: true } }]);
    const said = [{ id: 'said000000000001', task, data: 'and to you' }];
    const answer = await agent.send('POST', '/v1/agent/messages', {
      json: { taken: messages.map((message) => message.id), said },
    });
    expect(await answer.json()).toEqual({ results: ['relayed'] });
    await agent.assignment((assignment) => assignment.messages === undefined);
    let event = await stream.next();
    while (event !== null && event.type !== 'message') event = await stream.next();
    expect(event).toMatchObject({ message: { task: 'runner', node: agent.node, data: 'and to you' } });
    expect(await problem(b, 'POST', `/v1/frameworks/${id}/messages`, { ...json, session: 2 })).toMatchObject({
      code: 'session-moved',
    });
  });

  it('is shown in events to those who may read its role', async () => {
    const after = a.replica.ctx.mirror.revision;
    const { id } = await subscribed(a, { roles: ['eng', 'ops'] });
    const read = async (roles: string[]) => {
      const token = await a.token({ roles, actions: ['event:read'] });
      const response = await a.send('GET', `/v1/events?after=${after}&type=framework.subscribed`, { token });
      return ((await response.json()) as { items: EventView[] }).items;
    };
    expect(await read(['eng'])).toMatchObject([
      { framework: id, role: 'eng', message: expect.stringContaining('admin') },
    ]);
    expect(await read(['other'])).toEqual([]);
  });
});

const UNKNOWN = '/v1/frameworks/f000000000009';

describe('constraints on nodes', () => {
  const matching = (value: string) => ({ attribute: 'rack', operator: 'matches', value });

  it.each<[string, object, string]>([
    ['for a role that is none of its own', { b: [[]] }, '/nodeConstraints/b'],
    ['with a pattern that is none', { a: [[matching('(')]] }, '/nodeConstraints/a/0/0/value'],
    ['with a pattern that is too large', { a: [[matching('x{900}')]] }, '/nodeConstraints/a/0/0/value'],
    [
      'that are too large together',
      { a: Array(200).fill([{ ...matching('x'.repeat(400)), operator: '=' }]) },
      '/nodeConstraints',
    ],
  ])('%s are refused, and the field is named', async (_name, nodeConstraints, field) => {
    const found = await problem(a, 'POST', '/v1/frameworks', { ...WISHES, nodeConstraints });
    expect(found).toMatchObject({ status: 400, code: 'invalid-request' });
    expect(found.faults?.map(({ path }) => path)).toContain(field);
  });
});

describe('a bad request', () => {
  it.each<[string, string, string, unknown, number, string]>([
    ['a role twice', 'POST', '/v1/frameworks', { ...WISHES, roles: ['a', 'a'] }, 400, '/roles/1'],
    ['no role', 'POST', '/v1/frameworks', { ...WISHES, roles: [] }, 400, '/roles'],
    [
      'a role that is none of its own',
      'POST',
      '/v1/frameworks',
      { ...WISHES, suppressed: ['b'] },
      400,
      '/suppressed/0',
    ],
    [
      'amounts for a role that is none of its own',
      'POST',
      '/v1/frameworks',
      { ...WISHES, minAllocatable: { b: [] } },
      400,
      '/minAllocatable/b',
    ],
    [
      'annotations that are too large',
      'POST',
      '/v1/frameworks',
      { ...WISHES, annotations: { a: 'x'.repeat(16_384 - '{"a":""}'.length + 1) } },
      400,
      '/annotations',
    ],
    ['a change without a session', 'PUT', UNKNOWN, WISHES, 400, '/session'],
    ['a change with a role twice', 'PUT', UNKNOWN, { ...WISHES, session: 1, roles: ['a', 'a'] }, 400, '/roles/1'],
    ['a change of its id', 'PUT', UNKNOWN, { ...WISHES, session: 1, id: 'f000000000008' }, 400, '/id'],
    ['a name with a space', 'POST', '/v1/frameworks', { ...WISHES, name: 'a b' }, 400, '/name'],
    ['an id of its own making', 'POST', '/v1/frameworks', { ...WISHES, id: 'mine' }, 400, '/id'],
    ['no session', 'POST', `${UNKNOWN}/kill`, { task: 'one' }, 400, '/session'],
    ['an update that is none', 'POST', `${UNKNOWN}/acknowledge`, { session: 1, updates: ['x'] }, 400, '/updates/0'],
    ['10,001 tasks', 'POST', `${UNKNOWN}/reconcile`, { session: 1, tasks: Array(10_001).fill('t') }, 400, '/tasks'],
    [
      'the status of an operation that is none',
      'POST',
      `${UNKNOWN}/operations/acknowledge`,
      { session: 1, operations: ['x'] },
      400,
      '/operations/0',
    ],
    ['no data', 'POST', `${UNKNOWN}/messages`, { session: 1, task: 'one' }, 400, '/data'],
    [
      'a message that is too long',
      'POST',
      `${UNKNOWN}/messages`,
      { session: 1, task: 'one', data: 'x'.repeat(65_537) },
      400,
      '/data',
    ],
    ['a stream of no session', 'GET', `${UNKNOWN}/events`, undefined, 400, 'query:session'],
  ])('with %s names the field', async (_name, method, path, json, status, field) => {
    const found = await problem(a, method, path, json);
    expect(found).toMatchObject({ status, code: 'invalid-request' });
    expect(found.faults?.map((fault) => fault.path)).toContain(field);
  });

  it.each([
    ['GET', UNKNOWN, undefined],
    ['DELETE', UNKNOWN, undefined],
    ['PUT', UNKNOWN, { ...WISHES, session: 1 }],
    ['GET', `${UNKNOWN}/events?session=1`, undefined],
    ['POST', `${UNKNOWN}/kill`, { session: 1, task: 'one' }],
    ['POST', `${UNKNOWN}/acknowledge`, { session: 1, updates: ['t:1'] }],
    ['POST', `${UNKNOWN}/reconcile`, { session: 1 }],
    ['POST', `${UNKNOWN}/operations/acknowledge`, { session: 1, operations: ['p000000000000000a'] }],
    ['POST', `${UNKNOWN}/operations/reconcile`, { session: 1 }],
    ['POST', `${UNKNOWN}/messages`, { session: 1, task: 'one', data: '' }],
  ])('%s %s about a framework that is not there is answered 404', async (method, path, json) => {
    expect(await problem(a, method, path, json)).toMatchObject({ status: 404, code: 'not-found' });
  });

  it('for another type than events is told what there is', async () => {
    const { id } = await subscribed(a);
    const headers = { accept: 'application/json' };
    const response = await a.send('GET', `/v1/frameworks/${id}/events?session=1`, { headers });
    expect(response.status).toBe(406);
  });
});

describe('a client that stops reading', () => {
  it('is cut off: its framework is disconnected, and its stream can be opened again', async () => {
    const clock = new ManualClock();
    const slow = await startApi({ store, id: 'slow', clock });
    peers.set('slow', slow);
    const { id } = await subscribed(a);
    const response = await slow.send('GET', `/v1/frameworks/${id}/events?session=1`);
    await eventually('it to be connected', async () => (await state(a, id)) === 'connected');
    await settle();
    await clock.advance(61_000);
    await eventually('it to be disconnected', async () => (await state(a, id)) === 'disconnected');
    await expect(
      (async () => {
        for await (const _chunk of response.body ?? []);
      })(),
    ).rejects.toThrow('took nothing');
    const stream = await Stream.open(b, id, 1);
    expect(await stream.next()).toMatchObject({ type: 'subscribed' });
  });
});
