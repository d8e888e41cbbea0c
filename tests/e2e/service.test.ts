/**
 * A service in the life that services have, behind `berth balancer`, under constant load: rolled, rolled to what doesn't work and taken
 * back, deprived of a node, scaled up and down, moved off a node that is drained. Not one request fails.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DeploymentView } from '../../shared/protocol/deployments.ts';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import type { JobSpecInput } from '../../shared/protocol/job.ts';
import { freePort } from '../support/etcd.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';
import { ask, type Load, startLoad } from '../support/web-task.ts';
import { IMAGE, type Program, startBerth } from './cli-process.ts';

const KEY = { role: 'default', name: 'shop' };
const HOST = 'shop.example';
const COUNT = 5;
/** A machine that is busy with other things takes its time. */
const PATIENCE_MS = 120_000;
/** Between two steps, so that each of them is seen under load. */
const REQUESTS_BETWEEN = 50;

let cluster: RealCluster;
let agents: readonly RealAgent[];
let balancer: Program;
let load: Load | null = null;
let port = 0;
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  cluster = await startRealCluster({ replicas: 2, leaseTtlSeconds: 5 });
  agents = await Promise.all(
    ['one', 'two', 'three'].map((name, at) => {
      const first = 27_000 + 20 * at;
      return cluster.addAgent(name, ['--resources', `cpus=2,memMiB=1024,ports=${first}-${first + 19}`]);
    }),
  );
  port = await freePort();
  balancer = await startBalancer();
});
afterAll(async () => {
  await load?.stop();
  balancer?.process.kill('SIGTERM');
  await balancer?.done;
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function startBalancer(): Promise<Program> {
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, cluster.token);
  const env = { BERTH_ADDR: cluster.replicas[0]?.url, BERTH_TOKEN_FILE: tokenFile };
  const own = ['--http', 'off', '--status-listen', 'off', '--config-dir', folder, '--service-address', '127.0.0.1'];
  return startBerth(['balancer', ...own], env);
}

function client() {
  const [replica] = cluster.replicas;
  if (replica === undefined) throw new Error('a cluster has a replica');
  return replica.client;
}

/** Serves its version; one that isn't healthy serves it as well, but has no page for its check. */
function shop(version: string, { count = COUNT, isHealthy = true } = {}): JobSpecInput {
  const check = { name: 'alive', type: 'http', port: 'http', path: '/alive' } as const;
  const page = isHealthy ? 'touch /www/alive; ' : '';
  const serve = `mkdir /www; echo ${version} > /www/index.html; ${page}httpd -p 8080 -h /www`;
  return {
    ...KEY,
    kind: 'service',
    replaceAfterSeconds: 0,
    update: { maxOver: 0.4, progressDeadlineSeconds: 10 },
    groups: [
      {
        ...{ count, image: IMAGE, command: ['sh', '-c', `${serve}; trap "exit 0" TERM; sleep 100000 & wait`] },
        resources: { cpus: 0.1, memMiB: 32 },
        ports: [{ name: 'http', containerPort: 8080, publish: { port } }],
        checks: [{ ...check, intervalSeconds: 0.5, timeoutSeconds: 2, failuresMax: 4, graceSeconds: 3 }],
        backoff: { delaySeconds: 0.5, factor: 1, maxDelaySeconds: 1 },
        spread: [{ attribute: 'node' }],
        stopDelaySeconds: 1.5,
      },
    ],
  };
}

async function lastDeployment(): Promise<DeploymentView> {
  const { items } = await client().jobs.deployments(KEY, { limit: 100 });
  const [last] = items;
  if (last === undefined) throw new Error('nothing has been deployed');
  return last;
}

function succeeded(toVersion: number): Promise<DeploymentView> {
  return eventually(
    `version ${toVersion} to be rolled out`,
    async () => {
      const last = await lastDeployment();
      return last.toVersion === toVersion && last.state === 'succeeded' && last;
    },
    PATIENCE_MS,
  );
}

/** So many that are ready, and no others, none of them on that node; and some requests later. */
async function settled({ count, notOn }: { count: number; notOn?: string }): Promise<readonly EndpointView[]> {
  const settledOn = await eventually(
    `${count} endpoints to be ready`,
    async () => {
      const { items } = await client().endpoints.list({ job: KEY.name });
      const isSo = items.length === count && items.every(({ state, node }) => state === 'ready' && node !== notOn);
      return isSo && items;
    },
    PATIENCE_MS,
  );
  const before = load?.done() ?? 0;
  await eventually('requests meanwhile', async () => (load?.done() ?? 0) > before + REQUESTS_BETWEEN);
  return settledOn;
}

function noneFailed(during: string): void {
  expect(load?.failures, `${during}; the balancer says:\n${balancer.err()}`).toEqual([]);
}

/** What it takes away a power cut takes: the agent, and all that runs. */
async function lose(agent: RealAgent): Promise<void> {
  const own = { label: [`io.berth.node=${agent.node}`] };
  const containers = await cluster.docker.listContainers({ filters: own });
  await agent.process.kill();
  await Promise.all(containers.map(({ Id }) => cluster.docker.getContainer(Id).kill()));
}

it(
  'a service is rolled, taken back, scaled, moved and robbed of a node, and not one request fails',
  async () => {
    await client().jobs.submit(shop('v1'));
    await succeeded(1);
    await eventually('the balancer to serve it', async () => (await ask(port, { host: HOST })).status === 200);
    load = startLoad(port, { host: HOST, methods: ['GET'], connections: 4, pauseMs: 10 });
    await settled({ count: COUNT });

    await client().jobs.put(shop('v2'));
    await succeeded(2);
    await settled({ count: COUNT });
    expect((await ask(port, { host: HOST })).body).toBe('v2\n');
    noneFailed('a version was rolled out');

    await client().jobs.put(shop('v3', { isHealthy: false }));
    const back = await succeeded(4);
    const failed = await client().deployments.get(back.revertOf ?? 'none');
    expect(failed).toMatchObject({ toVersion: 3, state: 'failed', revertedBy: back.id });
    expect(failed.message).toMatch(/404/);
    await settled({ count: COUNT });
    expect((await ask(port, { host: HOST })).body).toBe('v2\n');
    expect([...load.answers.keys()].toSorted()).toEqual(['v1\n', 'v2\n']);
    noneFailed('a version that does not work was taken back');

    await client().jobs.scale(KEY, { count: 8 });
    await settled({ count: 8 });
    await client().jobs.scale(KEY, { count: 4 });
    await settled({ count: 4 });
    noneFailed('it was scaled');

    const [first, second] = agents;
    if (first === undefined || second === undefined) throw new Error('there are three agents');
    await client().nodes.drain(first.node, { deadlineSeconds: 600 });
    await settled({ count: 4, notOn: first.node });
    await client().nodes.undrain(first.node);
    noneFailed('a node was drained');

    await lose(second);
    await settled({ count: 4, notOn: second.node });
    noneFailed('a node was lost');
  },
  6 * PATIENCE_MS,
);
