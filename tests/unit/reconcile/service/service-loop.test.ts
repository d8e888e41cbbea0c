import { describe, expect, test } from 'vitest';
import type { JobSpec } from '../../../../shared/domain/job.ts';
import { DEFAULT_UPDATE, type UpdatePolicy } from '../../../../shared/domain/service.ts';
import { advance } from '../../../../shared/domain/task.ts';
import { present } from '../../../../shared/util/assert.ts';
import { aCheck, aGroup, aJob, aSpec } from '../../../support/builders.ts';
import { SmallCluster } from './small-cluster.ts';

const CHECK = aCheck();

function aService(count: number, update: Partial<UpdatePolicy> = {}, image = 'good:1'): JobSpec {
  const group = aGroup({ count, image, checks: [CHECK] });
  return aSpec({
    kind: 'service',
    update: { ...DEFAULT_UPDATE, progressDeadlineSeconds: 20, ...update },
    groups: [group],
  });
}

const JOB = aJob({ spec: { kind: 'service' } });
const UID = JOB.uid;

function running(spec: JobSpec, nodes = ['n1', 'n2', 'n3']): SmallCluster {
  const small = new SmallCluster(nodes);
  small.behaviours.set('sick:1', 'sick').set('crashing:1', 'crashing');
  small.submit(JOB, spec, 'created');
  small.steps(12);
  expect(small.deployment(UID)).toMatchObject({ state: 'succeeded', toVersion: 1 });
  return small;
}

describe('a service', () => {
  test('gets its tasks, and its first version is good', () => {
    const small = running(aService(5));
    expect(small.ready(UID)).toHaveLength(5);
    expect(
      small
        .live(UID)
        .map(({ index }) => index)
        .sort(),
    ).toEqual([0, 1, 2, 3, 4]);
    expect(small.job(UID).goodVersion).toBe(1);
    expect(small.plan().actions).toEqual([]);
  });

  test('is rolled without ever having fewer than are promised', () => {
    const small = running(aService(5));
    let fewest = 5;
    small.onPass = (_before, _plan, after) => {
      fewest = Math.min(fewest, small.ready(UID, after).length);
    };
    small.submit(small.job(UID), aService(5, {}, 'good:2'), 'updated');
    small.steps(60);
    expect(small.deployment(UID)).toMatchObject({ state: 'succeeded', toVersion: 2 });
    expect(small.live(UID).map(({ jobVersion }) => jobVersion)).toEqual([2, 2, 2, 2, 2]);
    expect(fewest).toBe(5);
    expect(small.job(UID).goodVersion).toBe(2);
  });

  test.each(['sick:1', 'crashing:1'])('takes a version back that does not work (%s), and says why', (image) => {
    const small = running(aService(5));
    small.submit(small.job(UID), aService(5, {}, image), 'updated');
    small.steps(80);
    const [, failed, back] = [...small.cluster.deploymentsOfJob(UID)].sort((a, b) => a.toVersion - b.toVersion);
    expect(failed).toMatchObject({ state: 'failed', toVersion: 2, revertedBy: back?.id });
    expect(failed?.message).toMatch(
      image === 'sick:1' ? /check "up" of task main\[\d\] on node n\d fails: connection refused/ : /ended as failed/,
    );
    expect(failed?.message).toContain('taken back to version 1, as version 3');
    expect(back).toMatchObject({ state: 'succeeded', cause: 'reverted', toVersion: 3, revertOf: failed?.id });
    expect(small.versionOf(UID)).toMatchObject({ change: 'reverted', templates: { main: 1 } });
    expect(small.live(UID).map(({ jobVersion }) => jobVersion)).toEqual([1, 1, 1, 1, 1]);
  });

  test.each<[string, Partial<UpdatePolicy>, boolean, string]>([
    ['nothing was good yet', {}, false, 'not taken back, since no version has been good yet'],
    ['that is not wanted', { autoRevert: false }, true, 'not taken back, since autoRevert is off'],
  ])('says that it has taken nothing back where %s', (_why, update, hasGood, says) => {
    const small = hasGood ? running(aService(2)) : new SmallCluster(['n1', 'n2', 'n3']);
    small.behaviours.set('sick:1', 'sick');
    small.submit(hasGood ? small.job(UID) : JOB, aService(2, update, 'sick:1'), hasGood ? 'updated' : 'created');
    small.steps(60);
    expect(small.deployment(UID)).toMatchObject({ state: 'failed', revertedBy: null });
    expect(small.deployment(UID).message).toMatch(new RegExp(`connection refused; ${says}$`));
  });

  test('is scaled without starting anything anew', () => {
    const small = running(aService(3));
    const before = new Set(small.live(UID).map(({ id }) => id));
    small.submit(small.job(UID), aService(6), 'scaled');
    small.steps(10);
    expect(small.deployment(UID).state).toBe('succeeded');
    expect(small.live(UID).filter(({ id }) => before.has(id))).toHaveLength(3);
    expect(small.ready(UID)).toHaveLength(6);
    small.submit(small.job(UID), aService(2), 'scaled');
    small.steps(10);
    expect(small.deployment(UID).state).toBe('succeeded');
    expect(small.live(UID)).toHaveLength(2);
  });

  test('is moved off a node that is being emptied, before anything is stopped there', () => {
    const small = running(aService(5));
    let fewest = 5;
    small.onPass = (_before, _plan, after) => {
      fewest = Math.min(fewest, small.ready(UID, after).length);
    };
    small.drain('n1', null);
    small.steps(20);
    expect(small.live(UID).filter(({ node }) => node === 'n1')).toEqual([]);
    expect(small.ready(UID)).toHaveLength(5);
    expect(fewest).toBe(5);
  });

  test('replaces what a lost node had at once, and what fails after a pause that grows', () => {
    const small = running(aService(4));
    small.kill('n2');
    small.steps(70);
    expect(small.ready(UID)).toHaveLength(4);
    const replaced = small.live(UID).filter(({ attempt }) => attempt > 0);
    expect(replaced.length).toBeGreaterThan(0);
    expect(replaced.map(({ notBeforeMs, failures }) => ({ notBeforeMs, failures }))).toEqual(
      replaced.map(() => ({ notBeforeMs: 0, failures: 0 })),
    );
  });
});

