import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runPasses } from '../../../control-plane/controllers/pass.ts';
import { runRound } from '../../../control-plane/controllers/round.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import type { ServiceContext } from '../../../control-plane/services/context.ts';
import { eventsOf } from '../../../control-plane/services/event-views.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import {
  allMaintenance,
  clearMaintenance,
  listMaintenance,
  replaceMaintenance,
  setMaintenance,
  type WantedWindow,
} from '../../../control-plane/services/maintenance.ts';
import { declareGone, getNode } from '../../../control-plane/services/nodes.ts';
import { getTask } from '../../../control-plane/services/tasks.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import type { Change } from '../../../control-plane/store/snapshot.ts';
import type { EventView } from '../../../shared/protocol/views.ts';
import { present } from '../../../shared/util/assert.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';
import { Hand } from '../../support/frameworks.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  granted,
  JOINER,
  NO_OUTAGE,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const FRAMEWORK = 'f000000000001';
const MINUTE = 60_000;

let clock: ManualClock;
let replica: TestReplica;
let told: EventView[];

beforeEach(async () => {
  clock = new ManualClock();
  replica = await startReplica({ store: new MemoryStore({ clock: new SystemClock() }), clock });
  for (const node of ['edge-1', 'edge-2']) {
    await registerNode(replica.ctx, JOINER, { node: nodeOf(node), seen: null, tasks: [] });
  }
  await caughtUp(replica.ctx);
  told = [];
  replica.ctx.mirror.subscribe((changes: readonly Change[]) => {
    told.push(...changes.flatMap(eventsOf).filter(({ type }) => type.startsWith('node.maintenance')));
  });
});
afterEach(() => replica.stop());

const later = (minutes: number) => clock.now() + minutes * MINUTE;
const window = (node: string, inMinutes: number, minutes: number | null = 60): WantedWindow => ({
  node,
  startsAtMs: later(inMinutes),
  durationMs: minutes === null ? null : minutes * MINUTE,
});

async function set(wanted: WantedWindow, ctx: ServiceContext = replica.ctx) {
  const { body } = await setMaintenance(ctx, callOf(), wanted.node, wanted);
  await caughtUp(replica.ctx);
  return body;
}

async function replace(...windows: WantedWindow[]) {
  const { body } = await replaceMaintenance(replica.ctx, callOf(), windows);
  await caughtUp(replica.ctx);
  return body;
}

function nodesWithWindows(): string[] {
  return allMaintenance(replica.ctx, ADMIN).map(({ node }) => node);
}

function ledgerRevision(node = 'edge-1'): number {
  return replica.ctx.mirror.snapshot.modRevision(keys.ledger(node));
}

