import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { operate, type Told, told } from '../../support/mesos-operator.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
  await ApiAgent.register(berth);
  await caughtUp(berth.replica.ctx);
});
afterEach(() => berth.stop());

const scalar = (name: string, value: number, more: object) => ({ name, type: 'SCALAR', scalar: { value }, ...more });
const dynamic = (role: string, more: object = {}) => ({ reservations: [{ type: 'DYNAMIC', role, ...more }] });
const volume = (id: string, value: number, more: object = {}) =>
  scalar('disk', value, {
    ...dynamic('eng'),
    disk: { persistence: { id }, volume: { container_path: 'data', mode: 'RW' } },
    ...more,
  });

function about(type: string, list: object[], agent = 'edge-1') {
  const member = type.endsWith('VOLUMES') ? 'volumes' : 'resources';
  return { type, [type.toLowerCase()]: { agent_id: { value: agent }, [member]: list } };
}

const accepted = { status: 202, text: '' };

async function reserve(...resources: object[]): Promise<void> {
  expect(await operate(berth, about('RESERVE_RESOURCES', resources))).toEqual(accepted);
}

async function listed(what: 'reservations' | 'volumes'): Promise<Told[]> {
  await caughtUp(berth.replica.ctx);
  return (await (await berth.send('GET', `/v1/${what}`)).json()).items;
}

async function reservedOfAgent(): Promise<Told[]> {
  const [agent] = (await told(berth, 'GET_AGENTS')).agents;
  return agent.total_resources.filter(({ role }: Told) => role !== '*');
}

describe('resources of an agent', () => {
  it('are reserved in either format, shown in both, and unreserved in part', async () => {
    await reserve(scalar('cpus', 2, dynamic('eng')), scalar('mem', 512, dynamic('eng')));
    expect(await listed('reservations')).toMatchObject([{ role: 'eng', amounts: { cpus: 2, memMiB: 512 } }]);
    const old = { role: 'eng', reservation: {} };
    expect(await operate(berth, about('UNRESERVE_RESOURCES', [scalar('cpus', 0.5, old)]))).toEqual(accepted);
    expect(await reservedOfAgent()).toEqual([
      { name: 'cpus', scalar: { value: 1.5 }, type: 'SCALAR', role: 'eng', reservation: {}, ...dynamic('eng') },
      { name: 'mem', scalar: { value: 512 }, type: 'SCALAR', role: 'eng', reservation: {}, ...dynamic('eng') },
    ]);
    const all = [scalar('cpus', 1.5, dynamic('eng')), scalar('mem', 512, dynamic('eng'))];
    expect(await operate(berth, about('UNRESERVE_RESOURCES', all))).toEqual(accepted);
    expect(await listed('reservations')).toEqual([]);
  });

  it('are told apart by principal and labels', async () => {
    const labelled = dynamic('eng', { principal: 'admin', labels: { labels: [{ key: 'k', value: 'v' }] } });
    await reserve(scalar('cpus', 1, dynamic('eng')), scalar('cpus', 1, labelled));
    expect(await listed('reservations')).toHaveLength(2);
    const tooMuch = await operate(berth, about('UNRESERVE_RESOURCES', [scalar('cpus', 2, labelled)]));
    expect(tooMuch).toEqual({
      status: 400,
      text: expect.stringMatching(/^Invalid UNRESERVE operation: The agent does not have cpus/),
    });
    expect(await operate(berth, about('UNRESERVE_RESOURCES', [scalar('cpus', 1, labelled)]))).toEqual(accepted);
    expect(await listed('reservations')).toMatchObject([{ labels: { mesos: expect.any(String) } }]);
  });

  it('are reserved for a role whose name is none of Berth, and found again', async () => {
    await reserve(scalar('cpus', 1, dynamic('Eng_1')));
    const gone = await operate(berth, about('UNRESERVE_RESOURCES', [scalar('cpus', 1, dynamic('Eng_1'))]));
    expect(gone).toEqual(accepted);
  });

  it.each<[string, object[], number, string]>([
    ['more than there is', [scalar('cpus', 100, dynamic('eng'))], 409, 'are free on node'],
    ['what is not to be reserved', [scalar('cpus', 1, { role: '*' })], 400, 'is not dynamically reserved'],
    ['less than nothing', [scalar('cpus', -1, dynamic('eng'))], 400, 'value < 0'],
    [
      'for somebody else',
      [scalar('cpus', 1, dynamic('eng', { principal: 'bob' }))],
      400,
      "authenticated principal 'admin', which does not match a resource in the request with principal 'bob'",
    ],
    [
      'for two roles',
      [scalar('cpus', 1, dynamic('eng')), scalar('cpus', 1, dynamic('ops'))],
      400,
      "Resources of 'eng' and of 'ops' can't be changed by one call",
    ],
    [
      'ports',
      [{ name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31000, end: 31000 }] }, ...dynamic('eng') }],
      400,
      "'reservations of 'ports'' is not supported",
    ],
  ])('%s is refused, and nothing is reserved', async (_what, resources, status, text) => {
    const answer = await operate(berth, about('RESERVE_RESOURCES', resources));
    expect(answer).toEqual({ status, text: expect.stringContaining(text) });
    expect(await listed('reservations')).toEqual([]);
  });

  it('are reserved all of them or none', async () => {
    const list = [scalar('cpus', 1, dynamic('eng')), scalar('cpus', 100, dynamic('eng', { principal: 'admin' }))];
    expect((await operate(berth, about('RESERVE_RESOURCES', list))).status).toBe(409);
    expect(await listed('reservations')).toEqual([]);
  });

  it('are judged together by the limit of their role', async () => {
    await berth.send('PUT', '/v1/roles/eng', { json: { limit: { cpus: 2 } } });
    await caughtUp(berth.replica.ctx);
    const two = [scalar('cpus', 1.5, dynamic('eng')), scalar('cpus', 1.5, dynamic('eng', { principal: 'admin' }))];
    const answer = await operate(berth, about('RESERVE_RESOURCES', two));
    expect(answer).toEqual({ status: 409, text: expect.stringContaining('beyond its limit of 2') });
  });

  it('that are offered are taken back for it', async () => {
    const client = await MesosClient.subscribe(berth, { role: 'eng' });
    await berth.replica.settle();
    const { offers } = await client.until('OFFERS');
    await reserve(scalar('cpus', 4, dynamic('eng')));
    expect((await client.until('RESCIND')).rescind.offer_id).toEqual(offers.offers[0]?.id);
  });

  it.each(['RESERVE_RESOURCES', 'UNRESERVE_RESOURCES', 'CREATE_VOLUMES', 'DESTROY_VOLUMES'])(
    'of an agent that is not there: %s',
    async (type) => {
      const answer = await operate(berth, about(type, [], 'edge-9'));
      expect(answer).toEqual({ status: 400, text: 'No agent found with specified ID' });
    },
  );

  it('are left alone by those who may not', async () => {
    const token = await berth.token({ subject: 'anna', roles: ['ops'], actions: ['reservation:*', 'node:read'] });
    const list = [scalar('cpus', 1, dynamic('eng'))];
    expect((await operate(berth, about('RESERVE_RESOURCES', list), { token })).status).toBe(403);
    await reserve(...list);
    expect((await operate(berth, about('UNRESERVE_RESOURCES', list), { token })).status).toBe(400);
    expect(await listed('reservations')).toHaveLength(1);
  });
});

