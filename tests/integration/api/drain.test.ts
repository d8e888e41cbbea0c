import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, placeTask } from '../../support/api-agent.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
  await ApiAgent.register(berth);
  await caughtUp(berth.replica.ctx);
});
afterEach(() => berth.stop());

it.each([
  [{ deadlineSeconds: 0 }, 60_000],
  [{ deadlineSeconds: 0, graceSecondsMax: null }, 60_000],
  [{ deadlineSeconds: 0, graceSecondsMax: 2.5 }, 2500],
  [{ deadlineSeconds: 0, graceSecondsMax: 90 }, 60_000],
])('a drain with %j leaves a task that asks for a minute %d ms', async (json, graceMs) => {
  const task = await placeTask(berth, { groups: [{ image: 'busybox', killGraceSeconds: 60 }] });
  expect((await berth.send('POST', '/v1/nodes/edge-1/drain', { json })).status).toBe(200);
  await caughtUp(berth.replica.ctx);
  await berth.replica.settle();
  const ledger = berth.replica.ctx.mirror.snapshot.ledgers.get('edge-1');
  expect(ledger?.entries[task]?.stop).toMatchObject({ graceMs });
});

it('a drain takes no grace below nothing', async () => {
  const response = await berth.send('POST', '/v1/nodes/edge-1/drain', { json: { graceSecondsMax: -1 } });
  expect(response.status).toBe(400);
  expect((await response.json()).faults).toMatchObject([{ path: '/graceSecondsMax' }]);
});