describe('a window that is set', () => {
  it('is shown where nodes and windows are, with who has set it', async () => {
    const wanted = window('edge-1', 5, 30);
    const body = await set(wanted);
    expect(body).toMatchObject({
      ...{ node: 'edge-1', host: 'edge-1.example', state: 'coming', setBy: 'admin', frameworks: [] },
      ...{ durationSeconds: 1800, startsAt: new Date(wanted.startsAtMs).toISOString() },
    });
    expect(listMaintenance(replica.ctx, ADMIN, { limit: 10, after: null })).toEqual({ items: [body], next: null });
    expect(getNode(replica.ctx, ADMIN, 'edge-1').maintenance).toEqual({
      startsAt: body.startsAt,
      durationSeconds: 1800,
      setBy: 'admin',
    });
    expect(getNode(replica.ctx, ADMIN, 'edge-2').maintenance).toBeNull();
    expect(told).toMatchObject([{ type: 'node.maintenance', node: 'edge-1' }]);
    expect(told[0]?.message).toMatch(/^set by admin: out of service from .*Z until .*Z$/);
  });

  it('takes the offers of its node back, and puts its ledger again though it has none', async () => {
    const hand = new Hand(replica.ctx);
    await hand.offer(FRAMEWORK);
    await hand.offer(FRAMEWORK, { node: 'edge-2', id: '1-1-1' });
    await set(window('edge-1', 5));
    const { ledgers } = replica.ctx.mirror.snapshot;
    expect(Object.keys(present(ledgers.get('edge-1'), 'edge-1').offers)).toEqual([]);
    expect(Object.keys(present(ledgers.get('edge-2'), 'edge-2').offers)).toEqual(['1-1-1']);
    const before = ledgerRevision();
    await set(window('edge-1', 6));
    expect(ledgerRevision()).toBeGreaterThan(before);
  });

  it('is another one when it is changed, and the same one when it is set again as it stands', async () => {
    const wanted = window('edge-1', 5);
    const first = await set(wanted);
    const before = ledgerRevision();
    expect(await set(wanted)).toEqual(first);
    expect(ledgerRevision()).toBe(before);
    const other = await set({ ...wanted, durationMs: null });
    expect(other).toMatchObject({ durationSeconds: null, endsAt: null });
    expect(other.id).not.toBe(first.id);
    expect(told.at(-1)?.message).toMatch(/for nobody knows how long, in the place of the window from .* until .*$/);
  });

  it('gives what waits its reason, from its start to its end', async () => {
    await set(window('edge-1', 0));
    await set(window('edge-2', 0, 30));
    await submitJob(replica.ctx, callOf(), specOf());
    await caughtUp(replica.ctx);
    await replica.settle();
    const id = present([...replica.ctx.mirror.snapshot.tasks.keys()][0], 'a task');
    expect(getTask(replica.ctx, ADMIN, id)).toMatchObject({
      state: 'pending',
      explanation: { refusals: [{ code: 'maintenance', nodes: 2 }] },
    });
    await clock.advance(30 * MINUTE);
    await replica.settle();
    expect(getTask(replica.ctx, ADMIN, id)).toMatchObject({ state: 'staging', node: 'edge-2' });
    expect(nodesWithWindows()).toEqual(['edge-1']);
    expect(told.map(({ type, node }) => `${node} ${type}`)).toEqual([
      'edge-1 node.maintenance',
      'edge-2 node.maintenance',
      'edge-2 node.maintenance-over',
    ]);
  });

  it('is taken back, whether it is running or not', async () => {
    await set(window('edge-1', -1));
    expect(getNode(replica.ctx, ADMIN, 'edge-1').state).toBe('maintenance');
    const { body } = await clearMaintenance(replica.ctx, callOf(), 'edge-1');
    expect(body).toMatchObject({ id: 'edge-1', state: 'ready', maintenance: null });
    await caughtUp(replica.ctx);
    expect(nodesWithWindows()).toEqual([]);
    const before = ledgerRevision();
    await clearMaintenance(replica.ctx, callOf(), 'edge-1');
    expect(ledgerRevision()).toBe(before);
    expect(told.map(({ type }) => type)).toEqual(['node.maintenance', 'node.maintenance-over']);
  });

  it('goes with its node', async () => {
    await set(window('edge-1', 5));
    await replica.ctx.store.transact({ compares: [], writes: [{ type: 'delete', key: keys.alive('edge-1') }] });
    await caughtUp(replica.ctx);
    await declareGone(replica.ctx, callOf(), 'edge-1');
    await caughtUp(replica.ctx);
    await replica.settle();
    expect(nodesWithWindows()).toEqual([]);
  });
});

describe('what was decided before a window', () => {
  it('is not committed after it was set', async () => {
    await submitJob(replica.ctx, callOf(), specOf());
    await caughtUp(replica.ctx);
    await runPasses(replica.ctx, NO_OUTAGE);
    let isOvertaken = false;
    const store = overtakenBy(replica.ctx.store, keys.ledger('edge-'), async () => {
      isOvertaken = true;
      for (const node of ['edge-1', 'edge-2']) await set(window(node, 0));
    });
    expect(await runRound({ ...replica.ctx, store })).toMatchObject({ placed: 0, again: true });
    expect(isOvertaken).toBe(true);
  });

  it('is not committed after its begin was noted, however long it has stalled', async () => {
    for (const node of ['edge-1', 'edge-2']) await set(window(node, 5));
    await submitJob(replica.ctx, callOf(), specOf());
    await caughtUp(replica.ctx);
    await runPasses(replica.ctx, NO_OUTAGE);
    const store = overtakenBy(replica.ctx.store, keys.ledger('edge-'), async () => {
      await clock.advance(10 * MINUTE);
      await runPasses(replica.ctx, NO_OUTAGE);
      await caughtUp(replica.ctx);
    });
    expect(await runRound({ ...replica.ctx, store })).toMatchObject({ placed: 0, again: true });
    expect(told.slice(2).map(({ type }) => type)).toEqual(['node.maintenance-begun', 'node.maintenance-begun']);
  });
});

