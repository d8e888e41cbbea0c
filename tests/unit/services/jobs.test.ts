import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { planJob } from '../../../control-plane/services/job-plan.ts';
import { deleteJob, getJob, listJobs, stopJob, submitJob, updateJob } from '../../../control-plane/services/jobs.ts';
import { getTask, listTasks, stopTask } from '../../../control-plane/services/tasks.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  granted,
  JOINER,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const HELLO = { role: 'default', name: 'hello' };
const ALL_TASKS = { job: null, framework: null, role: null, node: null, states: null };
const PAGE = { limit: 100, after: null };
const ANY_VERSION = { ifVersion: null, onlyCreate: false };

let replica: TestReplica;

beforeEach(async () => {
  replica = await startReplica();
});
afterEach(() => replica.stop());

function join(id: string, change = {}) {
  return registerNode(replica.ctx, JOINER, { node: nodeOf(id, change), seen: null, tasks: [] });
}

describe('submitting a job', () => {
  it('accepts it as version 1', async () => {
    const answer = await submitJob(replica.ctx, callOf(), specOf());
    expect(answer).toMatchObject({
      status: 201,
      replayed: false,
      body: { name: 'hello', version: 1, state: 'pending' },
    });
    await caughtUp(replica.ctx);
    expect(getJob(replica.ctx, ADMIN, HELLO).uid).toBe(answer.body.uid);
  });

  it('refuses a name that is taken in its role, and no other', async () => {
    await submitJob(replica.ctx, callOf(), specOf());
    await expect(submitJob(replica.ctx, callOf(), specOf())).rejects.toMatchObject({ code: 'already-exists' });
    await expect(submitJob(replica.ctx, callOf(), specOf({ role: 'eng/ml' }))).resolves.toMatchObject({ status: 201 });
  });

  it('makes one job of one idempotency key, however often and however much at once it is sent', async () => {
    const call = callOf(ADMIN, { key: 'k-1', requestDigest: 'd' });
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => submitJob(replica.ctx, call, specOf())));
    expect(new Set(answers.map((answer) => answer.body.uid)).size).toBe(1);
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
    expect(await submitJob(replica.ctx, call, specOf())).toMatchObject({ status: 201, replayed: true });
  });

  it('refuses the same key for another request, and keeps the keys of two principals apart', async () => {
    await submitJob(replica.ctx, callOf(ADMIN, { key: 'k-1', requestDigest: 'd' }), specOf());
    const other = callOf(ADMIN, { key: 'k-1', requestDigest: 'other' });
    await expect(submitJob(replica.ctx, other, specOf({ name: 'second' }))).rejects.toMatchObject({
      code: 'idempotency-mismatch',
    });
    const somebodyElse = callOf({ ...ADMIN, subject: 'eve' }, { key: 'k-1', requestDigest: 'other' });
    await expect(submitJob(replica.ctx, somebodyElse, specOf({ name: 'second' }))).resolves.toMatchObject({
      replayed: false,
    });
  });

  it('gives a keyed request that changed nothing the same answer again, whatever has changed since', async () => {
    await submitJob(replica.ctx, callOf(), specOf());
    await stopJob(replica.ctx, callOf(), HELLO, { reason: 'enough', ifVersion: null });
    await caughtUp(replica.ctx);
    const call = callOf(ADMIN, { key: 'k-stop', requestDigest: 'stop' });
    expect((await stopJob(replica.ctx, call, HELLO, { reason: 'again', ifVersion: null })).replayed).toBe(false);
    await updateJob(replica.ctx, callOf(), specOf({ priority: 60 }), ANY_VERSION);
    expect((await stopJob(replica.ctx, call, HELLO, { reason: 'again', ifVersion: null })).replayed).toBe(true);
    await caughtUp(replica.ctx);
    expect(getJob(replica.ctx, ADMIN, HELLO)).toMatchObject({ version: 2, stop: null });
    const other = callOf(ADMIN, { key: 'k-stop', requestDigest: 'other' });
    await expect(stopJob(replica.ctx, other, HELLO, { reason: '', ifVersion: null })).rejects.toMatchObject({
      code: 'idempotency-mismatch',
    });
  });

  it('refuses a role and a danger that the token does not grant, by name', async () => {
    const narrow: Principal = { ...ADMIN, grants: [{ roles: ['eng'], actions: ['job:*'] }] };
    await expect(submitJob(replica.ctx, callOf(narrow), specOf())).rejects.toMatchObject({ code: 'forbidden' });
    const host = specOf({ role: 'eng/ml', groups: [{ image: 'x', network: 'host' }] });
    await expect(submitJob(replica.ctx, callOf(narrow), host)).rejects.toThrow(/job:host-network/);
  });
});

