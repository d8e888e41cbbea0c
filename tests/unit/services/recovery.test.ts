/** A store that was restored from an older state, as agents and operators meet it: over a copy of what the store held then. */
import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runPasses } from '../../../control-plane/controllers/pass.ts';
import { commitStatuses, heartbeat, registerNode } from '../../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../../control-plane/services/assignments.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { stopKeptAside } from '../../../control-plane/services/kept-aside.ts';
import { getNode } from '../../../control-plane/services/nodes.ts';
import { recoverCluster } from '../../../control-plane/services/recovery.ts';
import { getStatus } from '../../../control-plane/services/status.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { PREFIX } from '../../../control-plane/store/keys.ts';
import type { AssignmentPosition, RegisterRequest, TaskStatus } from '../../../shared/protocol/agent.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  granted,
  JOINER,
  NO_OUTAGE,
  nodeOf,
  nodePrincipal,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const NODE = 'edge-1';
const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

async function serve(store: Store): Promise<TestReplica> {
  const replica = await startReplica({ store });
  replicas.push(replica);
  return replica;
}

async function copyOf(store: Store): Promise<Store> {
  const copy = new MemoryStore({ clock: new SystemClock() });
  const { keyValues } = await store.range({ prefix: PREFIX });
  const lasting = keyValues.filter(({ lease }) => lease === null);
  for (const { key, value } of lasting) await copy.transact({ compares: [], writes: [{ type: 'put', key, value }] });
  return copy;
}

function join({ ctx }: TestReplica, change: Partial<RegisterRequest> = {}, principal = JOINER) {
  return registerNode(ctx, principal, { node: nodeOf(NODE), seen: null, tasks: [], ...change });
}

function look({ ctx }: TestReplica, epoch: number, position: AssignmentPosition | null = null) {
  const signal = new AbortController().signal;
  return waitForAssignment(ctx, { node: NODE, epoch }, { position, streamsVersion: '', waitMs: 0, signal });
}

function status(task: string, state: TaskStatus['state']): TaskStatus {
  return { task, run: 0, state, atMs: 1, reason: 'started', message: state, exitCode: null };
}

async function place(replica: TestReplica, name: string): Promise<string> {
  await submitJob(replica.ctx, callOf(), specOf({ name, groups: [{ image: 'x', resources: { cpus: 0.5 } }] }));
  await replica.settle();
  const task = [...replica.ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === name);
  return task?.id ?? '';
}

/** `old` was there when the snapshot was taken, `new` was placed after it, and `waiting` was pending then and placed later. */
async function restored() {
  const first = await serve(new MemoryStore({ clock: new SystemClock() }));
  const { epoch } = await join(first);
  const old = await place(first, 'old');
  await submitJob(first.ctx, callOf(), specOf({ name: 'waiting' }));
  await caughtUp(first.ctx);
  await runPasses(first.ctx, NO_OUTAGE);
  await caughtUp(first.ctx);
  const copy = await copyOf(first.ctx.store);
  await first.settle();
  const late = await place(first, 'new');
  const assignment = await look(first, epoch);
  const waiting = [...first.ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === 'waiting')?.id ?? '';
  const replica = await serve(copy);
  return { replica, epoch, seen: assignment?.position ?? null, old, late, waiting, tasks: [old, late, waiting] };
}

const stateOf = ({ ctx }: TestReplica, task: string) => ctx.mirror.snapshot.tasks.get(task)?.state;

describe('before the recovery', () => {
  it('ends the session of an agent that has seen a later state, and gives the next one nothing', async () => {
    const { replica, epoch, seen, tasks } = await restored();
    await expect(look(replica, epoch, seen)).rejects.toMatchObject({ code: 'stale-epoch' });
    const session = await join(replica, { seen, tasks });
    expect(await look(replica, session.epoch)).toBeNull();
    await heartbeat(replica.ctx, { node: NODE, epoch: session.epoch });
    expect(getNode(replica.ctx, ADMIN, NODE)).toMatchObject({ state: 'ahead', ahead: { incarnation: 1 } });
    expect((await getStatus(replica.ctx, ADMIN)).nodes).toMatchObject({ ahead: 1, ready: 0, keepingAside: 1 });
  });

  it('places nothing on its node, not even what waited when the snapshot was taken', async () => {
    const { replica, seen, tasks, waiting } = await restored();
    await join(replica, { seen, tasks });
    const fresh = await place(replica, 'fresh');
    expect(stateOf(replica, fresh)).toBe('pending');
    expect(stateOf(replica, waiting)).toBe('lost');
  });

  it('lets nobody decide about what the node keeps aside', async () => {
    const { replica, seen, tasks } = await restored();
    await join(replica, { seen, tasks });
    const stop = stopKeptAside(replica.ctx, callOf(), NODE, { tasks: null, reason: 'enough' });
    await expect(stop).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('recover') });
  });
});

