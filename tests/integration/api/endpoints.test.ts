import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { createClient } from '../../../shared/client/client.ts';
import { type EndpointUpdate, withChange } from '../../../shared/client/endpoints.ts';
import { DEFAULT_UPDATE } from '../../../shared/domain/service.ts';
import type { EndpointList } from '../../../shared/protocol/endpoints.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { aDeployment, T0 } from '../../support/builders.ts';
import { caughtUp } from '../../support/replica.ts';
import { aServer, aService, Served, WELL } from '../../support/served.ts';

let berth: TestApi;
let served: Served;
let over: AbortController;
const [WEB, SHOP] = [aService(), aService({ name: 'shop', role: 'eng/shop' })];
const SICK = { ...WELL, healthy: false };
const STOP = { atMs: T0, by: 'alice', reason: 'enough' };

beforeEach(async () => {
  over = new AbortController();
  berth = await startApi();
  served = new Served(berth.replica.ctx);
  await served.nodes({ id: 'edge-1' });
  await served.job(WEB, [aServer(WEB), aServer(WEB, { index: 1, health: null })]);
  await served.job(SHOP, [aServer(SHOP)]);
});
afterEach(() => {
  over.abort();
  berth.stop();
});

async function list(query = '', token?: string): Promise<EndpointList & { position: string }> {
  const response = await berth.send('GET', `/v1/endpoints?${query}`, token === undefined ? {} : { token });
  expect(response.status).toBe(200);
  const position = response.headers.get('berth-revision') ?? '';
  return { ...((await response.json()) as EndpointList), position };
}

const short = ({ items }: Pick<EndpointList, 'items'>) =>
  items.map(({ job, index, portName, state }) => `${job}.${index}.${portName} ${state}`);

describe('the list of endpoints', () => {
  it('is of all services, in order', async () => {
    expect(short(await list())).toEqual([
      'web.0.http ready',
      'web.0.stats ready',
      'web.1.http starting',
      'web.1.stats starting',
      'shop.0.http ready',
      'shop.0.stats ready',
    ]);
  });

  it.each([
    ['job=shop', ['shop.0.http ready', 'shop.0.stats ready']],
    [`job=${SHOP.uid}&port=http`, ['shop.0.http ready']],
    ['role=eng&port=http', ['shop.0.http ready']],
    ['port=http&state=starting', ['web.1.http starting']],
    ['port=http&healthy=true&job=web', ['web.0.http ready']],
    ['port=http&healthy=true&state=starting', []],
    ['group=other', []],
    ['node=edge-2', []],
  ])('shows with %s only what passes', async (query, expected) => {
    expect(short(await list(query))).toEqual(expected);
  });

  it('shows nobody more than their roles', async () => {
    const token = await berth.token({ roles: ['eng'], actions: ['job:read'] });
    expect(short(await list('port=http', token))).toEqual(['shop.0.http ready']);
    const other = await berth.token({ roles: ['*'], actions: ['node:read'] });
    expect(short(await list('', other))).toEqual([]);
  });

  it('says what is wrong with a filter', async () => {
    const response = await berth.send('GET', '/v1/endpoints?state=well');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ faults: [{ path: 'query:state' }] });
  });

  it('follows health, nodes, promotions and what is stopped', async () => {
    await served.tasks(aServer(WEB, { health: SICK }), aServer(WEB, { index: 1, stop: STOP }));
    expect(short(await list('job=web&port=http'))).toEqual(['web.0.http unhealthy', 'web.1.http draining']);
    await served.silence('edge-1');
    expect(short(await list('job=shop&port=http'))).toEqual(['shop.0.http unreachable']);
    await served.forget(aServer(WEB));
    expect(short(await list('job=web&port=http'))).toEqual(['web.1.http draining']);
  });

  it('lets go of a held set in the very step in which it is promoted', async () => {
    const spec = { ...WEB.spec, update: { ...DEFAULT_UPDATE, strategy: 'blue-green' as const } };
    const next = { ...aService({ version: 2, templates: { main: 2 } }), spec };
    const deployment = aDeployment(next, { fromTemplates: { main: 1 } });
    await served.deployment(deployment);
    await served.job(next, [aServer(next, { index: 5 })]);
    expect(short(await list('job=web&port=http&state=held'))).toEqual(['web.5.http held']);
    await served.deployment({ ...deployment, promotedAtMs: T0 });
    expect(short(await list('job=web&port=http&state=held'))).toEqual([]);
  });

  it('waits for something to be another one', async () => {
    const { position } = await list();
    const waiting = list(`job=web&port=http&after=${position}&waitMs=10000`);
    await served.tasks(aServer(SHOP, { health: SICK }));
    await served.tasks(aServer(WEB, { health: SICK }));
    expect(short(await waiting)).toEqual(['web.0.http unhealthy', 'web.1.http starting']);
  });

  it('ends its wait without news', async () => {
    const { position } = await list();
    expect(short(await list(`job=shop&port=http&after=${position}&waitMs=20`))).toEqual(['shop.0.http ready']);
  });
});

