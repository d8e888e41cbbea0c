/** Two frameworks and Berth's own scheduler share two real nodes by the weights of their roles. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KeepRunning } from '../example-framework/keep-running.ts';
import { eventually, type RealCluster, startRealCluster } from '../support/processes.ts';

const IMAGE = 'berth/busybox:local';
/** Two nodes with two CPUs each hold sixteen tasks of this size. */
const SIZE = { cpus: 0.25, memMiB: 16 };
const PLACES = 16;
/** What is left of a slice may be too little for a task. */
const TASKS_OFF_MAX = 1;

let cluster: RealCluster;
const ending = new AbortController();

beforeAll(async () => {
  cluster = await startRealCluster({ replicas: 2, leaseTtlSeconds: 5 });
  const resources = ['--resources', 'cpus=2,memMiB=1024,ports=26100-26119'];
  await cluster.addAgent('first', resources);
  await cluster.addAgent('second', resources);
});
afterAll(async () => {
  ending.abort();
  await cluster?.stop();
});

function client() {
  const [replica] = cluster.replicas;
  if (replica === undefined) throw new Error('there is a replica');
  return replica.client;
}

/** Wants all of both nodes. */
async function greedy(name: string, role: string): Promise<KeepRunning> {
  const wish = { image: IMAGE, command: ['sleep', '1000000'], ...SIZE, failoverTimeoutSeconds: 0 };
  const framework = await KeepRunning.begin(client(), { name, role, count: PLACES, ...wish });
  framework.run(ending.signal).catch(() => undefined);
  return framework;
}

async function setEligible(eligible: boolean): Promise<void> {
  const { items } = await client().nodes.list();
  for (const { id } of items) await client().nodes.setEligibility(id, { eligible });
}

async function running(role: string): Promise<number> {
  return (await client().tasks.list({ role, state: ['running'] })).items.length;
}

it('a role with twice the weight comes to twice as much, whoever schedules for it', async () => {
  await client().roles.set('gold', { weight: 2 });
  await setEligible(false);
  const frameworks = [await greedy('painter', 'gold'), await greedy('potter', 'silver')];
  const group = { image: IMAGE, command: ['sleep', '1000000'], resources: SIZE, count: PLACES };
  await client().jobs.submit({ name: 'weaver', role: 'bronze', groups: [group] });
  await eventually('both frameworks to have their streams', async () => {
    const views = await Promise.all(frameworks.map(({ session }) => client().frameworks.get(session.id)));
    return views.every(({ state }) => state === 'connected');
  });

  await setEligible(true);
  const held = await eventually('the nodes to be full', async () => {
    const counts = await Promise.all(['gold', 'silver', 'bronze'].map(running));
    return counts.reduce((sum, count) => sum + count, 0) >= PLACES - TASKS_OFF_MAX && counts;
  });
  const [gold = 0, silver = 0, bronze = 0] = held;
  expect(Math.abs(gold - PLACES / 2)).toBeLessThanOrEqual(TASKS_OFF_MAX);
  expect(Math.abs(silver - PLACES / 4)).toBeLessThanOrEqual(TASKS_OFF_MAX);
  expect(Math.abs(bronze - PLACES / 4)).toBeLessThanOrEqual(TASKS_OFF_MAX);

  // By weight they have come to the same, up to a task or an offer that is too little for one.
  const [one = 0, other = 0] = await Promise.all(
    ['gold', 'silver'].map(async (path) => (await client().roles.get(path)).share.weighted),
  );
  expect(one).toBeGreaterThan(0);
  expect(Math.abs(one - other)).toBeLessThanOrEqual((2 * TASKS_OFF_MAX) / PLACES);
}, 120_000);
