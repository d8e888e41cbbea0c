import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { Hand } from '../../support/frameworks.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { operate, told } from '../../support/mesos-operator.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';

let berth: TestApi;

const ONE = { hostname: nodeOf('edge-1').hostname };
const TWO = { hostname: nodeOf('edge-2').hostname };
const FAR = { start: { nanoseconds: 3818000000000000000 }, duration: { nanoseconds: 3600000000000 } };

beforeEach(async () => {
  berth = await startApi();
  await ApiAgent.register(berth);
  await ApiAgent.register(berth, 'edge-2');
  await caughtUp(berth.replica.ctx);
});
afterEach(() => berth.stop());

function schedule(...windows: object[]) {
  return { type: 'UPDATE_MAINTENANCE_SCHEDULE', update_maintenance_schedule: { schedule: { windows } } };
}

const window = (machine_ids: object[], unavailability: object = FAR) => ({ machine_ids, unavailability });
const machines = (type: string, ...named: object[]) => ({ type, [type.toLowerCase()]: { machines: named } });

async function stateOf(node: string): Promise<Record<string, unknown>> {
  return (await (await berth.send('GET', `/v1/nodes/${node}`)).json()) as Record<string, unknown>;
}

describe('the schedule of maintenance', () => {
  it('is set as a whole, shown and taken back', async () => {
    expect(await told(berth, 'GET_MAINTENANCE_SCHEDULE')).toEqual({ schedule: {} });
    expect(await operate(berth, schedule(window([ONE, TWO])))).toEqual({ status: 200, text: '' });
    expect(await told(berth, 'GET_MAINTENANCE_SCHEDULE')).toEqual({ schedule: { windows: [window([ONE, TWO])] } });
    expect(await told(berth, 'GET_MAINTENANCE_STATUS')).toEqual({
      status: { draining_machines: [{ id: ONE }, { id: TWO }] },
    });
    const other = { start: { nanoseconds: 3819000000000000000 } };
    expect((await operate(berth, schedule(window([TWO], other)))).status).toBe(200);
    expect(await told(berth, 'GET_MAINTENANCE_SCHEDULE')).toEqual({ schedule: { windows: [window([TWO], other)] } });
    expect((await operate(berth, schedule())).status).toBe(200);
    expect(await told(berth, 'GET_MAINTENANCE_STATUS')).toEqual({ status: {} });
  });

  it.each<[string, object[], string]>([
    ['a machine twice', [window([ONE]), window([ONE])], 'appears more than once in the schedule'],
    ['a machine twice, said otherwise', [window([ONE, { ...ONE, ip: '10.0.0.1' }])], 'appears more than once'],
    ['no machine', [window([])], 'List of machines in the maintenance window is empty'],
    ['a machine without a name', [window([{}])], "Both 'hostname' and 'ip' for a machine are empty"],
    ['what is no address', [window([{ ip: '10.0.0' }])], "Failed to parse the IP '10.0.0'"],
    [
      'time that runs backwards',
      [window([ONE], { ...FAR, duration: { nanoseconds: -1 } })],
      "Unavailability 'duration' is negative",
    ],
    ['a machine that nobody knows', [window([{ hostname: 'other' }])], 'is not known'],
  ])('with %s is refused, and nothing is planned', async (_what, windows, text) => {
    const answer = await operate(berth, schedule(window([TWO]), ...windows));
    expect(answer).toEqual({ status: 400, text: expect.stringContaining(text) });
    expect(await told(berth, 'GET_MAINTENANCE_SCHEDULE')).toEqual({ schedule: {} });
  });

  it('is told of with what frameworks say to it', async () => {
    const client = await MesosClient.subscribe(berth);
    await new Hand(berth.replica.ctx).launch(client.id, 'brush');
    await operate(berth, schedule(window([ONE])));
    const { status } = await told(berth, 'GET_MAINTENANCE_STATUS');
    expect(status.draining_machines).toEqual([
      {
        id: ONE,
        statuses: [
          {
            status: 'UNKNOWN',
            framework_id: { value: client.id },
            timestamp: { nanoseconds: expect.any(Number) },
          },
        ],
      },
    ]);
  });

  it('is for those who may change nodes', async () => {
    const token = await berth.token({ subject: 'anna', actions: ['node:read'] });
    expect((await operate(berth, schedule(window([ONE])), { token })).status).toBe(403);
    expect(await told(berth, 'GET_MAINTENANCE_SCHEDULE', token)).toEqual({ schedule: {} });
  });
});

describe('a machine', () => {
  it('that is planned for is taken down and brought up again', async () => {
    await operate(berth, schedule(window([ONE, TWO])));
    expect(await operate(berth, machines('START_MAINTENANCE', ONE))).toEqual({ status: 200, text: '' });
    expect(await told(berth, 'GET_MAINTENANCE_STATUS')).toEqual({
      status: { draining_machines: [{ id: TWO }], down_machines: [ONE] },
    });
    expect(await stateOf('edge-1')).toMatchObject({
      state: 'drained',
      drain: { deadline: expect.any(String) },
      maintenance: { durationSeconds: null },
    });
    expect(await operate(berth, schedule(window([TWO])))).toEqual({
      status: 400,
      text: expect.stringContaining('is deactivated and cannot be removed from the schedule'),
    });
    expect(await operate(berth, machines('START_MAINTENANCE', ONE))).toEqual({
      status: 400,
      text: expect.stringContaining('is not in DRAINING mode and cannot be brought down'),
    });
    expect(await operate(berth, machines('STOP_MAINTENANCE', ONE))).toEqual({ status: 200, text: '' });
    expect(await stateOf('edge-1')).toMatchObject({ state: 'ready', drain: null, maintenance: null });
  });

  it.each([
    ['START_MAINTENANCE', [], 'List of machines is empty'],
    ['START_MAINTENANCE', [ONE], 'is not part of a maintenance schedule'],
    ['STOP_MAINTENANCE', [TWO], 'is not in DOWN mode and cannot be brought up'],
    ['STOP_MAINTENANCE', [TWO, TWO], 'appears more than once'],
  ])('%s of %j is refused', async (type, named, text) => {
    await operate(berth, schedule(window([TWO])));
    const answer = await operate(berth, machines(type, ...(named as object[])));
    expect(answer).toEqual({ status: 400, text: expect.stringContaining(text) });
    expect(await stateOf('edge-2')).toMatchObject({ state: 'ready' });
  });

  it('that is planned for is not drained beside it', async () => {
    await operate(berth, schedule(window([ONE])));
    const answer = await operate(berth, { type: 'DRAIN_AGENT', drain_agent: { agent_id: { value: 'edge-1' } } });
    expect(answer).toEqual({ status: 400, text: 'Agent edge-1 is part of a maintenance schedule' });
  });
});
