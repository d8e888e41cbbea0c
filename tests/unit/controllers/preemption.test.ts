/** Displacement through real controllers and services: who asks, what is written, who gets the place, and what people are shown. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { painter } from '../../../control-plane/cli/output/paint.ts';
import { renderTask } from '../../../control-plane/cli/output/shapes.ts';
import { runPasses } from '../../../control-plane/controllers/pass.ts';
import { runRound } from '../../../control-plane/controllers/round.ts';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { getTask, stopTask } from '../../../control-plane/services/tasks.ts';
import type { Transaction } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { TerminalState } from '../../../shared/domain/task.ts';
import type { JobSpecInput } from '../../../shared/protocol/job.ts';
import { present } from '../../../shared/util/assert.ts';
import { aRole } from '../../support/builders.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  JOINER,
  NO_OUTAGE,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const NODE = 'edge-1';

let memory: MemoryStore;
let replica: TestReplica;
let epoch: number;
let before: ((transaction: Transaction) => Promise<void>) | null;

beforeEach(async () => {
  memory = new MemoryStore({ clock: new SystemClock() });
  before = null;
  replica = await startReplica({ store: interceptedStore() });
  const node = nodeOf(NODE);
  const resources = { ...node.resources, cpus: 2 };
  ({ epoch } = await registerNode(replica.ctx, JOINER, { node: { ...node, resources }, seen: null, tasks: [] }));
});
afterEach(() => replica.stop());

function interceptedStore(): MemoryStore {
  const transact = async (transaction: Transaction) => {
    await before?.(transaction);
    return memory.transact(transaction);
  };
  return new Proxy(memory, {
    get(target, name) {
      if (name === 'transact') return transact;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

async function promise(role: string, cpus: number): Promise<void> {
  const write = putRecord('roles', keys.role(role), aRole(role, { guarantee: { cpus } }));
  await memory.transact({ compares: [], writes: [write] });
  await caughtUp(replica.ctx);
}

async function submitted(
  role: string,
  name: string,
  { count = 1, ...job }: Partial<JobSpecInput> & { count?: number } = {},
) {
  const groups = [{ image: 'x', count, killGraceSeconds: 25, resources: { cpus: 1 } }];
  await submitJob(replica.ctx, callOf(), specOf({ name, role, groups, ...job }));
  await caughtUp(replica.ctx);
  await replica.settle();
}

/** Tasks of the job by their index and attempt, and how they stand. */
function states(job: string): string[] {
  return [...replica.ctx.mirror.snapshot.tasks.values()]
    .filter(({ jobName }) => jobName === job)
    .map(({ index, attempt, state, stop }) => `${index}.${attempt} ${state}${stop === null ? '' : ' ending'}`)
    .sort();
}

function idOf(job: string, index = 0, attempt = 0): string {
  const found = [...replica.ctx.mirror.snapshot.tasks.values()].find(
    (task) => task.jobName === job && task.index === index && task.attempt === attempt,
  );
  return present(found, `task ${index}.${attempt} of ${job}`).id;
}

async function ends(task: string, state: TerminalState): Promise<void> {
  const reason = state === 'killed' ? 'stop-requested' : 'exited';
  const status = { task, state, run: 0, reason, message: 'ended', atMs: Date.now(), exitCode: 0 } as const;
  await commitStatuses(replica.ctx, { node: NODE, epoch }, { statuses: [status], released: [] });
  await caughtUp(replica.ctx);
  await replica.settle();
}

describe('a role below its guarantee', () => {
  it('gets the places of others, who end with their grace, wait, and run again when it has ended', async () => {
    await submitted('b', 'theirs', { count: 2 });
    expect(states('theirs')).toEqual(['0.0 staging', '1.0 staging']);
    await promise('a', 2);
    await submitted('a', 'mine');
    expect(states('theirs').filter((state) => state.endsWith('ending'))).toHaveLength(1);
    const index = states('theirs').findIndex((state) => state.endsWith('ending'));
    const victim = idOf('theirs', index);
    const heir = idOf('mine');
    expect(replica.ctx.mirror.snapshot.ledgers.get(NODE)?.entries[victim]?.stop).toMatchObject({ graceMs: 25_000 });
    expect(getTask(replica.ctx, ADMIN, victim).stop).toMatchObject({
      by: 'berth',
      reason: 'displaced for a task of another role, which comes first by a guarantee',
      displacedBy: { because: 'guarantee', role: 'a', task: heir },
    });
    const shown = renderTask(getTask(replica.ctx, ADMIN, victim), { paint: painter(false), width: null, nowMs: 0 });
    expect(shown).toMatch(new RegExp(`^Displaced +by task ${heir}, because role a is below its guarantee$`, 'm'));
    expect(getTask(replica.ctx, ADMIN, heir).explanation?.summary).toMatch(
      `It waits for a task that it displaces to end: 1 of other roles. As things stand: 0 of 1 node can take it`,
    );

    await ends(victim, 'killed');
    expect(states('mine')).toEqual(['0.0 staging']);
    expect(states('theirs')).toContain(`${index}.1 pending`);
    const next = idOf('theirs', index, 1);
    expect(getTask(replica.ctx, ADMIN, next)).toMatchObject({
      message: expect.stringContaining('had to make room: displaced for a task of another role'),
      explanation: { refusals: [{ code: 'cpus', nodes: 1 }] },
    });

    await promise('a', 0);
    await ends(heir, 'finished');
    expect(states('theirs')).toContain(`${index}.1 staging`);
  });
});

describe('a round that displaces', () => {
  it('changes nothing where the task that was to have the place has been stopped meanwhile', async () => {
    await submitted('b', 'theirs', { count: 2 });
    await promise('a', 2);
    await submitJob(replica.ctx, callOf(), specOf({ name: 'mine', role: 'a', groups: [{ image: 'x' }] }));
    await caughtUp(replica.ctx);
    await runPasses(replica.ctx, NO_OUTAGE);
    const heir = idOf('mine');
    before = async ({ writes }) => {
      if (!writes.some((write) => write.key === keys.ledger(NODE))) return;
      before = null;
      await stopTask(replica.ctx, callOf(), heir, { reason: 'too late' });
    };
    expect(await runRound(replica.ctx)).toMatchObject({ displaced: 0, again: true });
    expect(await runRound(replica.ctx)).toMatchObject({ displaced: 0, again: false });
    expect(states('theirs')).toEqual(['0.0 staging', '1.0 staging']);
  });

  it('asks one node for more ends than a transaction takes, in further rounds', async () => {
    const node = nodeOf('large');
    const resources = { ...node.resources, cpus: 100, memMiB: 100_000 };
    await registerNode(replica.ctx, JOINER, { node: { ...node, resources }, seen: null, tasks: [] });
    await submitted('b', 'many', { count: 102 });
    await promise('a', 100);
    await submitted('a', 'mine', { count: 100 });
    expect(states('many').filter((state) => state.endsWith('ending'))).toHaveLength(100);
    const heirs = [...replica.ctx.mirror.snapshot.tasks.values()].flatMap(({ stop }) => stop?.displacedBy?.task ?? []);
    expect(new Set(heirs).size).toBe(100);
  });
});
