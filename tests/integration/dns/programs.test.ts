/** The programs that answer names, as processes: a replica, and `berth dns` beside it. */
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdaptorServer } from '@hono/node-server';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { freePort } from '../../support/etcd.ts';
import { eventually, Process, startRealCluster } from '../../support/processes.ts';
import { aServer, aService, Served, WELL } from '../../support/served.ts';

const WEB = aService();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-dns-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function resolverAt(port: number): dns.Resolver {
  const resolver = new dns.Resolver({ timeout: 1000, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  return resolver;
}

/** A replica's API at a port of its own, which can be closed as if its machine went down. */
class Door {
  readonly api: TestApi;
  readonly server: Server;

  private constructor(api: TestApi, server: Server) {
    this.api = api;
    this.server = server;
  }

  static async open(api: TestApi): Promise<Door> {
    const server = createAdaptorServer({ fetch: api.api.fetch }) as Server;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Door(api, server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

describe('berth dns', () => {
  let [first, second]: Door[] = [];
  let served: Served;
  const ends: (() => unknown)[] = [];
  beforeEach(async () => {
    const api = await startApi();
    const other = await startApi({ store: api.replica.ctx.store, id: 'other' });
    [first, second] = [await Door.open(api), await Door.open(other)];
    served = new Served(other.replica.ctx);
    await served.nodes({ id: 'edge-1', address: '10.0.0.1' });
    await served.job(WEB, [aServer(WEB)]);
    ends.push(
      () => api.stop(),
      () => other.stop(),
      () => first?.close(),
      () => second?.close(),
    );
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  it('follows whichever replica answers, and answers by what it knew last when none does', async () => {
    const port = await freePort();
    const flags = ['--listen', `127.0.0.1:${port}`, '--domain', 'svc.example', '--other-address', second?.url ?? ''];
    const env = { BERTH_ADDR: first?.url ?? '', BERTH_TOKEN: first?.api.admin ?? '', HOME: folder };
    const program = new Process(['control-plane/cli/main.ts', 'dns', ...flags], join(folder, 'dns.log'), { env });
    program.start();
    ends.push(() => program.stop());
    const ask = () => resolverAt(port).resolve4('web.svc.example');
    await eventually('the name to be answered', async () => (await ask()).join() === '10.0.0.1');

    first?.close();
    await served.tasks(aServer(WEB, { health: { ...WELL, healthy: false } }));
    await eventually('the change to be answered', () =>
      ask().then(
        () => false,
        ({ code }) => code === 'ENODATA',
      ),
    );
    await served.tasks(aServer(WEB));
    await eventually('the next change to be answered', async () => (await ask()).join() === '10.0.0.1');

    second?.close();
    await eventually('a line that says so', async () => program.log().includes('answering by what was known last'));
    expect(await ask()).toEqual(['10.0.0.1']);
    expect(program.log()).not.toContain(first?.api.admin);
    expect(await program.stop()).toBe(0);
  });

  it('answers while it has not heard of anything yet, and says what it waits for', async () => {
    const port = await freePort();
    const args = ['dns', '--listen', `127.0.0.1:${port}`, '--address', 'http://127.0.0.1:1'];
    const program = new Process(['control-plane/cli/main.ts', ...args], join(folder, 'early.log'), {
      env: { HOME: folder },
    });
    program.start();
    ends.push(() => program.stop());
    await eventually('the zone to be answered', async () => (await resolverAt(port).resolveSoa('berth')).serial === 0);
    await expect(resolverAt(port).resolve4('web.berth')).rejects.toMatchObject({ code: 'ESERVFAIL' });
    await eventually('a line that says so', async () => program.log().includes('no name is known until they are'));
  });

  it('says where it can not answer', async () => {
    const taken = createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const log = join(folder, 'taken.log');
    const program = new Process(['control-plane/cli/main.ts', 'dns', '--listen', `127.0.0.1:${port}`], log, {
      env: { HOME: folder },
    });
    program.start();
    await eventually('its end', async () => program.end !== null);
    expect(program.end?.code).toBe(78);
    expect(program.log()).toContain(`berth dns: --listen 127.0.0.1:${port} is in use; choose another port`);
    taken.close();
  });
});

describe('a replica', () => {
  it('answers names where it is told to, and ends with everything', async () => {
    const port = await freePort();
    const cluster = await startRealCluster({ replicas: 1, flags: ['--dns-listen', `127.0.0.1:${port}`] });
    try {
      expect((await resolverAt(port).resolveSoa('berth')).nsname).toBe('berth');
      await expect(resolverAt(port).resolve4('web.berth')).rejects.toMatchObject({ code: 'ENOTFOUND' });
      expect(await cluster.replicas[0]?.process.stop()).toBe(0);
      await expect(resolverAt(port).resolveSoa('berth')).rejects.toThrow();
    } finally {
      await cluster.stop();
    }
  });
});