describe('volumes of an agent', () => {
  it('are created on what is reserved, and destroyed', async () => {
    await reserve(scalar('disk', 1000, dynamic('eng')));
    const made = await operate(berth, about('CREATE_VOLUMES', [volume('My Data', 400), volume('more', 100)]));
    expect(made).toEqual(accepted);
    expect(await listed('volumes')).toMatchObject([{ sizeMiB: 100 }, { sizeMiB: 400 }]);
    const shown = await reservedOfAgent();
    expect(shown.map(({ name, scalar, disk }: Told) => [name, scalar.value, disk?.persistence.id])).toEqual([
      ['disk', 500, undefined],
      ['disk', 400, 'My Data'],
      ['disk', 100, 'more'],
    ]);
    expect(await operate(berth, about('DESTROY_VOLUMES', [volume('My Data', 400)]))).toEqual(accepted);
    expect((await listed('volumes')).map(({ removing }) => removing).sort()).toEqual([false, true]);
  });

  it.each<[string, string, object[], string]>([
    ['of no disk', 'CREATE_VOLUMES', [scalar('disk', 1, dynamic('eng'))], 'does not have DiskInfo'],
    ['of too much', 'CREATE_VOLUMES', [volume('data', 5000)], 'The agent does not have the disk of'],
    ['twice', 'CREATE_VOLUMES', [volume('data', 1), volume('data', 1)], "Persistence ID 'data' is not unique"],
    ['that are not there', 'DESTROY_VOLUMES', [volume('data', 1)], 'Persistent volumes not found'],
  ])('%s are refused', async (_what, type, volumes, text) => {
    await reserve(scalar('disk', 1000, dynamic('eng')));
    const answer = await operate(berth, about(type, volumes));
    expect(answer).toEqual({ status: 400, text: expect.stringContaining(text) });
    expect(await listed('volumes')).toEqual([]);
  });

  it('are not resized', async () => {
    const answer = await operate(berth, { type: 'GROW_VOLUME', grow_volume: {} });
    expect(answer).toEqual({ status: 400, text: expect.stringContaining('RESIZE_VOLUME') });
  });

  it('stand in the way of unreserving their disk', async () => {
    await reserve(scalar('disk', 1000, dynamic('eng')));
    await operate(berth, about('CREATE_VOLUMES', [volume('data', 400)]));
    const all = [scalar('disk', 1000, dynamic('eng'))];
    expect((await operate(berth, about('UNRESERVE_RESOURCES', all))).status).toBe(400);
    const rest = [scalar('disk', 600, dynamic('eng'))];
    expect(await operate(berth, about('UNRESERVE_RESOURCES', rest))).toEqual(accepted);
  });
});
