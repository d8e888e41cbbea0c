/** Tokens of tasks about themselves: who gets them, what they say, and that others can verify them. */
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskIdentityResponse } from '../../../shared/protocol/agent.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, placeTask } from '../../support/api-agent.ts';
import { caughtUp } from '../../support/replica.ts';

const ISSUER = 'https://berth.example.com';
const AUDIENCE = 'https://vault.example.com';
const IDENTITY = [
  { name: 'vault', audience: AUDIENCE },
  { name: 'bucket', audience: 'sts.example.com', ttlSeconds: 600, env: 'TOKEN_FILE' },
];

let berth: TestApi;
let own: ApiAgent;
let other: ApiAgent;
let task = '';

beforeAll(async () => {
  berth = await startApi({ issuerUrl: ISSUER });
  own = await ApiAgent.register(berth);
  task = await placeTask(berth, { role: 'eng/ml', name: 'train', groups: [group()] });
  other = await ApiAgent.register(berth, 'edge-2');
});
afterAll(() => berth.stop());

function group(change: object = {}) {
  return { image: 'busybox', resources: { cpus: 0.1, memMiB: 32 }, identity: IDENTITY, ...change };
}

function ask(agent: ApiAgent, id: string, headers: Record<string, string> = {}): Promise<Response> {
  return agent.send('POST', `/v1/agent/tasks/${id}/identity`, { headers });
}

async function verify(token: string, audience: string, issuer = ISSUER) {
  const response = await berth.send('GET', '/.well-known/jwks.json', { token: null });
  return jwtVerify(token, createLocalJWKSet((await response.json()) as JSONWebKeySet), { issuer, audience });
}

describe('a task that asks for tokens about itself', () => {
  it('gets one for each audience, which others verify by the published keys', async () => {
    const response = await ask(own, task);
    expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store']);
    const { tokens } = (await response.json()) as TaskIdentityResponse;
    expect(tokens.map(({ name, issuedAtMs, expiresAtMs }) => [name, expiresAtMs - issuedAtMs])).toEqual([
      ['vault', 3_600_000],
      ['bucket', 600_000],
    ]);
    const [vault, bucket] = tokens.map(({ token }) => token) as [string, string];
    const { payload, protectedHeader } = await verify(vault, AUDIENCE);
    const cluster = berth.replica.ctx.mirror.snapshot.cluster?.id;
    expect(protectedHeader).toMatchObject({ typ: 'JWT', alg: 'EdDSA' });
    expect(payload).toMatchObject({
      iss: ISSUER,
      sub: `berth:${cluster}:role/eng/ml/job/train/task/${task}`,
      aud: AUDIENCE,
      ...{ cluster, role: 'eng/ml', job: 'train', group: 'main', task, node: 'edge-1' },
    });
    await expect(verify(bucket, AUDIENCE)).rejects.toThrow('"aud"');
    await expect(verify(vault, AUDIENCE, 'https://else.example.com')).rejects.toThrow('"iss"');
    expect((await verify(bucket, 'sts.example.com')).payload.jti).not.toBe(payload.jti);
  });

  it('can do nothing here with them', async () => {
    const { tokens } = (await (await ask(own, task)).json()) as TaskIdentityResponse;
    for (const { token } of tokens) {
      expect(decodeProtectedHeader(token).typ).not.toBe('berth+jwt');
      expect((await berth.send('GET', '/v1/auth/whoami', { token })).status).toBe(401);
      expect((await berth.send('POST', '/v1/auth/exchange', { token: null, json: { token } })).status).toBe(401);
    }
  });

  it('can not be asked for by the agent of another node, nor by anybody else', async () => {
    const refused = await ask(other, task);
    expect(refused.status).toBe(404);
    expect(await refused.json()).toMatchObject({ detail: expect.stringContaining('node "edge-2" runs no task') });
    expect((await ask(own, 'no-such-task')).status).toBe(404);
    expect((await ask(own, task, { 'Berth-Epoch': '0' })).status).toBe(409);
    expect((await berth.send('POST', `/v1/agent/tasks/${task}/identity`)).status).toBe(403);
  });

  it('gets none once it has ended', async () => {
    const ends = await placeTask(berth, { name: 'ends', groups: [group({ constraints: [] })] });
    const holder = berth.replica.ctx.mirror.snapshot.tasks.get(ends)?.node === 'edge-1' ? own : other;
    await holder.report(ends, 'running');
    expect((await ask(holder, ends)).status).toBe(200);
    await holder.report(ends, 'finished', { reason: 'exited', exitCode: 0 });
    await caughtUp(berth.replica.ctx);
    expect((await ask(holder, ends)).status).toBe(404);
  });

  it('is told its job’s wishes, and no others', async () => {
    const without = await placeTask(berth, { name: 'without', groups: [group({ identity: undefined })] });
    const holder = berth.replica.ctx.mirror.snapshot.tasks.get(without)?.node === 'edge-1' ? own : other;
    expect(await (await ask(holder, without)).json()).toEqual({ tokens: [] });
  });
});