describe('the recovery', () => {
  it('takes a right of its own', async () => {
    const { replica } = await restored();
    const other = granted(ADMIN, { actions: ['node:*', 'status:*', 'job:*', 'token:*'] });
    await expect(recoverCluster(replica.ctx, callOf(other))).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('begins an incarnation above every one that anybody has seen, once for each key', async () => {
    const { replica, seen } = await restored();
    const far = { ...seen, incarnation: 9_000_000_000, generation: 1 };
    await join(replica, { seen: far });
    const call = callOf(ADMIN, { key: 'one', requestDigest: 'd' });
    const answer = await recoverCluster(replica.ctx, call);
    expect(answer.body).toMatchObject({ incarnation: 9_000_000_001, nodes: 1 });
    expect(replica.ctx.mirror.snapshot.incarnation).toBe(9_000_000_001);
    expect((await recoverCluster(replica.ctx, call)).body).toEqual(answer.body);
    expect((await recoverCluster(replica.ctx, callOf())).body.incarnation).toBe(9_000_000_002);
  });

  it('counts by the time, so that a second restore of the same snapshot is told from the first', async () => {
    const { replica } = await restored();
    const { incarnation } = (await recoverCluster(replica.ctx, callOf())).body;
    expect(Math.abs(incarnation - Date.now() / 1000)).toBeLessThan(60);
  });

  it('ends every session, also one of which the state is right', async () => {
    const { replica } = await restored();
    const { epoch } = await join(replica);
    expect(replica.ctx.mirror.snapshot.isAlive(NODE)).toBe(true);
    await recoverCluster(replica.ctx, callOf());
    expect(replica.ctx.mirror.snapshot.isAlive(NODE)).toBe(false);
    await expect(heartbeat(replica.ctx, { node: NODE, epoch })).rejects.toMatchObject({ code: 'stale-epoch' });
    await expect(look(replica, epoch)).rejects.toMatchObject({ code: 'stale-epoch' });
  });

  it('wakes those who wait for news, for their sessions are over', async () => {
    const { replica } = await restored();
    const { epoch } = await join(replica);
    const position = (await look(replica, epoch))?.position ?? null;
    const query = { position, streamsVersion: '', waitMs: 60_000, signal: new AbortController().signal };
    const waiting = waitForAssignment(replica.ctx, { node: NODE, epoch }, query);
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'stale-epoch' });
    await recoverCluster(replica.ctx, callOf());
    await outcome;
  });
});

describe('after the recovery', () => {
  async function recovered() {
    const given = await restored();
    const { replica, seen, tasks } = given;
    await join(replica, { seen, tasks });
    await recoverCluster(replica.ctx, callOf());
    const session = await join(replica, { seen, tasks }, nodePrincipal(NODE));
    return { ...given, session: { node: NODE, epoch: session.epoch }, incarnation: session.incarnation };
  }

  it('the node follows the state again: what it knows goes on, what it does not know is kept aside', async () => {
    const { replica, session, incarnation, old, late, waiting } = await recovered();
    const assignment = await look(replica, session.epoch);
    expect(assignment?.position.incarnation).toBe(incarnation);
    expect(assignment?.tasks.map(({ id }) => id)).toEqual([old]);
    expect(getNode(replica.ctx, ADMIN, NODE)).toMatchObject({
      state: 'ready',
      ahead: null,
      keptAside: [
        { task: late, stop: null },
        { task: waiting, stop: null },
      ],
    });
    await replica.settle();
    expect(stateOf(replica, waiting)).toBe('lost');
    const fresh = await place(replica, 'fresh');
    expect(stateOf(replica, fresh)).toBe('staging');
  });

  it('an operator ends what is kept aside: the agent is told, again after its restart, until it has ended', async () => {
    const { replica, session, late, waiting } = await recovered();
    const before = await look(replica, session.epoch);
    const choice = { tasks: [late], reason: 'not needed' };
    const answer = await stopKeptAside(replica.ctx, callOf(), NODE, choice);
    expect(answer.body.keptAside).toMatchObject([
      { task: late, stop: { by: 'admin' } },
      { task: waiting, stop: null },
    ]);
    await caughtUp(replica.ctx);
    const told = await look(replica, session.epoch, before?.position ?? null);
    expect(told?.keptAsideStops).toEqual([{ task: late, reason: 'not needed' }]);
    await stopKeptAside(replica.ctx, callOf(), NODE, { ...choice, reason: 'another reason' });
    const next = await join(replica, { seen: told?.position ?? null, tasks: [late, waiting] }, nodePrincipal(NODE));
    expect((await look(replica, next.epoch))?.keptAsideStops).toEqual(told?.keptAsideStops);
    const ended = { statuses: [status(late, 'killed')], released: [] };
    const { results } = await commitStatuses(replica.ctx, { node: NODE, epoch: next.epoch }, ended);
    expect(results).toEqual(['unknown']);
    await caughtUp(replica.ctx);
    expect(getNode(replica.ctx, ADMIN, NODE).keptAside).toEqual([{ task: waiting, stop: null }]);
    await stopKeptAside(replica.ctx, callOf(), NODE, { tasks: null, reason: 'all of it' });
    await commitStatuses(
      replica.ctx,
      { node: NODE, epoch: next.epoch },
      { statuses: [status(waiting, 'killed')], released: [] },
    );
    await caughtUp(replica.ctx);
    expect(getNode(replica.ctx, ADMIN, NODE).keptAside).toEqual([]);
  });

  it('refuses to end what the node does not keep aside', async () => {
    const { replica, old } = await recovered();
    const stop = stopKeptAside(replica.ctx, callOf(), NODE, { tasks: [old], reason: 'r' });
    await expect(stop).rejects.toMatchObject({
      code: 'not-found',
      message: `node "edge-1" keeps no task "${old}" aside`,
    });
  });

  it('a task that waits here and has ended there is not run again', async () => {
    const { replica, seen, waiting } = await restored();
    await recoverCluster(replica.ctx, callOf());
    await join(replica, { seen, tasks: [], ended: [waiting] });
    await replica.settle();
    expect(stateOf(replica, waiting)).toBe('lost');
  });
});
