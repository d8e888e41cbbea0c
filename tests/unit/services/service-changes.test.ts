import { describe, expect, it } from 'vitest';
import { awaitsPromotion, trialOf } from '../../../control-plane/reconcile/service/job-facts.ts';
import {
  type ChangeFacts,
  changedService,
  createdService,
  endedService,
  resumedService,
  suspendedService,
} from '../../../control-plane/services/service-changes.ts';
import type { JobSpec, VersionChange } from '../../../shared/domain/job.ts';
import { DEFAULT_UPDATE } from '../../../shared/domain/service.ts';
import { present } from '../../../shared/util/assert.ts';
import { aDeployment, aGroup, aJob, clusterOf, T0 } from '../../support/builders.ts';

const NOW = T0 + 5000;
const QUIET: ChangeFacts = { nowMs: NOW, by: 'bob', running: null, trial: null, force: false };

function aSpecOf(change: { count?: number; image?: string } = {}): JobSpec {
  const groups = [aGroup({ name: 'web', count: 3, ...change }), aGroup({ name: 'side', count: 1 })];
  return aJob({ spec: { kind: 'service', groups } }).spec;
}

const JOB = aJob({
  spec: aSpecOf(),
  version: 4,
  templates: { web: 2, side: 1 },
  goodVersion: 4,
  deployments: 4,
});

describe('a service that is created', () => {
  it('is version 1 of all its groups, and rolled out by its first deployment', () => {
    const { job, version, deployments } = createdService(aJob({ spec: aSpecOf() }), { nowMs: NOW, by: 'bob' });
    expect(job).toMatchObject({ version: 1, templates: { web: 1, side: 1 }, deployments: 1, goodVersion: null });
    expect(version).toMatchObject({ version: 1, change: 'created', templates: { web: 1, side: 1 }, createdBy: 'bob' });
    expect(deployments).toMatchObject([
      { id: 'uiddemo-d1', cause: 'created', fromVersion: null, toVersion: 1, fromTemplates: {}, state: 'running' },
    ]);
  });
});

