/** Frameworks whose streams move between replicas over one real etcd, with leases that really end. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { Driver } from '../../../control-plane/controllers/driver.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { acknowledgeUpdates } from '../../../control-plane/services/framework-calls.ts';
import { getFramework, subscribe } from '../../../control-plane/services/frameworks.ts';
import { keys, PREFIX } from '../../../control-plane/store/keys.ts';
import type { FrameworkEvent, SubscriptionInput } from '../../../shared/protocol/framework.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { FrameworkReader, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { eventually } from '../../support/processes.ts';
import { ADMIN, callOf, caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

let etcd: TestEtcd;
let a: Side;
let b: Side;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd?.stop());

beforeEach(async () => {
  const store = new EtcdStore({ hosts: [etcd.url] });
  const { keyValues } = await store.range({ prefix: PREFIX });
  for (const { key } of keyValues) await store.transact({ compares: [], writes: [{ type: 'delete', key }] });
  await store.close();
  a = await side('a');
  b = await side('b');
  await registerNode(a.replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function side(id: string): Promise<Side> {
  const store = new EtcdStore({ hosts: [etcd.url] });
  const started = await startSide(store, id);
  ends.push(async () => {
    started.stop();
    await store.close();
  });
  return started;
}

function drive({ replica }: Side): void {
  const driver = new Driver(replica.ctx);
  const abort = new AbortController();
  const running = driver.run(abort.signal);
  ends.push(() => {
    abort.abort();
    return running;
  });
}

async function joined(input: Partial<SubscriptionInput> = {}): Promise<string> {
  const { body } = await subscribe(a.replica.ctx, callOf(), subscriptionOf(input));
  for (const one of [a, b]) await caughtUp(one.replica.ctx);
  return body.id;
}

function updateIn(event: FrameworkEvent | null) {
  if (event?.type !== 'update') throw new Error(`an update was expected, not ${event?.type}`);
  return event.update;
}

describe('a framework between replicas', () => {
  it('is told each update, on whichever replica its stream is, until it has acknowledged it', async () => {
    const id = await joined();
    const { id: task } = await a.hand.launch(id, 'one', { state: 'starting' });
    await a.hand.report(task, 'running');
    const first = await FrameworkReader.open(a, id, 1);
    await first.next();
    expect(updateIn(await first.next())).toMatchObject({ id: `${task}:1`, state: 'starting' });
    const second = await FrameworkReader.open(b, id, 1);
    expect(await first.next()).toMatchObject({ type: 'superseded' });
    await second.next();
    expect(updateIn(await second.next())).toMatchObject({ id: `${task}:1`, state: 'starting' });
    await acknowledgeUpdates(a.replica.ctx, ADMIN, { id, session: 1, updates: [`${task}:1`] });
    expect(updateIn(await second.next())).toMatchObject({ id: `${task}:2`, state: 'running' });
    const third = await FrameworkReader.open(a, id, 1);
    await third.next();
    expect(updateIn(await third.next())).toMatchObject({ id: `${task}:2`, state: 'running' });
  });

  it('is taken over by its next session, which the old stream is told wherever it is', async () => {
    const id = await joined();
    const old = await FrameworkReader.open(a, id, 1);
    await a.hand.offer(id);
    await old.next();
    expect(await old.next()).toMatchObject({ type: 'offers' });
    await subscribe(b.replica.ctx, callOf(), subscriptionOf({ id }));
    expect(await old.next()).toMatchObject({ type: 'superseded', session: 2 });
    await caughtUp(a.replica.ctx);
    expect(a.replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.offers).toEqual({});
    await expect(FrameworkReader.open(a, id, 1)).rejects.toMatchObject({ code: 'session-moved' });
    const next = await FrameworkReader.open(b, id, 2);
    expect(await next.next()).toMatchObject({ type: 'subscribed', session: 2 });
  });

  it('counts as disconnected once the replica that held its stream has died, unless another one has taken it over', async () => {
    const [left, moved] = [await joined(), await joined()];
    for (const id of [left, moved]) await (await FrameworkReader.open(a, id, 1)).next();
    await caughtUp(b.replica.ctx);
    const { snapshot } = b.replica.ctx.mirror;
    expect([left, moved].map((id) => snapshot.isConnected(id))).toEqual([true, true]);
    const dead = snapshot.lease(keys.connection(left));
    if (dead === null) throw new Error('the record of the stream has no lease');
    // Nothing of the replica says goodbye: its store no longer answers it.
    await a.replica.ctx.store.close();
    const taken = await FrameworkReader.open(b, moved, 1);
    await taken.next();
    await eventually('the lease to end', async () => !snapshot.isConnected(left), 20_000);
    expect(await b.replica.ctx.store.keepLeaseAlive(dead)).toBe(false);
    expect(snapshot.isConnected(moved)).toBe(true);
  });

  it('that stays away is torn down, and its tasks are stopped', async () => {
    const id = await joined({ failoverTimeoutSeconds: 1 });
    const { id: task } = await a.hand.launch(id, 'one', { state: 'running' });
    const reader = await FrameworkReader.open(b, id, 1);
    await reader.next();
    for (const one of [a, b]) drive(one);
    const { snapshot } = a.replica.ctx.mirror;
    await eventually('its stream to count', async () => snapshot.isConnected(id));
    await reader.close();
    await eventually('it to be marked', async () => snapshot.frameworks.get(id)?.disconnectedSinceMs !== null);
    expect(getFramework(a.replica.ctx, ADMIN, id).state).toBe('disconnected');
    await eventually('its task to be stopped', async () => snapshot.tasks.get(task)?.stop !== null, 30_000);
    expect(snapshot.ledgers.get('edge-1')?.entries[task]?.stop).not.toBeNull();
    expect(snapshot.frameworks.get(id)?.teardown?.by).toBe('failover timeout');
    await expect(subscribe(b.replica.ctx, callOf(), subscriptionOf({ id }))).rejects.toMatchObject({
      code: 'framework-gone',
    });
  });
});
