/** Who is beside a task that is about to be started. */
import { describe, expect, it } from 'vitest';
import { PEERS_MAX, Peers } from '../../../control-plane/services/task-peers.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { aGroup, aJob, aNode, aTask, clusterOf } from '../../support/builders.ts';

const ports = [
  { name: 'http', protocol: 'tcp' as const },
  { name: 'admin', protocol: 'tcp' as const },
];
const job = aJob({ spec: { groups: [aGroup({ name: 'web', ports }), aGroup({ name: 'silent' })] } });
const at = (index: number, change: Partial<Task> = {}): Task =>
  aTask(job, {
    id: `${job.uid}-web-${index}-0`,
    group: 'web',
    index,
    state: 'running',
    node: 'edge-1',
    ports: { admin: 30_000 + index, http: 20_000 + index },
    ...change,
  });
const nodes = [
  aNode({ id: 'edge-1', hostname: 'one', address: '192.0.2.1' }),
  aNode({ id: 'edge-2', hostname: 'two', address: null }),
  aNode({ id: 'edge-3', hostname: 'three', address: '2001:db8::3' }),
];
const peersOf = (task: Task, ...others: readonly Task[]) =>
  new Peers(clusterOf({ nodes, jobs: [job], tasks: [task, ...others] })).of(task);

describe('the peers of a task', () => {
  const newcomer = at(9, { state: 'staging' });

  it('are the first ports of the others of its group, by their places', () => {
    const others = [at(2, { node: 'edge-2' }), at(1), at(3, { node: 'edge-3' })];
    expect(peersOf(newcomer, ...others)).toEqual(['192.0.2.1:20001', 'two:20002', '[2001:db8::3]:20003']);
  });

  it.each<[string, Task]>([
    ['one that has ended', at(1, { state: 'failed' })],
    ['one that is to end', at(1, { stop: { atMs: 1, by: 'alice', reason: 'enough' } })],
    ['one that waits for a place', at(1, { state: 'pending', node: null, ports: {} })],
    ['one of another group', at(1, { group: 'silent', ports: {} })],
    ['one on a node that nobody knows', at(1, { node: 'edge-9' })],
  ])('are not %s', (_, other) => {
    expect(peersOf(newcomer, other)).toEqual([]);
  });

  it('are told to nobody who runs already, so that nothing changes for those', () => {
    expect(peersOf(at(9), at(1))).toEqual([]);
  });

  it('are so many at the most', () => {
    expect(peersOf(newcomer, ...Array.from({ length: PEERS_MAX + 5 }, (_, index) => at(100 + index)))).toHaveLength(
      PEERS_MAX,
    );
  });
});
