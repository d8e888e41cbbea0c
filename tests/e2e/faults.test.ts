/** What dies while tasks run: agents, replicas, nodes, etcd. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '../../shared/protocol/views.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';

const IMAGE = 'berth/busybox:local';
const RESOURCES = ['--resources', 'cpus=2,memMiB=512,ports=22000-22019'];

let cluster: RealCluster;
let first: RealAgent;
let second: RealAgent;

beforeAll(async () => {
  cluster = await startRealCluster({ replicas: 2, leaseTtlSeconds: 5 });
  first = await cluster.addAgent('first', RESOURCES);
  second = await cluster.addAgent('second', RESOURCES);
});
afterAll(() => cluster?.stop());

/** Whichever replica lives. */
function client() {
  const alive = cluster.replicas.find((replica) => replica.process.isRunning);
  if (alive === undefined) throw new Error('no replica is alive');
  return alive.client;
}

function on(node: string) {
  return [{ attribute: 'node', operator: '=' as const, value: node }];
}

function taskIn(job: string, state: string, withinMs?: number): Promise<TaskView> {
  const find = async () => (await client().tasks.list({ job })).items.find((task) => task.state === state);
  return eventually(`a task of ${job} to be ${state}`, find, withinMs);
}

describe('an agent that is killed', () => {
  it('takes its container up again, and reports what ended meanwhile', async () => {
    const group = (seconds: string) => ({ image: IMAGE, command: ['sh', '-c', `sleep ${seconds}; exit 4`] });
    await client().jobs.submit({ name: 'short', constraints: on(first.node), groups: [group('1')] });
    await client().jobs.submit({ name: 'long', constraints: on(first.node), groups: [group('6')] });
    const [short, long] = await Promise.all([taskIn('short', 'running'), taskIn('long', 'running')]);
    const [before] = await cluster.containersOf(long.id);
    await first.process.kill();
    await eventually('the short one to end on its own', async () => {
      const [container] = await cluster.containersOf(short.id);
      return container?.State === 'exited';
    });
    first.process.start();
    expect(await taskIn('short', 'failed')).toMatchObject({ exitCode: 4, reason: 'exited' });
    expect(await taskIn('long', 'failed')).toMatchObject({ id: long.id, exitCode: 4 });
    const after = await cluster.containersOf(long.id);
    expect(after.map((container) => container.Id)).toEqual([before?.Id]);
  });
});

describe('a node that is gone', () => {
  it('has its tasks given up after the time that their job waits, and started elsewhere', async () => {
    const retries = { max: 1, delaySeconds: 0 };
    await client().jobs.submit({
      name: 'moves',
      replaceAfterSeconds: 0,
      groups: [{ image: IMAGE, command: ['sleep', '600'], killGraceSeconds: 0, retries }],
    });
    const task = await taskIn('moves', 'running');
    const [gone, other] = task.node === first.node ? [first, second] : [second, first];
    await gone.process.kill();
    expect(await taskIn('moves', 'lost')).toMatchObject({ id: task.id, reason: 'node-lost' });
    expect(await taskIn('moves', 'running')).toMatchObject({ node: other.node, attempt: 1 });
    gone.process.start();
    await eventually('the returned agent to end what is no longer its own', async () => {
      const left = await cluster.containersOf(task.id);
      const node = await client().nodes.get(gone.node);
      return left.every((container) => container.State !== 'running') && node.state === 'ready' && node.tasks === 0;
    });
    await client().jobs.stop({ role: 'default', name: 'moves' });
    await taskIn('moves', 'killed');
  });
});

describe('a replica that is killed', () => {
  it('is missed by nobody: rounds, agents and clients go on with the other', async () => {
    const [killed, left] = cluster.replicas;
    await killed?.process.kill();
    await left?.client.jobs.submit({ name: 'after', groups: [{ image: IMAGE, command: ['echo', 'still here'] }] });
    const task = await taskIn('after', 'finished', 20_000);
    const response = await fetch(`${left?.url}/v1/tasks/${task.id}/logs`, {
      headers: { Authorization: `Bearer ${cluster.token}` },
    });
    expect(await response.text()).toBe('still here\n');
    killed?.process.start();
    await eventually('the replica to be back', async () => (await fetch(`${killed?.url}/readyz`)).ok);
  });
});

describe('a replica that stands still', () => {
  it('is stood in for while it drives, and does no harm when it goes on', async () => {
    const { driver, replicas } = await client().status();
    const url = replicas.find(({ id }) => id === driver)?.url;
    const stopped = cluster.replicas.find((replica) => replica.url === url);
    const other = cluster.replicas.find((replica) => replica.url !== url);
    stopped?.process.signal('SIGSTOP');
    await other?.client.jobs.submit({ name: 'meanwhile', groups: [{ image: IMAGE, command: ['true'] }] });
    const finished = async () => (await other?.client.tasks.list({ job: 'meanwhile' }))?.items[0]?.state === 'finished';
    await eventually('the job to be run without it', finished);
    expect((await other?.client.status())?.driver).not.toBe(driver);
    stopped?.process.signal('SIGCONT');
    await eventually('both to say the same', async () => {
      const [a, b] = await Promise.all([stopped?.client.status(), other?.client.status()]);
      return a !== undefined && a.revision === b?.revision && a.driver === b?.driver && a.driver !== driver;
    });
    expect((await other?.client.tasks.list({ job: 'meanwhile' }))?.items).toHaveLength(1);
  });
});

describe('etcd that is killed', () => {
  it('loses nothing that was accepted, and everything goes on when it is back', async () => {
    await client().jobs.submit({ name: 'before-etcd', groups: [{ image: IMAGE, command: ['sleep', '2'] }] });
    await taskIn('before-etcd', 'running');
    await cluster.etcd.kill();
    const refused = await fetch(`${cluster.replicas[1]?.url}/v1/jobs`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${cluster.token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: 'during-etcd', groups: [{ image: IMAGE }] }),
    });
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    await cluster.etcd.restart();
    await taskIn('before-etcd', 'finished');
    await client().jobs.submit({ name: 'after-etcd', groups: [{ image: IMAGE, command: ['true'] }] });
    await taskIn('after-etcd', 'finished');
  });
});

describe('SIGTERM', () => {
  it('ends an agent and a replica cleanly, and leaves tasks running', async () => {
    await client().jobs.submit({
      name: 'stays',
      constraints: on(first.node),
      groups: [{ image: IMAGE, command: ['sleep', '600'], killGraceSeconds: 0 }],
    });
    const task = await taskIn('stays', 'running');
    expect(await first.process.stop()).toBe(0);
    const [container] = await cluster.containersOf(task.id);
    expect(container?.State).toBe('running');
    first.process.start();
    expect(await cluster.replicas[0]?.process.stop()).toBe(0);
    await client().tasks.stop(task.id, { reason: 'the test is over' });
    await taskIn('stays', 'killed');
  });
});
