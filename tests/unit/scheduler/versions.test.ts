import { describe, expect, it } from 'vitest';
import { explainTask } from '../../../control-plane/scheduler/explain.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { GroupSpec, JobSpec, JobVersion } from '../../../shared/domain/job.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aSpec,
  aTask,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

/** The job's version 1 asks for 1 cpu in zone a; version 2, which is the wanted one, for 2 in zone b. */
const first = aSpec({ kind: 'service', groups: [inZone('a', 1)] });
const second = aSpec({ kind: 'service', groups: [inZone('b', 2)] });
const job = aJob({ version: 2, spec: second });
const versions = [versionOf(1, first)];
const nodes = ['a', 'b'].map((zone) => aNode({ id: `node-${zone}`, attributes: { zone } }));

function inZone(zone: string, cpus: number): GroupSpec {
  return aGroup({ count: 2, resources: { cpus }, constraints: [{ attribute: 'zone', operator: '=', value: zone }] });
}

function versionOf(version: number, spec: JobSpec): JobVersion {
  return { jobUid: job.uid, version, spec, createdAtMs: T0, createdBy: 'alice', change: 'created', templates: {} };
}

function placed(literal: ClusterLiteral) {
  return planRound({ cluster: clusterOf(literal), nowMs: T0 }).placements.map(({ node, entry }) => ({
    node,
    jobVersion: entry.jobVersion,
    cpus: entry.resources.cpus,
  }));
}

describe('tasks of a service that are made from an older version', () => {
  it('are placed as that version describes them, beside those of the wanted one', () => {
    const tasks = [1, 2, 1, 2].map((jobVersion, index) => aTask(job, { jobVersion, index }));
    const found = placed({ nodes, jobs: [job], versions, tasks });
    expect(found.sort((a, b) => a.jobVersion - b.jobVersion)).toEqual([
      { node: 'node-a', jobVersion: 1, cpus: 1 },
      { node: 'node-a', jobVersion: 1, cpus: 1 },
      { node: 'node-b', jobVersion: 2, cpus: 2 },
      { node: 'node-b', jobVersion: 2, cpus: 2 },
    ]);
  });

  it('are explained by what that version asks for', () => {
    const task = aTask(job, { jobVersion: 1 });
    const only = nodes.filter(({ id }) => id === 'node-b');
    const cluster = clusterOf({ nodes: only, jobs: [job], versions, tasks: [task] });
    expect(explainTask({ cluster, task, nowMs: T0 })).toMatchObject({
      placeable: false,
      waiting: null,
      refusals: [{ code: 'constraint', nodes: 1, message: "1 node doesn't satisfy the constraints (zone = a)" }],
    });
  });

  it('get none once the job is suspended', () => {
    const suspended = { ...job, suspended: { atMs: T0, by: 'alice', reason: 'for the night' } };
    expect(placed({ nodes, jobs: [suspended], versions, tasks: [aTask(job, { jobVersion: 1 })] })).toEqual([]);
  });

  it('of a batch job get none', () => {
    const batch = aJob({ version: 2, spec: { ...second, kind: 'batch' } });
    const older = { ...versionOf(1, { ...first, kind: 'batch' }), jobUid: batch.uid };
    expect(placed({ nodes, jobs: [batch], versions: [older], tasks: [aTask(batch, { jobVersion: 1 })] })).toEqual([]);
  });
});

describe('the priority of a lasting job', () => {
  const whole = { cpus: 4 };
  const low = aJob({
    version: 1,
    spec: { name: 'low', kind: 'service', priority: 40, groups: [aGroup({ resources: whole })] },
  });
  const runs = aTask(low, { state: 'running', node: 'n' });
  const high = aJob({ spec: { name: 'high', priority: 50, groups: [aGroup({ resources: whole })] } });
  const nodes = [aNode({ id: 'n', resources: someResources(whole) })];
  const ledgers = [aLedger({ node: 'n', total: someResources(whole), entries: [anEntry(low, runs)] })];
  const stopsOf = (now: number) => {
    const changed = { ...low, version: 2, spec: { ...low.spec, priority: now } };
    const old = { ...versionOf(1, low.spec), jobUid: low.uid };
    const cluster = clusterOf({ nodes, ledgers, jobs: [changed, high], versions: [old], tasks: [runs, aTask(high)] });
    return planRound({ cluster, nowMs: T0 }).stops.map(({ task }) => task);
  };

  it('holds for the tasks that it has, whichever version they are made from', () => {
    expect(stopsOf(40)).toEqual([runs.id]);
    expect(stopsOf(60)).toEqual([]);
  });
});
