import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registerNode } from '../../../control-plane/services/agents.ts';
import type { MaintenanceView } from '../../../shared/protocol/maintenance.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
  await registerNode(berth.replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  await caughtUp(berth.replica.ctx);
});
afterEach(() => berth.stop());

const PATH = '/v1/nodes/edge-1/maintenance';
const WINDOW = { startsAt: '2090-12-24T18:00:00Z', durationSeconds: 1800 };

async function send(method: string, path: string, json?: object, token?: string) {
  const response = await berth.send(method, path, { ...(json !== undefined && { json }), ...(token && { token }) });
  await caughtUp(berth.replica.ctx);
  return { status: response.status, body: await response.json() };
}

async function windows(): Promise<MaintenanceView[]> {
  return (await send('GET', '/v1/maintenance')).body.items;
}

describe('maintenance over REST', () => {
  it('is said of a node, listed, and taken back', async () => {
    const said = { startsAt: '2090-12-24T18:00:00.000Z', durationSeconds: 1800 };
    expect(await send('PUT', PATH, WINDOW)).toMatchObject({ status: 200, body: { node: 'edge-1', ...said } });
    expect(await windows()).toMatchObject([{ ...said, state: 'coming', endsAt: '2090-12-24T18:30:00.000Z' }]);
    expect((await send('GET', '/v1/nodes/edge-1')).body.maintenance).toMatchObject(said);
    expect(await send('DELETE', PATH)).toMatchObject({ status: 200, body: { id: 'edge-1', maintenance: null } });
    expect(await windows()).toEqual([]);
  });

  it('may be said in another zone, and without an end', async () => {
    await send('PUT', PATH, { startsAt: '2090-12-24T18:00:00+01:00' });
    expect(await windows()).toMatchObject([{ startsAt: '2090-12-24T17:00:00.000Z', durationSeconds: null }]);
  });

  it('is answered by a framework, in its session', async () => {
    const { id } = (await send('POST', '/v1/frameworks', { name: 'painter', roles: ['default'] })).body;
    const notice = (await send('PUT', PATH, WINDOW)).body.id;
    const answer = { session: 1, notice, answer: 'accepts', refuseSeconds: 60 };
    const path = `/v1/frameworks/${id}/maintenance`;
    expect(await send('POST', path, answer)).toMatchObject({ status: 200, body: { notice, answer: 'accepts' } });
    expect(await windows()).toMatchObject([{ frameworks: [{ frameworkName: 'painter', answer: 'accepts' }] }]);
    expect(await send('POST', path, { ...answer, session: 2 })).toMatchObject({ status: 409 });
    expect(await send('POST', path, { ...answer, notice: 'none' })).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    });
    expect(await send('POST', path, { ...answer, answer: 'perhaps' })).toMatchObject({
      status: 400,
      body: { faults: [{ path: '/answer' }] },
    });
  });

  it('takes the right to change nodes', async () => {
    const token = await berth.token({ actions: ['node:read'] });
    expect(await send('PUT', PATH, WINDOW, token)).toMatchObject({ status: 403 });
    expect(await send('DELETE', PATH, undefined, token)).toMatchObject({ status: 403 });
    expect(await send('GET', '/v1/maintenance', undefined, token)).toMatchObject({ status: 200 });
  });

  it.each([
    [{}, '/startsAt', ''],
    [{ startsAt: 'tomorrow' }, '/startsAt', '2026-12-24T18:00:00Z'],
    [{ ...WINDOW, durationSeconds: 0 }, '/durationSeconds', ''],
    [{ ...WINDOW, durationSeconds: 1e12 }, '/durationSeconds', ''],
    [{ startsAt: '2020-01-01T00:00:00Z', durationSeconds: 1 }, '/durationSeconds', 'which is past'],
    [{ ...WINDOW, until: WINDOW.startsAt }, '/until', ''],
  ])('%j is refused', async (body, path, message) => {
    expect(await send('PUT', PATH, body)).toMatchObject({
      status: 400,
      body: { faults: [{ path, message: expect.stringContaining(message) }] },
    });
  });
});
