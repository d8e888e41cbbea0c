import { describe, expect, it } from 'vitest';
import { ACTION_TASKS_MAX } from '../../../control-plane/reconcile/actions.ts';
import { planBatchPass } from '../../../control-plane/reconcile/batch-pass.ts';
import { planGoneNodes } from '../../../control-plane/reconcile/gone-nodes-pass.ts';
import { planNodeHealth } from '../../../control-plane/reconcile/node-health-pass.ts';
import type { Epoch } from '../../../shared/domain/node.ts';
import { applyPass } from '../../support/apply-plan.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aTask,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../support/builders.ts';

const GONE: Epoch = { epoch: 9, unreachableSinceMs: null, gone: { atMs: T0, by: 'admin' } };

/** A node that was declared gone, with what it held until then. */
function goneWith(change: ClusterLiteral = {}): ClusterLiteral {
  return { ledgers: [aLedger()], epochs: { 'edge-1': GONE }, dead: ['edge-1'], ...change };
}

const plan = (literal: ClusterLiteral) => planGoneNodes({ cluster: clusterOf(literal), nowMs: T0 + 5 });

describe('a node that was declared gone', () => {
  it('loses its live tasks and its ledger, however long their jobs wait', () => {
    const job = aJob({
      spec: { replaceAfterSeconds: 'never', groups: [aGroup({ retries: { ...aGroup().retries, max: 1 } })] },
    });
    const task = aTask(job, { state: 'running', node: 'edge-1' });
    const literal = goneWith({ ledgers: [aLedger({ entries: [anEntry(job, task)] })], jobs: [job], tasks: [task] });
    const planned = plan(literal);
    expect(planned.actions).toMatchObject([{ type: 'clear-node', node: 'edge-1', tasks: [task.id] }]);
    const after = applyPass(clusterOf(literal), planned);
    expect(after.ledgers.size).toBe(0);
    expect(after.tasks.get(task.id)?.history.at(-1)).toMatchObject({
      state: 'lost',
      reason: 'node-lost',
      message: 'node edge-1 was declared gone by admin',
    });
    const next = planBatchPass({ cluster: after, nowMs: T0 + 5, unseenEndsForMs: new Map() });
    expect(next.actions).toMatchObject([{ type: 'create-tasks', tasks: [{ attempt: 1 }] }]);
    expect(planGoneNodes({ cluster: after, nowMs: T0 + 6 }).actions).toEqual([]);
  });

  it('no longer keeps a deleted job waiting for what it disowned', () => {
    const job = aJob({ deleted: true });
    const task = aTask(job, { state: 'lost', node: 'edge-1' });
    const entries = [anEntry(job, task, { disowned: true, stop: { atMs: T0, graceMs: 1, reason: 'given up' } })];
    const literal = goneWith({ ledgers: [aLedger({ entries })], jobs: [job], tasks: [task] });
    expect(planBatchPass({ cluster: clusterOf(literal), nowMs: T0, unseenEndsForMs: new Map() }).actions).toEqual([]);
    const planned = plan(literal);
    expect(planned.actions).toMatchObject([{ type: 'clear-node', tasks: [] }]);
    const after = applyPass(clusterOf(literal), planned);
    expect(planBatchPass({ cluster: after, nowMs: T0, unseenEndsForMs: new Map() }).actions).toEqual([
      { type: 'remove-job', job: job.uid },
    ]);
  });

  it('gives its tasks up in steps that fit a transaction', () => {
    const job = aJob({ spec: { groups: [aGroup({ count: ACTION_TASKS_MAX + 1 })] } });
    const tasks = Array.from({ length: ACTION_TASKS_MAX + 1 }, (_, index) =>
      aTask(job, { index, state: 'running', node: 'edge-1' }),
    );
    const entries = tasks.map((task) => anEntry(job, task));
    const literal = goneWith({ ledgers: [aLedger({ entries })], jobs: [job], tasks });
    const planned = plan(literal);
    expect(planned.actions.map((action) => (action.type === 'clear-node' ? action.tasks.length : 0))).toEqual([100, 1]);
    expect(applyPass(clusterOf(literal), planned).ledgers.size).toBe(0);
  });

  it('is no longer watched for its lease or its drain', () => {
    const job = aJob();
    const task = aTask(job, { state: 'running', node: 'edge-1' });
    const drain = { startedAtMs: T0, deadlineMs: T0, by: 'admin' };
    const ledgers = [aLedger({ drain, entries: [anEntry(job, task)] })];
    const cluster = clusterOf(goneWith({ ledgers, jobs: [job], tasks: [task] }));
    expect(
      planNodeHealth({
        cluster,
        nowMs: T0 + 5,
        leasesCountFromMs: 0,
        unreachableForMs: new Map(),
        unseenEndsForMs: new Map(),
      }),
    ).toEqual({
      actions: [],
      wakeAtMs: null,
    });
  });

  it('leaves all others alone', () => {
    const nodes = [aNode({ id: 'edge-2' })];
    expect(plan({ nodes }).actions).toEqual([]);
    expect(plan({ epochs: { 'edge-1': GONE } }).actions).toEqual([]);
  });
});
