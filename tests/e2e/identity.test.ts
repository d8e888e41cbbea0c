/** Copies of an agent's memory, lost memories, and nodes that are declared gone, with real agents. */
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '../../shared/protocol/views.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';

const RESOURCES = ['--resources', 'cpus=2,memMiB=512,ports=22120-22139'];
const GROUP = { image: 'berth/busybox:local', command: ['sleep', '600'], killGraceSeconds: 1 };

let cluster: RealCluster;

beforeAll(async () => {
  cluster = await startRealCluster({ replicas: 2, leaseTtlSeconds: 5 });
});
afterAll(() => cluster?.stop());

function client() {
  const [replica] = cluster.replicas;
  if (replica === undefined) throw new Error('a cluster has a replica');
  return replica.client;
}

/** Submits a job that runs on the node, and waits until it does. */
async function running(name: string, node: string): Promise<TaskView> {
  const constraints = [{ attribute: 'node', operator: '=' as const, value: node }];
  const groups = [{ ...GROUP, retries: { max: 1, delaySeconds: 0 } }];
  await client().jobs.submit({ name, constraints, groups, replaceAfterSeconds: 'never' });
  return taskIn(name, 'running');
}

function taskIn(job: string, state: string): Promise<TaskView> {
  const find = async () => (await client().tasks.list({ job })).items.find((task) => task.state === state);
  return eventually(`a task of ${job} to be ${state}`, find);
}

async function containerOf(task: TaskView): Promise<string | undefined> {
  const [container] = await cluster.containersOf(task.id);
  return container?.State === 'running' ? container.Id : undefined;
}

function stateOf(node: string, state: string): Promise<true> {
  return eventually(
    `node ${node} to be ${state}`,
    async () => (await client().nodes.get(node)).state === state || undefined,
  );
}

/** A copy as another machine would find it: the process that holds the folder's lock isn't there. */
async function copyOf(agent: RealAgent): Promise<RealAgent> {
  const copy = `${agent.stateDir}-copy`;
  await cp(agent.stateDir, copy, { recursive: true });
  await rm(join(copy, 'lock'), { force: true });
  return cluster.rivalOf(agent, copy);
}

function told(agent: RealAgent, words: string): Promise<true> {
  return eventually(`the agent over ${agent.stateDir} to be told: ${words}`, async () => {
    return agent.process.log().includes(words) || undefined;
  });
}

const REFUSED = "this agent doesn't have the memory";

describe('a copy of the state folder', () => {
  it('is refused while the agent runs that it was taken from, and harms nothing', async () => {
    const agent = await cluster.addAgent('busy', RESOURCES);
    const task = await running('undisturbed', agent.node);
    const container = await containerOf(task);
    const clone = await copyOf(agent);
    clone.process.start();
    await told(clone, REFUSED);
    expect(clone.process.log()).not.toContain('joined the control plane');
    expect(await client().nodes.get(agent.node)).toMatchObject({ state: 'ready' });
    expect(await client().tasks.get(task.id)).toMatchObject({ state: 'running', unreachable: false });
    expect(await containerOf(task)).toBe(container);
    await clone.process.stop();
  });

  it('takes the place of the agent where that has ended, and then that one is refused', async () => {
    const agent = await cluster.addAgent('moved', RESOURCES);
    const task = await running('moved', agent.node);
    const container = await containerOf(task);
    await agent.process.stop();
    const successor = await copyOf(agent);
    successor.process.start();
    await told(successor, 'joined the control plane');
    agent.process.start();
    await told(agent, REFUSED);
    expect(await client().nodes.get(agent.node)).toMatchObject({ state: 'ready' });
    expect(await client().tasks.get(task.id)).toMatchObject({ state: 'running' });
    expect(await containerOf(task)).toBe(container);
  });
});

describe('a node that is declared gone', () => {
  it('lets an agent that has lost its memory join anew, and replaces what it ran', async () => {
    const agent = await cluster.addAgent('wiped', RESOURCES);
    const task = await running('survives-a-disk', agent.node);
    await agent.process.stop();
    for (const name of await readdir(agent.stateDir)) {
      if (name !== 'node-id') await rm(join(agent.stateDir, name), { recursive: true, force: true });
    }
    await stateOf(agent.node, 'unreachable');
    agent.process.start();
    await told(agent, `berth node gone ${agent.node}`);
    expect(await client().nodes.declareGone(agent.node)).toMatchObject({ id: agent.node, tasks: 1 });
    await stateOf(agent.node, 'ready');
    const replacement = await taskIn('survives-a-disk', 'running');
    expect(replacement).toMatchObject({ attempt: 1, node: agent.node });
    expect(await client().tasks.get(task.id)).toMatchObject({ state: 'lost', reason: 'node-lost' });
    await eventually('the old container to end', async () => (await containerOf(task)) === undefined);
  });

  it('has an agent that comes back end what it ran before it joins as a new one', async () => {
    const agent = await cluster.addAgent('returns', RESOURCES);
    const task = await running('replaced', agent.node);
    await agent.process.kill();
    await stateOf(agent.node, 'unreachable');
    await client().nodes.declareGone(agent.node);
    await taskIn('replaced', 'lost');
    expect(await containerOf(task)).toBeDefined();
    agent.process.start();
    await told(agent, 'was declared gone');
    await stateOf(agent.node, 'ready');
    expect(await containerOf(task)).toBeUndefined();
    expect(await taskIn('replaced', 'running')).toMatchObject({ attempt: 1, node: agent.node });
  });
});