describe('what a job asks for', () => {
  it.each<[string, object, string, string]>([
    [
      'for the control plane itself',
      { identity: [{ name: 'a', audience: 'berth' }] },
      '/groups/0/identity/0/audience',
      'must not be',
    ],
    [
      'for the control plane in other letters',
      { identity: [{ name: 'a', audience: 'Berth:x' }] },
      '/groups/0/identity/0/audience',
      'must not be',
    ],
    ['without an audience', { identity: [{ name: 'a' }] }, '/groups/0/identity/0/audience', 'is required'],
    [
      'for too short a time',
      { identity: [{ name: 'a', audience: 'x', ttlSeconds: 29 }] },
      '/groups/0/identity/0/ttlSeconds',
      '',
    ],
    [
      'for too long a time',
      { identity: [{ name: 'a', audience: 'x', ttlSeconds: 86_401 }] },
      '/groups/0/identity/0/ttlSeconds',
      '',
    ],
    [
      'under a name that leads elsewhere',
      { identity: [{ name: '../a', audience: 'x' }] },
      '/groups/0/identity/0/name',
      '',
    ],
    [
      'twice under one name',
      {
        identity: [
          { name: 'a', audience: 'x' },
          { name: 'a', audience: 'y' },
        ],
      },
      '/groups/0/identity/1/name',
      'twice',
    ],
    [
      'with a variable of ours',
      { identity: [{ name: 'a', audience: 'x', env: 'BERTH_X' }] },
      '/groups/0/identity/0/env',
      'BERTH_',
    ],
    [
      'with a variable that stands in env',
      { env: { T: '1' }, identity: [{ name: 'a', audience: 'x', env: 'T' }] },
      '/groups/0/identity/0/env',
      'in env as well',
    ],
    [
      'where something is mounted',
      { mounts: [{ type: 'tmpfs', target: '/run' }], identity: [{ name: 'a', audience: 'x' }] },
      '/groups/0/mounts/0/target',
      'covers',
    ],
  ])('%s is refused, with its place', async (_name, change, path, message) => {
    const response = await berth.send('POST', '/v1/jobs', { json: { name: 'wrong', groups: [group(change)] } });
    expect(response.status).toBe(400);
    const { faults } = (await response.json()) as { faults: { path: string; message: string }[] };
    expect(faults).toContainEqual({ path, message: expect.stringContaining(message) });
  });
});

describe('the discovery document', () => {
  it('says where the keys are, under the URL that tokens name', async () => {
    const response = await berth.send('GET', '/.well-known/openid-configuration', { token: null });
    expect(await response.json()).toMatchObject({
      issuer: ISSUER,
      jwks_uri: `${ISSUER}/.well-known/jwks.json`,
      id_token_signing_alg_values_supported: ['EdDSA'],
    });
  });

  it('is not there where no URL is set; tokens name the cluster then', async () => {
    const plain = await startApi();
    try {
      expect((await plain.send('GET', '/.well-known/openid-configuration', { token: null })).status).toBe(404);
      const agent = await ApiAgent.register(plain);
      const placed = await placeTask(plain, { name: 'train', groups: [group()] });
      const { tokens } = (await (await ask(agent, placed)).json()) as TaskIdentityResponse;
      const keys = (await (await plain.send('GET', '/.well-known/jwks.json')).json()) as JSONWebKeySet;
      const { payload } = await jwtVerify(tokens[0]?.token ?? '', createLocalJWKSet(keys));
      expect(payload.iss).toBe(`berth:${plain.replica.ctx.mirror.snapshot.cluster?.id}`);
    } finally {
      plain.stop();
    }
  });
});
