/** Tasks of one group that each mount a volume of their own. */
import { describe, expect, it } from 'vitest';
import { explainTask } from '../../../control-plane/scheduler/explain.ts';
import { explainJob } from '../../../control-plane/scheduler/explain-job.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import { INDEX_PLACEHOLDER } from '../../../shared/domain/job.ts';
import type { TaskEntry } from '../../../shared/domain/ledger.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import {
  aFramework,
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  anOffer,
  aReservation,
  aTask,
  aVolume,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../support/builders.ts';

const mounts = [{ type: 'persistent', source: `data-${INDEX_PLACEHOLDER}`, target: '/data', readOnly: false }] as const;
const job = aJob({ spec: { kind: 'service', groups: [aGroup({ count: 3, mounts })] } });
const tasks = [0, 1, 2].map((index) => aTask(job, { index }));
const scalars = { ...NO_SCALARS, diskMiB: 100 };

function holding(node: string, ids: readonly string[], entries: readonly TaskEntry[] = []) {
  const volumes = Object.fromEntries(ids.map((id) => [id, aVolume({ id })]));
  return aLedger({ node, entries, reservations: [aReservation({ scalars })], volumes });
}

const cluster = (literal: ClusterLiteral = {}) =>
  clusterOf({
    nodes: ['a', 'b', 'c'].map((id) => aNode({ id })),
    ledgers: [holding('a', ['data-2', 'other']), holding('b', ['data-0']), holding('c', [])],
    jobs: [job],
    tasks,
    ...literal,
  });

describe('a task with a volume of its own', () => {
  it.each(['service', 'batch'] as const)('of a %s job goes where that is, or waits', (kind) => {
    const jobs = [aJob({ spec: { kind, groups: job.spec.groups } })];
    const { placements } = planRound({ cluster: cluster({ jobs }), nowMs: T0 });
    const found = placements.map(({ task, node }) => [task, node]).sort();
    expect(found).toEqual([
      [tasks[0]?.id, 'b'],
      [tasks[2]?.id, 'a'],
    ]);
  });

  it('is told which one it waits for', () => {
    const [, second] = tasks;
    if (second === undefined) throw new Error('no task');
    expect(explainTask({ cluster: cluster(), nowMs: T0, task: second })).toMatchObject({
      placeable: false,
      refusals: [
        { code: 'no-volume', nodes: 3, message: "3 nodes don't have all of its volumes for its role: data-1" },
      ],
    });
    const { waiting } = explainJob({ cluster: cluster({ dead: ['b'] }), nowMs: T0, job, task: null });
    const { waiting: none } = explainJob({ cluster: cluster(), nowMs: T0, job, task: second });
    expect(waiting.map((one) => [one.tasks.map(({ index }) => index), one.volumesAway])).toEqual([
      [[0], ['Volume "data-0" is on node b, which is unreachable: its agent sends no heartbeats.']],
      [[1], ['No node has volume "data-1" for role "default"; "berth volume create" makes one.']],
      [[2], []],
    ]);
    expect(none).toHaveLength(1);
  });

  it('displaces what is in its way there, though others of its group have no volume at all', () => {
    const low = aJob({ uid: 'low0', spec: { name: 'low', priority: 1, groups: [aGroup({ resources: { cpus: 4 } })] } });
    const held = aTask(low, { state: 'running', node: 'a' });
    const { stops } = planRound({
      cluster: cluster({
        jobs: [low, job],
        tasks: [...tasks.slice(1), held],
        ledgers: [holding('a', ['data-2'], [anEntry(low, held)]), holding('b', [])],
      }),
      nowMs: T0,
    });
    expect(stops.map(({ task }) => task)).toEqual([held.id]);
  });

  it('has offers taken back that are in its way, though others of its group have no volume at all', () => {
    const rival = aFramework({ roles: ['rival'], suppressed: ['rival'] });
    const offer = anOffer({ framework: rival.id, role: 'rival', resources: { cpus: 4 }, madeAtMs: T0 });
    const ledgers = [{ ...holding('a', ['data-2']), offers: { [offer.id]: offer } }];
    const nodes = [aNode({ id: 'a' })];
    const input = {
      cluster: cluster({ nodes, ledgers, frameworks: [rival], tasks: tasks.slice(1) }),
      nowMs: T0 + 1000,
    };
    expect(planRound(input).placements.map(({ task, node }) => [task, node])).toEqual([[tasks[2]?.id, 'a']]);
  });
});