describe('canaries', () => {
  test('stand beside all old ones until they are promoted', () => {
    const small = running(aService(4));
    small.submit(small.job(UID), aService(4, { strategy: 'canary', canaries: 1 }, 'good:2'), 'updated');
    small.steps(40);
    expect(
      small
        .live(UID)
        .map(({ jobVersion }) => jobVersion)
        .sort(),
    ).toEqual([1, 1, 1, 1, 2]);
    expect(small.deployment(UID)).toMatchObject({
      state: 'running',
      message: '1 new task is healthy beside the old ones and waits to be promoted',
    });
    small.changeDeployment(UID, { promotedAtMs: small.nowMs, promotedBy: 'alice', progressAtMs: small.nowMs });
    small.steps(40);
    expect(small.deployment(UID).state).toBe('succeeded');
    expect(small.live(UID).map(({ jobVersion }) => jobVersion)).toEqual([2, 2, 2, 2]);
  });

  test('that have worked for long have their time anew when one of them ends', () => {
    const small = running(aService(4));
    small.submit(small.job(UID), aService(4, { strategy: 'canary', canaries: 1 }, 'good:2'), 'updated');
    small.steps(20);
    small.nowMs += 3_600_000;
    const canary = present(
      small.live(UID).find(({ jobVersion }) => jobVersion === 2),
      'the canary',
    );
    small.changeTask(canary.id, (task) =>
      advance(task, { state: 'failed', atMs: small.nowMs, reason: 'exited', message: 'it broke' }, { exitCode: 1 }),
    );
    small.pass();
    expect(small.deployment(UID)).toMatchObject({
      state: 'running',
      message: '0 of 1 task of version 2 is healthy, after it was',
    });
    small.steps(15);
    expect(small.deployment(UID)).toMatchObject({ state: 'running', message: expect.stringContaining('waits to be') });
  });

  test('that have worked, and come to work no more, are taken back once their time is over', () => {
    const small = running(aService(4));
    small.submit(small.job(UID), aService(4, { strategy: 'canary', canaries: 1 }, 'good:2'), 'updated');
    small.steps(20);
    small.behaviours.set('good:2', 'crashing');
    small.steps(60);
    expect(small.deployment(UID)).toMatchObject({ state: 'succeeded', cause: 'reverted', toVersion: 3 });
    const failed = [...small.cluster.deploymentsOfJob(UID)].find(({ toVersion }) => toVersion === 2);
    expect(failed?.message).toContain('0 of 1 task of version 2 was healthy, and no further one');
  });

  test('are taken back when they do not work', () => {
    const small = running(aService(4));
    small.submit(small.job(UID), aService(4, { strategy: 'canary' }, 'sick:1'), 'updated');
    small.steps(60);
    expect(small.deployment(UID)).toMatchObject({ state: 'succeeded', cause: 'reverted' });
    expect(small.live(UID).map(({ jobVersion }) => jobVersion)).toEqual([1, 1, 1, 1]);
  });

  test('of a whole new set take over at once', () => {
    const small = running(aService(3));
    small.submit(small.job(UID), aService(3, { strategy: 'blue-green', autoPromote: true }, 'good:2'), 'updated');
    let most = 0;
    small.onPass = () => {
      most = Math.max(most, small.live(UID).length);
    };
    small.steps(40);
    expect(most).toBe(6);
    expect(small.deployment(UID)).toMatchObject({ state: 'succeeded', promotedBy: 'berth' });
    expect(small.live(UID).map(({ jobVersion }) => jobVersion)).toEqual([2, 2, 2]);
  });
});
