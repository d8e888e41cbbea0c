import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import {
  FRAMEWORKS_MAX,
  getFramework,
  listFrameworks,
  subscribe,
  tearDown,
  updateFramework,
} from '../../../control-plane/services/frameworks.ts';
import { type Store, StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import { endOffers } from '../../../shared/domain/ledger.ts';
import type { SubscriptionInput } from '../../../shared/protocol/framework.ts';
import { present } from '../../../shared/util/assert.ts';
import { aFramework } from '../../support/builders.ts';
import { changed } from '../../support/changed-store.ts';
import { FrameworkReader, overtaken, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { eventually } from '../../support/processes.ts';
import { ADMIN, callOf, caughtUp, granted, JOINER, nodeOf } from '../../support/replica.ts';

const ALICE: Principal = { ...ADMIN, subject: 'alice', grants: [{ roles: ['eng'], actions: ['framework:run'] }] };

let store: Store;
let a: Side;
let b: Side;

beforeEach(async () => {
  store = new MemoryStore({ clock: new SystemClock() });
  a = await startSide(store, 'a');
  b = await startSide(store, 'b');
  await registerNode(a.replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
});
afterEach(() => {
  for (const side of [a, b]) side.stop();
});

async function joined(roles = ['default']): Promise<string> {
  const { body } = await subscribe(a.replica.ctx, callOf(), subscriptionOf({ roles }));
  await caughtUp(a.replica.ctx);
  await caughtUp(b.replica.ctx);
  return body.id;
}

function isConnected({ replica }: Side, id: string): boolean {
  return replica.ctx.mirror.snapshot.isConnected(id);
}

describe('a subscription', () => {
  it('makes a framework that is disconnected until its stream is open, and again once that has ended', async () => {
    const id = await joined();
    expect(getFramework(a.replica.ctx, ADMIN, id)).toMatchObject({ state: 'disconnected', session: 1 });
    const reader = await FrameworkReader.open(b, id, 1);
    expect(await reader.next()).toMatchObject({ type: 'subscribed', framework: id, session: 1 });
    await caughtUp(a.replica.ctx);
    expect(getFramework(a.replica.ctx, ADMIN, id)).toMatchObject({ state: 'connected', disconnectedSince: null });
    await reader.close();
    await eventually('the framework to be disconnected', async () => !isConnected(a, id));
  });

  it('takes a framework over: the old stream is told, the offers are withdrawn, the old session is refused', async () => {
    const id = await joined();
    const old = await FrameworkReader.open(a, id, 1);
    await a.hand.offer(id);
    expect(await old.next()).toMatchObject({ type: 'subscribed' });
    expect(await old.next()).toMatchObject({ type: 'offers', offers: [{ id: '1-1-0', node: 'edge-1' }] });
    const { body } = await subscribe(b.replica.ctx, callOf(), subscriptionOf({ id, roles: ['default', 'eng'] }));
    expect(body).toMatchObject({ id, session: 2, roles: ['default', 'eng'] });
    expect(await old.next()).toMatchObject({ type: 'superseded', session: 2 });
    expect(await old.next()).toBeNull();
    await caughtUp(b.replica.ctx);
    expect(b.replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.offers).toEqual({});
    await expect(FrameworkReader.open(a, id, 1)).rejects.toMatchObject({ code: 'session-moved' });
    const next = await FrameworkReader.open(b, id, 2);
    expect(await next.next()).toMatchObject({ type: 'subscribed', session: 2 });
    await caughtUp(a.replica.ctx);
    await eventually('only the new stream to count', async () => isConnected(a, id));
  });

  it('withdraws its offers also from a ledger that has just changed', async () => {
    const id = await joined();
    await a.hand.offer(id);
    let isChanged = false;
    const racing: Store = changed(store, {
      async transact(transaction) {
        if (!isChanged && transaction.writes.some(({ key }) => key === keys.ledger('edge-1'))) {
          isChanged = true;
          await b.hand.ledger('edge-1', (ledger) => ledger);
        }
        return store.transact(transaction);
      },
    });
    await subscribe({ ...a.replica.ctx, store: racing }, callOf(), subscriptionOf({ id }));
    expect(isChanged).toBe(true);
    await caughtUp(a.replica.ctx);
    expect(a.replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.offers).toEqual({});
  });

  it('withdraws its offers of many nodes in few transactions, and of those that did not change also next to one that did', async () => {
    const id = await joined();
    const nodes = Array.from({ length: 70 }, (_, n) => `rack-${n}`);
    for (const [n, node] of nodes.entries()) {
      await registerNode(a.replica.ctx, JOINER, { node: nodeOf(node), seen: null, tasks: [] });
      await a.hand.offer(id, { node, id: `0-1-${n}` });
    }
    const sizes: number[] = [];
    const racing: Store = changed(store, {
      async transact(transaction) {
        const size = transaction.writes.filter(({ key }) => key.startsWith(keys.ledger('rack-'))).length;
        // One that changes whenever it is not alone.
        const isRaced = size > 1 && transaction.writes.some(({ key }) => key === keys.ledger('rack-0'));
        if (isRaced) await b.hand.ledger('rack-0', (ledger) => ledger);
        if (size > 0) sizes.push(size);
        return store.transact(transaction);
      },
    });
    await subscribe({ ...a.replica.ctx, store: racing }, callOf(), subscriptionOf({ id }));
    expect(sizes).toEqual([64, 6, 16, 16, 16, 16, 4, 4, 4, 4, 1, 1, 1, 1]);
    await caughtUp(a.replica.ctx);
    const { ledgers } = a.replica.ctx.mirror.snapshot;
    expect(nodes.filter((node) => Object.keys(ledgers.get(node)?.offers ?? {}).length > 0)).toEqual([]);
  });

  it('leaves the offers to a session that follows it before they are withdrawn', async () => {
    const id = await joined();
    await a.hand.offer(id);
    const { ctx } = a.replica;
    await subscribe(
      overtaken(ctx, id, (key) => key === keys.ledger('edge-1')),
      callOf(),
      subscriptionOf({ id }),
    );
    await caughtUp(ctx);
    expect(getFramework(ctx, ADMIN, id)).toMatchObject({ session: 3 });
    expect(Object.keys(ctx.mirror.snapshot.ledgers.get('edge-1')?.offers ?? {})).toEqual(['1-1-0']);
  });

  it('answers its repetition with the same framework', async () => {
    const call = callOf(ADMIN, { key: 'one', requestDigest: 'd' });
    const first = await subscribe(a.replica.ctx, call, subscriptionOf());
    const again = await subscribe(b.replica.ctx, call, subscriptionOf());
    expect(again).toMatchObject({ replayed: true, body: { id: first.body.id, session: 1 } });
  });

  it('is refused for what was torn down, and for what never was', async () => {
    const id = await joined();
    const reader = await FrameworkReader.open(a, id, 1);
    await reader.next();
    await tearDown(b.replica.ctx, callOf(), id, { reason: 'enough' });
    expect(await reader.next()).toEqual({ type: 'ended', message: 'torn down by admin: enough' });
    expect(await reader.next()).toBeNull();
    await expect(subscribe(b.replica.ctx, callOf(), subscriptionOf({ id }))).rejects.toMatchObject({
      code: 'framework-gone',
    });
    await expect(subscribe(b.replica.ctx, callOf(), subscriptionOf({ id: 'f000000000009' }))).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('may bring an id along that is not on record, and then makes a framework of it', async () => {
    const subscription = subscriptionOf({ id: 'fbrought0000000009' });
    const first = await subscribe(a.replica.ctx, callOf(), subscription, { orNew: true });
    expect(first).toMatchObject({ status: 201, body: { id: 'fbrought0000000009', session: 1, state: 'disconnected' } });
    await caughtUp(b.replica.ctx);
    const again = await subscribe(b.replica.ctx, callOf(), subscription, { orNew: true });
    expect(again).toMatchObject({ status: 200, body: { id: 'fbrought0000000009', session: 2 } });
    await tearDown(b.replica.ctx, callOf(), 'fbrought0000000009', { reason: 'enough' });
    await expect(subscribe(b.replica.ctx, callOf(), subscription, { orNew: true })).rejects.toMatchObject({
      code: 'framework-gone',
    });
  });

  it('makes one framework of an id that two bring along at once, and the later takes it over', async () => {
    const subscription = subscriptionOf({ id: 'fbrought0000000009' });
    const answers = await Promise.all(
      [a, b].map(({ replica }) => subscribe(replica.ctx, callOf(), subscription, { orNew: true })),
    );
    expect(answers.map(({ body }) => body.session).sort()).toEqual([1, 2]);
  });

  it('counts one that brings its id along among those of its principal', async () => {
    const others = Array.from({ length: FRAMEWORKS_MAX.ofPrincipal }, (_, n) => {
      const id = `fother${String(n).padStart(8, '0')}`;
      return putRecord('frameworks', keys.framework(id), aFramework({ id, principal: 'admin' }));
    });
    for (let from = 0; from < others.length; from += 100) {
      await store.transact({ compares: [], writes: others.slice(from, from + 100) });
    }
    const { ctx } = a.replica;
    await expect(
      subscribe(ctx, callOf(), subscriptionOf({ id: 'fbrought0000000009' }), { orNew: true }),
    ).rejects.toMatchObject({ code: 'limit-exceeded' });
  });

  it('takes only roles that the token covers, and no other principal acts for it', async () => {
    const { ctx } = a.replica;
    await expect(subscribe(ctx, callOf(ALICE), subscriptionOf({ roles: ['ops'] }))).rejects.toMatchObject({
      code: 'forbidden',
    });
    const { body } = await subscribe(ctx, callOf(ALICE), subscriptionOf({ roles: ['eng/ml'] }));
    await caughtUp(ctx);
    const bob = { ...ALICE, subject: 'bob' };
    const reader = granted(bob, { actions: ['framework:*'] });
    await expect(subscribe(ctx, callOf(bob), subscriptionOf({ id: body.id, roles: ['eng'] }))).rejects.toMatchObject({
      code: 'not-found',
    });
    await expect(tearDown(ctx, callOf(reader), body.id, { reason: '' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(FrameworkReader.open(a, body.id, 1, reader)).rejects.toMatchObject({ code: 'forbidden' });
    const page = { limit: 10, after: null };
    const listed = (principal: Principal) => listFrameworks(ctx, principal, { role: null }, page).items.length;
    expect([ADMIN, ALICE, reader, bob, granted(reader, { roles: ['ops'] })].map(listed)).toEqual([1, 1, 1, 0, 0]);
    expect(() => getFramework(ctx, granted(reader, { roles: ['ops'] }), body.id)).toThrow('there is no framework');
    const narrower = granted(ALICE, { roles: ['eng/other'] });
    await expect(tearDown(ctx, callOf(narrower), body.id, { reason: '' })).rejects.toMatchObject({ code: 'not-found' });
    expect(await tearDown(ctx, callOf(ALICE), body.id, { reason: 'done' })).toMatchObject({
      body: { state: 'ended' },
    });
  });
});

describe('a framework that changes what it wants', () => {
  const wishes = (input: Partial<SubscriptionInput>) => {
    const { id: _id, ...rest } = subscriptionOf(input);
    return rest;
  };

  it('stays in its session and on its stream, and says all anew', async () => {
    const id = await joined(['default', 'eng']);
    const reader = await FrameworkReader.open(a, id, 1);
    await reader.next();
    await caughtUp(b.replica.ctx);
    const { ctx } = b.replica;
    const first = await updateFramework(
      ctx,
      callOf(),
      { id, session: 1 },
      wishes({ roles: ['eng', 'ops'], suppressed: ['ops'], failoverTimeoutSeconds: 5, annotations: { kept: 'this' } }),
    );
    expect(first).toMatchObject({
      status: 200,
      body: { session: 1, roles: ['eng', 'ops'], suppressed: ['ops'], failoverTimeoutSeconds: 5, state: 'connected' },
    });
    expect(first.body.annotations).toEqual({ kept: 'this' });
    await caughtUp(ctx);
    const second = await updateFramework(ctx, callOf(), { id, session: 1 }, wishes({ roles: ['eng'] }));
    expect(second.body).toMatchObject({ suppressed: [], failoverTimeoutSeconds: 60, annotations: {} });
    await a.hand.offer(id, { role: 'eng' });
    expect(await reader.next()).toMatchObject({ type: 'offers' });
  });

  it('keeps the offers that it still wants, and no others', async () => {
    const id = await joined(['default', 'eng']);
    const reader = await FrameworkReader.open(a, id, 1);
    await reader.next();
    await registerNode(a.replica.ctx, JOINER, { node: nodeOf('edge-2'), seen: null, tasks: [] });
    await a.hand.offer(id, { id: '1-1-0', role: 'default' });
    await a.hand.offer(id, { id: '1-1-1', role: 'eng' });
    await a.hand.offer(id, { id: '1-1-2', role: 'eng', node: 'edge-2' });
    await a.hand.offer('f000000000009', { id: '1-1-3', role: 'default', node: 'edge-2' });
    await caughtUp(b.replica.ctx);
    const onFirst = { attribute: 'node', operator: '=', value: 'edge-1' } as const;
    const { ctx } = b.replica;
    await updateFramework(
      ctx,
      callOf(),
      { id, session: 1 },
      wishes({ roles: ['eng'], nodeConstraints: { eng: [[onFirst]] } }),
    );
    await caughtUp(ctx);
    const { ledgers } = ctx.mirror.snapshot;
    const left = ['edge-1', 'edge-2'].map((node) => Object.keys(ledgers.get(node)?.offers ?? {}));
    expect(left).toEqual([['1-1-1'], ['1-1-3']]);
  });

  it('is refused in a session that is over, in roles that its token does not cover, and once it is torn down', async () => {
    const id = await joined();
    const { ctx } = a.replica;
    const of = { id, session: 1 };
    const refusal = (call = callOf(), roles = ['default'], session = 1) =>
      updateFramework(ctx, call, { ...of, session }, wishes({ roles })).then(
        () => 'done',
        ({ code }) => code,
      );
    const narrow = callOf({ ...ADMIN, grants: [{ roles: ['default'], actions: ['framework:*'] }] });
    expect(await refusal(narrow)).toBe('done');
    await caughtUp(ctx);
    expect(await refusal(narrow, ['default', 'eng'])).toBe('forbidden');
    expect(await refusal(callOf(), ['default'], 2)).toBe('session-moved');
    await subscribe(b.replica.ctx, callOf(), subscriptionOf({ id }));
    await caughtUp(ctx);
    expect(await refusal()).toBe('session-moved');
    await tearDown(ctx, callOf(), id, { reason: 'enough' });
    await caughtUp(ctx);
    expect(await refusal(callOf(), ['default'], 2)).toBe('framework-gone');
  });

  it('names only what some node has, or what it has named before', async () => {
    const id = await joined();
    const wanting = wishes({ minAllocatable: { default: [{ licences: 1 }] } });
    await expect(updateFramework(a.replica.ctx, callOf(), { id, session: 1 }, wanting)).rejects.toMatchObject({
      code: 'invalid-request',
      faults: [{ path: '/minAllocatable/default/0/licences' }],
    });
  });

  it('takes nothing back of what a session that follows it says', async () => {
    const id = await joined();
    const { ctx } = a.replica;
    const behind = overtaken(ctx, id, (key) => key === keys.framework(id));
    await expect(
      updateFramework(behind, callOf(), { id, session: 1 }, wishes({ roles: ['eng'] })),
    ).rejects.toMatchObject({ code: 'session-moved' });
    await caughtUp(ctx);
    expect(getFramework(ctx, ADMIN, id)).toMatchObject({ session: 2, roles: ['default'] });
  });
});

describe('how many frameworks there may be', () => {
  /** Put by hand: to subscribe so often takes its time. */
  async function standing(count: number, change: Partial<Framework>): Promise<void> {
    const writes = Array.from({ length: count }, (_, n) => {
      const id = `f${change.principal}${n}`;
      return putRecord('frameworks', keys.framework(id), aFramework({ roles: ['eng'], ...change, id }));
    });
    for (let from = 0; from < count; from += 100) {
      await store.transact({ compares: [], writes: writes.slice(from, from + 100) });
    }
    await caughtUp(a.replica.ctx);
  }

  const subscribing = (principal: Principal) =>
    subscribe(a.replica.ctx, callOf(principal), subscriptionOf({ roles: ['eng'] }));

  it('is bound for each principal, those that were torn down apart, and nobody stands in the way of others', async () => {
    const teardown = { atMs: 0, by: 'alice', reason: 'enough' };
    await standing(FRAMEWORKS_MAX.ofPrincipal, { principal: 'bob', teardown });
    await standing(FRAMEWORKS_MAX.ofPrincipal, { principal: 'alice' });
    await expect(subscribing(ALICE)).rejects.toMatchObject({
      code: 'limit-exceeded',
      message: `"alice" has 1000 frameworks, which is the most; tear down those that are over`,
    });
    expect(await subscribing({ ...ALICE, subject: 'bob' })).toMatchObject({ status: 201 });
    await tearDown(a.replica.ctx, callOf(ALICE), 'falice0', { reason: 'over' });
    await caughtUp(a.replica.ctx);
    const { body } = await subscribing(ALICE);
    await caughtUp(a.replica.ctx);
    const again = subscriptionOf({ id: body.id, roles: ['eng'] });
    expect(await subscribe(a.replica.ctx, callOf(ALICE), again)).toMatchObject({ body: { session: 2 } });
  });

  it('is bound in all', async () => {
    for (let n = 0; n < 10; n++) await standing(FRAMEWORKS_MAX.all / 10, { principal: `team${n}` });
    await expect(subscribing(ALICE)).rejects.toMatchObject({
      code: 'limit-exceeded',
      message: expect.stringContaining('there are 10000 frameworks'),
    });
  });
});

describe('the smallest offer that a framework wants', () => {
  const wanting = (amounts: Record<string, number>, id?: string) =>
    subscribe(
      a.replica.ctx,
      callOf(),
      subscriptionOf({ ...(id && { id }), roles: ['a/b'], minAllocatable: { 'a/b': [{ cpus: 1 }, amounts] } }),
    );

  it('names only what some node has', async () => {
    await expect(wanting({ licences: 1 })).rejects.toMatchObject({
      code: 'invalid-request',
      faults: [
        {
          path: '/minAllocatable/a~1b/1/licences',
          message: 'names what no node has; there are cpus, diskMiB, gpus, memMiB',
        },
      ],
    });
    await a.hand.ledger('edge-1', (ledger) => ({ ...ledger, total: { ...ledger.total, custom: { licences: 2 } } }));
    expect(await wanting({ licences: 1, gpus: 1 })).toMatchObject({ status: 201 });
  });

  it('may be what it was before, though the node that had it is gone', async () => {
    await a.hand.ledger('edge-1', (ledger) => ({ ...ledger, total: { ...ledger.total, custom: { licences: 2 } } }));
    const { body } = await wanting({ licences: 1 });
    await a.hand.ledger('edge-1', (ledger) => ({ ...ledger, total: { ...ledger.total, custom: {} } }));
    expect(await wanting({ licences: 1 }, body.id)).toMatchObject({ body: { session: 2 } });
    await expect(wanting({ others: 1 }, body.id)).rejects.toMatchObject({ code: 'invalid-request' });
  });
});

describe('the stream of a framework', () => {
  it('tells all offers that stand, then new ones, and how those end that it did not answer', async () => {
    const id = await joined();
    await a.hand.offer(id, { id: '1-1-1' });
    await a.hand.offer(id, { id: '1-1-2' });
    const reader = await FrameworkReader.open(b, id, 1);
    await reader.next();
    const first = await reader.next();
    expect(first?.type === 'offers' && first.offers.map((offer) => offer.id).sort()).toEqual(['1-1-1', '1-1-2']);
    await a.hand.offer(id, { id: '1-2-0' });
    expect(await reader.next()).toMatchObject({ type: 'offers', offers: [{ id: '1-2-0' }] });
    await a.hand.ledger('edge-1', (ledger) => {
      const filter = { framework: id, role: 'default', generation: 0, sinceMs: 0, untilMs: 1, times: 1 };
      const refused = ledger.total;
      return endOffers(
        ledger,
        ['1-1-1', '1-1-2'],
        [
          { ...filter, offer: '1-1-1', refused, because: 'declined' },
          { ...filter, offer: '1-1-2', refused, because: 'expired' },
        ],
      );
    });
    expect(await reader.next()).toEqual({ type: 'offer-gone', offer: '1-1-2', because: 'expired' });
    await a.hand.ledger('edge-1', (ledger) => endOffers(ledger, ['1-2-0']));
    expect(await reader.next()).toEqual({ type: 'offer-gone', offer: '1-2-0', because: 'withdrawn' });
  });

  it('goes on where another one stops, with the same session, and ends that one', async () => {
    const id = await joined();
    const first = await FrameworkReader.open(a, id, 1);
    await first.next();
    const second = await FrameworkReader.open(b, id, 1);
    expect(await first.next()).toMatchObject({ type: 'superseded', session: 1 });
    expect(await first.next()).toBeNull();
    expect(await second.next()).toMatchObject({ type: 'subscribed' });
    await caughtUp(a.replica.ctx);
    expect(isConnected(a, id)).toBe(true);
  });

  it('of a session that is over by the time that its lease is there leaves the framework as it is', async () => {
    const id = await joined();
    const grantLease = async (ttlSeconds: number) => {
      await subscribe(a.replica.ctx, callOf(), subscriptionOf({ id, roles: ['default'] }));
      await caughtUp(slow.replica.ctx);
      return store.grantLease(ttlSeconds);
    };
    const slow = await startSide(changed(store, { grantLease }), 'c');
    await expect(FrameworkReader.open(slow, id, 1)).rejects.toMatchObject({ code: 'session-moved' });
    await caughtUp(a.replica.ctx);
    expect(getFramework(a.replica.ctx, ADMIN, id)).toMatchObject({ session: 2, state: 'disconnected' });
    slow.stop();
  });

  it('ends without an end of the other streams of its replica', async () => {
    const [one, two] = [await joined(), await joined()];
    const [first, second] = [await FrameworkReader.open(a, one, 1), await FrameworkReader.open(a, two, 1)];
    for (const reader of [first, second]) await reader.next();
    await caughtUp(b.replica.ctx);
    await first.close();
    await eventually('the one to be disconnected', async () => !isConnected(b, one));
    expect(isConnected(b, two)).toBe(true);
  });

  it('that ends late takes nothing from the one that has followed it', async () => {
    const id = await joined();
    const old = await FrameworkReader.open(a, id, 1);
    await old.next();
    const next = await FrameworkReader.open(b, id, 1);
    await next.next();
    await caughtUp(b.replica.ctx);
    const before = b.replica.ctx.mirror.snapshot.modRevision(`/berth/connections/${id}`);
    await old.close();
    await caughtUp(b.replica.ctx);
    expect(b.replica.ctx.mirror.snapshot.modRevision(`/berth/connections/${id}`)).toBe(before);
  });

  it('is put on record again when its lease is lost under it', async () => {
    const id = await joined();
    const reader = await FrameworkReader.open(a, id, 1);
    await reader.next();
    const lease = a.replica.ctx.mirror.snapshot.lease(`/berth/connections/${id}`);
    if (lease === null) throw new Error('no lease');
    await store.revokeLease(lease);
    await caughtUp(b.replica.ctx);
    await eventually('the framework to be connected again', async () => isConnected(b, id));
    expect(b.replica.ctx.mirror.snapshot.lease(`/berth/connections/${id}`)).not.toBe(lease);
    await reader.close();
    await eventually('the framework to be disconnected', async () => !isConnected(b, id));
  });
});

describe('a stream whose record is put by a write that nobody hears of', () => {
  /** Of the next record that is put, the answer is lost, after the replica has seen it. */
  let loseNext: null | (() => Promise<void>);
  let side: Side;

  beforeEach(async () => {
    loseNext = null;
    const forgetful: Store = changed(store, {
      async transact(transaction) {
        const isPut = transaction.writes.some(({ type, key }) => type === 'put' && key.startsWith(keys.connection('')));
        const result = await store.transact(transaction);
        const before = loseNext;
        if (before === null || !isPut) return result;
        loseNext = null;
        await caughtUp(side.replica.ctx);
        await before();
        throw new StoreUnavailableError('timed out after it had committed');
      },
    });
    side = await startSide(forgetful, 'c');
    // As long as the replica has any stream, no end of its lease takes a record off.
    const other = await FrameworkReader.open(side, await joined(), 1);
    await other.next();
  });
  afterEach(() => side.stop());

  it('leaves its framework disconnected when it could not be opened', async () => {
    const id = await joined();
    loseNext = async () => {};
    await expect(FrameworkReader.open(side, id, 1)).rejects.toBeInstanceOf(StoreUnavailableError);
    await eventually('the framework to be disconnected', async () => !(await isOnRecord(id)));
  });

  it('leaves its framework disconnected when it has ended meanwhile', async () => {
    const id = await joined();
    const reader = await FrameworkReader.open(side, id, 1);
    await reader.next();
    await caughtUp(a.replica.ctx);
    const ended = new Promise<void>((resolve) => {
      loseNext = async () => {
        await reader.close();
        resolve();
      };
    });
    await store.transact({ compares: [], writes: [{ type: 'delete', key: keys.connection(id) }] });
    await ended;
    await eventually('the framework to be disconnected', async () => !(await isOnRecord(id)));
  });

  it('leaves its framework disconnected once the stream that it has ended is over as well', async () => {
    const id = await joined();
    const reader = await FrameworkReader.open(side, id, 1);
    await reader.next();
    loseNext = async () => {};
    await expect(FrameworkReader.open(side, id, 1)).rejects.toBeInstanceOf(StoreUnavailableError);
    expect(await reader.next()).toMatchObject({ type: 'superseded' });
    expect(await reader.next()).toBeNull();
    await eventually('the framework to be disconnected', async () => !(await isOnRecord(id)));
  });

  async function isOnRecord(id: string): Promise<boolean> {
    return (await store.get(keys.connection(id))).keyValue !== null;
  }
});

describe('a stream whose record went with its lease', () => {
  it('ends where another replica has opened one meanwhile, and leaves that one alone', async () => {
    const id = await joined();
    let second: FrameworkReader | null = null;
    let isLate = false;
    const late: Store = changed(store, {
      async transact(transaction) {
        const isPut = transaction.writes.some(({ type, key }) => type === 'put' && key === keys.connection(id));
        if (isLate && isPut) {
          isLate = false;
          second = await FrameworkReader.open(b, id, 1);
        }
        return store.transact(transaction);
      },
    });
    const side = await startSide(late, 'c');
    const first = await FrameworkReader.open(side, id, 1);
    await first.next();
    isLate = true;
    await store.transact({ compares: [], writes: [{ type: 'delete', key: keys.connection(id) }] });
    expect(await first.next()).toMatchObject({ type: 'superseded', session: 1 });
    expect(await first.next()).toBeNull();
    await caughtUp(a.replica.ctx);
    expect(a.replica.ctx.mirror.snapshot.connections.get(id)).toMatchObject({ replica: 'b' });
    const followed = present(second as FrameworkReader | null, 'the stream on the other replica');
    expect(await followed.next()).toMatchObject({ type: 'subscribed' });
    await a.hand.offer(id);
    expect(await followed.next()).toMatchObject({ type: 'offers' });
    side.stop();
  });
});
