/** A framework's tasks on real parts: from its offer over the container to its end, and as people see them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BerthClient } from '../../shared/client/client.ts';
import type { FrameworkView, OfferView, TaskUpdateView } from '../../shared/protocol/framework.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';
import { berth } from './cli-process.ts';

const IMAGE = 'berth/busybox:local';
const RESOURCES = ['--resources', 'cpus=2,memMiB=512,ports=26040-26059'];

let cluster: RealCluster;
let agent: RealAgent;
let client: BerthClient;
let framework: FrameworkView;
const updates: TaskUpdateView[] = [];
const reading = new AbortController();

beforeAll(async () => {
  cluster = await startRealCluster({ replicas: 1 });
  agent = await cluster.addAgent('pool', RESOURCES);
  const [replica] = cluster.replicas;
  if (replica === undefined) throw new Error('there is a replica');
  client = replica.client;
  framework = await client.frameworks.subscribe({ name: 'painter', roles: ['studio'] });
  void follow();
});
afterAll(async () => {
  reading.abort();
  await cluster?.stop();
});

/** Keeps the framework connected, notes what becomes of its tasks, and says that it has noted it. */
async function follow(): Promise<void> {
  const { id, session } = framework;
  try {
    for await (const event of client.frameworks.events(id, { session, signal: reading.signal })) {
      if (event.type !== 'update') continue;
      updates.push(event.update);
      if (event.update.id !== null) await client.frameworks.acknowledge(id, { session, updates: [event.update.id] });
    }
  } catch (error) {
    if (!reading.signal.aborted) throw error;
  }
}

function anOffer(): Promise<OfferView> {
  return eventually('an offer', async () => (await client.offers.list({ framework: framework.id })).items[0]);
}

function told(task: string, state: string): Promise<TaskUpdateView> {
  const isWanted = (update: TaskUpdateView) => update.task === task && update.state === state;
  return eventually(`${task} to be ${state}`, async () => updates.find(isWanted));
}

function cli(...args: string[]) {
  return berth(args, { BERTH_ADDR: cluster.replicas[0]?.url ?? '', BERTH_TOKEN: cluster.token });
}

