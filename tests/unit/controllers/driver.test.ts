import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { DRIVER_DEFAULTS, Driver } from '../../../control-plane/controllers/driver.ts';
import { Settling } from '../../../control-plane/controllers/settling.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import type { ServiceContext } from '../../../control-plane/services/context.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { recoverCluster } from '../../../control-plane/services/recovery.ts';
import { type Store, StoreFullError, StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import { PREFIX } from '../../../control-plane/store/keys.ts';
import { eventually } from '../../support/processes.ts';
import { callOf, JOINER, nodeOf, specOf, startReplica } from '../../support/replica.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A store whose writes fail while `fault` is set. */
function failingStore(inner: Store) {
  const state: { fault: Error | null; refused: number } = { fault: null, refused: 0 };
  const store = new Proxy(inner, {
    get(target, name) {
      if (name === 'transact' && state.fault !== null) {
        state.refused += 1;
        return () => Promise.reject(state.fault);
      }
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  return { store, state };
}

describe('the driver', () => {
  it.each([
    ['full', new StoreFullError('full')],
    ['away', new StoreUnavailableError('away')],
  ])('waits a store out that is %s, and goes on when it takes writes again', async (_, fault) => {
    const { store, state } = failingStore(new MemoryStore({ clock: new SystemClock() }));
    const replica = await startReplica({ store });
    const abort = new AbortController();
    await registerNode(replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    await submitJob(replica.ctx, callOf(), specOf());
    state.fault = fault;
    let ended = false;
    const running = new Driver(replica.ctx).run(abort.signal).finally(() => {
      ended = true;
    });
    ends.push(
      () => replica.stop(),
      () => {
        abort.abort();
        return running;
      },
    );
    const tries = await eventually(
      'the driver to meet the fault',
      async () => replica.ctx.mirror.snapshot.driver === null,
    );
    expect(tries && !ended).toBe(true);
    state.fault = null;
    const placed = async () => [...replica.ctx.mirror.snapshot.tasks.values()].some((task) => task.state === 'staging');
    await eventually('the task to be placed', placed);
    expect(ended).toBe(false);
  });

  describe('after the store was restored', () => {
    const nodes = { leaseTtlMs: 700, heartbeatIntervalMs: 200 };

    /** The time until a task that waits gets its place. */
    async function placedAfterMs(store: Store, before: (ctx: ServiceContext) => Promise<unknown>): Promise<number> {
      const replica = await startReplica({ store });
      const { ctx } = replica;
      ends.push(() => replica.stop());
      await submitJob(ctx, callOf(), specOf());
      await before(ctx);
      await registerNode(ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
      const abort = new AbortController();
      const startedMs = performance.now();
      const running = new Driver(ctx, { ...DRIVER_DEFAULTS, nodes }).run(abort.signal);
      ends.push(() => {
        abort.abort();
        return running;
      });
      const tasks = () => [...ctx.mirror.snapshot.tasks.values()];
      await eventually('the task to be placed', async () => tasks().some(({ state }) => state === 'staging'));
      return performance.now() - startedMs;
    }

    it('gives nothing a place for a lease time after a recovery, so that every node can say first what it runs', async () => {
      const store = new MemoryStore({ clock: new SystemClock() });
      const waitedMs = await placedAfterMs(store, (ctx) => recoverCluster(ctx, callOf()));
      // Registering took a moment of that time.
      expect(waitedMs).toBeGreaterThan(nodes.leaseTtlMs / 2);
    });

    it('waits as long when the state has moved to another store, once', async () => {
      const clock = new SystemClock();
      const old = new MemoryStore({ clock });
      await (await startReplica({ store: old })).settle();
      const { keyValues } = await old.range({ prefix: PREFIX });
      const store = new MemoryStore({ clock, clusterId: 'restored' });
      const writes = keyValues.map(({ key, value }) => ({ type: 'put' as const, key, value }));
      await store.transact({ compares: [], writes });
      expect(await placedAfterMs(store, async () => undefined)).toBeGreaterThan(nodes.leaseTtlMs - 50);
      const settling = async (ctx: ServiceContext) => new Settling(ctx, nodes.leaseTtlMs).leftMs();
      const next = await startReplica({ store });
      ends.push(() => next.stop());
      expect(await settling(next.ctx)).toBe(0);
    });

    it('waits as long when the mirror has gone back in time, and not when it has only moved', async () => {
      const replica = await startReplica();
      ends.push(() => replica.stop());
      const settling = new Settling(replica.ctx, nodes.leaseTtlMs);
      settling.moved(replica.ctx.mirror.revision + 5, false);
      expect(await settling.leftMs()).toBe(0);
      settling.moved(replica.ctx.mirror.revision, true);
      expect(await settling.leftMs()).toBeGreaterThan(nodes.leaseTtlMs - 50);
    });
  });
});
