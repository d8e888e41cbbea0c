import { describe, expect, it } from 'vitest';
import { servicePlan } from '../../../control-plane/services/job-plan.ts';
import { DEFAULT_UPDATE } from '../../../shared/domain/service.ts';
import { aGroup, aJob, aLedger, aNode, aTask, clusterOf, T0 } from '../../support/builders.ts';

describe('what a plan says of a rollout that fails', () => {
  const job = aJob({ spec: { kind: 'service', groups: [aGroup({})] }, version: 3 });
  const wanted = { ...job.spec, groups: [aGroup({ image: 'other:2' })] };
  const off = { ...wanted, update: { ...DEFAULT_UPDATE, autoRevert: false } };

  it.each([
    [
      'of a job that is new',
      undefined,
      wanted,
      ', and stays as it is then, since there is no good version yet to go back to.',
    ],
    [
      'of one that was never good',
      job,
      wanted,
      ', and stays as it is then, since there is no good version yet to go back to.',
    ],
    ['of one that was', { ...job, goodVersion: 2 }, wanted, ', and is taken back to version 2, the last good one.'],
    ['of one that is not to be taken back', { ...job, goodVersion: 2 }, off, ', and stays as it is then.'],
  ])('%s', (_what, before, spec, says) => {
    const { steps } = servicePlan(
      { cluster: clusterOf({ jobs: before === undefined ? [] : [before] }), nowMs: T0 },
      before,
      spec,
    );
    expect(steps.at(-1)).toBe(`It fails when no further task comes to be healthy for 600 s${says}`);
  });
});

describe('what a plan of a system job says of a node that takes nothing new', () => {
  const job = aJob({ spec: { kind: 'system', groups: [aGroup()] }, templates: { main: 1 } });
  const tasks = ['a', 'b'].map((node, index) => aTask(job, { index, state: 'running', node }));
  const wanted = { ...job.spec, groups: [aGroup({ image: 'other:2' })] };

  it.each([
    [true, { made: 2, replaced: 2, stopped: 0, kept: 0 }],
    [false, { made: 1, replaced: 1, stopped: 0, kept: 1 }],
  ])('is that its task stays, unless it is eligible: %s', (eligible, counts) => {
    const nodes = ['a', 'b'].map((id) => aNode({ id }));
    const cluster = clusterOf({ nodes, ledgers: [aLedger({ node: 'a', eligible })], jobs: [job], tasks });
    expect(servicePlan({ cluster, nowMs: T0 }, job, wanted).groups).toMatchObject([counts]);
  });
});
