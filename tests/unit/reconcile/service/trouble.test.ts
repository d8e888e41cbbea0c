import { describe, expect, it } from 'vitest';
import { troubleOf } from '../../../../control-plane/reconcile/service/trouble.ts';
import type { CheckResult } from '../../../../shared/domain/task.ts';
import { aJob, aTask, T0 } from '../../../support/builders.ts';

const job = aJob({ spec: { name: 'web', kind: 'service' } });
const running = aTask(job, { state: 'running', node: 'n1' });

function checked(passing: boolean | null, message: string, { run = 0 } = {}) {
  const checks: CheckResult[] = [{ name: 'http', passing, message, atMs: T0 }];
  return { ...running, health: { run, healthy: passing, ready: true, sinceMs: T0, checks } };
}

describe('what keeps a task from counting', () => {
  it.each([
    ['a check that fails', checked(false, '503'), 'check "http" of task main[0] on node n1 fails: 503'],
    [
      'a check that has failed too few times to say so',
      checked(null, 'connection refused'),
      'check "http" of task main[0] on node n1 has not passed yet: connection refused',
    ],
    ['a check that was not made yet', checked(null, ''), 'check "http" of task main[0] on node n1 has not passed yet'],
    [
      'checks that only said something of an earlier run',
      { ...checked(null, 'refused', { run: 1 }), run: 2 },
      'task main[0] on node n1 has passed no check yet',
    ],
    ['silence', running, 'task main[0] on node n1 has passed no check yet'],
    ['nothing', checked(true, '200'), null],
    ['no place', aTask(job, { state: 'pending' }), 'task main[0] is not placed ("berth job why web" says why)'],
  ])('is %s', (_what, task, says) => {
    expect(troubleOf({ job, tasks: [task] })).toBe(says);
  });
});
