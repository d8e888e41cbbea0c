import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runPasses } from '../../../control-plane/controllers/pass.ts';
import { runRound } from '../../../control-plane/controllers/round.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { acceptOffers } from '../../../control-plane/services/offers.ts';
import { roleUsages, totalUsage } from '../../../control-plane/services/role-usage.ts';
import { setRole } from '../../../control-plane/services/roles.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { acceptSchema } from '../../../shared/protocol/offers.ts';
import { present } from '../../../shared/util/assert.ts';
import { changed } from '../../support/changed-store.ts';
import { Hand, subscriptionOf } from '../../support/frameworks.ts';
import {
  callOf,
  caughtUp,
  JOINER,
  NO_OUTAGE,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

/** What is given back on so many nodes, twice, is more than one transaction takes. */
const BUSY = 65;
const LIMIT = { cpus: 4 * (BUSY + 1) };

/** A store that runs something after each transaction that writes ledgers, while `hook.run` is set. */
function watchedStore() {
  const memory = new MemoryStore({ clock: new SystemClock() });
  const hook: { run: (() => Promise<void>) | null } = { run: null };
  const store = changed(memory, {
    async transact(transaction) {
      const result = await memory.transact(transaction);
      if (transaction.writes.some(({ key }) => key.includes('/ledger/'))) await hook.run?.();
      return result;
    },
  });
  return { memory, store, hook };
}

async function submitted({ ctx }: TestReplica, { role, count }: { role: string; count: number }) {
  const resources = { cpus: 4, memMiB: 10 };
  const constraints = [{ attribute: 'side', operator: '=' as const, value: 'a' }];
  await submitJob(ctx, callOf(), specOf({ name: role, role, constraints, groups: [{ image: 'x', count, resources }] }));
  await caughtUp(ctx);
}

/**
 * Nodes `a…` hold tasks that have ended, but for the last one, which is empty. Nodes `z…` are held by offers, all expired, up to the
 * limit of role `r`; and its tasks are to come to all of the nodes `a…`.
 */
async function stage() {
  const { memory, store, hook } = watchedStore();
  const replica = await startReplica({ store });
  replicas.push(replica);
  const { ctx } = replica;
  const ids = (side: string) => Array.from({ length: BUSY + 1 }, (_, place) => `${side}${100 + place}`);
  for (const id of [...ids('a'), ...ids('z')]) {
    const node = nodeOf(id);
    const attributes = { ...node.attributes, side: id.slice(0, 1) };
    await registerNode(ctx, JOINER, { node: { ...node, attributes }, seen: null, tasks: [] });
  }
  await caughtUp(ctx);
  const terms = { weight: 1, limit: LIMIT, guarantee: {}, force: false };
  await setRole(ctx, callOf(), 'r', terms, { ifVersion: null, onlyCreate: false });
  await submitted(replica, { role: 'x', count: BUSY });
  await replica.settle();
  await submitted(replica, { role: 'r', count: BUSY + 1 });
  await runPasses(ctx, NO_OUTAGE);
  await caughtUp(ctx);
  for (const task of [...ctx.mirror.snapshot.tasks.values()].filter(({ state }) => state === 'staging')) {
    const ended = { ...task, state: 'finished' as const };
    await memory.transact({ compares: [], writes: [putRecord('tasks', keys.task(task.id), ended)] });
  }
  const { id: framework } = (await subscribe(ctx, callOf(), subscriptionOf({ roles: ['r'] }))).body;
  await memory.transact({
    compares: [],
    writes: [putRecord('connections', keys.connection(framework), { session: 1, replica: 'replica-1' })],
  });
  const beside = { ...ctx, store: memory };
  const { resources } = nodeOf('z');
  for (const [place, node] of ids('z').entries()) {
    const times = { madeAtMs: Date.now() - 60_000, expiresAtMs: Date.now() - 1 };
    await new Hand(beside).offer(framework, { node, id: `0-0-${place}`, role: 'r', resources, ...times });
  }
  await caughtUp(ctx);
  return { replica, ctx, memory, hook, beside, framework };
}

async function heldBy(memory: MemoryStore): Promise<number> {
  const usage = roleUsages(await Snapshot.load(memory)).get('r');
  return usage === undefined ? 0 : (totalUsage(usage).cpus ?? 0);
}

describe('a round of several transactions', () => {
  it('gives nothing before all is given back that it counts on, and then all that it has planned', async () => {
    const { ctx, memory, hook } = await stage();
    expect(await heldBy(memory)).toBe(LIMIT.cpus);
    const held: number[] = [];
    hook.run = async () => void held.push(await heldBy(memory));
    expect(await runRound(ctx)).toMatchObject({ swept: 2 * BUSY + 1, placed: BUSY, offered: 1, again: false });
    expect(held[1]).toBe(0);
    expect(Math.max(...held)).toBe(LIMIT.cpus);
    expect(held.at(-1)).toBe(LIMIT.cpus);
    await caughtUp(ctx);
    const placed = [...ctx.mirror.snapshot.tasks.values()].filter(({ state }) => state === 'staging');
    expect(placed).toHaveLength(BUSY);
  });

  it('gives nothing on a node whose ledger has changed since it gave something back', async () => {
    const { ctx, memory, hook, beside } = await stage();
    let transactions = 0;
    hook.run = async () => {
      transactions += 1;
      if (transactions !== 2) return;
      hook.run = null;
      await new Hand(beside).ledger('a100', (ledger) => ({ ...ledger, eligible: false }));
    };
    expect(await runRound(ctx)).toMatchObject({ swept: 2 * BUSY + 1, again: true });
    const { entries } = present((await Snapshot.load(memory)).ledgers.get('a100'), 'the ledger');
    expect(entries).toEqual({});
  });

  it('gives nothing at all if a part of what it counts on is lost to others', async () => {
    const { ctx, memory, hook, beside, framework } = await stage();
    const resources = { cpus: 4, memMiB: 64 };
    hook.run = async () => {
      hook.run = null;
      await caughtUp(ctx);
      const left = [...ctx.mirror.snapshot.ledgers.values()].flatMap(({ offers }) => Object.keys(offers));
      const offer = present(left[0], 'an offer that the next transaction is to end');
      const launch = { type: 'launch', tasks: [{ task: 'quick', image: 'x', resources }] };
      const answer = acceptSchema.parse({ session: 1, offers: [offer], operations: [launch] });
      await acceptOffers(beside, callOf(), framework, answer);
    };
    expect(await runRound(ctx)).toMatchObject({ placed: 0, again: true });
    await caughtUp(ctx);
    expect(hook.run).toBe(null);
    expect([...ctx.mirror.snapshot.tasks.values()].filter(({ state }) => state === 'staging').length).toBe(1);
    expect(await heldBy(memory)).toBeLessThanOrEqual(LIMIT.cpus);
  });

  it('gives what comes free for somebody to nobody else', async () => {
    const replica = await startReplica();
    replicas.push(replica);
    const { ctx } = replica;
    const others = Array.from({ length: 2 * BUSY }, (_, place) => `a${100 + place}`);
    for (const id of [...others, 'wanted']) {
      const node = nodeOf(id);
      const attributes = { ...node.attributes, side: id === 'wanted' ? 'b' : 'a' };
      await registerNode(ctx, JOINER, { node: { ...node, attributes }, seen: null, tasks: [] });
    }
    await caughtUp(ctx);
    const submit = async (name: string, change: { role: string; priority?: number }) => {
      const constraints = [{ attribute: 'node', operator: '=' as const, value: 'wanted' }];
      const groups = [{ image: 'x', resources: { cpus: 4, memMiB: 10 } }];
      await submitJob(ctx, callOf(), specOf({ name, constraints, groups, ...change }));
      await caughtUp(ctx);
      await replica.settle();
    };
    await submitted(replica, { role: 'x', count: others.length });
    await submit('victim', { role: 'z', priority: 10 });
    await submit('heir', { role: 'z', priority: 90 });
    await submit('earlier-in-turn', { role: 'b' });
    const tasks = () => [...ctx.mirror.snapshot.tasks.values()];
    expect(tasks().find(({ jobName }) => jobName === 'victim')?.stop?.displacedBy).toMatchObject({
      because: 'priority',
    });
    for (const task of tasks().filter(({ state }) => state === 'staging')) {
      const ended = { ...task, state: 'killed' as const };
      await ctx.store.transact({ compares: [], writes: [putRecord('tasks', keys.task(task.id), ended)] });
    }
    await caughtUp(ctx);
    await replica.settle();
    const placed = tasks().filter(({ state, node }) => state === 'staging' && node === 'wanted');
    expect(placed.map(({ jobName }) => jobName)).toEqual(['heir']);
  });
});
