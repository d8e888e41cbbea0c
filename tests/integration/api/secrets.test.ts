import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PREFIX } from '../../../control-plane/store/keys.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { caughtUp, envelopeKey, envelopeOf } from '../../support/replica.ts';

const VALUE = 'correct-horse-battery-staple';
const PATH = '/v1/secrets/db-password?role=eng';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi({ envelope: await envelopeOf(envelopeKey('k1')) });
});
afterEach(() => berth.stop());

describe('secrets over REST', () => {
  it('are set, listed and removed, and no answer says what they say', async () => {
    const answers: Response[] = [];
    const send = async (...args: Parameters<TestApi['send']>) => {
      const response = await berth.send(...args);
      answers.push(response.clone());
      await caughtUp(berth.replica.ctx);
      return response;
    };
    const made = await send('PUT', PATH, { json: { value: VALUE } });
    expect([made.status, made.headers.get('etag')]).toEqual([201, '"1"']);
    const stale = await send('PUT', PATH, { json: { value: VALUE }, headers: { 'If-Match': '"7"' } });
    expect(stale.status).toBe(412);
    const again = await send('PUT', PATH, { json: { value: VALUE }, headers: { 'Idempotency-Key': 'one' } });
    expect([again.status, again.headers.get('etag')]).toEqual([200, '"2"']);
    expect((await send('GET', PATH)).status).toBe(200);
    const list = await (await send('GET', '/v1/secrets')).json();
    expect(list.items).toMatchObject([{ name: 'db-password', role: 'eng', version: 2, usedBy: [] }]);
    await send('GET', '/v1/events?follow=false');
    const { keyValues } = await berth.replica.ctx.store.range({ prefix: PREFIX });
    expect((await send('DELETE', PATH, { headers: { 'If-Match': '"2"' } })).status).toBe(200);
    expect((await send('GET', PATH)).status).toBe(404);
    const said = await Promise.all(answers.map((response) => response.text()));
    expect(said.join('\n') + JSON.stringify(keyValues)).not.toContain(VALUE);
    // A digest of it would be as good as the value where that can be guessed.
    expect(keyValues.filter(({ key }) => key.startsWith(`${PREFIX}idempotency/`))).toEqual([]);
  });

  it.each([
    ['what is no JSON', `{"value": ${VALUE}}`],
    ['what ends too early', `{"value": "${VALUE}`],
    ['another type', JSON.stringify({ value: [VALUE] })],
    ['another field', JSON.stringify({ valeu: VALUE })],
    ['another encoding', JSON.stringify({ value: VALUE, encoding: 'base64' })],
    ['too much', JSON.stringify({ value: VALUE.repeat(4000) })],
    ['far too much', JSON.stringify({ value: VALUE.repeat(50_000) })],
  ])('%s is refused without a word of it', async (_what, body) => {
    const response = await berth.send('PUT', PATH, { body, headers: { 'content-type': 'application/json' } });
    expect([400, 413]).toContain(response.status);
    const said = await response.text();
    for (const word of VALUE.split('-')) expect(said).not.toContain(word);
  });

  it.each([
    [{ value: '' }, 'must not be empty'],
    [{ value: 'a', encoding: 'base64' }, 'must be base64'],
    [{ value: 'x'.repeat(65_537) }, 'must be at most 65536 bytes'],
    [{ value: 'é'.repeat(32_769) }, 'must be at most 65536 bytes'],
  ])('refuse %j where it is wrong', async (json, message) => {
    const response = await berth.send('PUT', PATH, { json });
    expect(response.status).toBe(400);
    expect((await response.json()).faults).toEqual([{ path: '/value', message: expect.stringContaining(message) }]);
  });

  it('are out of reach for tokens of agents, and for those of other roles', async () => {
    await berth.send('PUT', PATH, { json: { value: VALUE } });
    await caughtUp(berth.replica.ctx);
    const node = (await berth.mint.mint({ kind: 'node', subject: 'n', grants: [], node: 'n', ttlSeconds: 60 })).token;
    expect((await berth.send('GET', '/v1/secrets', { token: node })).status).toBe(403);
    const user = { token: await berth.token({ roles: ['ops'] }) };
    expect((await berth.send('GET', PATH, user)).status).toBe(404);
    expect((await berth.send('DELETE', PATH, user)).status).toBe(404);
    expect((await berth.send('POST', '/v1/agent/tasks/x/secrets', user)).status).toBe(403);
  });

  it('are brought under another key by one call after the other', async () => {
    await berth.send('PUT', PATH, { json: { value: VALUE } });
    await caughtUp(berth.replica.ctx);
    const done = await berth.send('POST', '/v1/cluster/reseal', { json: {} });
    expect(await done.json()).toMatchObject({ resealed: 0, left: 0, envelopeKey: expect.stringMatching(/^k1\./) });
  });
});