describe('changing a job', () => {
  it('makes the next version, and none of an equal spec', async () => {
    await submitJob(replica.ctx, callOf(), specOf());
    expect((await updateJob(replica.ctx, callOf(), specOf(), ANY_VERSION)).body.version).toBe(1);
    expect((await updateJob(replica.ctx, callOf(), specOf({ priority: 60 }), ANY_VERSION)).body.version).toBe(2);
  });

  it('refuses a version that is not the one that stands, and lets one of two writers win', async () => {
    await submitJob(replica.ctx, callOf(), specOf());
    const change = (priority: number) =>
      updateJob(replica.ctx, callOf(), specOf({ priority }), { ifVersion: 1, onlyCreate: false });
    const outcomes = await Promise.allSettled([change(60), change(70)]);
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find((outcome) => outcome.status === 'rejected')).toMatchObject({
      reason: { code: 'revision-mismatch' },
    });
  });

  it('replaces what runs of the old version', async () => {
    await join('edge-1');
    await submitJob(replica.ctx, callOf(), specOf());
    await replica.settle();
    await updateJob(replica.ctx, callOf(), specOf({ priority: 60 }), ANY_VERSION);
    await caughtUp(replica.ctx);
    await replica.settle();
    const tasks = listTasks(replica.ctx, ADMIN, ALL_TASKS, PAGE).items;
    expect(tasks.map((task) => [task.job?.version, task.stop !== null])).toEqual([
      [1, true],
      [2, false],
    ]);
  });
});

describe('a job from submission to its place', () => {
  it('is created by a pass, placed by a round, and says where and why', async () => {
    await join('edge-1');
    await submitJob(replica.ctx, callOf(), specOf({ groups: [{ image: 'x', count: 3, ports: [{ name: 'http' }] }] }));
    await replica.settle();
    const tasks = listTasks(replica.ctx, ADMIN, ALL_TASKS, PAGE).items;
    expect(tasks.map((task) => [task.state, task.node])).toEqual(Array(3).fill(['staging', 'edge-1']));
    expect(new Set(tasks.map((task) => task.ports['http'])).size).toBe(3);
    expect(tasks[0]?.message).toContain('edge-1');
  });

  it('waits and says why where nothing has room', async () => {
    await join('edge-1');
    await submitJob(replica.ctx, callOf(), specOf({ groups: [{ image: 'x', resources: { memMiB: 5000 } }] }));
    await replica.settle();
    const [task] = listTasks(replica.ctx, ADMIN, ALL_TASKS, PAGE).items;
    const { explanation } = getTask(replica.ctx, ADMIN, task?.id ?? '');
    expect(explanation).toMatchObject({ nodesTotal: 1, refusals: [{ nodes: 1 }], closest: { node: 'edge-1' } });
    expect(explanation?.summary).toMatch(/memory|memMiB/);
  });

  it('ends at once when it is stopped before it has a place, and is settled', async () => {
    await submitJob(replica.ctx, callOf(), specOf());
    await replica.settle();
    await stopJob(replica.ctx, callOf(), HELLO, { reason: 'enough', ifVersion: null });
    await caughtUp(replica.ctx);
    await replica.settle();
    expect(getJob(replica.ctx, ADMIN, HELLO)).toMatchObject({ state: 'stopped', tasks: { killed: 1 } });
  });

  it('goes when it is deleted, and gives its name back under a new uid', async () => {
    const first = await submitJob(replica.ctx, callOf(), specOf());
    await replica.settle();
    expect(await deleteJob(replica.ctx, callOf(), HELLO, { ifVersion: null })).toMatchObject({ status: 202 });
    await caughtUp(replica.ctx);
    await replica.settle();
    expect(() => getJob(replica.ctx, ADMIN, HELLO)).toThrow(/there is no job "hello"/);
    const second = await submitJob(replica.ctx, callOf(), specOf());
    expect(second.body.uid).not.toBe(first.body.uid);
  });
});