describe('a task that a framework launches', () => {
  it('runs on the node of the offer, and is shown as the framework’s', async () => {
    const { id, session } = framework;
    const offer = await anOffer();
    expect(offer).toMatchObject({ node: agent.node, role: 'studio', resources: { cpus: 2 } });
    const described = { image: IMAGE, resources: { cpus: 0.5, memMiB: 64 }, ports: [{ name: 'http' }] };
    const script = 'echo "$BERTH_JOB $BERTH_GROUP $BERTH_PORT_HTTP"; sleep 600';
    const { tasks } = await client.offers.accept(id, {
      session,
      offers: [offer.id],
      operations: [
        {
          type: 'launch',
          tasks: [
            { ...described, task: 'Frame 1', command: ['sh', '-c', script], killGraceSeconds: 0 },
            { ...described, task: 'two', command: ['sh', '-c', 'exit 3'] },
            { ...described, task: 'huge', resources: { cpus: 64, memMiB: 64 } },
          ],
        },
      ],
      refuseSeconds: 3600,
    });
    expect(tasks.map(({ task, state }) => [task, state])).toEqual([
      ['Frame 1', 'staging'],
      ['two', 'staging'],
      ['huge', 'error'],
    ]);
    expect(await told('huge', 'error')).toMatchObject({ reason: 'launch-refused', node: null });
    expect(await told('two', 'failed')).toMatchObject({ exitCode: 3 });
    const running = await told('Frame 1', 'running');
    expect(running).toMatchObject({ node: agent.node, taskId: tasks[0]?.id });
    expect(await cluster.containersOf(tasks[0]?.id ?? '')).toHaveLength(1);
    const view = await client.tasks.get(tasks[0]?.id ?? '');
    expect(view).toMatchObject({ job: null, framework: { id, name: 'painter', task: 'Frame 1' }, state: 'running' });
    expect((await client.tasks.list({ framework: 'painter' })).items).toHaveLength(3);
    expect((await client.tasks.list({ job: 'painter' })).items).toEqual([]);
  });

  it('gives back what it held, and more than what was refused is offered again', async () => {
    const { id, session } = framework;
    const offer = await anOffer();
    expect(offer.resources.cpus).toBe(1.5);
    expect((await client.nodes.get(agent.node)).used.cpus).toBe(0.5);
    await client.offers.decline(id, { session, offers: [offer.id], refuseSeconds: 3600 });
    expect((await client.offers.list()).items).toEqual([]);
    await client.offers.revive(id, { session });
    expect(await anOffer()).toMatchObject({ resources: { cpus: 1.5 } });
  });

  it('is listed, shown, read and stopped like any other', async () => {
    const [task] = (await client.tasks.list({ framework: 'painter', state: ['live'] })).items;
    const id = task?.id ?? '';
    expect((await cli('task', 'list', '--framework', 'painter')).out).toContain('painter (framework)');
    expect((await cli('task', 'show', id)).out).toMatch(/Framework +painter \(f[a-z0-9]+\)\n.*Its task +Frame 1\n/);
    expect((await cli('task', 'logs', id)).out).toMatch(/^painter frame-1-[0-9a-f]{8} 26\d\d\d\n$/);
    expect((await cli('task', 'stop', id)).code).toBe(0);
    expect(await told('Frame 1', 'killed')).toMatchObject({ reason: 'stop-requested' });
  });

  it('is checked by its agent, and ends when it does not answer any more as it should', async () => {
    const { id, session } = framework;
    await client.offers.revive(id, { session });
    const offer = await anOffer();
    const script = 'mkdir -p /www; httpd -p 80 -h /www; echo fine > /www/ok; sleep 600';
    const task = {
      ...{ task: 'shown', image: IMAGE, command: ['sh', '-c', script], killGraceSeconds: 0 },
      ...{ resources: { cpus: 0.5, memMiB: 64 }, ports: [{ name: 'http', containerPort: 80 }] },
      checks: [{ name: 'web', type: 'http' as const, port: 'http', path: '/ok', intervalSeconds: 0.5, failuresMax: 2 }],
    };
    const operations = [{ type: 'launch' as const, tasks: [task] }];
    const { tasks } = await client.offers.accept(id, { session, offers: [offer.id], operations, refuseSeconds: 3600 });
    const ofTask = () => updates.filter((update) => update.task === 'shown');
    const healthy = await eventually('it to be healthy', async () => ofTask().find((update) => update.healthy));
    expect(healthy).toMatchObject({ state: 'running', node: agent.node });
    const [container] = await cluster.containersOf(tasks[0]?.id ?? '');
    const removal = { Cmd: ['rm', '/www/ok'], AttachStdout: true };
    await (await cluster.docker.getContainer(container?.Id ?? '').exec(removal)).start({});
    const ended = await told('shown', 'failed');
    expect(ended).toMatchObject({ reason: 'unhealthy', healthy: false });
    expect(ended.message).toContain('its check "web" failed 2 times in a row: GET /ok: status 404');
    expect(ofTask().find(({ state }) => state === 'running')).toMatchObject({ reason: 'started' });
    const changes = ofTask().filter(({ reason }) => reason === 'health-changed');
    expect(changes.map((update) => update.id).filter((update) => update !== null)).toEqual([]);
  });

  it('ends with its framework, which says until then what it holds', async () => {
    const { id, session } = framework;
    await client.offers.revive(id, { session });
    const offer = await anOffer();
    const task = { task: 'last', image: IMAGE, command: ['sleep', '600'], resources: { cpus: 0.5, memMiB: 64 } };
    const operations = [{ type: 'launch' as const, tasks: [{ ...task, killGraceSeconds: 0 }] }];
    await client.offers.accept(id, { session, offers: [offer.id], operations, refuseSeconds: 0 });
    await told('last', 'running');
    const rest = await anOffer();
    expect((await cli('offer', 'list')).out).toMatch(
      new RegExp(`${rest.id} +painter .* studio +${agent.node}\\s+[0-9.]+ `),
    );
    expect((await cli('framework', 'list')).out).toMatch(/painter +studio +connected +.*1 running.* 0\.5 +64MiB/);
    expect((await cli('framework', 'show', 'painter')).out).toContain(rest.id);
    expect((await cli('framework', 'teardown', 'painter', '--yes', '--reason', 'over')).code).toBe(0);
    await eventually(
      'its task to end',
      async () => (await client.tasks.list({ framework: id, state: ['live'] })).items.length === 0,
    );
    await eventually('the node to be whole', async () => (await client.nodes.get(agent.node)).used.cpus === 0);
    expect((await client.offers.list()).items).toEqual([]);
  });
});
