/** A replica whose mirror is behind refuses nothing, and loses nothing, that it only hasn't seen yet. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { WireOffer } from '../../../control-plane/facade-mesos/wire/event.ts';
import { present } from '../../../shared/util/assert.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { HeldUpStore } from '../../support/held-up-store.ts';
import { callMesos, MesosClient } from '../../support/mesos-client.ts';
import { caughtUp } from '../../support/replica.ts';

let held: HeldUpStore;
let current: TestApi;
let lagging: TestApi;
let agent: ApiAgent;

beforeEach(async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  held = new HeldUpStore(store);
  const peers = new Map<string, TestApi>();
  current = await startApi({ store, id: 'current', peers });
  lagging = await startApi({ store: held.store, id: 'lagging', peers });
  agent = await ApiAgent.register(current);
  await caughtUp(lagging.replica.ctx);
});
afterEach(() => {
  held.release();
  current.stop();
  lagging.stop();
});

/** The call is sent while the replica is behind, which then catches up. */
async function answerOf(client: MesosClient, json: object): Promise<number> {
  const headers = { 'Mesos-Stream-Id': client.streamId };
  const answer = callMesos(lagging, { framework_id: { value: client.id }, ...json }, { headers });
  // It waits for its mirror by then, or has answered too early.
  await Promise.race([answer, caughtUp(current.replica.ctx)]);
  held.release();
  return (await answer).status;
}

async function offered(): Promise<{ client: MesosClient; offer: WireOffer }> {
  const client = await MesosClient.subscribe(current);
  await current.replica.settle();
  return { client, offer: present((await client.until('OFFERS')).offers.offers[0], 'the offer') };
}

const launching = ({ id, agent_id }: WireOffer) => ({
  type: 'ACCEPT',
  accept: {
    offer_ids: [id],
    operations: [
      {
        type: 'LAUNCH',
        launch: {
          task_infos: [
            {
              name: 'wall',
              task_id: { value: 'wall' },
              agent_id,
              resources: ['cpus', 'mem'].map((name) => ({
                name,
                type: 'SCALAR',
                scalar: { value: 32 / (name === 'cpus' ? 320 : 1) },
              })),
              command: { value: 'true' },
              container: { type: 'DOCKER', docker: { image: 'busybox', network: 'BRIDGE' } },
            },
          ],
        },
      },
    ],
  },
});

it('knows the framework that has subscribed elsewhere just now', async () => {
  held.holdUp();
  const client = await MesosClient.subscribe(current);
  expect(await answerOf(client, { type: 'SUPPRESS' })).toBe(202);
  await caughtUp(current.replica.ctx);
  expect(current.replica.ctx.mirror.snapshot.frameworks.get(client.id)?.suppressed).toEqual(['default']);
});

it('knows its next session', async () => {
  const first = await MesosClient.subscribe(current);
  await caughtUp(lagging.replica.ctx);
  held.holdUp();
  const next = await MesosClient.subscribe(current, { id: { value: first.id } });
  expect(await answerOf(next, { type: 'REVIVE' })).toBe(202);
});

it('accepts an offer that was made just now', async () => {
  held.holdUp();
  const { client, offer } = await offered();
  expect(await answerOf(client, launching(offer))).toBe(202);
  await caughtUp(current.replica.ctx);
  expect([...current.replica.ctx.mirror.snapshot.tasks.values()].map(({ framework }) => framework?.name)).toEqual([
    'wall',
  ]);
});

it('takes the acknowledgement of an update of a task that it has not seen', async () => {
  const { client, offer } = await offered();
  await caughtUp(lagging.replica.ctx);
  held.holdUp();
  await client.accepted(launching(offer));
  const [task] = current.replica.ctx.mirror.snapshot.tasks.values();
  await agent.report(present(task, 'the task').id, 'running');
  const { agent_id, task_id, uuid } = (await client.until('UPDATE')).update.status;
  expect(await answerOf(client, { type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id, uuid } })).toBe(202);
  await caughtUp(current.replica.ctx);
  const [after] = current.replica.ctx.mirror.snapshot.tasks.values();
  expect(after?.framework?.acknowledged).toBe(after?.history.length);
});
