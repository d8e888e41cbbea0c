/** An edge box that loses its power while its uplink is down: what was placed there runs again before anybody can be asked. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '../../shared/protocol/views.ts';
import { eventually, type RealCluster, startRealCluster } from '../support/processes.ts';
import { canMakeMachines, RealMachine } from '../support/real-machine.ts';
import { berth } from './cli-process.ts';

const IMAGE = 'berth/busybox:local';
const NODE = 'edge-box';

let cluster: RealCluster;
let machine: RealMachine;

beforeAll(async () => {
  cluster = await startRealCluster({ replicas: 1, leaseTtlSeconds: 5 });
  const { token } = await client().createToken({ kind: 'join', subject: NODE });
  const resources = ['--resources', 'cpus=2,memMiB=512,ports=22100-22119'];
  const address = ['--control-plane', cluster.replicas[0]?.url ?? ''];
  machine = await RealMachine.make([...address, '--join-token', token, '--node-id', NODE, ...resources]);
});
afterAll(async () => {
  await machine?.dispose();
  await cluster?.stop();
});

function client() {
  const [replica] = cluster.replicas;
  if (replica === undefined) throw new Error('a cluster has a replica');
  return replica.client;
}

function taskIn(job: string, what: string, is: (task: TaskView) => boolean): Promise<TaskView> {
  const find = async () => (await client().tasks.list({ job })).items.find(is);
  return eventually(`a task of ${job} to be ${what}`, find, 60_000);
}

function submit(name: string, afterReboot: boolean) {
  const group = { image: IMAGE, command: ['sleep', '600'], network: 'none' as const, restart: { afterReboot } };
  return client().jobs.submit({ name, replaceAfterSeconds: 'never', groups: [{ ...group, killGraceSeconds: 0 }] });
}

describe.runIf(canMakeMachines)('a node that loses its power without an uplink', () => {
  it('runs its tasks again by itself, and tells so when the uplink is back', async () => {
    await machine.boot();
    await machine.load(IMAGE);
    await eventually('the node to be ready', async () => (await client().nodes.get(NODE)).state === 'ready');
    await submit('stays', true);
    await submit('ends', false);
    const [stays] = await Promise.all([
      taskIn('stays', 'running', (task) => task.state === 'running'),
      taskIn('ends', 'running', (task) => task.state === 'running'),
    ]);
    await cluster.replicas[0]?.process.kill();
    await machine.powerCut();
    await machine.boot();
    await eventually('the task to run again', async () => {
      const [container] = await machine.containersOf(stays.id);
      return container?.State === 'running' && container.Labels['io.berth.run'] === '1';
    });
    cluster.replicas[0]?.process.start();
    await taskIn('stays', 'in its second run', (task) => task.run === 1);
    const ended = await taskIn('ends', 'over', (task) => task.state === 'failed');
    expect(ended).toMatchObject({ reason: 'node-rebooted', run: 0, attempt: 0 });
    const env = { BERTH_ADDR: cluster.replicas[0]?.url, BERTH_TOKEN: cluster.token };
    const { out } = await berth(['task', 'show', stays.id], env);
    expect(out).toMatch(/^Run +2, started again in place$/m);
    expect(out).toMatch(/^State +running: started again after its node had gone down under it, as run 2$/m);
    expect(out.match(/^running /gm)).toHaveLength(2);
    const events = await berth(['events', '--task', stays.id], env);
    expect(events.out).toMatch(/task\.restarted .*run 2/);
    expect(await machine.containersOf(stays.id)).toHaveLength(1);
  });
});