/** The replica that answers; another one takes over as soon as it is named. */
function clientOf(replica: () => TestApi) {
  return createClient({
    address: 'http://berth.test',
    token: berth.admin,
    clock: new SystemClock(),
    random: new CryptoRandom(),
    fetch: async (input, init) => {
      const url = new URL(String(input));
      return replica().api.request(url.pathname + url.search, init);
    },
  });
}

async function next(updates: AsyncGenerator<EndpointUpdate, void>): Promise<EndpointUpdate> {
  const { done, value } = await updates.next();
  if (done) throw new Error('the watch has ended');
  return value;
}

describe('the watch', () => {
  it('begins with the list and tells what changes, filtered as the list is', async () => {
    const updates = clientOf(() => berth).endpoints.watch({ port: 'http', state: ['ready'] }, { signal: over.signal });
    const first = await next(updates);
    expect(first.type === 'list' && short(first.list)).toEqual(['web.0.http ready', 'shop.0.http ready']);
    await served.tasks(aServer(WEB, { index: 1 }));
    expect(await next(updates)).toMatchObject({ change: { put: [{ index: 1, state: 'ready' }], gone: [] } });
    await served.tasks(aServer(WEB, { health: SICK }));
    expect(await next(updates)).toMatchObject({ change: { put: [], gone: [`${aServer(WEB).id}/http`] } });
  });

  it('goes on at another replica where it was, and misses nothing', async () => {
    const other = await startApi({ store: berth.replica.ctx.store, id: 'other' });
    let current = berth;
    const updates = clientOf(() => current).endpoints.watch({ port: 'http' }, { signal: over.signal });
    const first = await next(updates);
    if (first.type !== 'list') throw new Error('a list comes first');
    current = other;
    berth.stop();
    served = new Served(other.replica.ctx);
    await served.tasks(aServer(WEB, { health: SICK }));
    await served.forget(aServer(SHOP));
    let seen = first.list;
    const isThere = () => short(seen).includes('web.0.http unhealthy') && seen.items.length === 2;
    while (!isThere()) {
      const update = await next(updates);
      expect(update.type).toBe('change');
      if (update.type === 'change') seen = withChange(seen, update.change);
    }
    expect(short(seen).sort()).toEqual(['web.0.http unhealthy', 'web.1.http starting']);
    other.stop();
  });

  it('begins anew where it was too long ago', async () => {
    const { store } = berth.replica.ctx;
    let current = berth;
    const updates = clientOf(() => current).endpoints.watch({ port: 'http' }, { signal: over.signal });
    await next(updates);
    await served.tasks(aServer(WEB, { health: SICK }));
    await next(updates);
    for (let n = 2; n < 5; n++) await served.tasks(aServer(WEB, { index: n }));
    await store.compact((await store.status()).revision);
    const late = await startApi({ store, id: 'late' });
    await caughtUp(late.replica.ctx);
    current = late;
    berth.stop();
    let update = await next(updates);
    while (update.type !== 'list') update = await next(updates);
    expect(short(update.list)).toContain('web.4.http ready');
    late.stop();
  });

  it('says 410 to who asks for what is not known any more', async () => {
    const { store } = berth.replica.ctx;
    await store.compact((await store.status()).revision);
    const late = await startApi({ store, id: 'late' });
    const response = await late.send('GET', '/v1/endpoints/watch?after=1');
    expect(response.status).toBe(410);
    expect(await response.json()).toMatchObject({ code: 'history-gone' });
    late.stop();
  });

  it('refuses an id that is none', async () => {
    const response = await berth.send('GET', '/v1/endpoints/watch', { headers: { 'last-event-id': 'x' } });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ faults: [{ path: 'header:Last-Event-ID' }] });
  });

  it('says nothing of what its reader may not read, also where it is taken up again', async () => {
    const { position } = await list();
    await served.forget(aServer(WEB));
    await served.tasks(aServer(SHOP, { health: SICK }));
    const token = await berth.token({ roles: ['eng'], actions: ['job:read'] });
    const response = await berth.send('GET', `/v1/endpoints/watch?after=${position}`, { token });
    const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader();
    const text = new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    expect(text).toContain('shop');
    expect(text).not.toContain(WEB.uid);
  });
});
