/** How long a task gets to end, by where it stands and by what bounds it. */
import { describe, expect, it } from 'vitest';
import { boundedMark, markOf } from '../../../control-plane/store/stop-marks.ts';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import type { CheckSpec } from '../../../shared/domain/service.ts';
import type { Task, TaskHealth } from '../../../shared/domain/task.ts';
import { aGroup, aJob, aTask, clusterOf } from '../../support/builders.ts';

const check = { name: 'up', type: 'tcp', purpose: 'health' } as CheckSpec;
const health = (healthy: boolean): TaskHealth => ({ run: 0, healthy, ready: true, sinceMs: 1, checks: [] });
const GRACEFUL = { stopDelaySeconds: 5, killGraceSeconds: 20 };

describe('the mark of a stop', () => {
  it.each<[string, Partial<GroupSpec>, Partial<Task>, { delayMs?: number; graceMs: number }]>([
    [
      'asks for a delay where the task may be found',
      GRACEFUL,
      { state: 'running' },
      { delayMs: 5000, graceMs: 20_000 },
    ],
    ['asks for none where the group has none', { killGraceSeconds: 20 }, { state: 'running' }, { graceMs: 20_000 }],
    ['asks for none before it runs', GRACEFUL, { state: 'starting' }, { graceMs: 20_000 }],
    ['asks for none between two runs', GRACEFUL, { state: 'running', run: 1 }, { graceMs: 20_000 }],
    [
      'asks for none where its health is unknown',
      { ...GRACEFUL, checks: [check] },
      { state: 'running' },
      { graceMs: 20_000 },
    ],
    [
      'asks for none where it is unhealthy',
      { ...GRACEFUL, checks: [check] },
      { state: 'running', health: health(false) },
      { graceMs: 20_000 },
    ],
    [
      'asks for one where it is healthy',
      { ...GRACEFUL, checks: [check] },
      { state: 'running', health: health(true) },
      { delayMs: 5000, graceMs: 20_000 },
    ],
  ])('%s', (_, group, change, expected) => {
    const job = aJob({ spec: { groups: [aGroup(group)] } });
    const task = aTask(job, change);
    expect(markOf(clusterOf({ jobs: [job], tasks: [task] }), task, { atMs: 1, reason: 'why' })).toEqual({
      atMs: 1,
      reason: 'why',
      ...expected,
    });
  });

  it.each<[number | undefined, number, number]>([
    [undefined, 5000, 20_000],
    [60_000, 5000, 20_000],
    [20_000, 5000, 15_000],
    [8000, 4000, 4000],
    [1, 0, 1],
    [0, 0, 0],
  ])('bounded by %s ms leaves a delay of %s and a grace of %s', (boundMs, delayMs, graceMs) => {
    const bounded = boundedMark({ atMs: 1, delayMs: 5000, graceMs: 20_000, reason: '' }, boundMs);
    expect(bounded).toEqual({ atMs: 1, reason: '', graceMs, ...(delayMs > 0 && { delayMs }) });
  });
});
