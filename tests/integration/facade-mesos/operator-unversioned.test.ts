import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { told } from '../../support/mesos-operator.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';

let berth: TestApi;

const MACHINE = { hostname: nodeOf('edge-1').hostname };
const RESOURCES = [
  { name: 'cpus', type: 'SCALAR', scalar: { value: 1 }, role: 'eng', reservation: { principal: 'admin' } },
];

beforeEach(async () => {
  berth = await startApi();
  await ApiAgent.register(berth);
  await caughtUp(berth.replica.ctx);
});
afterEach(() => berth.stop());

/** As curl sends it with `-d`, whatever is in it. */
async function send(method: string, path: string, body?: string | object) {
  const text = typeof body === 'object' ? JSON.stringify(body) : body;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const response = await berth.send(method, path, text === undefined ? {} : { body: text, headers });
  const answer = { status: response.status, text: await response.text() };
  await caughtUp(berth.replica.ctx);
  return answer;
}

function form(values: Record<string, string | object>): string {
  const texts = Object.entries(values).map(([name, value]): [string, string] => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return new URLSearchParams(texts).toString();
}

const done = { status: 200, text: '' };

describe.each(['', '/master'])('under "%s"', (before) => {
  it('/teardown ends a framework', async () => {
    const { id } = await MesosClient.subscribe(berth);
    expect(await send('POST', `${before}/teardown`, form({ frameworkId: id }))).toEqual(done);
    expect(await send('POST', `${before}/teardown`, form({ frameworkId: id }))).toEqual({
      status: 400,
      text: 'No framework found with specified ID',
    });
    expect(await send('POST', `${before}/teardown`, '')).toEqual({
      status: 400,
      text: "Missing 'frameworkId' query parameter in the request body",
    });
    expect((await send('GET', `${before}/teardown`)).status).toBe(405);
  });

  it('/reserve and /unreserve keep resources and give them back', async () => {
    const body = form({ slaveId: 'edge-1', resources: RESOURCES });
    expect(await send('POST', `${before}/reserve`, body)).toEqual({ status: 202, text: '' });
    expect((await (await berth.send('GET', '/v1/reservations')).json()).items).toHaveLength(1);
    expect(await send('POST', `${before}/unreserve`, body)).toEqual({ status: 202, text: '' });
    expect((await (await berth.send('GET', '/v1/reservations')).json()).items).toEqual([]);
    expect(await send('POST', `${before}/reserve`, form({ slaveId: 'edge-1' }))).toEqual({
      status: 400,
      text: "Missing 'resources' query parameter in the request body",
    });
    expect((await send('POST', `${before}/reserve`, form({ slaveId: 'edge-1', resources: '{' }))).status).toBe(400);
  });

  it('/create-volumes and /destroy-volumes make volumes and end them', async () => {
    const disk = { name: 'disk', type: 'SCALAR', role: 'eng', reservation: { principal: 'admin' } };
    await send(
      'POST',
      `${before}/reserve`,
      form({ slaveId: 'edge-1', resources: [{ ...disk, scalar: { value: 500 } }] }),
    );
    const place = { persistence: { id: 'data' }, volume: { container_path: 'data', mode: 'RW' } };
    const body = form({ slaveId: 'edge-1', volumes: [{ ...disk, scalar: { value: 100 }, disk: place }] });
    expect((await send('POST', `${before}/create-volumes`, body)).status).toBe(202);
    expect((await send('POST', `${before}/destroy-volumes`, body)).status).toBe(202);
    expect((await (await berth.send('GET', '/v1/volumes')).json()).items).toMatchObject([{ removing: true }]);
  });

  it('/weights are set and shown', async () => {
    const infos = [{ role: 'eng', weight: 2 }];
    expect(await send('PUT', `${before}/weights`, infos)).toEqual(done);
    expect(await send('GET', `${before}/weights`)).toEqual({ status: 200, text: JSON.stringify(infos) });
    expect((await send('PUT', `${before}/weights`, [{ role: 'eng', weight: 0 }])).status).toBe(400);
    expect((await send('POST', `${before}/weights`, infos)).status).toBe(405);
  });

  it('/quota is set, shown and removed', async () => {
    const guarantee = [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 } }];
    expect(await send('POST', `${before}/quota`, { role: 'eng', guarantee })).toEqual(done);
    expect(JSON.parse((await send('GET', `${before}/quota`)).text)).toMatchObject({ infos: [{ role: 'eng' }] });
    expect((await send('POST', `${before}/quota`, { role: 'ops', guarantee: [] })).status).toBe(400);
    const much = [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1000 } }];
    expect((await send('POST', `${before}/quota`, { role: 'ops', guarantee: much })).status).toBe(409);
    expect((await send('POST', `${before}/quota`, { role: 'ops', guarantee: much, force: true })).status).toBe(200);
    expect(await send('DELETE', `${before}/quota/eng`)).toEqual(done);
    expect((await send('DELETE', `${before}/quota/eng`)).status).toBe(400);
  });

  it('/maintenance and /machine plan maintenance, and begin and end it', async () => {
    const windows = [{ machine_ids: [MACHINE], unavailability: { start: { nanoseconds: 3818000000000000000 } } }];
    expect(await send('POST', `${before}/maintenance/schedule`, { windows })).toEqual(done);
    expect(JSON.parse((await send('GET', `${before}/maintenance/schedule`)).text)).toEqual({ windows });
    expect(await send('POST', `${before}/machine/down`, [MACHINE])).toEqual(done);
    expect(JSON.parse((await send('GET', `${before}/maintenance/status`)).text)).toEqual({ down_machines: [MACHINE] });
    expect(await send('POST', `${before}/machine/up`, [MACHINE])).toEqual(done);
    expect(await told(berth, 'GET_MAINTENANCE_STATUS')).toEqual({ status: {} });
    expect((await send('POST', `${before}/machine/up`, [])).status).toBe(400);
  });
});
