/** Tokens and keys over one real etcd and several replicas: what one says, all hold to, and of many at once as many win as may. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { createEventParser } from '../../../shared/client/server-sent-events.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { eventually } from '../../support/processes.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';

const run = promisify(execFile);

let etcd: TestEtcd;
let stores: EtcdStore[];
let replicas: TestApi[];

beforeAll(async () => {
  etcd = await startEtcd();
  stores = ['a', 'b', 'c'].map(() => new EtcdStore({ hosts: [etcd.url] }));
  replicas = await Promise.all(stores.map((store, at) => startApi({ store, id: `replica-${at}` })));
});
afterAll(async () => {
  for (const replica of replicas ?? []) replica.stop();
  for (const store of stores ?? []) await store.close();
  await etcd?.stop();
});

function each(at: number): TestApi {
  const replica = replicas[at % replicas.length];
  if (replica === undefined) throw new Error('there are replicas');
  return replica;
}

const statusOf = async (replica: TestApi, token: string) => (await replica.send('GET', '/v1/status', { token })).status;

async function allCaughtUp(): Promise<void> {
  for (const { replica } of replicas) await caughtUp(replica.ctx);
}

describe('over one etcd', () => {
  it('a revoked token is refused everywhere, and its streams end, as soon as the watch tells', async () => {
    const token = await each(0).token();
    const headers = { accept: 'text/event-stream' };
    const streams = await Promise.all(replicas.map((one) => one.send('GET', '/v1/events', { token, headers })));
    const revoked = await each(0).send('POST', '/v1/tokens/revoke', {
      json: { subject: 'admin', before: new Date(Date.now()).toISOString() },
      token: await each(0).token({ subject: 'security' }),
    });
    // Tokens of the same second are dated the next one.
    expect(revoked.status).toBe(200);
    for (const stream of streams) {
      const last = createEventParser()(await stream.text()).at(-1);
      expect([last?.type, JSON.parse(last?.data ?? '').status]).toEqual(['error', 401]);
    }
    for (const replica of replicas) expect(await statusOf(replica, token)).toBe(401);
  });

  it('a token to join with lets in as many as it may, of many that come at once to all of them', async () => {
    const token = await each(0).token({ subject: 'root' });
    const json = { kind: 'join', subject: 'rack', usesMax: 5 };
    const join = (await (await each(0).send('POST', '/v1/tokens', { json, token })).json()).token;
    await allCaughtUp();
    const register = (at: number) =>
      each(at).send('POST', '/v1/agent/register', {
        token: join,
        json: { node: nodeOf(`n-${at}`), seen: null, tasks: [] },
      });
    const answers = await Promise.all(Array.from({ length: 12 }, (_, at) => register(at)));
    const statuses = answers.map(({ status }) => status);
    // Who lost too often is told to come again, and uses nothing.
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(5);
    for (const [at, status] of statuses.entries()) if (status === 409) await register(at);
    await allCaughtUp();
    expect(each(1).replica.ctx.mirror.snapshot.nodes.size).toBe(5);
  });

  it('a key that two of them are to make at once is one, and signs and verifies on all', async () => {
    const token = await each(0).token({ subject: 'root' });
    const made = await Promise.all(replicas.map((one) => one.send('POST', '/v1/keys/rotate', { token })));
    const kids = new Set(await Promise.all(made.map(async (response) => (await response.json()).kid)));
    expect([kids.size, made.map(({ status }) => status).sort()]).toEqual([1, [200, 200, 201]]);
    const retired = await each(0).send('POST', '/v1/keys/1/retire', { token, json: { now: true } });
    expect(retired.status).toBe(200);
    await allCaughtUp();
    const tokens = await Promise.all(replicas.map((one) => one.token({ subject: 'root' })));
    for (const fresh of tokens) {
      expect(kids.has(decodeProtectedHeader(fresh).kid)).toBe(true);
      for (const replica of replicas) expect(await statusOf(replica, fresh)).toBe(200);
    }
    for (const replica of replicas) expect(await statusOf(replica, token)).toBe(401);
  });

  it("an admin's token is made past all rights by a program of its own, and everybody sees it", async () => {
    const args = ['control-plane/main-node.ts', '--etcd', etcd.url];
    const reason = 'all tokens were revoked';
    const { stdout, stderr } = await run(process.execPath, [...args, '--break-glass', reason]);
    const token = stdout.trim();
    expect(stderr).toMatch(/^token \S+ for an admin, until \S+Z; it is on record$/m);
    await eventually('the token to be good', async () => (await statusOf(each(1), token)) === 200);
    const { breakGlass } = await (await each(2).send('GET', '/v1/status', { token })).json();
    expect(breakGlass).toMatchObject([{ reason, by: expect.stringMatching(/^break-glass:\S+@\S+$/) }]);
    const refused = run(process.execPath, [...args, '--break-glass', ' ']);
    await expect(refused).rejects.toMatchObject({ code: 78, stderr: expect.stringContaining('has to say why') });
  });
});
