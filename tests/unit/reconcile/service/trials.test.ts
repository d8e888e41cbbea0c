/** What is only tried out is made no more often than it is tried out, whatever else is done to the job; and a promotion still promotes it. */
import { describe, expect, test } from 'vitest';
import {
  changedService,
  resumedService,
  suspendedService,
} from '../../../../control-plane/services/service-changes.ts';
import type { JobSpec } from '../../../../shared/domain/job.ts';
import { nextTemplates } from '../../../../shared/domain/job-template.ts';
import { DEFAULT_UPDATE, type UpdatePolicy } from '../../../../shared/domain/service.ts';
import { isTerminal } from '../../../../shared/domain/task.ts';
import { aCheck, aGroup, aJob, aSpec } from '../../../support/builders.ts';
import { SmallCluster } from './small-cluster.ts';

const JOB = aJob({ spec: { kind: 'service' } });
const UID = JOB.uid;
const [OLD, TRIED] = ['good:1', 'good:2'];

function aService(count: number, image: string, update: Partial<UpdatePolicy> = {}): JobSpec {
  return aSpec({
    kind: 'service',
    update: { ...DEFAULT_UPDATE, strategy: 'canary', progressDeadlineSeconds: 20, ...update },
    groups: [aGroup({ count, image, checks: [aCheck()] })],
  });
}

/** Images of the tasks that are to live. */
function images(small: SmallCluster): string[] {
  const live = small.live(UID).filter(({ stop }) => stop === null);
  return live.map(({ jobVersion }) => small.cluster.version(UID, jobVersion)?.spec.groups[0]?.image ?? 'none').sort();
}

/** Four old tasks, and one of the next version that is tried out beside them. */
function triedOut(update: Partial<UpdatePolicy> = {}): SmallCluster {
  const small = new SmallCluster(['n1', 'n2', 'n3']);
  small.submit(JOB, aService(4, OLD, update), 'created');
  small.steps(12);
  const job = small.job(UID);
  small.change(UID, (_job, facts) =>
    changedService(job, { spec: aService(4, TRIED, update), change: 'updated' }, facts),
  );
  small.steps(12);
  expect(images(small)).toEqual([OLD, OLD, OLD, OLD, TRIED]);
  return small;
}

const scaled = (small: SmallCluster, count: number) =>
  small.change(UID, (job, facts) => changedService(job, { spec: aService(count, TRIED), change: 'scaled' }, facts));
const restarted = (small: SmallCluster) =>
  small.change(UID, (job, facts) => changedService(job, { spec: job.spec, change: 'restarted' }, facts));
const labelled = (small: SmallCluster) =>
  small.change(UID, (job, facts) =>
    changedService(job, { spec: { ...job.spec, labels: { a: 'b' } }, change: 'updated' }, facts),
  );
const suspended = (small: SmallCluster) => {
  small.change(UID, (job, facts) => suspendedService(job, 'night', facts));
  small.steps(8);
  expect(images(small)).toEqual([]);
};
const resumed = (small: SmallCluster) => small.change(UID, resumedService);
const aborted = (small: SmallCluster) => {
  small.changeDeployment(UID, { state: 'cancelled', endedAtMs: small.nowMs });
  small.steps(8);
};

