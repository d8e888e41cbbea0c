import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { FrameworkView } from '../../../shared/protocol/framework.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { callMesos, MesosClient, SCHEDULER, subscription } from '../../support/mesos-client.ts';
import { eventually } from '../../support/processes.ts';
import { caughtUp } from '../../support/replica.ts';

let peers: Map<string, TestApi>;
let a: TestApi;
let b: TestApi;

beforeEach(async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  peers = new Map();
  a = await startApi({ store, id: 'a', peers });
  b = await startApi({ store, id: 'b', peers });
});
afterEach(() => {
  for (const berth of peers.values()) berth.stop();
});

async function frameworkOf(berth: TestApi, id: string): Promise<FrameworkView> {
  await caughtUp(berth.replica.ctx);
  return (await (await berth.send('GET', `/v1/frameworks/${id}`)).json()) as FrameworkView;
}

async function errorOf(json: object, token?: string): Promise<string> {
  const client = await MesosClient.open(a, json, token === undefined ? {} : { token });
  expect(client.streamId).not.toBe('');
  const event = await client.next();
  expect(await client.next()).toBeNull();
  return event?.type === 'ERROR' ? event.error.message : `no error: ${client.records[0]}`;
}

const HEARTBEAT = '20\n{"type":"HEARTBEAT"}';