/** Something happens right before the first write of such a key. */
function overtakenBy(store: Store, prefix: string, happen: () => Promise<void>): Store {
  let isDone = false;
  return changed(store, {
    async transact(transaction) {
      if (!isDone && transaction.writes.some(({ key }) => key.startsWith(prefix))) {
        isDone = true;
        await happen();
      }
      return store.transact(transaction);
    },
  });
}

describe('a whole schedule', () => {
  it('takes the place of what was there, in one step, and leaves alone what stays', async () => {
    const kept = window('edge-1', 5);
    const { id } = await set(kept);
    await set(window('edge-2', 5));
    expect(await replace(kept)).toEqual({ windows: 1, changed: 1, atOnce: true });
    expect(allMaintenance(replica.ctx, ADMIN)).toMatchObject([{ id, node: 'edge-1' }]);
    expect(await replace(window('edge-2', 10), window('edge-1', 10))).toEqual({ windows: 2, changed: 2, atOnce: true });
    const changes = told.slice(-2);
    expect(changes.map(({ node }) => node).sort()).toEqual(['edge-1', 'edge-2']);
    expect(new Set(changes.map(({ revision }) => revision)).size).toBe(1);
    expect(await replace()).toEqual({ windows: 0, changed: 2, atOnce: true });
    expect(nodesWithWindows()).toEqual([]);
  });

  it('leaves out what is over', async () => {
    await set(window('edge-1', 5));
    expect(await replace(window('edge-1', -10, 5), window('edge-2', -10, 15))).toMatchObject({
      windows: 1,
      changed: 2,
    });
    expect(nodesWithWindows()).toEqual(['edge-2']);
  });

  it('is refused as a whole, with all that is wrong with it', async () => {
    const wanted = [window('edge-1', 5), window('edge-9', 5), window('edge-1', 6), window('edge-2', 5, -1)];
    await expect(replace(...wanted)).rejects.toMatchObject({
      code: 'invalid-request',
      faults: [
        { path: '/windows/1/node', message: 'there is no node "edge-9"' },
        { path: '/windows/2/node', message: '"edge-1" is named twice' },
        { path: '/windows/3/durationSeconds', message: expect.stringContaining('must be more than 0') },
      ],
    });
    expect(nodesWithWindows()).toEqual([]);
  });

  it('of more nodes than one transaction takes is carried out in several, and says so', async () => {
    const nodes = Array.from({ length: 70 }, (_, at) => `many-${at}`);
    for (const node of nodes) await registerNode(replica.ctx, JOINER, { node: nodeOf(node), seen: null, tasks: [] });
    await caughtUp(replica.ctx);
    const wanted = nodes.map((node) => window(node, 5));
    expect(await replace(...wanted)).toEqual({ windows: 70, changed: 70, atOnce: false });
    expect(nodesWithWindows()).toHaveLength(70);
    expect(new Set(told.map(({ revision }) => revision)).size).toBe(2);
    expect(await replace(...wanted)).toEqual({ windows: 70, changed: 0, atOnce: true });
  });
});

describe('a window is refused', () => {
  it('for a node that there is not', async () => {
    await expect(set(window('edge-9', 5))).rejects.toMatchObject({ code: 'not-found' });
  });

  it('when it is over already', async () => {
    await expect(set(window('edge-1', -10, 10))).rejects.toMatchObject({
      code: 'invalid-request',
      faults: [{ path: '/durationSeconds', message: expect.stringContaining('which is past') }],
    });
  });

  it('when it lies beyond what times can say', async () => {
    const wanted = { node: 'edge-1', startsAtMs: Number.MAX_SAFE_INTEGER, durationMs: null };
    await expect(set(wanted)).rejects.toMatchObject({ code: 'invalid-request', faults: [{ path: '/startsAt' }] });
  });

  it('to those who may not change nodes, who may not read them either', async () => {
    const reader = granted(ADMIN, { actions: ['node:read'] });
    const nobody = granted(ADMIN, { actions: ['job:*'] });
    const { ctx } = replica;
    const call = callOf(reader);
    for (const refused of [
      setMaintenance(ctx, call, 'edge-1', window('edge-1', 5)),
      clearMaintenance(ctx, call, 'edge-1'),
      replaceMaintenance(ctx, call, []),
    ]) {
      await expect(refused).rejects.toMatchObject({ code: 'forbidden' });
    }
    expect(allMaintenance(ctx, reader)).toEqual([]);
    expect(() => allMaintenance(ctx, nobody)).toThrow('node:read');
    expect(() => listMaintenance(ctx, nobody, { limit: 1, after: null })).toThrow('node:read');
  });
});
