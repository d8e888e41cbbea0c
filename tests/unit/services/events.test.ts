import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventsOf } from '../../../control-plane/services/event-views.ts';
import { type EventBatch, watchEvents } from '../../../control-plane/services/events.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import type { StopRequest } from '../../../shared/domain/job.ts';
import { DEFAULT_SETTINGS } from '../../../shared/domain/settings.ts';
import { restarted } from '../../../shared/domain/task.ts';
import { aJob, aRole, aTask, T0 } from '../../support/builders.ts';
import { ADMIN, callOf, caughtUp, specOf, startReplica, type TestReplica } from '../../support/replica.ts';

const ALL = { types: null, role: null, job: null, task: null, node: null };

let replica: TestReplica;
let ending: AbortController;

beforeEach(async () => {
  replica = await startReplica();
  ending = new AbortController();
});
afterEach(() => {
  ending.abort();
  replica.stop();
});

function watch(after: number | null) {
  const seen = after === null ? null : { incarnation: 1, revision: after };
  return watchEvents(replica.ctx, ADMIN, { after: seen, filter: ALL, signal: ending.signal });
}

async function submit(name: string): Promise<void> {
  await submitJob(replica.ctx, callOf(), specOf({ name }));
  await caughtUp(replica.ctx);
}

describe('a change of a task', () => {
  it('is told as a restart for each run that has begun, and for no run twice', () => {
    const job = aJob();
    const again = (run: number) => ({
      run,
      atMs: T0 + run,
      reason: 'restarted-after-reboot' as const,
      message: 'again',
    });
    const before = restarted(aTask(job, { state: 'running' }), again(1));
    const after = restarted(restarted(before, again(2)), again(3));
    const change = { kind: 'tasks', key: keys.task(after.id), id: after.id, before, after, revision: 9 } as const;
    expect(eventsOf(change)).toMatchObject([
      { type: 'task.restarted', reason: 'restarted-after-reboot', task: after.id },
      { type: 'task.restarted', at: '2026-01-01T00:00:00.003Z' },
    ]);
    expect(eventsOf({ ...change, before: after })).toEqual([]);
  });
});

describe('the end that is asked of a task', () => {
  const before = aTask(aJob(), { state: 'running', node: 'edge-1' });
  const stop = { atMs: T0 + 1, by: 'berth', reason: 'displaced by task t of role a' };
  const told = (given: StopRequest) => {
    const after = { ...before, stop: given };
    return eventsOf({ kind: 'tasks', key: keys.task(before.id), id: before.id, before, after, revision: 9 });
  };

  it('is told as such', () => {
    expect(told(stop)).toMatchObject([{ type: 'task.stopping', message: `berth asked for its end: ${stop.reason}` }]);
    expect(told({ ...stop, displaced: true })).toMatchObject([{ type: 'task.stopping' }]);
  });

  it('is told as its displacement where it has to make room for another one', () => {
    const displacedBy = { because: 'guarantee', role: 'a', task: 't' } as const;
    expect(told({ ...stop, displaced: true, displacedBy })).toMatchObject([
      { type: 'task.displaced', message: stop.reason, task: before.id, node: 'edge-1', at: '2026-01-01T00:00:00.001Z' },
    ]);
  });
});

describe('a stream of events', () => {
  it('tells a reader that was cut off nothing beyond what it has missed', async () => {
    const events = watch(null);
    await events.next();
    for (let at = 0; at < 1100; at++) await submit(`job-${at}`);
    const seen: string[] = [];
    await expect(async () => {
      for await (const batch of events) seen.push(...batch.events.flatMap((event) => event.job ?? []));
    }).rejects.toMatchObject({ code: 'unavailable' });
    expect(seen).toEqual(seen.map((_, at) => `job-${at}`));
    expect(seen.length).toBeGreaterThan(0);
  }, 60_000);

  it('repeats nothing to a reader that has seen more elsewhere than this replica', async () => {
    await submit('before');
    const ahead = replica.ctx.mirror.revision + 1;
    const events = watch(ahead);
    const next = events.next();
    await submit('seen-elsewhere');
    await submit('news');
    const batches: EventBatch[] = [(await next).value, (await events.next()).value];
    const names = batches.flatMap((batch) => batch.events.map((event) => event.job));
    expect(names).toEqual(['news']);
    expect(Math.min(...batches.map((batch) => batch.revision))).toBeGreaterThanOrEqual(ahead);
  });
});

describe('what an operator sets', () => {
  it('is told with who has set it for a role, and when it is taken back', () => {
    const after = aRole('eng/ml', { weight: 2, limit: { cpus: 4, gpus: 1 }, updatedAtMs: T0 + 1, updatedBy: 'alice' });
    const change = { kind: 'roles', key: keys.role('eng/ml'), id: 'eng/ml', revision: 9 } as const;
    expect(eventsOf({ ...change, before: null, after })).toMatchObject([
      {
        type: 'role.set',
        role: 'eng/ml',
        message: 'alice has set it: weight 2, limit cpus=4,gpus=1, guarantee none',
        at: '2026-01-01T00:00:00.001Z',
      },
    ]);
    expect(eventsOf({ ...change, before: after, after: null })).toMatchObject([{ type: 'role.unset', role: 'eng/ml' }]);
  });

  it('is told for the cluster, as far as it is another than before', () => {
    const change = { kind: 'settings', key: keys.settings, id: '', revision: 9 } as const;
    const after = { ...DEFAULT_SETTINGS, gpuNodes: 'preferred', minAllocatable: [{ cpus: 1 }] } as const;
    expect(eventsOf({ ...change, before: null, after })).toMatchObject([
      { type: 'settings.set', role: null, message: 'gpuNodes is "preferred", minAllocatable is [{"cpus":1}]' },
    ]);
    expect(eventsOf({ ...change, before: after, after: null })).toMatchObject([{ type: 'settings.set' }]);
    expect(eventsOf({ ...change, before: null, after: { ...DEFAULT_SETTINGS } })).toEqual([]);
  });
});
