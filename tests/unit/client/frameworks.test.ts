import { describe, expect, it } from 'vitest';
import { FrameworkSession } from '../../../shared/client/framework-session.ts';
import type {
  FrameworkEvent,
  FrameworkView,
  OfferView,
  OperationStatusView,
  TaskUpdateView,
} from '../../../shared/protocol/framework.ts';
import { json, networkFault, problem, scriptedServer, stream } from './scripted-server.ts';

const ID = 'f000000000001';
const TIME = '2026-01-01T00:00:00.000Z';
const NOTHING = { cpus: 0, memMiB: 0, diskMiB: 0, gpus: 0, custom: {} };

function sent(event: FrameworkEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

const SUBSCRIBED = sent({ type: 'subscribed', framework: ID, session: 1, heartbeatSeconds: 5 });

function anOffer(id: string): OfferView {
  const what = { resources: { ...NOTHING, ports: [] }, reserved: [], maintenance: null, madeAt: TIME, expiresAt: TIME };
  return { id, framework: ID, role: 'default', node: 'edge-1', host: null, attributes: {}, ...what };
}

function offers(...ids: string[]): string {
  return sent({ type: 'offers', offers: ids.map(anOffer) });
}

function anUpdate(id: string | null): TaskUpdateView {
  const where = { role: 'default', node: 'edge-1', host: null, ports: {}, labels: {}, annotations: {}, exitCode: null };
  const what = { task: 'one', taskId: 'one', state: 'running', unreachable: false, healthy: null, at: TIME } as const;
  return { id, ...what, ...where, reason: 'started', message: '', reconciliation: id === null };
}

const COUNTS = {
  ...{ pending: 0, staging: 0, starting: 0, running: 0, finished: 0, failed: 0, killed: 0, error: 0, lost: 0 },
};

const FRAMEWORK: FrameworkView = {
  ...{ id: ID, name: 'painter', principal: 'alice', roles: ['eng'], capabilities: [], failoverTimeoutSeconds: 60 },
  ...{ minAllocatable: {}, suppressed: [], nodeConstraints: {}, annotations: {}, session: 1, state: 'connected' },
  ...{ message: '', registeredAt: TIME, subscribedAt: TIME, disconnectedSince: null, teardown: null, tasks: COUNTS },
  ...{ holds: NOTHING, offers: { count: 0, resources: NOTHING, oldestAt: null }, operations: 0, throttled: null },
};

function sessionOn(server: ReturnType<typeof scriptedServer>): FrameworkSession {
  return new FrameworkSession(server.client, { id: ID, session: 1 });
}

async function all(session: FrameworkSession, count = Number.POSITIVE_INFINITY): Promise<string[]> {
  const types: string[] = [];
  for await (const { type } of session.events(new AbortController().signal)) {
    types.push(type);
    if (types.length >= count) break;
  }
  return types;
}

describe('the stream of a session', () => {
  it('goes on over lost connections, and knows which offers stand', async () => {
    const gone = sent({ type: 'offer-gone', offer: '1-1-1', because: 'expired' });
    const server = scriptedServer([
      stream([SUBSCRIBED, offers('1-1-1', '1-1-2', '1-1-3'), gone], 'hang'),
      json({ declined: ['1-1-2'], gone: [], until: TIME }),
    ]);
    const session = sessionOn(server);
    await server.settle(all(session, 3));
    expect([...session.offers.keys()]).toEqual(['1-1-2', '1-1-3']);
    await server.settle(session.decline(['1-1-2'], { refuseSeconds: 60 }));
    expect(server.requests[1]).toMatchObject({ body: { session: 1, offers: ['1-1-2'], refuseSeconds: 60 } });
    expect([...session.offers.keys()]).toEqual(['1-1-3']);
    const again = scriptedServer([
      stream([SUBSCRIBED, offers('1-1-1')], 'break'),
      stream([SUBSCRIBED, offers('1-2-0')]),
    ]);
    const other = sessionOn(again);
    expect(await again.settle(all(other, 4))).toEqual(['subscribed', 'offers', 'subscribed', 'offers']);
    expect([...other.offers.keys()]).toEqual(['1-2-0']);
    expect(again.requests.map(({ url }) => url.pathname + url.search)).toEqual(
      Array(2).fill(`/v1/frameworks/${ID}/events?session=1`),
    );
  });

  it.each<[string, FrameworkEvent]>([
    ['superseded', { type: 'superseded', session: 2, message: '' }],
    ['ended', { type: 'ended', message: '' }],
  ])('ends when it is told that it is %s', async (type, last) => {
    const server = scriptedServer([stream([SUBSCRIBED, offers('1-1-1'), sent(last)])]);
    const session = sessionOn(server);
    expect(await server.settle(all(session))).toEqual(['subscribed', 'offers', type]);
    expect(session.offers.size).toBe(0);
  });

  it('passes over what a newer server tells beside', async () => {
    const server = scriptedServer([stream([SUBSCRIBED, 'event: news\ndata: {}\n\n', offers('1-1-1')])]);
    expect(await server.settle(all(sessionOn(server), 2))).toEqual(['subscribed', 'offers']);
  });

  it.each(['session-moved', 'framework-gone'] as const)('that is refused with %s is not tried again', async (code) => {
    const server = scriptedServer([problem(code === 'session-moved' ? 409 : 410, code)]);
    await expect(server.settle(all(sessionOn(server)))).rejects.toMatchObject({ code });
  });

  it('goes on at the next address when one does not answer', async () => {
    const server = scriptedServer(
      [
        stream([SUBSCRIBED], 'break'),
        networkFault('ECONNREFUSED'),
        stream([SUBSCRIBED], 'break'),
        stream([SUBSCRIBED, offers('1-1-1')]),
      ],
      { otherAddresses: ['http://other.test'] },
    );
    expect(await server.settle(all(sessionOn(server), 4))).toHaveLength(4);
    expect(server.requests.map(({ url }) => url.host)).toEqual([
      'berth.test',
      'berth.test',
      'other.test',
      'other.test',
    ]);
  });

  it('goes on at the next address when one has fallen silent, without waiting for that one again', async () => {
    const server = scriptedServer([stream([SUBSCRIBED], 'hang'), stream([SUBSCRIBED, offers('1-1-1')])], {
      otherAddresses: ['http://other.test'],
    });
    expect(await server.settle(all(sessionOn(server), 3))).toHaveLength(3);
    expect(server.requests.map(({ url }) => url.host)).toEqual(['berth.test', 'other.test']);
  });
});

describe('a call of a session', () => {
  it('is made once, at whichever address it arrives', async () => {
    const server = scriptedServer(
      [networkFault('ECONNRESET'), problem(503, 'unavailable'), json(anUpdate(null)), json(anUpdate(null))],
      { otherAddresses: ['http://other.test'] },
    );
    const session = sessionOn(server);
    await server.settle(session.kill('one', { graceSeconds: 3 }));
    expect(server.requests.map(({ url }) => url.host)).toEqual(['berth.test', 'other.test', 'berth.test']);
    expect(new Set(server.requests.map(({ headers }) => headers.get('idempotency-key'))).size).toBe(1);
    expect(server.requests[0]?.body).toEqual({ session: 1, task: 'one', graceSeconds: 3 });
    await server.settle(session.kill('two'));
    expect(server.requests[3]?.url.host).toBe('berth.test');
  });

  it('changes what it wants in its own session, and again where no answer came', async () => {
    const server = scriptedServer([problem(503, 'unavailable'), json(FRAMEWORK)]);
    const changed = await server.settle(sessionOn(server).update({ name: 'painter', roles: ['eng'] }));
    expect(changed).toMatchObject({ id: ID, roles: ['eng'] });
    expect(server.requests.map(({ method, url }) => `${method} ${url.pathname}`)).toEqual(
      Array(2).fill(`PUT /v1/frameworks/${ID}`),
    );
    expect(server.requests[1]?.body).toEqual({ session: 1, name: 'painter', roles: ['eng'] });
  });

  it('acknowledges what wants to be acknowledged, and calls nobody for the rest', async () => {
    const server = scriptedServer([json({ results: ['acknowledged', 'known'] })]);
    const session = sessionOn(server);
    expect(await session.acknowledge(anUpdate(null))).toEqual({ results: [] });
    await server.settle(session.acknowledge(anUpdate('one:1'), anUpdate(null), anUpdate('one:2')));
    expect(server.requests.map(({ body }) => body)).toEqual([{ session: 1, updates: ['one:1', 'one:2'] }]);
  });

  it('acknowledges operations the same way, and asks about them', async () => {
    const status = (id: string | null): OperationStatusView => ({
      ...{ id, operation: 'grow', state: 'finished', node: 'edge-1', at: '2026-01-01T00:00:00.000Z', message: '' },
      reconciliation: id === null,
    });
    const server = scriptedServer([json({ results: ['acknowledged'] }), json({ operations: [status(null)] })]);
    const session = sessionOn(server);
    expect(await session.acknowledgeOperations(status(null))).toEqual({ results: [] });
    await server.settle(session.acknowledgeOperations(status('p0'), status(null)));
    expect(await server.settle(session.reconcileOperations(['grow']))).toEqual([status(null)]);
    expect(server.requests.map(({ url, body }) => [url.pathname, body])).toEqual([
      [`/v1/frameworks/${ID}/operations/acknowledge`, { session: 1, operations: ['p0'] }],
      [`/v1/frameworks/${ID}/operations/reconcile`, { session: 1, operations: ['grow'] }],
    ]);
  });
});
