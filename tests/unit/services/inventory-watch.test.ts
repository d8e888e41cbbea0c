import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type InventoryChange, watchInventory } from '../../../control-plane/services/inventory-watch.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { Epoch } from '../../../shared/domain/node.ts';
import { advance, type Task } from '../../../shared/domain/task.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { aJob, aTask, T0 } from '../../support/builders.ts';
import { Hand, launchedTask } from '../../support/frameworks.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { ADMIN, caughtUp, granted } from '../../support/replica.ts';

let berth: TestApi;
let hand: Hand;
let over: AbortController;

beforeEach(async () => {
  berth = await startApi();
  hand = new Hand(berth.replica.ctx);
  over = new AbortController();
  await ApiAgent.register(berth);
  await caughtUp(berth.replica.ctx);
});
afterEach(() => {
  over.abort();
  berth.stop();
});

function watch() {
  return watchInventory(berth.replica.ctx, ADMIN, { signal: over.signal });
}

async function nextOf(changes: AsyncGenerator<readonly InventoryChange[], void>): Promise<readonly InventoryChange[]> {
  const { done, value } = await changes.next();
  if (done) throw new Error('the changes have ended');
  return value;
}

/** The agent's session ends, as its lease would, or is there again. */
async function silence(change: Partial<Epoch>): Promise<void> {
  const { ctx } = berth.replica;
  const epoch = ctx.mirror.snapshot.epochs.get('edge-1');
  if (epoch === undefined) throw new Error('edge-1 has no epoch');
  await ctx.store.transact({
    compares: [],
    writes: [
      { type: 'delete', key: keys.alive('edge-1') },
      putRecord('epochs', keys.epoch('edge-1'), { ...epoch, ...change }),
    ],
  });
  await caughtUp(ctx);
}

describe('what there is and what becomes different', () => {
  it('tells of what was changed before the first change is asked for', async () => {
    const { inventory, changes } = watch();
    const { id } = await MesosClient.subscribe(berth);
    expect(inventory.frameworks).toEqual([]);
    expect(await nextOf(changes)).toMatchObject([
      { type: 'framework-added', framework: { framework: { id } } },
      { type: 'framework-changed', framework: { isConnected: true } },
    ]);
  });

  it('tells of a node that falls silent, after what that makes of its tasks', async () => {
    const framework = await MesosClient.subscribe(berth);
    await hand.launch(framework.id, 'brush');
    await hand.report((await hand.launch(framework.id, 'done')).id, 'killed');
    const { changes } = watch();
    await silence({ unreachableSinceMs: T0 });
    expect(await nextOf(changes)).toMatchObject([
      {
        type: 'task-changed',
        change: { item: { task: { framework: { name: 'brush' } } }, node: { unreachableSinceMs: T0 } },
      },
      { type: 'node-removed', node: 'edge-1' },
    ]);
    await silence({ unreachableSinceMs: null });
    expect((await nextOf(changes)).map(({ type }) => type)).toEqual(['node-added', 'task-changed']);
  });

  it('tells of tasks once they have a place, and then of steps of their lives only', async () => {
    const { changes } = watch();
    const job = aJob();
    await hand.put(aTask(job));
    const placed: Task = advance(
      { ...aTask(job), node: 'edge-1' },
      { state: 'staging', atMs: T0, reason: 'placed', message: '' },
    );
    await hand.put(placed);
    await hand.put({ ...placed, ports: { http: 31000 } });
    await hand.put({ ...placed, stop: { atMs: T0, by: 'anna', reason: 'enough' } });
    const told: string[] = [];
    while (told.length < 2) told.push(...(await nextOf(changes)).map(({ type }) => type));
    expect(told).toEqual(['task-added', 'task-changed']);
  });

  it('tells nothing of tasks whose framework is not to be seen', async () => {
    const framework = await MesosClient.subscribe(berth, { role: 'eng' });
    const narrow = granted(ADMIN, { actions: ['task:read', 'node:read'] });
    const { changes } = watchInventory(berth.replica.ctx, narrow, { signal: over.signal });
    await hand.put(launchedTask(framework.id, 'brush'));
    await ApiAgent.register(berth, 'edge-2');
    expect((await nextOf(changes)).map(({ type }) => type)).toEqual(['node-added']);
  });

  it('cuts off a reader that takes nothing', async () => {
    const { ctx } = berth.replica;
    const { changes } = watchInventory(ctx, ADMIN, { signal: over.signal, behindMax: 2 });
    const { changes: quick } = watchInventory(ctx, ADMIN, { signal: over.signal, behindMax: 2 });
    for (const name of ['edge-2', 'edge-3', 'edge-4']) {
      await ApiAgent.register(berth, name);
      await caughtUp(ctx);
      expect(await nextOf(quick)).toMatchObject([{ type: 'node-added', node: { node: { id: name } } }]);
    }
    expect(await changes.next()).toMatchObject({ done: true });
  });

  it('ends with its signal', async () => {
    const { changes } = watch();
    const next = changes.next();
    over.abort();
    expect(await next).toMatchObject({ done: true });
  });
});
