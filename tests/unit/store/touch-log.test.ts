import { describe, expect, it } from 'vitest';
import type { WatchEvent } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { SnapshotTouches } from '../../../control-plane/store/touch-log.ts';
import { aJob, aLedger, aNode, aTask } from '../../support/builders.ts';

describe('touches', () => {
  it('are told from a mark on, each once', () => {
    const touches = new SnapshotTouches();
    touches.node('early');
    const { mark } = touches;
    expect(touches.since(mark)).toEqual({ nodes: new Set(), tasks: new Set() });
    touches.node('n1');
    touches.task('t1');
    touches.node('n1');
    expect(touches.since(mark)).toEqual({ nodes: new Set(['n1']), tasks: new Set(['t1']) });
    expect(touches.since(touches.mark)).toEqual({ nodes: new Set(), tasks: new Set() });
  });

  it('are not known any more to whoever comes too late', () => {
    const touches = new SnapshotTouches(2);
    const first = touches.mark;
    for (const id of ['n1', 'n2', 'n3', 'n4']) touches.node(id);
    expect(touches.since(first)?.nodes.size).toBe(4);
    touches.node('n5');
    expect(touches.since(first)).toBeNull();
    expect(touches.since(touches.mark - 2)?.nodes).toEqual(new Set(['n4', 'n5']));
  });

  it('are everything at times', () => {
    const touches = new SnapshotTouches();
    const { mark } = touches;
    touches.everything();
    expect(touches.since(mark)).toBeNull();
    expect(touches.since(touches.mark)).toEqual({ nodes: new Set(), tasks: new Set() });
  });
});

describe('a snapshot', () => {
  const job = aJob();
  const task = aTask(job, { id: 't1' });
  const value = (key: string, text: string): WatchEvent => ({
    type: 'put',
    keyValue: { key, value: text, createRevision: 2, modRevision: 2, lease: null },
  });
  const put = (write: ReturnType<typeof putRecord>): WatchEvent => {
    if (write.type !== 'put') throw new Error('a put');
    return value(write.key, write.value);
  };

  it.each([
    ['a node', put(putRecord('nodes', keys.node('n1'), aNode({ id: 'n1' }))), ['n1'], []],
    ['a ledger', put(putRecord('ledger', keys.ledger('n1'), aLedger({ node: 'n1' }))), ['n1'], []],
    ['an epoch', put(putRecord('epochs', keys.epoch('n1'), { epoch: 1, unreachableSinceMs: null })), ['n1'], []],
    ['a task', put(putRecord('tasks', keys.task('t1'), task)), [], ['t1']],
    ['a job', put(putRecord('jobs', keys.job(job.spec), job)), [], []],
  ])('tells of %s, when it comes and when it goes', (_, event, nodes, tasks) => {
    const snapshot = new Snapshot(1);
    const told = { nodes: new Set(nodes), tasks: new Set(tasks) };
    let { mark } = snapshot.touched;
    snapshot.apply({ revision: 2, events: [event] });
    expect(snapshot.touched.since(mark)).toEqual(told);
    ({ mark } = snapshot.touched);
    const key = event.type === 'put' ? event.keyValue.key : event.key;
    snapshot.apply({ revision: 3, events: [{ type: 'delete', key, modRevision: 3 }] });
    expect(snapshot.touched.since(mark)).toEqual(told);
  });

  it('tells of the tasks of a version, since what they are made from comes and goes with it', () => {
    const snapshot = new Snapshot(1);
    const others = [aTask(job, { id: 't2', jobVersion: 2 }), aTask(aJob({ uid: 'other' }), { id: 't3' })];
    const tasks = [task, ...others].map((one) => put(putRecord('tasks', keys.task(one.id), one)));
    snapshot.apply({ revision: 2, events: tasks });
    const { mark } = snapshot.touched;
    const version = {
      jobUid: job.uid,
      version: 1,
      spec: job.spec,
      createdAtMs: 0,
      createdBy: 'alice',
      change: 'created' as const,
      templates: {},
    };
    const key = keys.version(job.uid, 1);
    snapshot.apply({ revision: 3, events: [put(putRecord('versions', key, version))] });
    expect(snapshot.touched.since(mark)).toEqual({ nodes: new Set(), tasks: new Set(['t1']) });
    const { mark: before } = snapshot.touched;
    snapshot.apply({ revision: 4, events: [{ type: 'delete', key, modRevision: 4 }] });
    expect(snapshot.touched.since(before)).toEqual({ nodes: new Set(), tasks: new Set(['t1']) });
  });
});
