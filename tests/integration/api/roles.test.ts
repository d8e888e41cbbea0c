import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
});
afterEach(() => berth.stop());

describe('roles over REST', () => {
  it.each(['/v1/roles/eng/ml', '/v1/roles/eng%2Fml'])('are set, read and taken back at %s', async (path) => {
    const put = await berth.send('PUT', path, { json: { weight: 2 } });
    expect(put.status).toBe(200);
    const tag = put.headers.get('etag') ?? '';
    expect(tag).toMatch(/^"[1-9]\d*"$/);
    expect(await put.json()).toMatchObject({ path: 'eng/ml', weight: 2, limit: {}, guarantee: {} });
    await caughtUp(berth.replica.ctx);
    const read = await berth.send('GET', path);
    expect(read.headers.get('etag')).toBe(tag);
    const late = await berth.send('PUT', path, { json: {}, headers: { 'If-Match': '"1"' } });
    expect(late.status).toBe(412);
    const unset = await berth.send('DELETE', path, { headers: { 'If-Match': tag } });
    expect([unset.status, unset.headers.get('etag')]).toEqual([200, '"0"']);
    await caughtUp(berth.replica.ctx);
    expect((await berth.send('GET', path)).status).toBe(404);
  });

  it('are listed in pages', async () => {
    for (const path of ['a', 'b', 'b/c']) await berth.send('PUT', `/v1/roles/${path}`, { json: { weight: 2 } });
    await caughtUp(berth.replica.ctx);
    const first = await (await berth.send('GET', '/v1/roles?limit=2')).json();
    expect([first.items.map((role: { path: string }) => role.path), first.next]).toEqual([['a', 'b'], 'b']);
    const below = await (await berth.send('GET', '/v1/roles?role=b')).json();
    expect(below.items.map((role: { path: string }) => role.path)).toEqual(['b', 'b/c']);
  });

  it.each([
    [{ weight: 0 }, '/weight', 'at least 0.001'],
    [{ limit: { gpus: 0.5 } }, '/limit/gpus', 'whole number'],
    [{ limit: { ports: 1 } }, '/limit/ports', 'cpus, memMiB, diskMiB, gpus'],
    [{ guarantee: { cpus: -1 } }, '/guarantee/cpus', 'at least 0'],
    [{ guarantee: { cpus: 0.0001 } }, '/guarantee/cpus', 'three decimals'],
    [{ wieght: 2 }, '/wieght', 'did you mean "weight"?'],
    [{ limit: { cpus: 1 }, guarantee: { cpus: 2 } }, '/limit/cpus', 'less than the 2 that it is promised'],
  ])('%j is refused where it is wrong', async (json, path, message) => {
    const response = await berth.send('PUT', '/v1/roles/eng', { json });
    expect(response.status).toBe(400);
    expect((await response.json()).faults).toEqual([{ path, message: expect.stringContaining(message) }]);
  });

  it.each(['/v1/roles/Eng', '/v1/roles/a//b', '/v1/roles/a/b/c/d/e/f/g/h/i', '/v1/roles/*'])(
    '%s is no role',
    async (path) => {
      expect((await berth.send('GET', path)).status).toBe(400);
    },
  );

  it('say which methods there are', async () => {
    const response = await berth.send('POST', '/v1/roles/eng/ml', { json: {} });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD, PUT, DELETE']);
  });
});

describe('settings over REST', () => {
  it('are read with their version and set as a whole', async () => {
    const before = await berth.send('GET', '/v1/settings');
    expect(before.headers.get('etag')).toBe('"0"');
    const put = await berth.send('PUT', '/v1/settings', {
      json: { offerTimeoutSeconds: 30 },
      headers: { 'If-Match': '"0"' },
    });
    expect(await put.json()).toMatchObject({
      offerTimeoutSeconds: 30,
      gpuNodes: 'restricted',
      excludedFromShares: ['gpus'],
    });
    await caughtUp(berth.replica.ctx);
    const late = await berth.send('PUT', '/v1/settings', { json: {}, headers: { 'If-Match': '"0"' } });
    expect(late.status).toBe(412);
  });

  it.each([
    [{ gpuNodes: 'prefered' }, '/gpuNodes', 'did you mean "preferred"?'],
    [{ offerTimeoutSeconds: 0 }, '/offerTimeoutSeconds', 'at least 1'],
    [{ excludedFromShares: ['gpus', 'gpus'] }, '/excludedFromShares', 'twice'],
  ])('%j is refused where it is wrong', async (json, path, message) => {
    const response = await berth.send('PUT', '/v1/settings', { json });
    expect(response.status).toBe(400);
    expect((await response.json()).faults).toEqual([{ path, message: expect.stringContaining(message) }]);
  });
});
