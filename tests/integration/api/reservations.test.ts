import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
  await registerNode(berth.replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  await caughtUp(berth.replica.ctx);
});
afterEach(() => berth.stop());

const RESERVATION = { id: 'archive', role: 'ops', amounts: { diskMiB: 500 } };

async function send(method: string, path: string, json?: object, headers: Record<string, string> = {}) {
  const response = await berth.send(method, path, json === undefined ? { headers } : { json, headers });
  await caughtUp(berth.replica.ctx);
  return response;
}

describe('reservations and volumes over REST', () => {
  it('are made, listed and given back', async () => {
    const made = await send('POST', '/v1/nodes/edge-1/reservations', RESERVATION);
    expect([made.status, made.headers.get('location')]).toEqual([201, '/v1/nodes/edge-1/reservations/archive']);
    const volume = { id: 'data', reservation: 'archive', sizeMiB: 100 };
    const created = await send('POST', '/v1/nodes/edge-1/volumes', volume);
    expect([created.status, created.headers.get('location')]).toEqual([201, '/v1/nodes/edge-1/volumes/data']);
    for (const path of ['/v1/reservations', '/v1/reservations?node=edge-1', '/v1/nodes/edge-1/reservations?role=ops']) {
      expect((await (await send('GET', path)).json()).items, path).toMatchObject([
        { id: 'archive', volumes: ['data'] },
      ]);
    }
    for (const path of ['/v1/volumes', '/v1/volumes?node=edge-1&role=ops', '/v1/nodes/edge-1/volumes']) {
      expect((await (await send('GET', path)).json()).items, path).toMatchObject([{ id: 'data', sizeMiB: 100 }]);
    }
    expect((await (await send('GET', '/v1/volumes?role=eng')).json()).items).toEqual([]);
    const used = await send('DELETE', '/v1/nodes/edge-1/reservations/archive');
    expect([used.status, (await used.json()).detail]).toEqual([409, expect.stringContaining('in use by volume data')]);
    expect((await send('DELETE', '/v1/nodes/edge-1/volumes/data')).status).toBe(202);
  });

  it('are made once for one idempotency key', async () => {
    const keyed = { 'Idempotency-Key': 'once' };
    const body = { role: 'ops', amounts: { cpus: 1 } };
    const first = await send('POST', '/v1/nodes/edge-1/reservations', body, keyed);
    const second = await send('POST', '/v1/nodes/edge-1/reservations', body, keyed);
    expect((await second.json()).id).toBe((await first.json()).id);
    expect((await (await send('GET', '/v1/reservations')).json()).items).toHaveLength(1);
  });

  it.each([
    ['reservations', { role: 'ops', amounts: {} }, '/amounts', 'must name something'],
    ['reservations', { role: 'ops', amounts: { gpus: 0.5 } }, '/amounts/gpus', 'whole number'],
    ['reservations', { role: 'Ops', amounts: { cpus: 1 } }, '/role', 'up to 8 names'],
    ['reservations', { ...RESERVATION, id: 'A' }, '/id', 'lower-case'],
    ['volumes', { reservation: 'archive', sizeMiB: 0.5 }, '/sizeMiB', 'whole number'],
    ['volumes', { reservation: 'archive', sizeMiB: 1, id: '../x' }, '/id', 'lower-case'],
  ])('%s that are not sound are refused: %j', async (kind, json, path, message) => {
    const response = await send('POST', `/v1/nodes/edge-1/${kind}`, json);
    expect(response.status).toBe(400);
    expect((await response.json()).faults).toEqual([{ path, message: expect.stringContaining(message) }]);
  });

  it('a persistent mount names a volume by its id', async () => {
    const job = (source?: string) => {
      const mounts = [{ type: 'persistent', target: '/data', ...(source !== undefined && { source }) }];
      return send('POST', '/v1/plan', { name: 'a', groups: [{ image: 'busybox', mounts }] });
    };
    expect((await job('data')).status).toBe(200);
    for (const wrong of [undefined, '../etc', '/etc']) {
      const response = await job(wrong);
      expect((await response.json()).faults).toEqual([
        { path: '/groups/0/mounts/0/source', message: expect.stringContaining('the id of a persistent volume') },
      ]);
    }
  });
});