describe('a change of a service', () => {
  it.each([
    ['a new image makes that group anew', { spec: aSpecOf({ image: 'x:2' }), change: 'updated' }, { web: 5, side: 1 }],
    ['another count makes nothing anew', { spec: aSpecOf({ count: 9 }), change: 'scaled' }, { web: 2, side: 1 }],
    ['a restart makes all anew', { spec: aSpecOf(), change: 'restarted' }, { web: 5, side: 5 }],
    [
      'a revert takes the templates of then',
      { spec: aSpecOf(), change: 'reverted', templates: { web: 1, side: 1 } },
      { web: 1, side: 1 },
    ],
  ] as const)('%s', (_what, wish, templates) => {
    const { job, version, deployments } = changedService(JOB, wish, QUIET);
    expect(job).toMatchObject({ version: 5, templates, deployments: 5, goodVersion: 4, updatedAtMs: NOW });
    expect(version).toMatchObject({ version: 5, change: wish.change, templates, spec: wish.spec });
    expect(deployments).toMatchObject([
      {
        id: 'uiddemo-d5',
        cause: wish.change,
        fromVersion: 4,
        toVersion: 5,
        fromTemplates: { web: 2, side: 1 },
        createdBy: 'bob',
        startedAtMs: null,
        promotedAtMs: null,
      },
    ]);
  });

  const running = aDeployment(JOB);
  const wish = { spec: aSpecOf({ count: 9 }), change: 'scaled' } as const;

  it('is refused while a deployment runs, and says which and what to do', () => {
    expect(() => changedService(JOB, wish, { ...QUIET, running })).toThrow(/deployment uiddemo-d4 .*force=true/);
    expect(() => suspendedService(JOB, 'night', { ...QUIET, running })).toThrow(/deployment uiddemo-d4/);
  });

  it('cancels that deployment when it is forced, and makes the next', () => {
    const { deployments } = changedService(JOB, wish, { ...QUIET, running, force: true });
    expect(deployments).toMatchObject([
      { id: 'uiddemo-d4', state: 'cancelled', endedAtMs: NOW, message: 'cancelled: version 5 has taken its place' },
      { id: 'uiddemo-d5', state: 'running' },
    ]);
    expect(deployments[0]?.revertedBy).toBeNull();
  });

  describe('while new tasks are tried out', () => {
    const update = { ...DEFAULT_UPDATE, strategy: 'canary' as const };
    const tried = { ...JOB, spec: { ...JOB.spec, update } };
    const trial = aDeployment(tried, { fromVersion: 3, fromTemplates: { web: 1, side: 1 } });
    const spec = { ...wish.spec, update };
    const change = (how: Exclude<VersionChange, 'created'>, of = trial) =>
      changedService(
        tried,
        { spec, change: how },
        { ...QUIET, running: of, trial: trialOf(clusterOf({ deployments: [of] }), tried), force: true },
      ).deployments[1];

    it.each(['scaled', 'updated', 'restarted'] as const)('and that is %s by force promotes nothing', (how) => {
      const next = present(change(how), 'the next deployment');
      expect(next).toMatchObject({ fromVersion: 3, fromTemplates: { web: 1, side: 1 }, promotedAtMs: null });
      expect(awaitsPromotion({ ...tried, version: 5 }, next)).toBe(true);
    });

    it('goes on from them where they were promoted, and all is made anew by a restart then', () => {
      const promoted = { ...trial, promotedAtMs: NOW };
      expect(change('scaled', promoted)).toMatchObject({ fromVersion: 4 });
      const restarted = present(change('restarted', promoted), 'the next deployment');
      expect(restarted).toMatchObject({ fromVersion: 4, fromTemplates: { web: 2, side: 1 } });
      expect(awaitsPromotion({ ...tried, version: 5, templates: { web: 5, side: 5 } }, restarted)).toBe(false);
    });

    it('and is resumed after a suspension promotes nothing', () => {
      const suspended = { atMs: T0, by: 'alice', reason: 'night' };
      const { deployments } = resumedService({ ...tried, suspended }, { ...QUIET, trial });
      expect(deployments).toMatchObject([{ cause: 'resumed', fromVersion: 3, fromTemplates: { web: 1, side: 1 } }]);
      expect(awaitsPromotion(tried, present(deployments[0], 'the next deployment'))).toBe(true);
    });

    it('and is taken back to what was never tested tries that out', () => {
      const back = { spec, change: 'reverted', templates: { web: 5, side: 5 } } as const;
      const causes = [true, false].map(
        (isUntested) => changedService(tried, { ...back, isUntested }, { ...QUIET, trial }).deployments[0]?.cause,
      );
      expect(causes).toEqual(['updated', 'reverted']);
    });
  });

  it('that takes an aborted deployment back names it, and is named by it', () => {
    const back = { ...wish, change: 'reverted', revertOf: running } as const;
    const { deployments } = changedService(JOB, back, { ...QUIET, running, force: true });
    expect(deployments).toMatchObject([
      { id: 'uiddemo-d4', revertedBy: 'uiddemo-d5' },
      { id: 'uiddemo-d5', revertOf: 'uiddemo-d4', cause: 'reverted' },
    ]);
  });

  it('starts a stopped one from nothing', () => {
    const stop = { atMs: T0, by: 'alice', reason: 'enough' };
    const { job, deployments } = changedService({ ...JOB, stop }, wish, QUIET);
    expect(job).toMatchObject({ stop: null, outcome: null });
    expect(deployments).toMatchObject([{ fromVersion: null, fromTemplates: {} }]);
  });

  it('of a suspended one waits for it to be resumed', () => {
    const suspended = { atMs: T0, by: 'alice', reason: 'night' };
    const { job, version, deployments } = changedService({ ...JOB, suspended }, wish, QUIET);
    expect(job).toMatchObject({ version: 5, suspended, deployments: 4 });
    expect(version?.version).toBe(5);
    expect(deployments).toEqual([]);
  });
});

describe('a service that is not wanted for a while', () => {
  it('is suspended without a version, and resumed by a deployment from nothing', () => {
    const { job, version, deployments } = suspendedService(JOB, 'night', QUIET);
    expect(job.suspended).toEqual({ atMs: NOW, by: 'bob', reason: 'night' });
    expect({ version, deployments }).toEqual({ version: null, deployments: [] });
    const resumed = resumedService(job, QUIET);
    expect(resumed).toMatchObject({ job: { suspended: null, version: 4, deployments: 5 }, version: null });
    expect(resumed.deployments).toMatchObject([{ cause: 'resumed', fromVersion: null, toVersion: 4 }]);
  });

  it('that is stopped cancels what is under way', () => {
    const stop = { atMs: NOW, by: 'bob', reason: 'enough' };
    const end = endedService(JOB, { stop, deleted: true }, { ...QUIET, running: aDeployment(JOB) });
    expect(end.job).toMatchObject({ stop, deleted: true });
    expect(end.deployments).toMatchObject([{ state: 'cancelled', message: 'cancelled: the job was deleted' }]);
  });
});
