import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { FrameworkFeed } from '../../../control-plane/services/framework-feed.ts';
import { getFramework, subscribe } from '../../../control-plane/services/frameworks.ts';
import { acceptOffers } from '../../../control-plane/services/offers.ts';
import { acknowledgeOperations, reconcileOperations } from '../../../control-plane/services/operations.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { FINISHED_OPERATIONS_MAX, type FinishedOperation } from '../../../shared/domain/finished-operation.ts';
import type { OperationStatusView } from '../../../shared/protocol/framework.ts';
import { type AcceptInput, acceptSchema } from '../../../shared/protocol/offers.ts';
import { aFramework, anOffer, clusterOf, T0 } from '../../support/builders.ts';
import { FrameworkReader, overtaken, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { ADMIN, callOf, caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

type Operations = NonNullable<AcceptInput['operations']>;

let store: Store;
let a: Side;
let b: Side;
let framework: string;

beforeEach(async () => {
  store = new MemoryStore({ clock: new SystemClock() });
  a = await startSide(store, 'a');
  b = await startSide(store, 'b');
  await registerNode(a.replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  const { body } = await subscribe(a.replica.ctx, callOf(), subscriptionOf());
  framework = body.id;
  await bothCaughtUp();
});
afterEach(() => {
  for (const side of [a, b]) side.stop();
});

async function bothCaughtUp(): Promise<void> {
  for (const { replica } of [a, b]) await caughtUp(replica.ctx);
}

function reserve(operation: string | undefined, id: string, cpus = 1): Operations[number] {
  return { type: 'reserve', operation, reservation: { id, scalars: { cpus }, labels: {} } };
}

let offers = 0;

async function accept(operations: Operations, { ctx = a.replica.ctx, on = a } = {}) {
  const id = `1-1-${offers++}`;
  const { resources } = anOffer({ resources: { cpus: 1, memMiB: 64 } });
  await on.hand.offer(framework, { id, role: 'default', resources, expiresAtMs: Date.now() + 60_000 });
  await bothCaughtUp();
  const request = acceptSchema.parse({ session: 1, offers: [id], operations });
  const answer = await acceptOffers(ctx, callOf(), framework, request);
  await bothCaughtUp();
  return answer;
}

const acknowledge = (...operations: string[]) =>
  acknowledgeOperations(b.replica.ctx, ADMIN, { id: framework, session: 1, operations });

async function asked(names: readonly string[] | null): Promise<string[]> {
  const { operations } = await reconcileOperations(b.replica.ctx, ADMIN, { id: framework, session: 1, names });
  return operations.map(({ operation, state, id, reconciliation }) => {
    expect([id, reconciliation]).toEqual([null, true]);
    return `${operation} ${state}`;
  });
}

/** The next operation that the stream tells of. */
async function nextOn(reader: FrameworkReader): Promise<OperationStatusView> {
  for (;;) {
    const event = await reader.next();
    if (event === null) throw new Error('the stream has ended');
    if (event.type === 'operation') return event.operation;
  }
}

describe('an operation with a name', () => {
  it('is told once it was carried out, on whichever replica the stream is, and by no other stream once acknowledged', async () => {
    const reader = await FrameworkReader.open(b, framework, 1);
    await accept([reserve('first', 'r1')]);
    const status = await nextOn(reader);
    expect(status).toMatchObject({ operation: 'first', state: 'finished', node: 'edge-1', reconciliation: false });
    expect(getFramework(a.replica.ctx, ADMIN, framework).operations).toBe(1);
    const again = await FrameworkReader.open(a, framework, 1);
    expect(await nextOn(again)).toEqual(status);
    expect(await acknowledge(status.id ?? '')).toEqual({ results: ['acknowledged'] });
    expect(await acknowledge(status.id ?? '', 'p000000000000000a')).toEqual({ results: ['unknown', 'unknown'] });
    await bothCaughtUp();
    expect(getFramework(a.replica.ctx, ADMIN, framework).operations).toBe(0);
    const last = await FrameworkReader.open(b, framework, 1);
    await accept([reserve('second', 'r2')]);
    expect(await nextOn(last)).toMatchObject({ operation: 'second' });
  });

  it('is not told where the call was refused, and others of the call are neither', async () => {
    await expect(accept([reserve('fits', 'r1'), reserve('does not', 'r2', 1)])).rejects.toMatchObject({
      code: 'invalid-request',
    });
    await bothCaughtUp();
    expect(await asked(null)).toEqual([]);
  });

  it('is not told where the session moves on as it is committed', async () => {
    const isOperation = (key: string) => key.startsWith(keys.operation(framework, '').slice(0, -32));
    const ctx = overtaken(a.replica.ctx, framework, isOperation);
    await expect(accept([reserve('late', 'r1')], { ctx })).rejects.toMatchObject({ code: 'session-moved' });
    await bothCaughtUp();
    expect([...a.replica.ctx.mirror.snapshot.operationsOf(framework)]).toEqual([]);
  });

  it('is answered about, by name or with all others', async () => {
    await accept([reserve('a/b c', 'r1')]);
    await accept([{ ...reserve(undefined, 'r2') }]);
    expect(await asked(null)).toEqual(['a/b c finished']);
    expect(await asked(['nobody', 'a/b c', 'nobody'])).toEqual(['nobody unknown', 'a/b c finished']);
  });

  it('has it for itself until it is acknowledged', async () => {
    await accept([reserve('mine', 'r1')]);
    await expect(accept([reserve('mine', 'r2')])).rejects.toMatchObject({
      code: 'already-exists',
      faults: [{ path: '/operations/0/operation', message: expect.stringContaining('acknowledge it') }],
    });
    const [known] = a.replica.ctx.mirror.snapshot.operationsOf(framework);
    await acknowledge(known?.id ?? '');
    await accept([reserve('mine', 'r3')]);
    expect(await asked(null)).toEqual(['mine finished']);
  });

  it('is one of so many', async () => {
    const writes = Array.from({ length: FINISHED_OPERATIONS_MAX }, (_, n) => {
      const operation: FinishedOperation = { id: `p${n}`, framework, name: `n${n}`, node: 'edge-1', atMs: T0 };
      return putRecord('operations', keys.operation(framework, operation.name), operation);
    });
    for (let from = 0; from < writes.length; from += 100) {
      await store.transact({ compares: [], writes: writes.slice(from, from + 100) });
    }
    await bothCaughtUp();
    await expect(accept([reserve('more', 'r1')])).rejects.toMatchObject({
      code: 'limit-exceeded',
      message: expect.stringContaining('acknowledge those'),
      faults: [{ path: '/operations/0/operation' }],
    });
    await accept([reserve(undefined, 'r1')]);
  });

  it('can be acknowledged and asked about in its session only', async () => {
    const of = { id: framework, session: 2 };
    const { ctx } = a.replica;
    const operations = ['p000000000000000a'];
    await expect(acknowledgeOperations(ctx, ADMIN, { ...of, operations })).rejects.toMatchObject({
      code: 'session-moved',
    });
    await expect(reconcileOperations(ctx, ADMIN, { ...of, names: null })).rejects.toMatchObject({
      code: 'session-moved',
    });
  });
});

describe('a request with names of operations', () => {
  it('uses each once', () => {
    const operations = [reserve('one', 'r1'), reserve('two', 'r2'), reserve('one', 'r3')];
    const { error } = acceptSchema.safeParse({ session: 1, offers: ['1-1-1'], operations });
    expect(error?.issues.map(({ path, message }) => [path.join('/'), message])).toEqual([
      ['operations/2/operation', '"one" is used twice'],
    ]);
  });
});

describe('what a stream says of operations', () => {
  const finished = (name: string): FinishedOperation => ({
    ...{ id: `p-${name}`, framework: 'f000000000001', name, node: 'edge-1', atMs: T0 },
  });
  let feed: FrameworkFeed;
  beforeEach(() => {
    feed = new FrameworkFeed('f000000000001');
  });

  function told(operations: readonly FinishedOperation[], monotonicMs: number) {
    const cluster = clusterOf({ frameworks: [aFramework()], operations });
    const { events, wakeAtMs } = feed.step({ cluster, offers: new Map(), nowMs: T0, monotonicMs });
    return [events.flatMap((event) => (event.type === 'operation' ? [event.operation.operation] : [])), wakeAtMs];
  }

  it('comes again, ever more seldom, until it is acknowledged', () => {
    expect(told([finished('a')], 0)).toEqual([['a'], 10_000]);
    expect(told([finished('a')], 9999)).toEqual([[], 10_000]);
    expect(told([finished('a')], 10_000)).toEqual([['a'], 30_000]);
    expect(told([], 30_000)).toEqual([[], null]);
  });

  it('is told of what comes while another waits to be told again', () => {
    expect(told([finished('a')], 0)).toEqual([['a'], 10_000]);
    feed.operations.moved();
    expect(told([finished('a'), finished('b')], 1000)).toEqual([['b'], 10_000]);
  });

  it('comes in steps, however much there is', () => {
    const many = Array.from({ length: 700 }, (_, n) => finished(`n${n}`));
    expect(told(many, 0)[0]).toHaveLength(500);
    expect(told(many, 0)[0]).toHaveLength(200);
    expect(told(many, 0)[0]).toHaveLength(0);
  });
});