describe('what others may see', () => {
  it('answers for a job of a foreign role as if it were not there', async () => {
    await submitJob(replica.ctx, callOf(), specOf());
    const foreign: Principal = granted(ADMIN, { roles: ['eng'] });
    expect(() => getJob(replica.ctx, foreign, HELLO)).toThrow(/there is no job/);
    await expect(stopJob(replica.ctx, callOf(foreign), HELLO, { reason: '', ifVersion: null })).rejects.toMatchObject({
      code: 'not-found',
    });
    expect(listJobs(replica.ctx, foreign, { role: null, states: null }, PAGE).items).toEqual([]);
  });

  it('pages through all of a list once', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await submitJob(replica.ctx, callOf(), specOf({ name }));
    await caughtUp(replica.ctx);
    const names: string[] = [];
    for (let after: string | null = null, pages = 0; pages < 10; pages++) {
      const page = listJobs(replica.ctx, ADMIN, { role: null, states: null }, { limit: 2, after });
      names.push(...page.items.map((job) => job.name));
      if (page.next === null) break;
      after = page.next;
    }
    expect(names).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});

describe('stopping a task', () => {
  it('marks its place in the ledger and tells who asked', async () => {
    await join('edge-1');
    await submitJob(replica.ctx, callOf(), specOf());
    await replica.settle();
    const id = listTasks(replica.ctx, ADMIN, ALL_TASKS, PAGE).items[0]?.id ?? '';
    const answer = await stopTask(replica.ctx, callOf(), id, { reason: 'a try' });
    expect(answer.body.stop).toMatchObject({ by: 'admin', reason: 'a try' });
    await caughtUp(replica.ctx);
    expect(replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.entries[id]?.stop).toMatchObject({ reason: 'a try' });
  });
});

describe('a dry run', () => {
  it('places for real and writes nothing', async () => {
    await join('edge-1');
    const { revision } = await replica.ctx.store.status();
    const plan = planJob(replica.ctx, ADMIN, specOf({ groups: [{ image: 'x', count: 2 }] }));
    expect(plan.placements.map((placement) => placement.node)).toEqual(['edge-1', 'edge-1']);
    expect((await replica.ctx.store.status()).revision).toBe(revision);
  });

  it('names what would change of a job that exists', async () => {
    await submitJob(replica.ctx, callOf(), specOf());
    await caughtUp(replica.ctx);
    expect(planJob(replica.ctx, ADMIN, specOf({ priority: 60 })).changes).toEqual([
      { path: '/priority', before: 50, after: 60 },
    ]);
  });
});

describe('a time without contact', () => {
  const fenced = (stopAfterDisconnectSeconds: number) => specOf({ stopAfterDisconnectSeconds });
  const long = () => ({ ...replica.ctx, config: { ...replica.ctx.config, leaseTtlMs: 60_000 } });

  it('that is shorter than a lease is refused, with the least that may be asked for', async () => {
    const refusal = {
      code: 'invalid-request',
      faults: [{ path: '/stopAfterDisconnectSeconds', message: expect.stringContaining('must be 60 or more here') }],
    };
    await expect(submitJob(long(), callOf(), fenced(59))).rejects.toMatchObject(refusal);
    await expect(updateJob(long(), callOf(), fenced(59), ANY_VERSION)).rejects.toMatchObject(refusal);
    expect(() => planJob(long(), ADMIN, fenced(59))).toThrow('/stopAfterDisconnectSeconds must be 60 or more');
    expect(replica.ctx.mirror.snapshot.jobs.size).toBe(0);
  });

  it('of a lease or more is accepted', async () => {
    await submitJob(long(), callOf(), fenced(60));
    await caughtUp(replica.ctx);
    expect(replica.ctx.mirror.snapshot.jobs.size).toBe(1);
  });
});
