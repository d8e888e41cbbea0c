/** Frameworks and Berth's own scheduler on one pool of real nodes: who takes, who hoards, who declines, who dies and comes back. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { Snapshot } from '../../control-plane/store/snapshot.ts';
import { FrameworkSession } from '../../shared/client/framework-session.ts';
import type { FrameworkEvent } from '../../shared/protocol/framework.ts';
import type { TaskView } from '../../shared/protocol/views.ts';
import { eventually, Process, type RealCluster, type RealReplica, startRealCluster } from '../support/processes.ts';

const IMAGE = 'berth/busybox:local';
const RESOURCES = ['--resources', 'cpus=2,memMiB=512,ports=26000-26019'];
const COUNT = 6;
const OFFER_TIMEOUT_SECONDS = 2;

let cluster: RealCluster;
let folder = '';
const ending = new AbortController();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  cluster = await startRealCluster({ replicas: 2, leaseTtlSeconds: 5 });
  await cluster.addAgent('first', RESOURCES);
  await cluster.addAgent('second', RESOURCES);
});
afterAll(async () => {
  ending.abort();
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

function client() {
  const alive = cluster.replicas.find((replica) => replica.process.isRunning);
  if (alive === undefined) throw new Error('no replica is alive');
  return alive.client;
}

/** The example as a program of its own, which remembers its id. */
async function example(name: string): Promise<Process> {
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, cluster.token);
  const address = cluster.replicas.map(({ url }) => url).join(',');
  const wish = ['--name', name, '--count', String(COUNT), '--cpus', '0.25', '--mem-mib', '16'];
  const args = ['--address', address, '--token-file', tokenFile, '--state', stateFile(name), ...wish];
  return new Process(['tests/example-framework/main.ts', ...args], join(folder, `${name}.log`));
}

function stateFile(name: string): string {
  return join(folder, `${name}.json`);
}

async function idOf(name: string): Promise<string> {
  return (JSON.parse(await readFile(stateFile(name), 'utf8')) as { id: string }).id;
}

async function tasksOf(framework: string, state: string): Promise<readonly TaskView[]> {
  return (await client().tasks.list({ framework, state: [state] })).items;
}

/** The replica that is on record as the one that holds the framework's stream. */
async function holderOf(framework: string): Promise<RealReplica | undefined> {
  const store = new EtcdStore({ hosts: [cluster.etcd.url] });
  try {
    const { connections, replicas } = await Snapshot.load(store);
    const url = replicas.get(connections.get(framework)?.replica ?? '')?.url;
    return cluster.replicas.find((replica) => replica.url === url);
  } finally {
    store.close();
  }
}

/** Subscribes, and answers each event in its own way. */
async function inTheTest(name: string, answer: (session: FrameworkSession, event: FrameworkEvent) => unknown) {
  const session = await FrameworkSession.begin(client(), { name, roles: ['default'] });
  const reading = async () => {
    for await (const event of session.events(ending.signal)) await answer(session, event);
  };
  reading().catch(() => undefined);
  return session;
}

it(
  'frameworks share a pool with each other and with jobs, one hoarding, one declining, one killed and coming back',
  async () => {
    const settings = await client().settings.get();
    const { gpuNodes, minAllocatable, excludedFromShares } = settings;
    await client().settings.set({
      ...{ gpuNodes, minAllocatable, excludedFromShares },
      offerTimeoutSeconds: OFFER_TIMEOUT_SECONDS,
    });
    const hoarder = await inTheTest('hoarder', () => undefined);
    const decliner = await inTheTest('decliner', async (session, event) => {
      if (event.type === 'offers') await session.decline(event.offers.map(({ id }) => id));
    });
    await eventually('the hoarder to be offered something', async () => hoarder.offers.size > 0);

    const painter = await example('painter');
    painter.start();
    const id = await eventually('the example to subscribe', () => idOf('painter'));
    // It may have to wait until the hoarder has been throttled for a while: till then everything is offered there first.
    const before = await eventually(
      'its tasks to run',
      async () => {
        const running = await tasksOf(id, 'running');
        return running.length === COUNT && running;
      },
      90_000,
    );
    await client().jobs.submit({ name: 'beside', groups: [{ image: IMAGE, command: ['sleep', '600'] }] });
    await eventually(
      'a job to run beside them',
      async () => (await client().tasks.list({ job: 'beside', state: ['running'] })).items.length === 1,
    );
    const throttled = await eventually('the hoarder to be throttled', async () => {
      return (await client().frameworks.get(hoarder.id)).throttled ?? undefined;
    });
    expect(throttled.nodes).toBeGreaterThan(0);
    expect((await client().frameworks.get(decliner.id)).tasks.running).toBe(0);

    const lost = await eventually('a replica to hold its stream', () => holderOf(id));
    await painter.kill();
    await eventually('it to be missed', async () => (await client().frameworks.get(id)).state === 'disconnected');
    await lost.process.kill();
    painter.start();
    await eventually('it to be back in its next session', async () => {
      const { state, session } = await client().frameworks.get(id);
      return state === 'connected' && session === 2;
    });
    const other = cluster.replicas.find((replica) => replica !== lost);
    expect(await holderOf(id)).toBe(other);
    lost.process.start();
    await eventually('the replica to be back', async () => (await fetch(`${lost.url}/readyz`)).ok);
    const after = await tasksOf(id, 'running');
    expect(after.map((task) => task.id).sort()).toEqual(before.map((task) => task.id).sort());

    const [one] = after;
    if (one === undefined) throw new Error('nothing runs');
    await client().tasks.stop(one.id);
    await eventually('another task in the place of one that was stopped', async () => {
      const running = await tasksOf(id, 'running');
      return running.length === COUNT && running.every((task) => task.id !== one.id);
    });

    painter.signal('SIGINT');
    await eventually('all of its tasks to end', async () => (await tasksOf(id, 'live')).length === 0);
    expect(await client().frameworks.get(id)).toMatchObject({ state: 'ended', teardown: { reason: 'interrupted' } });
    await eventually('their containers to be gone or to stand still', async () => {
      const containers = (await Promise.all(before.map((task) => cluster.containersOf(task.id)))).flat();
      return containers.every(({ State }) => State !== 'running');
    });
    expect((await client().tasks.list({ job: 'beside', state: ['running'] })).items).toHaveLength(1);
  },
  3 * 60_000,
);