describe('what is tried out', () => {
  test.each<[string, (small: SmallCluster) => void]>([
    ['is restarted', restarted],
    ['is scaled', (small) => scaled(small, 8)],
    ['is given a label', labelled],
    [
      'is suspended and resumed',
      (small) => {
        suspended(small);
        resumed(small);
      },
    ],
    [
      'is suspended, changed and resumed',
      (small) => {
        suspended(small);
        labelled(small);
        restarted(small);
        resumed(small);
      },
    ],
    [
      'is suspended and resumed twice',
      (small) => {
        suspended(small);
        resumed(small);
        small.steps(3);
        suspended(small);
        resumed(small);
      },
    ],
    ...[restarted, labelled, (small: SmallCluster) => scaled(small, 7)].map(
      (next, at): [string, (small: SmallCluster) => void] => [
        `is aborted without being taken back, and changed (${at + 1})`,
        (small) => {
          aborted(small);
          next(small);
        },
      ],
    ),
  ])('stays so when the job %s, until it is promoted', (_what, act) => {
    const small = triedOut();
    let most = 0;
    small.onPass = () => {
      most = Math.max(most, images(small).filter((image) => image === TRIED).length);
    };
    act(small);
    small.steps(30);
    const now = images(small);
    expect({ most, old: now.filter((image) => image === OLD) }).toEqual({ most: 1, old: [OLD, OLD, OLD, OLD] });
    expect(now).toContain(TRIED);
    expect(small.job(UID).goodVersion).toBe(1);
    expect(small.deployment(UID)).toMatchObject({
      state: 'running',
      message: expect.stringContaining('to be promoted'),
    });
    small.changeDeployment(UID, { promotedAtMs: small.nowMs, promotedBy: 'alice', progressAtMs: small.nowMs });
    small.steps(60);
    expect(small.deployment(UID).state).toBe('succeeded');
    expect(new Set(images(small))).toEqual(new Set([TRIED]));
    expect(small.job(UID).goodVersion).toBe(small.job(UID).version);
  });

  test.each<[string, (small: SmallCluster) => void]>([
    ['paused', (small) => small.changeDeployment(UID, { paused: { atMs: small.nowMs, by: 'alice' } })],
    ['aborted', aborted],
  ])('is not what more tasks are made from while all is kept as it is (%s)', (_what, halt) => {
    const small = triedOut();
    scaled(small, 8);
    small.steps(3);
    halt(small);
    small.steps(12);
    expect(images(small).filter((image) => image === TRIED)).toEqual([TRIED]);
    expect(images(small)).toHaveLength(8);
  });

  test('stays so when it has failed, is kept, and the job is scaled', () => {
    const small = new SmallCluster(['n1', 'n2', 'n3']);
    small.behaviours.set(TRIED, 'sick');
    const update = { autoRevert: false };
    small.submit(JOB, aService(4, OLD, update), 'created');
    small.steps(12);
    small.submit(small.job(UID), aService(4, TRIED, update), 'updated');
    small.steps(40);
    expect(small.deployment(UID).state).toBe('failed');
    scaled(small, 6);
    small.steps(12);
    expect(images(small)).toEqual([OLD, OLD, OLD, OLD, TRIED]);
  });

  test('is gone when what was there before is wanted again while all is suspended', () => {
    const small = triedOut();
    suspended(small);
    small.change(UID, (job, facts) => {
      const spec = aService(4, OLD);
      const templates = nextTemplates(job, spec, job.version + 1);
      return changedService(job, { spec, change: 'reverted', templates }, facts);
    });
    resumed(small);
    small.steps(12);
    expect(small.deployment(UID).state).toBe('succeeded');
    expect(images(small)).toEqual([OLD, OLD, OLD, OLD]);
  });

  test('is nothing that a rollout back can be aborted to', () => {
    const small = triedOut();
    small.behaviours.set(TRIED, 'crashing');
    for (let at = 0; at < 60 && small.deployment(UID).cause !== 'reverted'; at += 1) small.steps(1);
    expect(small.deployment(UID)).toMatchObject({ cause: 'reverted', fromVersion: 1, fromTemplates: { main: 1 } });
  });

  test('waits for what the job depends on before anything is made of it anew', () => {
    const small = triedOut();
    suspended(small);
    small.changeJob(UID, { spec: { ...small.job(UID).spec, dependsOn: ['none'] } });
    resumed(small);
    small.steps(8);
    expect(small.deployment(UID).startedAtMs).toBeNull();
    expect(images(small)).toEqual([]);
  });

  test('has no slot of what is kept up beside it where there must never be two', () => {
    const never = { ...aService(1, TRIED, { strategy: 'rolling' }), stopAfterDisconnectSeconds: 30 };
    const small = new SmallCluster(['n1', 'n2']);
    small.behaviours.set(OLD, 'sick');
    small.submit(JOB, aService(1, OLD), 'created');
    small.steps(3);
    small.submit(small.job(UID), never, 'updated');
    for (let at = 0; at < 20 && small.live(UID).length > 0; at += 1) small.step();
    expect(small.live(UID)).toEqual([]);
    small.onPass = (_before, _plan, after) => {
      const slots = [...after.tasksOfJob(UID)].filter(({ state }) => !isTerminal(state)).map(({ index }) => index);
      expect(slots).toEqual([...new Set(slots)]);
    };
    small.change(UID, (job, facts) =>
      changedService(
        job,
        { spec: aService(1, OLD), change: 'reverted', templates: { main: 1 }, isUntested: true },
        facts,
      ),
    );
    small.steps(12);
    expect(images(small)).toContain(OLD);
  });
});
