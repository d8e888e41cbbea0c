/** What has ended is forgotten on a real etcd, by several replicas at once, and without harm to what changes meanwhile. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { runRetention } from '../../../control-plane/controllers/pass.ts';
import { KEEP_MIN_MS, type RetentionPolicy } from '../../../control-plane/reconcile/retention-pass.ts';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { getJob, submitJob, updateJob } from '../../../control-plane/services/jobs.ts';
import { PREFIX } from '../../../control-plane/store/keys.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { CalendarClock } from '../../support/calendar-clock.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  JOINER,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const KEEP: RetentionPolicy = { keepMs: 3_600_000, endedJobsMax: 30, endedTasksMax: 30, versionsMax: 2 };
const JOBS = 150;

let etcd: TestEtcd;
const ends: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  etcd = await startEtcd();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => etcd?.stop());

async function replica(id: string, clock: Clock): Promise<TestReplica> {
  const store = new EtcdStore({ hosts: [etcd.url] });
  const started = await startReplica({ store, id, clock });
  ends.push(() => {
    started.stop();
    return store.close();
  });
  return started;
}

/** Jobs of one task each, all of which have ended. */
async function endedJobs(a: TestReplica): Promise<void> {
  const { epoch } = await registerNode(a.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  const groups = [{ image: 'x', resources: { cpus: 0.01, memMiB: 4 } }];
  const names = Array.from({ length: JOBS }, (_, at) => `job-${String(at).padStart(3, '0')}`);
  await Promise.all(names.map((name) => submitJob(a.ctx, callOf(), specOf({ name, groups }))));
  await caughtUp(a.ctx);
  await a.settle();
  const statuses = [...a.ctx.mirror.snapshot.tasks.keys()].map((task) => ({
    ...{
      task,
      run: 0,
      state: 'finished' as const,
      atMs: Date.now(),
      reason: 'exited' as const,
      message: '',
      exitCode: 0,
    },
  }));
  await commitStatuses(a.ctx, { node: 'edge-1', epoch }, { statuses: statuses.slice(0, 100), released: [] });
  await commitStatuses(a.ctx, { node: 'edge-1', epoch }, { statuses: statuses.slice(100), released: [] });
  await caughtUp(a.ctx);
  await a.settle();
  await caughtUp(a.ctx);
}

describe('the retention of what has ended', () => {
  it('leaves as much as is to be kept, with nothing left over of what went, whoever runs it', async () => {
    const clock = new CalendarClock();
    const [a, b] = await Promise.all([replica('a', clock), replica('b', clock)]);
    await endedJobs(a);
    await caughtUp(b.ctx);
    clock.aheadMs = KEEP_MIN_MS + 60_000;
    while (((await Promise.all([a, b].map(({ ctx }) => runRetention(ctx, KEEP)))) as boolean[]).includes(true)) {
      await Promise.all([caughtUp(a.ctx), caughtUp(b.ctx)]);
    }
    await Promise.all([caughtUp(a.ctx), caughtUp(b.ctx)]);
    for (const { ctx } of [a, b]) await runRetention(ctx, KEEP);
    const left = await Snapshot.load(a.ctx.store);
    expect(left.jobs.size).toBe(KEEP.endedJobsMax);
    expect(left.tasks.size).toBe(KEEP.endedTasksMax);
    const { keyValues } = await a.ctx.store.range({ prefix: `${PREFIX}versions/` });
    expect(keyValues).toHaveLength(KEEP.endedJobsMax);
    for (const { ctx } of [a, b]) {
      await caughtUp(ctx);
      expect(ctx.mirror.snapshot.differences(await Snapshot.load(ctx.store, ctx.mirror.revision))).toEqual([]);
    }
    await a.settle();
    expect((await Snapshot.load(a.ctx.store)).tasks.size).toBe(KEEP.endedTasksMax);
  });

  it('takes no change of a job away that it was about to forget, and makes no job run again', async () => {
    const clock = new CalendarClock();
    const [a, b] = await Promise.all([replica('c', clock), replica('d', clock)]);
    const job = [...a.ctx.mirror.snapshot.jobs.values()][0];
    if (job === undefined) throw new Error('there is a job left');
    clock.aheadMs = 2 * KEEP.keepMs;
    const spec = specOf({ name: job.spec.name, priority: 99, groups: [{ image: 'y', resources: { cpus: 8 } }] });
    const [outcome] = await Promise.allSettled([
      updateJob(b.ctx, callOf(), spec, { ifVersion: null, onlyCreate: false }),
      runRetention(a.ctx, KEEP),
    ]);
    expect(outcome.status).toBe('fulfilled');
    await Promise.all([caughtUp(a.ctx), caughtUp(b.ctx)]);
    await runRetention(a.ctx, KEEP);
    await a.settle();
    await caughtUp(b.ctx);
    expect(getJob(b.ctx, ADMIN, { role: 'default', name: job.spec.name })).toMatchObject({
      priority: 99,
      state: 'pending',
    });
    const { snapshot } = b.ctx.mirror;
    expect([...snapshot.jobs.values()].filter(({ outcome: state }) => state === null)).toHaveLength(1);
    expect([...snapshot.tasks.values()].filter(({ state }) => state === 'pending')).toHaveLength(1);
  });
});
