/** Probes over real sockets: what answers, and how what doesn't is told. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { NetworkProbes } from '../../../node-agent/adapters/probes/network-probes.ts';
import type { CheckSpec } from '../../../shared/domain/service.ts';
import { aCheck } from '../../support/fake-probes.ts';

const probes = new NetworkProbes({ https: () => process.getBuiltinModule('node:https'), userAgent: 'checks/1' });
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  closing.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const serving = (listener: RequestListener) => listening(createServer(listener));
const probe = (port: number, change: Partial<CheckSpec> = {}, signal = new AbortController().signal) =>
  probes.probe({ spec: aCheck(change), port }, signal);

describe('HTTP', () => {
  it.each([
    [200, {}, 'passed'],
    [204, {}, 'passed'],
    [301, {}, 'passed'],
    [399, {}, 'passed'],
    [400, {}, 'failed'],
    [503, {}, 'failed'],
    [301, { statuses: [{ first: 200, last: 299 }] }, 'failed'],
    [
      418,
      {
        statuses: [
          { first: 200, last: 200 },
          { first: 410, last: 420 },
        ],
      },
      'passed',
    ],
  ])('status %d with %j has %s', async (status, change: Partial<CheckSpec>, type) => {
    const port = await serving((_, response) => response.writeHead(status, { location: '/nowhere' }).end());
    expect(await probe(port, change)).toEqual({ type, message: `GET /: status ${status}` });
  });

  it('sends what the check says, and follows nothing', async () => {
    const seen: unknown[] = [];
    const port = await serving(({ method, url, headers }, response) => {
      seen.push({ method, url, host: headers.host, agent: headers['user-agent'], extra: headers['x-extra'] });
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    const headers = { Host: 'shop.example', 'X-Extra': 'yes' };
    await probe(port, { method: 'HEAD', path: '/ok?deep=1', headers });
    expect(seen).toEqual([
      { method: 'HEAD', url: '/ok?deep=1', host: 'shop.example', agent: 'checks/1', extra: 'yes' },
    ]);
  });

  it('waits past what is only said for now', async () => {
    const port = await serving((_, response) => {
      response.writeProcessing();
      response.writeHead(500).end('no disk');
    });
    expect(await probe(port)).toEqual({ type: 'failed', message: 'GET /: status 500: no disk' });
  });

  it('takes in no more than a part of an endless answer', async () => {
    let sent = 0;
    const port = await serving((_, response) => {
      response.writeHead(500);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384))) sent += 16_384;
      };
      response.on('drain', more);
      more();
    });
    const { type, message } = await probe(port);
    expect(type).toBe('failed');
    expect(message.length).toBeLessThan(300);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  it('lets an answer whose body never ends pass by its status', async () => {
    const port = await serving((_, response) => void response.writeHead(200).write('x'));
    expect(await probe(port)).toMatchObject({ type: 'passed' });
  });

  it('takes no answer, a broken one, and none within its time for failures', async () => {
    const closed = createTcpServer();
    const nobody = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    expect(await probe(nobody)).toEqual({ type: 'failed', message: 'GET /: connection refused' });
    const rude = await listening(createTcpServer((socket) => socket.destroy()));
    expect((await probe(rude)).type).toBe('failed');
    const odd = await listening(createTcpServer((socket) => socket.end('hello\r\n\r\n')));
    expect((await probe(odd)).type).toBe('failed');
    const over = new AbortController();
    const silent = await listening(createTcpServer(() => over.abort()));
    expect((await probe(silent, {}, over.signal)).type).toBe('failed');
  });

  it('says so of a header that cannot be sent', async () => {
    const port = await serving((_, response) => response.end());
    expect(await probe(port, { headers: { 'x-a': 'one\r\ntwo' } })).toMatchObject({ type: 'failed' });
  });
});

describe('HTTPS', () => {
  it('does not ask whether to trust the certificate', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-probes-'));
    closing.push(() => rmSync(folder, { recursive: true }));
    const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
    const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-subj', '/CN=somebody-else'];
    execFileSync('openssl', ['req', '-x509', '-nodes', ...options, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const server = createHttpsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) =>
      response.end('fine'),
    );
    const port = await listening(server);
    expect(await probe(port, { type: 'https' })).toEqual({ type: 'passed', message: 'GET /: status 200' });
    expect((await probe(port)).type).toBe('failed');
  });
});

describe('TCP', () => {
  it('passes where somebody listens', async () => {
    const server = createTcpServer();
    const port = await listening(server);
    expect(await probe(port, { type: 'tcp' })).toEqual({
      type: 'passed',
      message: `port ${port} takes connections`,
    });
    await new Promise((resolve) => server.close(resolve));
    expect(await probe(port, { type: 'tcp' })).toEqual({
      type: 'failed',
      message: `port ${port}: connection refused`,
    });
  });

  it.each([
    ['hangs up', (socket: Socket) => void socket.end()],
    ['breaks off', (socket: Socket) => void socket.resetAndDestroy()],
  ])(
    'fails where what takes connections %s at once, as the engine does for a task that does not listen',
    async (_, hangUp) => {
      const port = await listening(createTcpServer(hangUp));
      expect(await probe(port, { type: 'tcp' })).toEqual({
        type: 'failed',
        message: `port ${port}: the connection was closed without an answer`,
      });
    },
  );

  it('is done in half of its time at the latest', async () => {
    const port = await listening(createTcpServer());
    const begunMs = performance.now();
    expect((await probe(port, { type: 'tcp', timeoutSeconds: 0.1 })).type).toBe('passed');
    expect(performance.now() - begunMs).toBeLessThan(190);
  });

  it('passes where somebody says something and hangs up', async () => {
    const port = await listening(createTcpServer((socket) => socket.end('noon\r\n')));
    expect((await probe(port, { type: 'tcp' })).type).toBe('passed');
  });
});