describe('SUBSCRIBE', () => {
  it('is answered by a stream of records: first that it is subscribed, then a heartbeat', async () => {
    const client = await MesosClient.subscribe(a);
    const { headers } = client.response;
    expect(headers.get('transfer-encoding')).toBe('chunked');
    expect(client.streamId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    const [subscribed = '', heartbeat] = client.records;
    expect(heartbeat).toBe(HEARTBEAT);
    expect(JSON.parse(subscribed.split('\n')[1] ?? '')).toEqual({
      type: 'SUBSCRIBED',
      subscribed: {
        framework_id: { value: client.id },
        heartbeat_interval_seconds: 5,
        master_info: {
          id: 'a',
          ip: 0,
          port: 80,
          pid: 'master@a.test:80',
          hostname: 'a.test',
          version: '1.11.0',
          address: { hostname: 'a.test', ip: 'a.test', port: 80 },
        },
      },
    });
    expect(await frameworkOf(b, client.id)).toMatchObject({
      state: 'connected',
      name: 'painter',
      roles: ['default'],
      failoverTimeoutSeconds: 60,
    });
    await client.close();
    await eventually('it to be disconnected', async () => (await frameworkOf(b, client.id)).state === 'disconnected');
  });

  it('takes nulls at any depth for what is unset, as old clients write them', async () => {
    const info = {
      user: 'root',
      name: 'My-fw',
      id: null,
      failover_timeout: 604800,
      checkpoint: null,
      role: null,
      hostname: null,
      principal: null,
      webui_url: null,
      capabilities: null,
      labels: null,
    };
    const nulls = {
      accept: null,
      decline: null,
      kill: null,
      shutdown: null,
      acknowledge: null,
      reconcile: null,
      message: null,
      request: null,
    };
    const client = await MesosClient.open(a, {
      framework_id: null,
      type: 'SUBSCRIBE',
      subscribe: { framework_info: info },
      ...nulls,
    });
    expect((await client.next())?.type).toBe('SUBSCRIBED');
  });

  it('with its id takes the framework over, on another replica: the old stream is told and ends', async () => {
    const old = await MesosClient.subscribe(a);
    const next = await MesosClient.subscribe(b, { id: { value: old.id } });
    expect(next.id).toBe(old.id);
    expect(next.streamId).not.toBe(old.streamId);
    expect(await old.next()).toEqual({ type: 'ERROR', error: { message: 'Framework failed over' } });
    expect(await old.next()).toBeNull();
    expect((await old.call({ type: 'REVIVE' })).status).toBe(400);
    await next.accepted({ type: 'REVIVE' }, a);
  });

  it('with an id of a Mesos that is no more makes a framework that keeps it', async () => {
    const id = '201103282247-0000000019-0000';
    const client = await MesosClient.subscribe(a, { id: { value: id } });
    expect(client.id).toBe(id);
    const again = await MesosClient.subscribe(b, { id: { value: id } });
    expect(again.id).toBe(id);
    expect(await client.next()).toEqual({ type: 'ERROR', error: { message: 'Framework failed over' } });
    await again.accepted({ type: 'SUPPRESS' });
  });

  it('is refused by an ERROR on the stream, which then ends', async () => {
    expect(await errorOf(subscription({ role: '/eng' }))).toBe(
      "'FrameworkInfo.role' is not a valid role: Role '/eng' cannot start with a slash",
    );
    const weak = await a.token({ subject: 'anna', roles: ['eng'], actions: ['framework:run'] });
    expect(await errorOf(subscription({ role: 'ops' }), weak)).toContain('Not authorized');
    const { id } = await MesosClient.subscribe(a);
    expect(await errorOf(subscription({ id: { value: id } }), weak)).toBe(
      "Changing framework's principal is not allowed.",
    );
  });

  it('is refused once the framework was removed', async () => {
    const client = await MesosClient.subscribe(a);
    await client.accepted({ type: 'TEARDOWN' }, b);
    expect(await client.next()).toBeNull();
    await caughtUp(a.replica.ctx);
    expect(await errorOf(subscription({ id: { value: client.id } }))).toBe('Framework has been removed');
  });

  it('ends with an ERROR where somebody else removes the framework', async () => {
    const client = await MesosClient.subscribe(a);
    expect((await b.send('DELETE', `/v1/frameworks/${client.id}?reason=enough`)).status).toBe(202);
    expect(await client.next()).toEqual({ type: 'ERROR', error: { message: 'Framework has been removed' } });
    expect(await client.next()).toBeNull();
  });

  it('says which roles it is suppressed in and which nodes it wants', async () => {
    const constraints = {
      role_constraints: {
        eng: {
          groups: [
            {
              attribute_constraints: [
                { selector: { attribute_name: 'rack' }, predicate: { text_equals: { value: 'r1' } } },
              ],
            },
          ],
        },
      },
    };
    const client = await MesosClient.subscribe(
      a,
      { roles: ['eng', 'Ops_1'], capabilities: [{ type: 'MULTI_ROLE' }] },
      { suppressed_roles: ['Ops_1'], offer_constraints: constraints },
    );
    const view = await frameworkOf(a, client.id);
    expect(view.roles).toEqual(['eng', view.suppressed[0]]);
    expect(view.nodeConstraints).toEqual({ eng: [[{ attribute: 'rack', operator: '=', value: 'r1' }]] });
  });
});

const subscribed = subscription();

/** What is sent, and how it is answered: in the order in which Mesos looks. */
const WRONG: [string, string, object, number, string][] = [
  ['nobody', 'POST', { json: subscribed, token: null }, 401, 'send a token'],
  ['nobody, with another method', 'GET', { token: null }, 401, 'send a token'],
  ['another method', 'GET', {}, 405, "Expecting one of { 'POST' }, but received 'GET'"],
  ['no type of body', 'POST', { body: new Uint8Array([123]) }, 400, "Expecting 'Content-Type' to be present"],
  [
    'another type of body',
    'POST',
    { body: '{', headers: { 'content-type': 'text/plain' } },
    415,
    "Expecting 'Content-Type' of application/json",
  ],
  [
    'protobuf',
    'POST',
    { body: '{', headers: { 'content-type': 'application/x-protobuf' } },
    415,
    'nothing else is served here',
  ],
  [
    'no JSON',
    'POST',
    { body: '{', headers: { 'content-type': 'application/json' } },
    400,
    'Failed to parse body into JSON: ',
  ],
  [
    'a record',
    'POST',
    { body: '20\n{"type":"HEARTBEAT"}', headers: { 'content-type': 'application/json' } },
    400,
    'Failed to parse body into JSON: ',
  ],
  ['no call', 'POST', { json: [] }, 400, 'Failed to convert JSON into Call protobuf: Expecting a JSON object'],
  [
    'a call without what it must have',
    'POST',
    { json: { type: 'SUBSCRIBE', subscribe: {} } },
    400,
    'Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info',
  ],
  ['no type', 'POST', { json: {} }, 400, "Failed to validate scheduler::Call: Expecting 'type' to be present"],
  ['a type that nobody knows', 'POST', { json: { type: 'WHAT' } }, 400, "Expecting 'type' to be present"],
  [
    'no subscription',
    'POST',
    { json: { type: 'SUBSCRIBE' } },
    400,
    "Failed to validate scheduler::Call: Expecting 'subscribe' to be present",
  ],
  [
    'two ids',
    'POST',
    { json: { ...subscription({ id: { value: 'f1' } }), framework_id: { value: 'f2' } } },
    400,
    "'framework_id' differs from 'subscribe.framework_info.id'",
  ],
  [
    'another principal',
    'POST',
    { json: subscription({ principal: 'otto' }) },
    400,
    "does not match principal 'otto' set in `FrameworkInfo`",
  ],
  [
    'an answer of another type',
    'POST',
    { json: subscribed, headers: { accept: 'text/html' } },
    406,
    "Expecting 'Accept' to allow 'application/json'",
  ],
  [
    'a stream id',
    'POST',
    { json: subscribed, headers: { 'Mesos-Stream-Id': 'x' } },
    400,
    "Subscribe calls should not include the 'Mesos-Stream-Id' header",
  ],
  ['no framework', 'POST', { json: { type: 'REVIVE' } }, 400, "Expecting 'framework_id' to be present"],
  [
    'no body of the call',
    'POST',
    { json: { type: 'KILL', framework_id: { value: 'f1' } } },
    400,
    "Expecting 'kill' to be present",
  ],
  [
    'what a client sends for SHUTDOWN',
    'POST',
    { json: { type: 'SHUTDOWN', framework_id: { value: 'f1' }, kill: { task_id: { value: 'e' } } } },
    400,
    "Expecting 'shutdown' to be present",
  ],
  [
    'a uuid that is none',
    'POST',
    {
      json: {
        type: 'ACKNOWLEDGE',
        framework_id: { value: 'f1' },
        acknowledge: { task_id: { value: 't' }, agent_id: { value: 'n' }, uuid: 'AAAA' },
      },
    },
    400,
    'Not a valid UUID',
  ],
  [
    'a framework that nobody knows',
    'POST',
    { json: { type: 'REVIVE', framework_id: { value: 'f1' } } },
    400,
    'Framework cannot be found',
  ],
];

describe('a request is checked', () => {
  it.each(WRONG)('%s', async (_what, method, options, status, text) => {
    for (const path of [SCHEDULER, '/master/api/v1/scheduler']) {
      const response = await a.send(method, path, options);
      expect([response.status, response.headers.get('content-type')]).toEqual([status, 'text/plain; charset=utf-8']);
      expect(await response.text()).toContain(text);
      if (status === 405) expect(response.headers.get('allow')).toBe('POST');
      if (status !== 401) continue;
      expect(response.headers.get('www-authenticate')).toBe(
        'Basic realm="mesos-master-scheduler", Bearer realm="mesos-master-scheduler"',
      );
    }
  });

  it('lets in whoever has a token as the password of HTTP basic, under the name that they call themselves', async () => {
    const token = await a.token({ subject: 'anna' });
    const headers = { authorization: `Basic ${btoa(`painter:${token}`)}` };
    const client = await MesosClient.subscribe(a, { principal: 'painter' }, {}, { token: null, headers });
    expect(await frameworkOf(a, client.id)).toMatchObject({ principal: 'anna' });
    await client.accepted({ type: 'REVIVE' });
  });

  it('of a framework that is known: whose it is, whether it is subscribed, and of which stream the call is', async () => {
    const client = await MesosClient.subscribe(a);
    const revive = { type: 'REVIVE', framework_id: { value: client.id } };
    const stranger = { subject: 'otto', actions: ['framework:run'] };
    const unseen = await callMesos(b, revive, { token: await b.token(stranger) });
    expect([unseen.status, await unseen.text()]).toEqual([400, 'Framework cannot be found']);
    const reader = { ...stranger, actions: ['framework:*'] };
    const other = await callMesos(b, revive, { token: await b.token(reader) });
    expect([other.status, await other.text()]).toEqual([
      400,
      "Authenticated principal 'otto' does not match principal 'admin' set in `FrameworkInfo`",
    ]);
    const without = await callMesos(b, revive);
    expect([without.status, await without.text()]).toEqual([
      400,
      "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
    ]);
    const stale = await callMesos(b, revive, { headers: { 'Mesos-Stream-Id': 'old' } });
    expect([stale.status, await stale.text()]).toEqual([
      400,
      `The stream ID 'old' included in this request didn't match the stream ID currently associated with framework ID '${client.id}'`,
    ]);
    await client.close();
    await eventually('it to be disconnected', async () => (await frameworkOf(b, client.id)).state === 'disconnected');
    // As where the record went with a lease, and is put again.
    const early = client.call({ type: 'REVIVE' }, b);
    // A hundred turns are more than an answer takes that doesn't wait.
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
    const record = putRecord('connections', keys.connection(client.id), { session: 1, replica: 'a' });
    const put = await a.replica.ctx.store.transact({ compares: [], writes: [record] });
    expect((await early).status).toBe(202);
    await a.replica.ctx.store.transact({ compares: [], writes: [{ type: 'delete', key: record.key }] });
    await b.replica.ctx.mirror.waitFor(put.revision + 1, { timeoutMs: 5000 });
    const away = await client.call({ type: 'REVIVE' }, b);
    expect([away.status, await away.text()]).toEqual([403, 'Framework is not subscribed']);
  });
});

describe('a framework over two replicas', () => {
  it('suppresses and revives by roles as it spells them, and is not heard with others', async () => {
    const client = await MesosClient.subscribe(a, { roles: ['eng', 'Ops_1'], capabilities: [{ type: 'MULTI_ROLE' }] });
    const suppressed = async () => (await frameworkOf(b, client.id)).suppressed.length;
    await client.accepted({ type: 'SUPPRESS', suppress: { roles: ['Ops_1'] } }, b);
    expect(await suppressed()).toBe(1);
    await client.accepted({ type: 'SUPPRESS', suppress: { roles: ['eng', 'sales'] } }, b);
    expect(await suppressed()).toBe(1);
    await client.accepted({ type: 'SUPPRESS' });
    expect(await suppressed()).toBe(2);
    await client.accepted({ type: 'REVIVE', revive: { roles: ['Ops_1'] } });
    expect(await suppressed()).toBe(1);
    await client.accepted({ type: 'REVIVE', revive: { roles: [] } });
    expect(await suppressed()).toBe(0);
    await client.accepted({ type: 'REQUEST', request: { requests: [{}] } });
  });

  it('changes what it wants without a new stream', async () => {
    const client = await MesosClient.subscribe(a);
    const info = { user: 'root', name: 'painter', failover_timeout: 90, id: { value: client.id } };
    const update = (change: object = {}) =>
      client.call({ type: 'UPDATE_FRAMEWORK', update_framework: { framework_info: { ...info, ...change } } }, b);
    expect((await update()).status).toBe(200);
    expect(await frameworkOf(b, client.id)).toMatchObject({ failoverTimeoutSeconds: 90, session: 1 });
    const user = await update({ user: 'otto' });
    expect([user.status, await user.text()]).toEqual([
      400,
      "'UpdateFramework.framework_info' is not valid: Updating 'FrameworkInfo.user' is unsupported; attempted to update from 'root' to 'otto'",
    ]);
    expect((await update({ role: '..' })).status).toBe(400);
    await client.accepted({ type: 'REVIVE' });
  });

  it('answers what is not served with 501, and no call is left without an answer', async () => {
    const client = await MesosClient.subscribe(a);
    expect((await client.call({ type: 'UNKNOWN' })).status).toBe(501);
  });
});

describe('offers', () => {
  it('are made, declined once, and declining them again is taken and ignored', async () => {
    await ApiAgent.register(a);
    const client = await MesosClient.subscribe(a);
    await a.replica.settle();
    const { offers } = (await client.until('OFFERS')).offers;
    const [offer] = offers;
    expect(offers).toHaveLength(1);
    expect(offer).toMatchObject({ framework_id: { value: client.id }, agent_id: { value: 'edge-1' } });
    expect(offer).not.toHaveProperty('allocation_info');
    const decline = {
      type: 'DECLINE',
      decline: { offer_ids: [offer?.id, { value: 'O1' }, { value: '9-9-9' }], filters: null },
    };
    await client.accepted(decline, b);
    await client.accepted(decline, b);
    await caughtUp(a.replica.ctx);
    const [ledger] = a.replica.ctx.mirror.snapshot.ledgers.values();
    expect([Object.keys(ledger?.offers ?? {}), ledger?.filters.length]).toEqual([[], 1]);
  });
});

describe('inverse offers', () => {
  it('come before the maintenance of a node, are answered over any replica, and rescinded with their window', async () => {
    await ApiAgent.register(a);
    const client = await MesosClient.subscribe(a);
    await a.replica.settle();
    await client.until('OFFERS');
    const startsAt = '2126-01-01T00:00:00Z';
    const set = await a.send('PUT', '/v1/nodes/edge-1/maintenance', { json: { startsAt, durationSeconds: 3600 } });
    expect(set.status).toBe(200);
    await client.until('RESCIND');
    await a.replica.settle();
    const unavailability = { start: { nanoseconds: Date.parse(startsAt) * 1e6 }, duration: { nanoseconds: 3600e9 } };
    expect((await client.until('OFFERS')).offers.offers).toMatchObject([{ unavailability }]);
    const [inverse] = (await client.until('INVERSE_OFFERS')).inverse_offers.inverse_offers;
    expect(inverse).toMatchObject({
      framework_id: { value: client.id },
      agent_id: { value: 'edge-1' },
      unavailability,
    });
    const ids = { inverse_offer_ids: [{ value: 'none' }, inverse?.id] };
    const answer = async () => {
      await caughtUp(a.replica.ctx);
      const window = a.replica.ctx.mirror.snapshot.maintenance.get('edge-1');
      return window?.answers[client.id]?.answer;
    };
    await client.accepted({ type: 'DECLINE_INVERSE_OFFERS', decline_inverse_offers: ids }, b);
    expect(await answer()).toBe('declines');
    await client.accepted({ type: 'ACCEPT_INVERSE_OFFERS', accept_inverse_offers: { ...ids, filters: null } }, b);
    expect(await answer()).toBe('accepts');
    expect((await a.send('DELETE', '/v1/nodes/edge-1/maintenance')).status).toBe(200);
    expect((await client.until('RESCIND_INVERSE_OFFER')).rescind_inverse_offer.inverse_offer_id).toEqual(inverse?.id);
  });
});
