import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { DRIVER_DEFAULTS, Driver } from '../../../control-plane/controllers/driver.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { recoverCluster } from '../../../control-plane/services/recovery.ts';
import { type Store, StoreFullError, StoreUnavailableError } from '../../../control-plane/store/contract.ts';
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

  it('gives nothing a place for a lease time after a recovery, so that every node can say first what it runs', async () => {
    const replica = await startReplica();
    const { ctx } = replica;
    const abort = new AbortController();
    await submitJob(ctx, callOf(), specOf());
    await recoverCluster(ctx, callOf());
    await registerNode(ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    const nodes = { leaseTtlMs: 700, heartbeatIntervalMs: 200 };
    const running = new Driver(ctx, { ...DRIVER_DEFAULTS, nodes }).run(abort.signal);
    ends.push(
      () => replica.stop(),
      () => {
        abort.abort();
        return running;
      },
    );
    const placed = await eventually('the task to be placed', async () =>
      [...ctx.mirror.snapshot.tasks.values()].find((task) => task.state === 'staging'),
    );
    const recoveredAtMs = ctx.mirror.snapshot.cluster?.recoveredAtMs ?? 0;
    expect((placed.history.at(-1)?.atMs ?? 0) - recoveredAtMs).toBeGreaterThanOrEqual(nodes.leaseTtlMs);
  });
});
