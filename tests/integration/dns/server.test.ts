/** Names, asked for by the resolvers that programs use: over datagrams, and over connections for what is too long. */

import { createSocket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { connect } from 'node:net';
import { decode, encode } from 'dns-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { EndpointBook } from '../../../control-plane/dns/book.ts';
import { feedBook } from '../../../control-plane/dns/feed.ts';
import { type DnsServer, startDnsServer } from '../../../control-plane/dns/server.ts';
import { startReplicaDns } from '../../../control-plane/main-node-dns.ts';
import { createClient } from '../../../shared/client/client.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { aServer, aService, Served, WELL } from '../../support/served.ts';

const LISTEN = { host: '127.0.0.1', port: 0 };
const [clock, random] = [new SystemClock(), new CryptoRandom()];
const WEB = aService();
let berth: TestApi;
let served: Served;

beforeEach(async () => {
  berth = await startApi();
  served = new Served(berth.replica.ctx);
  await served.nodes({ id: 'edge-1', address: '10.0.0.1' }, { id: 'edge-2', address: 'fd00::2' });
  await served.job(WEB, [aServer(WEB), aServer(WEB, { index: 1, node: 'edge-2' })]);
});
afterEach(() => berth.stop());

function resolverAt({ port }: DnsServer): dns.Resolver {
  const resolver = new dns.Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([`127.0.0.1:${port}`]);
  return resolver;
}

describe('names answered by a replica', () => {
  let server: DnsServer;
  beforeEach(async () => {
    server = await startReplicaDns(berth.replica.ctx, { listen: LISTEN, domain: 'berth', ttlSeconds: 3 });
  });
  afterEach(() => server.close());

  it('are addresses of either kind, ports with their hosts, and nothing else', async () => {
    const resolver = resolverAt(server);
    expect(await resolver.resolve4('web.berth', { ttl: true })).toEqual([{ address: '10.0.0.1', ttl: 3 }]);
    expect(await resolver.resolve6('web.berth')).toEqual(['fd00::2']);
    expect(
      (await resolver.resolveSrv('_http._tcp.web.berth')).map(({ name, port }) => `${name}:${port}`).sort(),
    ).toEqual(['edge-1.node.berth:20000', 'edge-2.node.berth:20002']);
    expect(await resolver.resolve4('edge-1.node.berth')).toEqual(['10.0.0.1']);
    expect(await resolver.resolveSoa('berth')).toMatchObject({ nsname: 'berth', minttl: 3 });
    await expect(resolver.resolve4('shop.berth')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(resolver.resolve4('0.main.web.berth')).resolves.toEqual(['10.0.0.1']);
    await expect(resolver.resolve6('0.main.web.berth')).rejects.toMatchObject({ code: 'ENODATA' });
    await expect(resolver.resolve4('example.com')).rejects.toMatchObject({ code: 'EREFUSED' });
  });

  it('follow health in the same step', async () => {
    const resolver = resolverAt(server);
    await served.tasks(aServer(WEB, { health: { ...WELL, healthy: false } }));
    await expect(resolver.resolve4('web.berth')).rejects.toMatchObject({ code: 'ENODATA' });
    await served.tasks(aServer(WEB));
    expect(await resolver.resolve4('web.berth')).toEqual(['10.0.0.1']);
    await served.forget(aServer(WEB));
    await served.forget(aServer(WEB, { index: 1, node: 'edge-2' }));
    await expect(resolver.resolve4('web.berth')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });

  it('that are too many for a datagram come over a connection', async () => {
    const shop = aService({ name: 'shop' });
    await served.job(shop);
    const indexes = Array.from({ length: 100 }, (_, index) => index);
    await served.tasks(...indexes.map((index) => aServer(shop, { index, ports: { http: 21_000 + index } })));
    expect(await resolverAt(server).resolveSrv('_http._tcp.shop.berth')).toHaveLength(100);
  });
});

describe('the sockets', () => {
  let server: DnsServer;
  beforeEach(async () => {
    const zone = { domain: 'berth', ttlSeconds: 5, ownAddresses: [] };
    const known = { book: new EndpointBook(), zone, chance: () => random.next() };
    server = await startDnsServer(LISTEN, { known, log: SILENT_LOGGER });
  });
  afterEach(() => server.close());
  const query = (id: number) => encode({ type: 'query', id, questions: [{ name: 'berth', type: 'SOA' }] });

  it('go on after whatever was sent to them', async () => {
    const socket = createSocket('udp4');
    for (const length of [0, 1, 12, 700]) socket.send(Buffer.alloc(length, 0x5a), server.port, '127.0.0.1');
    expect(await resolverAt(server).resolveSoa('berth')).toMatchObject({ serial: 0 });
    socket.close();
  });

  it('answer each of several messages on one connection, cut anywhere', async () => {
    const framed = (message: Buffer) => Buffer.concat([Buffer.from([0, message.length]), message]);
    const bytes = Buffer.concat([framed(query(1)), framed(query(2))]);
    const socket = connect(server.port, '127.0.0.1');
    socket.write(bytes.subarray(0, 1));
    socket.write(bytes.subarray(1, 40));
    socket.write(bytes.subarray(40));
    let got = Buffer.alloc(0);
    const ids: (number | undefined)[] = [];
    for await (const chunk of socket) {
      got = Buffer.concat([got, chunk as Buffer]);
      while (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) {
        const end = 2 + got.readUInt16BE(0);
        ids.push(decode(got.subarray(2, end)).id);
        got = got.subarray(end);
      }
      if (ids.length === 2) break;
    }
    expect(ids).toEqual([1, 2]);
  });

  it('let go of connections when they are closed', async () => {
    const socket = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    await server.close();
    await ended;
    server = await startDnsServer(LISTEN, {
      known: { book: new EndpointBook(), zone: { domain: 'b', ttlSeconds: 5, ownAddresses: [] }, chance: () => 0 },
      log: SILENT_LOGGER,
    });
  });

  it('say that the port is taken', async () => {
    const { port } = server;
    const config = { listen: { host: '127.0.0.1', port }, domain: 'berth', ttlSeconds: 3 };
    await expect(startReplicaDns(berth.replica.ctx, config)).rejects.toThrow(
      `--dns-listen 127.0.0.1:${port} is in use; choose another port`,
    );
  });
});

describe('names answered beside an agent', () => {
  it('are those that were known last while no control plane answers, and the new ones after that', async () => {
    let isDown = false;
    const over = new AbortController();
    const lost = new Set<AbortController>();
    const client = createClient({
      address: 'http://berth.test',
      token: berth.admin,
      ...{ clock, random },
      fetch: async (input, init) => {
        if (isDown) throw new TypeError('fetch failed');
        const connection = new AbortController();
        lost.add(connection);
        const url = new URL(String(input));
        const response = await berth.api.request(url.pathname + url.search, init);
        // What breaks off is the body that is being read.
        const body = response.body?.pipeThrough(new TransformStream(), { signal: connection.signal }) ?? null;
        return new Response(body, response);
      },
    });
    const book = new EndpointBook();
    const known = { book, zone: { domain: 'berth', ttlSeconds: 5, ownAddresses: [] }, chance: () => random.next() };
    const server = await startDnsServer(LISTEN, { known, log: SILENT_LOGGER });
    const { watch } = client.endpoints;
    const feeding = feedBook(book, { watch, filter: {}, clock, random, log: SILENT_LOGGER, signal: over.signal });
    const resolver = resolverAt(server);
    const ask = () => resolver.resolve4('web.berth').catch(({ code }: { code: string }) => code);
    await expect.poll(ask).toEqual(['10.0.0.1']);

    isDown = true;
    for (const connection of lost) connection.abort();
    await served.tasks(aServer(WEB, { health: { ...WELL, healthy: false } }));
    expect(await ask()).toEqual(['10.0.0.1']);

    isDown = false;
    await expect.poll(ask, { timeout: 10_000 }).toBe('ENODATA');
    over.abort();
    await Promise.all([feeding, server.close()]);
  });
});
