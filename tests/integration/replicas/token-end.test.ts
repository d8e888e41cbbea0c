/** Streams over real connections to a replica over a real etcd end with the token that they were opened with, and go on with another. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdaptorServer } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { createClient } from '../../../shared/client/client.ts';
import { createEventParser } from '../../../shared/client/server-sent-events.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { SCHEDULER, subscription } from '../../support/mesos-client.ts';
import { eventually, Process } from '../../support/processes.ts';

let etcd: TestEtcd;
let store: EtcdStore;
let berth: TestApi;
let server: Server;
let address: string;
let folder: string;
const programs: Process[] = [];

beforeAll(async () => {
  etcd = await startEtcd();
  store = new EtcdStore({ hosts: [etcd.url] });
  berth = await startApi({ store });
  server = createAdaptorServer({ fetch: berth.api.fetch }) as Server;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), 'berth-token-end-'));
});
afterAll(async () => {
  for (const program of programs) await program.kill();
  berth?.stop();
  server?.closeAllConnections();
  server?.close();
  await store?.close();
  await etcd?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A token counts 30 s beyond its expiry; of those only so many are left. */
const shortLived = (seconds: number) => berth.token({ ttlSeconds: seconds - 30 });

function open(path: string, token: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...init.headers };
  return fetch(address + path, { ...init, headers });
}

async function submit(name: string): Promise<void> {
  const json = { name, groups: [{ image: 'busybox' }] };
  expect((await berth.send('POST', '/v1/jobs', { json })).status).toBe(201);
}

describe('a stream over HTTP', () => {
  it('ends with its token, complete, and says why; another token takes it up where it was', async () => {
    const token = await shortLived(2);
    const stream = await open('/v1/events?type=job.created', token);
    await submit('before');
    const told = createEventParser()(await stream.text());
    expect(told.map(({ type }) => type).slice(-1)).toEqual(['error']);
    expect(JSON.parse(told.at(-1)?.data ?? '')).toMatchObject({ status: 401, code: 'unauthenticated' });
    expect(told.filter(({ type }) => type === 'job.created')).toHaveLength(1);
    expect((await open('/v1/events', token)).status).toBe(401);
    await submit('after');
    const last = told.findLast(({ id }) => id !== null)?.id ?? '';
    const again = await open('/v1/events?type=job.created', await shortLived(2), {
      headers: { 'last-event-id': last },
    });
    const [first] = createEventParser()(await again.text()).filter(({ data }) => data !== null);
    expect(JSON.parse(first?.data ?? '')).toMatchObject({ type: 'job.created', job: 'after' });
  });

  it('of a client that speaks the API of Mesos is closed, and the framework subscribes anew', async () => {
    const subscribe = async (token: string, info: object = {}) => {
      const headers = { 'content-type': 'application/json', accept: 'application/json' };
      const stream = await open(SCHEDULER, token, {
        method: 'POST',
        headers,
        body: JSON.stringify(subscription(info)),
      });
      const text = await stream.text();
      expect(text).not.toContain('"ERROR"');
      return /"framework_id":\{"value":"([^"]+)"/.exec(text)?.[1];
    };
    const id = await subscribe(await shortLived(2));
    expect(id).toBeDefined();
    expect(await subscribe(await shortLived(2), { id: { value: id } })).toBe(id);
  });
});

describe('who follows', () => {
  it('with the client goes on with a fresh token, and misses nothing', async () => {
    let asked = 0;
    const freshToken = async () => {
      asked += 1;
      await submit('meanwhile');
      return berth.admin;
    };
    const [clock, random, over] = [new SystemClock(), new CryptoRandom(), new AbortController()];
    const client = createClient({ address, token: await shortLived(2), freshToken, fetch, clock, random });
    await client.status();
    for await (const event of client.events({ after: client.position(), type: 'job.created', signal: over.signal })) {
      expect([event.job, asked]).toEqual(['meanwhile', 1]);
      break;
    }
  });

  it('with `berth events -f` goes on with the token that its file holds by then', async () => {
    const [first, tokenFile] = [await shortLived(8), join(folder, 'token')];
    await writeFile(tokenFile, first);
    const following = follow('events.log', ['--token-file', tokenFile], {});
    let count = 0;
    await eventually('an event', async () => {
      if (count++ % 10 === 0) await submit(`early-${count}`);
      return following.log().includes('early-');
    });
    await writeFile(tokenFile, `${berth.admin}\n`);
    await eventually('the end of the first token', async () => (await open('/v1/status', first)).status === 401);
    await submit('late');
    await eventually('the event after it', async () => following.log().includes('late'));
    expect(await following.stop()).toBe(0);
  });

  it('with `berth events -f` and no other token is told why it ends', async () => {
    const following = follow('denied.log', [], { BERTH_TOKEN: await shortLived(6) });
    await eventually('its end', async () => following.end !== null);
    expect(following.log()).toContain('the token has expired; go on with another one');
    expect(following.end?.code).toBe(4);
  });
});

function follow(log: string, args: readonly string[], env: Readonly<Record<string, string>>): Process {
  const command = ['control-plane/cli/main.ts', 'events', '-f', '--address', address, ...args];
  const program = new Process(command, join(folder, log), { env: { HOME: folder, ...env } });
  program.start();
  programs.push(program);
  return program;
}
