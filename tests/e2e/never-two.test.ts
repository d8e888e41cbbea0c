/** A job that must never run twice at a time, on nodes of which one is cut off while it goes on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '../../shared/protocol/views.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';

const IMAGE = 'berth/busybox:local';
const RESOURCES = ['--resources', 'cpus=2,memMiB=512,ports=22020-22039'];
/** The lease, the time that the job allows, and what the control plane waits beyond both. */
const REPLACED_WITHIN_MS = 60_000;

let cluster: RealCluster;
let agents: readonly RealAgent[];

beforeAll(async () => {
  cluster = await startRealCluster({ replicas: 2, leaseTtlSeconds: 5 });
  agents = [await cluster.addAgent('left', RESOURCES), await cluster.addAgent('right', RESOURCES)];
});
afterAll(() => cluster?.stop());

function taskIn(job: string, state: string, withinMs?: number): Promise<TaskView> {
  const client = cluster.replicas[0]?.client;
  const find = async () => (await client?.tasks.list({ job }))?.items.find((task) => task.state === state);
  return eventually(`a task of ${job} to be ${state}`, find, withinMs);
}

async function times(task: TaskView): Promise<{ readonly startedAt: string; readonly finishedAt: string }> {
  const [container] = await cluster.containersOf(task.id);
  const { State: state } = await cluster.docker.getContainer(container?.Id ?? '').inspect();
  return { startedAt: state.StartedAt, finishedAt: state.FinishedAt };
}

describe('a job that must never run twice at a time', () => {
  it('is started elsewhere only after the node that was cut off has stopped it by itself', async () => {
    const [replica] = cluster.replicas;
    const group = { image: IMAGE, command: ['sleep', '600'], retries: { max: 1, delaySeconds: 0 } };
    const spec = { name: 'alone', replaceAfterSeconds: 0, stopAfterDisconnectSeconds: 10, groups: [group] };
    await replica?.client.jobs.submit(spec);
    const first = await taskIn('alone', 'running');
    const cutOff = agents.find(({ node }) => node === first.node);
    cutOff?.process.signal('SIGSTOP');
    const gone = await taskIn('alone', 'lost', REPLACED_WITHIN_MS);
    expect(gone).toMatchObject({ id: first.id, reason: 'node-lost' });
    const second = await taskIn('alone', 'running');
    expect(second.node).not.toBe(first.node);
    const before = await times(first);
    const after = await times(second);
    // Of one engine and one clock, and in a form that sorts by time.
    expect(before.finishedAt > before.startedAt).toBe(true);
    expect(after.startedAt > before.finishedAt).toBe(true);
    cutOff?.process.signal('SIGCONT');
    await eventually('the node to be back with nothing left of it', async () => {
      const node = await replica?.client.nodes.get(first.node ?? '');
      return node?.state === 'ready' && node.tasks === 0;
    });
    await replica?.client.jobs.stop({ role: 'default', name: 'alone' });
    await taskIn('alone', 'killed');
  });
});
