/** What an operator goes through after a restore, as the README tells it: real parts, real containers, the CLI. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';
import { berth, IMAGE, type Ran } from './cli-process.ts';

/** A machine that is busy with other things takes its time. */
const PATIENCE_MS = 90_000;

let cluster: RealCluster;
let agent: RealAgent;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  cluster = await startRealCluster({ replicas: 1, leaseTtlSeconds: 5 });
  agent = await cluster.addAgent('only', ['--resources', 'cpus=2,memMiB=512,ports=23100-23119']);
});
afterAll(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

function replica() {
  const [only] = cluster.replicas;
  if (only === undefined) throw new Error('the cluster has no replica');
  return only;
}

async function operator(...args: readonly string[]): Promise<Ran> {
  return berth(args, { BERTH_ADDR: replica().url, BERTH_TOKEN: cluster.token });
}

async function runningTask(job: string): Promise<string> {
  const args = ['run', '-d', '--name', job, IMAGE, '--', 'sleep', '600'];
  expect(await operator(...args)).toMatchObject({ code: 0 });
  const find = async () => (await replica().client.tasks.list({ job })).items.find(({ state }) => state === 'running');
  return (await eventually(`the task of ${job} to run`, find, PATIENCE_MS)).id;
}

async function containerState(task: string): Promise<string | undefined> {
  const containers = await cluster.containersOf(task);
  expect(containers.length).toBeLessThanOrEqual(1);
  return containers[0]?.State;
}

function says(what: RegExp, ...args: readonly string[]): Promise<string> {
  return eventually(
    `berth ${args.join(' ')} to say ${what}`,
    async () => {
      const { out } = await operator(...args);
      return what.test(out) ? out : undefined;
    },
    PATIENCE_MS,
  );
}

it(
  'a container from after the snapshot is kept aside until the operator ends it; what the snapshot knows goes on',
  async () => {
    const backup = join(folder, 'backup.db');
    const known = await runningTask('known');
    await cluster.etcd.save(backup);
    const unknown = await runningTask('unknown');

    expect(await replica().process.stop()).toBe(0);
    await cluster.etcd.restore(backup, 'restored-1');
    replica().process.start();
    const ahead = await says(/1 ahead of this state/, 'status');
    expect(ahead).toMatch(/^Ahead +1 node has seen a later state than this one; .*`berth cluster recover --help`$/m);
    expect(await says(/State +ahead/, 'node', 'show', agent.node)).toContain(unknown);
    expect(replica().process.log()).toContain('has seen a later state than this one');
    await agent.process.kill();
    agent.process.start();
    await eventually(
      'the agent to be back',
      async () => agent.process.log().match(/joined the control plane/g)?.length === 3,
    );
    expect([await containerState(known), await containerState(unknown)]).toEqual(['running', 'running']);

    const recovered = await operator('cluster', 'recover', '--yes');
    expect(recovered).toMatchObject({ code: 0, out: expect.stringMatching(/^recovered: incarnation \d{10}$/m) });
    expect(await says(/State +ready/, 'node', 'show', agent.node)).toMatch(new RegExp(`^${unknown} +-$`, 'm'));
    await runningTask('next');
    expect([await containerState(known), await containerState(unknown)]).toEqual(['running', 'running']);

    await agent.process.kill();
    const stopped = await operator('node', 'stop-kept-aside', agent.node, unknown, '--reason', 'not needed');
    expect(stopped).toMatchObject({ code: 0, err: expect.stringContaining('is to end 1 of the 1 task') });
    expect(await containerState(unknown)).toBe('running');
    agent.process.start();
    await eventually('its container to end', async () => (await containerState(unknown)) === 'exited');
    const { client } = replica();
    await eventually(
      'nothing to be kept aside',
      async () => (await client.nodes.get(agent.node)).keptAside.length === 0,
    );
    expect(await containerState(known)).toBe('running');
    expect((await client.tasks.get(known)).state).toBe('running');
  },
  5 * 60_000,
);
