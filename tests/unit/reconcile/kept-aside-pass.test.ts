import { describe, expect, it } from 'vitest';
import { ACTION_TASKS_MAX } from '../../../control-plane/reconcile/actions.ts';
import { planKeptAside } from '../../../control-plane/reconcile/kept-aside-pass.ts';
import type { Epoch } from '../../../shared/domain/node.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { applyPass } from '../../support/apply-plan.ts';
import { aGroup, aJob, aNode, aTask, clusterOf, T0 } from '../../support/builders.ts';

const job = aJob({ spec: { groups: [aGroup({ count: 200 })] } });

function clusterWith(tasks: readonly Task[], epoch: Partial<Epoch>) {
  const epochs = { 'edge-1': { epoch: 7, unreachableSinceMs: null, ...epoch } };
  return clusterOf({ nodes: [aNode(), aNode({ id: 'edge-2' })], epochs, jobs: [job], tasks });
}

describe('the pass over what nodes keep aside', () => {
  it('ends what is pending here and runs there, so that nobody starts it a second time', () => {
    const [running, waiting] = [aTask(job), aTask(job, { index: 1 })];
    const cluster = clusterWith([running, waiting], { keptAside: [{ task: running.id, stop: null }] });
    const plan = planKeptAside({ cluster, nowMs: T0 });
    expect(plan.actions).toEqual([
      {
        type: 'lose-tasks',
        node: 'edge-1',
        tasks: [running.id],
        atMs: T0,
        message: 'it runs on node edge-1, where a part of history that is lost had placed it; kept aside there',
      },
    ]);
    const after = applyPass(cluster, plan);
    expect(after.tasks.get(running.id)).toMatchObject({ state: 'lost' });
    expect(after.tasks.get(running.id)?.history.at(-1)).toMatchObject({ reason: 'state-restored' });
    expect(after.tasks.get(waiting.id)?.state).toBe('pending');
    expect(planKeptAside({ cluster: after, nowMs: T0 }).actions).toEqual([]);
  });

  it('ends what is pending here and has ended there', () => {
    const task = aTask(job);
    const { actions } = planKeptAside({ cluster: clusterWith([task], { endedBefore: [task.id] }), nowMs: T0 });
    expect(actions).toMatchObject([{ tasks: [task.id], message: expect.stringContaining('it ended on node edge-1') }]);
  });

  it('leaves alone what has a place or an end, and what the state does not know', () => {
    const placed = aTask(job, { state: 'running', node: 'edge-2' });
    const over = aTask(job, { index: 1, state: 'finished' });
    const keptAside = [placed.id, over.id, 'unknown'].map((task) => ({ task, stop: null }));
    expect(planKeptAside({ cluster: clusterWith([placed, over], { keptAside }), nowMs: T0 }).actions).toEqual([]);
  });

  it('takes no more tasks at once than go into one transaction', () => {
    const tasks = Array.from({ length: ACTION_TASKS_MAX + 1 }, (_, index) => aTask(job, { index }));
    const keptAside = tasks.map(({ id }) => ({ task: id, stop: null }));
    const { actions } = planKeptAside({ cluster: clusterWith(tasks, { keptAside }), nowMs: T0 });
    expect(actions.map((action) => (action.type === 'lose-tasks' ? action.tasks.length : 0))).toEqual([
      ACTION_TASKS_MAX,
      1,
    ]);
  });
});
