/** Where the tasks of a change would go, beside those of the job that stay. */
import { describe, expect, it } from 'vitest';
import { type JobChange, planDryRun } from '../../../control-plane/scheduler/explain.ts';
import { servicePlan } from '../../../control-plane/services/job-plan.ts';
import { INDEX_PLACEHOLDER, type Job, type JobSpec } from '../../../shared/domain/job.ts';
import type { Task } from '../../../shared/domain/task.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aSpec,
  aTask,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

const NODES = ['a', 'b', 'c'].map((id) => aNode({ id, attributes: { node: id, zone: id === 'c' ? 'y' : 'x' } }));
const NOW = T0 + 1000;
const UNIQUE = [{ attribute: 'node', operator: 'unique' }] as const;
/** A whole node, of which there is one place each. */
const WHOLE = { cpus: someResources().cpus };

interface Case {
  readonly before: JobSpec;
  readonly after: JobSpec;
  /** By index, where the tasks are; null: pending; undefined: there is none. */
  readonly at: readonly (string | null | undefined)[];
  readonly nodes?: readonly string[];
}

/** As `berth job plan` asks for it. */
function planned({ before, after, at, nodes = ['a', 'b', 'c'] }: Case) {
  const job = aJob({ version: 1, templates: { main: 1 }, spec: before });
  const tasks = at.flatMap((node, index) => {
    if (node === undefined) return [];
    const isSystem = before.kind === 'system' && node !== null;
    const target = isSystem ? { node, required: true } : null;
    return aTask(job, { index, node, state: node === null ? 'pending' : 'running', target });
  });
  const cluster = clusterOf({
    nodes: NODES.filter(({ id }) => nodes.includes(id)),
    ledgers: nodes.map((node) =>
      aLedger({ node, entries: tasks.filter((one) => one.node === node).map((one) => entryOf(job, one)) }),
    ),
    jobs: [job],
    tasks,
  });
  const { idle, nodesFor, change, groups } = servicePlan({ cluster, nowMs: NOW }, job, after);
  const isTaken = ({ index }: Pick<Task, 'index'>) => idle.some((task) => task.index === index);
  const run = planDryRun({ cluster, nowMs: NOW, spec: after, isTaken, change, ...(nodesFor !== null && { nodesFor }) });
  return {
    change,
    groups,
    places: run.placements.map(({ index, node }) => `${index} ${node}`),
    unplaced: run.unplaced.map(({ count }) => count),
  };
}

function entryOf(job: Job, task: Task) {
  return anEntry(job, task);
}

function service(count: number, group: Parameters<typeof aGroup>[0] = {}, spec: Partial<JobSpec> = {}): JobSpec {
  return aSpec({ kind: 'service', placement: 'pack', groups: [aGroup({ count, ...group })], ...spec });
}

describe('a change of a service', () => {
  it('places new tasks where the constraints allow them beside those that stay', () => {
    const constraints = [...UNIQUE];
    const scaled = planned({ before: service(2, { constraints }), after: service(4, { constraints }), at: ['a', 'b'] });
    expect(scaled).toMatchObject({ places: ['2 c'], unplaced: [1] });
  });

  it('places those of a new template as if the old ones were not there, but for what they hold', () => {
    const constraints = [...UNIQUE];
    const [before, after] = [service(1, { constraints }), service(1, { constraints, image: 'new:1' })];
    expect(planned({ before, after, at: ['a'], nodes: ['a'] })).toMatchObject({ places: ['0 a'], unplaced: [] });
    const full = [service(1, { resources: WHOLE }), service(1, { resources: WHOLE, image: 'new:1' })] as const;
    expect(planned({ before: full[0], after: full[1], at: ['a'], nodes: ['a'] }).unplaced).toEqual([1]);
  });

  it('spreads them away from those that stay', () => {
    const spread = [{ attribute: 'zone', weight: 50 }];
    expect(planned({ before: service(2, { spread }), after: service(3, { spread }), at: ['a', 'b'] }).places).toEqual([
      '2 c',
    ]);
  });

  it('lets those come first that wait and stay, and not those that go', () => {
    const before = service(1, { resources: WHOLE });
    const scaled = service(2, { resources: WHOLE });
    expect(planned({ before, after: scaled, at: [null], nodes: ['a'] })).toMatchObject({ places: [], unplaced: [1] });
    const renewed = service(1, { resources: WHOLE, image: 'new:1' });
    expect(planned({ before, after: renewed, at: [null], nodes: ['a'] })).toMatchObject({
      places: ['0 a'],
      unplaced: [],
    });
  });

  it('counts what stops first as gone', () => {
    const spec = { stopAfterDisconnectSeconds: 120 };
    const before = service(1, { resources: WHOLE }, spec);
    const after = service(1, { resources: WHOLE, image: 'new:1' }, spec);
    expect(planned({ before, after, at: ['a'], nodes: ['a'] })).toMatchObject({ places: ['0 a'], unplaced: [] });
  });

  it('changes nothing where nothing is changed', () => {
    const { change, groups, ...rest } = planned({ before: service(2), after: service(2), at: ['a', 'b'] });
    expect(rest).toEqual({ places: [], unplaced: [] });
    expect(groups).toMatchObject([{ made: 0, replaced: 0, stopped: 0, kept: 2 }]);
    expect(change).toMatchObject({ job: { version: 1, templates: { main: 1 } }, leaving: [] } satisfies {
      job: Partial<Job>;
      leaving: JobChange['leaving'];
    });
  });
});

describe('the tasks of a service that stay', () => {
  it('are those that are not killed first, whatever their indexes', () => {
    const raised = planned({ before: service(1), after: service(1, {}, { priority: 60 }), at: [undefined, 'b'] });
    expect(raised).toMatchObject({ groups: [{ made: 0, stopped: 0, kept: 1 }], places: [], unplaced: [] });
    const scaled = planned({ before: service(1), after: service(3), at: [undefined, undefined, undefined, 'b'] });
    expect(scaled).toMatchObject({ groups: [{ made: 2, stopped: 0, kept: 1 }] });
    expect(scaled.places.map((place) => place.slice(0, 1))).toEqual(['0', '1']);
    const fewer = planned({ before: service(3), after: service(1), at: [null, 'a', 'b'] });
    expect(fewer).toMatchObject({ groups: [{ made: 0, stopped: 2, kept: 1 }], places: [], unplaced: [] });
  });

  it('are the first ones where each has a volume of its own', () => {
    const mounts = [{ type: 'persistent', source: INDEX_PLACEHOLDER, target: '/data', readOnly: false }] as const;
    const [before, after] = [service(1, { mounts }), service(1, { mounts }, { priority: 60 })];
    const plan = planned({ before, after, at: [undefined, 'b'] });
    expect(plan).toMatchObject({ groups: [{ made: 1, stopped: 1, kept: 0 }], places: [], unplaced: [1] });
  });
});

describe('a change of a system job', () => {
  const system = (image: string) => aSpec({ kind: 'system', groups: [aGroup({ image, resources: WHOLE })] });

  it('places a task on each node that lacks one, and on each that gives one back', () => {
    const one = system('old:1');
    expect(planned({ before: one, after: one, at: ['a', 'b'] }).places).toEqual(['0 c']);
    expect(planned({ before: one, after: system('new:1'), at: ['a', 'b'] })).toMatchObject({
      places: ['0 a', '1 b', '2 c'],
      unplaced: [],
    });
  });
});
