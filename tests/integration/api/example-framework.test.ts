/** The example framework against two replicas, its offers made by hand. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { createClient } from '../../../shared/client/client.ts';
import { KeepRunning, type Wish } from '../../example-framework/keep-running.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { Hand } from '../../support/frameworks.ts';
import { eventually } from '../../support/processes.ts';
import { caughtUp } from '../../support/replica.ts';

const WISH: Wish = {
  name: 'painter',
  role: 'default',
  count: 3,
  image: 'busybox',
  command: ['sleep', '100'],
  cpus: 1,
  memMiB: 100,
  failoverTimeoutSeconds: 60,
};

let peers: Map<string, TestApi>;
let a: TestApi;
let b: TestApi;
let agent: ApiAgent;
let offers: number;
const ending = new AbortController();

beforeEach(async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  peers = new Map();
  a = await startApi({ store, id: 'a', peers });
  b = await startApi({ store, id: 'b', peers });
  agent = await ApiAgent.register(b);
  offers = 0;
});
afterEach(() => {
  ending.abort();
  for (const berth of peers.values()) berth.stop();
});

/** Calls go to the replica that the host names; to one that is no longer a peer they can't be made. */
function client() {
  return createClient({
    address: 'http://a.test',
    otherAddresses: ['http://b.test'],
    token: a.admin,
    clock: new SystemClock(),
    random: new CryptoRandom(),
    fetch: async (input, init) => {
      const url = new URL(String(input));
      const peer = peers.get(url.hostname.replace(/\.test$/, ''));
      if (peer === undefined) throw new TypeError('fetch failed');
      return peer.api.request(url.pathname + url.search, init);
    },
  });
}

/** What an allocator would offer it of a node with four cores. */
async function offer(framework: string, cpus: number): Promise<string> {
  offers += 1;
  const id = `1-0-${offers}`;
  const resources = { cpus, memMiB: 1000, diskMiB: 0, gpus: 0, custom: {}, ports: [] };
  await new Hand(b.replica.ctx).offer(framework, { id, resources });
  return id;
}

/** Its tasks in the order of their names, as the state has them. */
function tasksOf(framework: string): { id: string; name: string; state: string }[] {
  return [...b.replica.ctx.mirror.snapshot.tasksOfFramework(framework)]
    .map(({ id, state, framework: launched }) => ({ id, state, name: launched?.name ?? '' }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

function liveNames(framework: string): string[] {
  return tasksOf(framework).flatMap(({ name, state }) => (state === 'finished' || state === 'killed' ? [] : [name]));
}

function acknowledgedOf(task: string): number | undefined {
  return b.replica.ctx.mirror.snapshot.tasks.get(task)?.framework?.acknowledged;
}

it('keeps its tasks running over offers, ends, a lost replica and its own end', async () => {
  const first = await KeepRunning.begin(client(), WISH);
  const { id } = first.session;
  const running = first.run(ending.signal);
  await caughtUp(b.replica.ctx);
  const connected = async () => b.replica.ctx.mirror.snapshot.isConnected(id);
  await eventually('its stream to be open', connected);

  await offer(id, 2);
  await eventually('two tasks', async () => tasksOf(id).length === 2);
  await offer(id, 2);
  await eventually('three tasks', async () => tasksOf(id).length === 3);
  const spare = await offer(id, 1);
  await eventually('what it does not need to be declined', async () => {
    const filters = b.replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.filters ?? [];
    return filters.some((filter) => filter.offer === spare && filter.because === 'declined');
  });

  const [one] = tasksOf(id);
  if (one === undefined) throw new Error('there is no task');
  await agent.report(one.id, 'running');
  await eventually('the update to be acknowledged', async () => acknowledgedOf(one.id) === 2);
  await agent.report(one.id, 'finished', { exitCode: 0, reason: 'exited' });
  await eventually('the end to be acknowledged', async () => acknowledgedOf(one.id) === 3);
  await offer(id, 1);
  await eventually('another task in its place', async () => liveNames(id).length === 3 && tasksOf(id).length === 4);

  peers.delete('a');
  a.stop();
  await eventually('it to go on at the other replica', async () => {
    return b.replica.ctx.mirror.snapshot.connections.get(id)?.replica === 'b';
  });

  const next = await KeepRunning.begin(client(), WISH, id);
  expect(next.session).toMatchObject({ id, session: 2 });
  expect(await running).toBe('superseded');
  const again = next.run(ending.signal);
  await eventually('it to know its tasks', async () => next.tasks.size === 3);
  expect([...next.tasks.keys()].sort()).toEqual(liveNames(id));

  await next.want(1);
  await caughtUp(b.replica.ctx);
  const entries = Object.values(b.replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.entries ?? {});
  expect(entries.filter(({ framework, stop }) => framework === id && stop !== null)).toHaveLength(2);
  await next.session.tearDown('done');
  expect(await again).toBe('ended');
});
