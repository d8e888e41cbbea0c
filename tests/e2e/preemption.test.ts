/** A role takes back what it is guaranteed, on real parts: what is in the way ends with its grace, waits, and runs again. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BerthClient } from '../../shared/client/client.ts';
import type { TaskState } from '../../shared/domain/task.ts';
import type { TaskView } from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import { eventually, type RealCluster, startRealCluster } from '../support/processes.ts';

let cluster: RealCluster;
let client: BerthClient;
let node: string;

beforeAll(async () => {
  cluster = await startRealCluster({ replicas: 1 });
  ({ client } = present(cluster.replicas[0], 'the replica'));
  ({ node } = await cluster.addAgent('only', ['--resources', 'cpus=2,memMiB=512']));
});
afterAll(() => cluster?.stop());

const UNTIL_ASKED = 'trap "echo asked; sleep 1; echo done; exit 0" TERM; echo ready; while :; do sleep 0.1; done';

async function submit(name: string, role: string): Promise<void> {
  const group = {
    image: 'berth/busybox:local',
    command: ['sh', '-c', UNTIL_ASKED],
    resources: { cpus: 2, memMiB: 32 },
    killGraceSeconds: 20,
  };
  await client.jobs.submit({ name, role, groups: [group] });
}

function attemptOf(job: string, attempt: number, state: TaskState): Promise<TaskView> {
  return eventually(`attempt ${attempt} of ${job} to be ${state}`, async () => {
    const { items } = await client.tasks.list({ job });
    return items.find((task) => task.attempt === attempt && task.state === state);
  });
}

describe('a role that is guaranteed a full node', () => {
  it('gets it from another role, whose task ends with its grace and runs again afterwards', async () => {
    await submit('theirs', 'b');
    const theirs = await attemptOf('theirs', 0, 'running');
    await eventually('the container to heed signals', async () => (await outputOf(theirs.id)).includes('ready'));
    // Before that the node would have been kept for it.
    await client.roles.set('a', { guarantee: { cpus: 2 } });
    await submit('mine', 'a');
    const mine = await attemptOf('mine', 0, 'running');
    expect(mine.node).toBe(node);

    const displaced = await client.tasks.get(theirs.id);
    expect(displaced).toMatchObject({
      state: 'killed',
      reason: 'stop-requested',
      stop: {
        by: 'berth',
        reason: 'displaced for a task of another role, which comes first by a guarantee',
        displacedBy: { because: 'guarantee', role: 'a', task: mine.id },
      },
    });
    expect(displaced.message).toContain('displaced for a task of another role');
    expect(await outputOf(theirs.id)).toBe('ready\nasked\ndone\n');
    const { id } = await attemptOf('theirs', 1, 'pending');
    const { explanation, message } = await client.tasks.get(id);
    expect(message).toContain('which had to make room: displaced for a task of another role');
    expect(explanation?.summary).toContain('0 of 1 node can take it: 1 has too few cpus free');

    await client.roles.unset('a');
    await client.jobs.stop({ role: 'a', name: 'mine' }, { reason: 'seen enough' });
    const again = await attemptOf('theirs', 1, 'running');
    expect(again.id).toBe(id);
    await client.jobs.stop({ role: 'b', name: 'theirs' }, { reason: 'seen enough' });
    await attemptOf('theirs', 1, 'killed');
  });
});

async function outputOf(task: string): Promise<string> {
  const { url } = present(cluster.replicas[0], 'the replica');
  const headers = { Authorization: `Bearer ${cluster.token}` };
  return (await fetch(`${url}/v1/tasks/${task}/logs`, { headers })).text();
}
