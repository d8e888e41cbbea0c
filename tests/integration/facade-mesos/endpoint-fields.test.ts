/** Holds what the door shows to tools against what they can't do without. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ENDPOINT_FIELDS, METRICS } from './conversations/endpoint-fields.ts';
import { TASK_OF_TEXTS } from './conversations/messages.ts';
import { launching, Painter } from './conversations/painter.ts';
import { isOfType, valuesAt } from './conversations/required-fields.ts';
import { World } from './conversations/world.ts';

let world: World;

/** With a framework whose task runs and which holds an offer, and a window. */
beforeAll(async () => {
  world = await World.start();
  const painter = await Painter.subscribe(world);
  await painter.call(launching(await painter.offer(), [TASK_OF_TEXTS]));
  await world.happens('the task runs', painter.id);
  await painter.call({ type: 'REVIVE' });
  await painter.offer();
  await world.happens('a window is set', painter.id);
});
afterAll(() => world.stop());

async function shown(endpoint: string, method = 'GET'): Promise<unknown> {
  const answer = await world.berth.send(method, endpoint);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
  return answer.json();
}

it.each(ENDPOINT_FIELDS.map((one) => [one.endpoint, one.client, one.fields] as const))(
  '%s has what %s needs',
  async (endpoint, _client, fields) => {
    const body = await shown(endpoint);
    const wrong = fields.filter(([path, type]) => {
      const values = valuesAt(body, path);
      return values.length === 0 || !values.every((value) => isOfType(value, type));
    });
    expect(wrong).toEqual([]);
  },
);

it('frameworks have no pid, which stands for those that speak no HTTP', async () => {
  expect(valuesAt(await shown('/master/state'), 'frameworks[].pid?')).toEqual([]);
});

it('addresses are such as clients take apart', async () => {
  const state = await shown('/master/state');
  expect(valuesAt(state, 'leader')).toEqual([expect.stringMatching(/^master@[^@:]+:\d+$/)]);
  expect(valuesAt(state, 'slaves[].pid')).toEqual([expect.stringMatching(/^slave\(1\)@[^@:]+:\d+$/)]);
  expect(valuesAt(await shown('/version'), 'version')).toEqual([expect.stringMatching(/^\d+(\.\d+)+$/)]);
});

it.each(['/slaves', '/slaves/edge-1', '/tasks/?task_id=wall'])('%s is answered to POST as well', async (endpoint) => {
  expect(await shown(endpoint, 'POST')).toEqual(await shown(endpoint));
});

it('/metrics/snapshot has each number that is waited for, and nothing but numbers', async () => {
  const metrics = (await shown('/metrics/snapshot')) as Record<string, unknown>;
  expect(METRICS.filter((name) => typeof metrics[name] !== 'number')).toEqual([]);
  expect(Object.entries(metrics).filter(([, value]) => typeof value !== 'number')).toEqual([]);
});
