import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runRound } from '../../../control-plane/controllers/round.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { stopJob, submitJob } from '../../../control-plane/services/jobs.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { checkTransaction } from '../../../control-plane/store/limits.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { giveUpUnit } from '../../../control-plane/store/units.ts';
import type { JobSpecInput } from '../../../shared/protocol/job.ts';
import { present } from '../../../shared/util/assert.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { callOf, caughtUp, JOINER, nodeOf, specOf, startReplica, type TestReplica } from '../../support/replica.ts';

const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

async function replicaWithNode(resources = {}): Promise<TestReplica> {
  const replica = await startReplica({ store: new MemoryStore({ clock: new SystemClock() }) });
  replicas.push(replica);
  await join(replica, 'edge-1', resources);
  return replica;
}

function join(replica: TestReplica, id: string, resources = {}) {
  const node = nodeOf(id);
  return registerNode(replica.ctx, JOINER, {
    node: { ...node, resources: { ...node.resources, ...resources } },
    seen: null,
    tasks: [],
  });
}

async function placed(replica: TestReplica, input: Partial<JobSpecInput> = {}) {
  await submitJob(replica.ctx, callOf(), specOf(input));
  await caughtUp(replica.ctx);
  await replica.settle();
}

function ledgerOf({ ctx }: TestReplica) {
  return present(ctx.mirror.snapshot.ledgers.get('edge-1'), 'the ledger');
}

const long = (place: number) => `${'x'.repeat(60)}${place}`;
const ports = Array.from({ length: 100 }, (_, place) => ({ name: long(place) }));

describe('what one user asks for', () => {
  const groups = [{ name: long(2), image: 'x', count: 150, resources: { cpus: 0.01, memMiB: 4 }, ports }];

  it('stays within transactions while it is placed, stopped and given up, however long its names and reasons', async () => {
    const replica = await replicaWithNode({ cpus: 1000, memMiB: 1_000_000, ports: [{ first: 10_000, last: 60_000 }] });
    await placed(replica, { name: long(1), groups });
    const tasks = Object.keys(ledgerOf(replica).entries);
    expect(tasks.length).toBeGreaterThan(30);
    const { snapshot } = replica.ctx.mirror;
    const lost = { node: 'edge-1', tasks, atMs: 1, message: '\u0001'.repeat(4096) };
    checkTransaction(present(giveUpUnit(snapshot, lost), 'a unit'));
    const reason = '\u0001'.repeat(1000);
    await stopJob(replica.ctx, callOf(), { role: 'default', name: long(1) }, { reason, ifVersion: null });
    await caughtUp(replica.ctx);
    await replica.settle();
    expect(Object.values(ledgerOf(replica).entries).filter((entry) => entry.stop === null)).toEqual([]);
    expect(replica.ctx.mirror.snapshot.tasks.get(tasks[0] ?? '')?.stop?.reason).toBe(reason);
    checkTransaction(present(giveUpUnit(replica.ctx.mirror.snapshot, lost), 'a unit'));
  });
});

describe('a node whose part of a round fits no transaction', () => {
  it('is left out and named, while the round goes on with the others', async () => {
    const replica = await replicaWithNode();
    await placed(replica);
    const errors: object[] = [];
    const ctx = { ...replica.ctx, log: { ...SILENT_LOGGER, error: (fields: object) => void errors.push(fields) } };
    const task = present([...ctx.mirror.snapshot.tasks.values()][0], 'the task');
    const oversized = {
      ...ledgerOf(replica),
      drain: { startedAtMs: 0, deadlineMs: null, by: 'x'.repeat(1_399_200) },
    };
    const ended = { ...task, state: 'finished' as const };
    await ctx.store.transact({ compares: [], writes: [putRecord('ledger', keys.ledger('edge-1'), oversized)] });
    await ctx.store.transact({ compares: [], writes: [putRecord('tasks', keys.task(task.id), ended)] });
    await caughtUp(ctx);
    const { revision } = ctx.mirror.snapshot;
    expect(await runRound(ctx)).toMatchObject({ placed: 0, swept: 0, again: false });
    expect((await ctx.store.status()).revision).toBe(revision);
    expect(errors).toMatchObject([{ node: 'edge-1', sweeps: 1 }]);
    await join(replica, 'edge-2');
    await placed(replica, { name: 'second' });
    const second = [...ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === 'second');
    expect(second).toMatchObject({ state: 'staging', node: 'edge-2' });
  });
});
