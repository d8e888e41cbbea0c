/** What real sockets meet: bounds on headers, bodies, time and connections, over HTTP/1.1 and HTTP/2, with and without TLS. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type ClientHttp2Session, connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { BlockList, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ServerTimes } from '../../../control-plane/adapters/http/api-server.ts';
import { clientAddress } from '../../../control-plane/adapters/http/client-address.ts';
import { trustingFetch } from '../../../control-plane/https/trusting-fetch.ts';
import { type Serving, serveApi } from '../../../control-plane/main-serve.ts';
import type { TransportConfig } from '../../../control-plane/main-transport-config.ts';
import { type Logger, SILENT_LOGGER } from '../../../shared/util/log.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, line, placeTask } from '../../support/api-agent.ts';
import { makeAuthority, type TestAuthority, type TestCertificate } from '../../support/certificates.ts';
import { eventually } from '../../support/processes.ts';

const PLAIN: TransportConfig = { tls: null, ca: null, proxies: null, connectionsMax: 100, rates: null };

let folder: string;
let authority: TestAuthority;
let own: TestCertificate;
let berth: TestApi;
let serving: Serving;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-transport-'));
  authority = await makeAuthority(folder);
  own = await authority.issue('replica');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  berth = await startApi();
});
afterEach(async () => {
  berth.stop();
  await serving.close();
});

interface How {
  readonly transport?: Partial<TransportConfig>;
  readonly times?: Partial<ServerTimes>;
  readonly log?: Logger;
}

async function serve({ transport = {}, times = {}, log = SILENT_LOGGER }: How = {}): Promise<void> {
  const listen = { host: '127.0.0.1', port: 0 };
  const { fetch } = berth.api;
  const requestId = () => 'request-1';
  serving = await serveApi({ fetch, listen, transport: { ...PLAIN, ...transport }, log, requestId, times });
}

const withTls = (more: Partial<NonNullable<TransportConfig['tls']>> = {}): Partial<TransportConfig> => ({
  tls: { certFile: own.certFile, keyFile: own.keyFile, clientCaFile: null, ...more },
});

/** Sends bytes as they are, and returns what comes back until the connection ends. */
async function raw(text: string, socket: Socket = connect(serving.port, '127.0.0.1')): Promise<string> {
  let answer = '';
  socket.setEncoding('utf8').on('data', (part) => {
    answer += part;
  });
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.write(text);
  await closed;
  return answer;
}

function problemIn(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
}

describe('requests that are none', () => {
  it.each([
    ['is not HTTP', 'HELLO\r\n\r\n', 400, 'invalid-request'],
    ['has no host', 'GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n', 400, 'invalid-request'],
    ['has headers of 20 KB', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
    ['has 200 headers', `GET /healthz HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(200)}\r\n`, 431, 'headers-too-large'],
  ])('one that %s is refused with a problem, and the connection is closed', async (_what, text, status, code) => {
    await serve();
    const answer = await raw(text.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
    expect(answer.toLowerCase()).toContain('x-content-type-options: nosniff');
    expect(problemIn(answer)).toMatchObject({ status, code, requestId: 'request-1' });
  });

  it('headers that arrive byte by byte are cut off', async () => {
    await serve({ times: { headersArrivalMs: 100, checkEveryMs: 20 } });
    const answer = await raw('GET /healthz HTTP/1.1\r\nHost: x\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(problemIn(answer)).toMatchObject({ code: 'request-timeout' });
  });

  it('a connection that says nothing is cut off', async () => {
    await serve({ times: { headersArrivalMs: 100, checkEveryMs: 20 } });
    expect(await raw('')).toMatch(/^(HTTP\/1\.1 408 |$)/);
  });

  it('connections beyond the bound are closed as they come, and others once there is room', async () => {
    await serve({ transport: { connectionsMax: 2 } });
    const sockets = [1, 2].map(() => connect(serving.port, '127.0.0.1'));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    expect(await raw('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toBe('');
    sockets[0]?.destroy();
    await eventually('room for one more', async () => {
      const answer = await raw('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      return answer.startsWith('HTTP/1.1 200');
    });
    sockets[1]?.destroy();
  });
});

describe('a hang-up', () => {
  it('is heard without a certificate as well, where it would end the process otherwise', async () => {
    await serve();
    expect(process.listenerCount('SIGHUP')).toBe(1);
    process.emit('SIGHUP');
    expect(await raw('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 200/);
  });
});

describe('a body that comes byte by byte', () => {
  it.each([
    ['/v1/jobs', 'problem+json'],
    ['/api/v1/scheduler', 'text/plain'],
  ])('is cut off at %s, with its connection', async (path, type) => {
    berth.stop();
    const clock = new ManualClock();
    berth = await startApi({ clock });
    await serve();
    const head = ['Host: x', `Authorization: Bearer ${berth.admin}`, 'Content-Type: application/json'];
    const text = `POST ${path} HTTP/1.1\r\n${[...head, 'Content-Length: 100'].join('\r\n')}\r\n\r\n{`;
    let answer = '';
    const ended = raw(text).then((got) => {
      answer = got;
    });
    await eventually('the connection to end', async () => {
      await clock.advance(1000);
      return answer !== '';
    });
    await ended;
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain(type);
  });
});

describe('a client that takes nothing of its answer', () => {
  function toldCut(): { readonly log: Logger; readonly untilCut: Promise<void> } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const info: Logger['info'] = (_fields, message) => {
      if (message.includes('took nothing')) resolve();
    };
    return { log: { ...SILENT_LOGGER, info }, untilCut: promise };
  }

  it('is cut, while one that has nothing to take is kept', async () => {
    const { log, untilCut } = toldCut();
    await serve({ times: { stallMs: 200 }, log });
    const [greedy, quiet] = [connect(serving.port, '127.0.0.1'), connect(serving.port, '127.0.0.1')];
    greedy.on('error', () => undefined).pause();
    let isQuietOpen = true;
    quiet.on('close', () => {
      isQuietOpen = false;
    });
    const authorization = `Authorization: Bearer ${berth.admin}`;
    quiet.write(`GET /v1/events?waitMs=60000 HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`);
    // The description is some hundred kilobytes; asked for often enough, it fills every buffer on the way.
    greedy.write('GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(100));
    await untilCut;
    const ended = once(greedy, 'close');
    greedy.resume();
    await ended;
    expect(isQuietOpen).toBe(true);
    quiet.destroy();
  });

  it('is cut over HTTP/2, where its other streams go on', async () => {
    const { log, untilCut } = toldCut();
    await serve({ transport: withTls(), times: { stallMs: 200 }, log });
    const session = await openHttp2();
    const quiet = session.request({ ':path': '/v1/events?waitMs=60000', authorization: `Bearer ${berth.admin}` });
    quiet.on('error', () => undefined);
    const greedy = session.request({ ':path': '/openapi.json' });
    greedy.on('error', () => undefined).pause();
    await untilCut;
    expect((await overHttp2(session, { ':path': '/healthz' })).headers[':status']).toBe(200);
    expect(quiet.destroyed).toBe(false);
    session.destroy();
  });
});

/** One request over HTTPS and HTTP/1.1. */
async function overTls(path: string, options: object = {}): Promise<{ status: number; headers: IncomingHttpHeaders }> {
  const call = httpsRequest({ host: 'localhost', port: serving.port, path, ca: authority.cert, ...options }).end();
  const [response] = await once(call, 'response');
  response.resume();
  await once(response, 'end');
  return { status: response.statusCode, headers: response.headers };
}

async function openHttp2(options: object = {}): Promise<ClientHttp2Session> {
  const session = connectHttp2(`https://localhost:${serving.port}`, { ca: authority.cert, ...options });
  session.on('error', () => undefined);
  await once(session, 'connect');
  return session;
}

async function overHttp2(session: ClientHttp2Session, headers: Record<string, string>, body?: string | Buffer) {
  const stream = session.request({ authorization: `Bearer ${berth.admin}`, ...headers });
  const answered = once(stream, 'response');
  stream.end(body);
  const [answer] = await answered;
  let text = '';
  for await (const part of stream.setEncoding('utf8')) text += part;
  return { headers: answer as IncomingHttpHeaders & { ':status': number }, text };
}

describe('over TLS', () => {
  it('HTTP/1.1 and HTTP/2 are served on one port, and say that browsers are to come over TLS only', async () => {
    await serve({ transport: withTls() });
    const plain = await overTls('/healthz');
    expect(plain.status).toBe(200);
    const session = await openHttp2();
    expect(session.alpnProtocol).toBe('h2');
    const { headers, text } = await overHttp2(session, { ':path': '/healthz' });
    expect(headers[':status']).toBe(200);
    expect(text).toBe('{"status":"ok"}');
    for (const given of [plain.headers, headers]) {
      expect(given['strict-transport-security']).toBe('max-age=31536000');
    }
    session.close();
  });

  it('no version before 1.2 is spoken', async () => {
    await serve({ transport: withTls() });
    const ciphers = 'DEFAULT@SECLEVEL=0';
    await expect(overTls('/healthz', { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers })).rejects.toThrow();
    expect((await overTls('/healthz', { maxVersion: 'TLSv1.2' })).status).toBe(200);
  });

  it('where clients have to show certificates, only those of the authority get in', async () => {
    await serve({ transport: withTls({ clientCaFile: authority.certFile }) });
    const stranger = await (await makeAuthority(join(folder, 'strangers'))).issue('client');
    const client = await authority.issue('client');
    await expect(overTls('/healthz')).rejects.toThrow();
    await expect(overTls('/healthz', { cert: stranger.cert, key: stranger.key })).rejects.toThrow();
    expect((await overTls('/healthz', { cert: client.cert, key: client.key })).status).toBe(200);
  });

  it('a renewed certificate is taken into use on SIGHUP, and a pair that does not fit is not', async () => {
    const files = { certFile: join(folder, 'renewed.pem'), keyFile: join(folder, 'renewed-key.pem') };
    const put = async (cert: string, key: string) => {
      await writeFile(files.certFile, cert);
      await writeFile(files.keyFile, key);
    };
    await put(own.cert, own.key);
    const told: string[] = [];
    const log = { ...SILENT_LOGGER, error: (fields: object) => told.push(JSON.stringify(fields)) };
    await serve({ transport: withTls(files), log });
    const shown = () =>
      new Promise<string>((resolve, reject) => {
        const socket = connectTls({
          port: serving.port,
          host: 'localhost',
          servername: 'localhost',
          ca: authority.cert,
        });
        socket.once('error', reject).once('secureConnect', () => {
          resolve(String(socket.getPeerCertificate().subject.CN));
          socket.destroy();
        });
      });
    expect(await shown()).toBe('replica');
    const renewed = await authority.issue('renewed');
    await put(renewed.cert, own.key);
    process.emit('SIGHUP');
    expect(await shown()).toBe('replica');
    expect(told.join()).toContain(`is not the key of --tls-cert`);
    await put(renewed.cert, renewed.key);
    process.emit('SIGHUP');
    expect(await shown()).toBe('renewed');
  });

  it('is not begun with files that can not be used', async () => {
    await expect(serve({ transport: withTls({ keyFile: authority.keyFile }) })).rejects.toThrow(/--tls-key .* is not/);
    await expect(serve({ transport: withTls({ certFile: own.keyFile }) })).rejects.toThrow(
      /--tls-cert .* no certificate/,
    );
    await expect(serve({ transport: withTls({ certFile: '/none' }) })).rejects.toThrow(
      /--tls-cert "\/none" can't be read/,
    );
    await serve();
  });
});

describe('where a request comes from', () => {
  it('is what its socket says, and what a proxy of ours says, over either version', async () => {
    const addresses = new BlockList();
    addresses.addAddress('127.0.0.1');
    for (const proxies of [null, { addresses, header: 'x-forwarded-for' } as const]) {
      const told = clientAddress(proxies);
      const fetch = (request: Request, env: object) => new Response(told(request, env));
      const listen = { host: '127.0.0.1', port: 0 };
      const transport = { ...PLAIN, ...withTls() };
      serving = await serveApi({ fetch, listen, transport, log: SILENT_LOGGER, requestId: () => 'none' });
      const headers = { 'x-forwarded-for': '192.0.2.7' };
      const address = proxies === null ? '127.0.0.1' : '192.0.2.7';
      const session = await openHttp2();
      expect((await overHttp2(session, { ':path': '/', ...headers })).text).toBe(address);
      session.destroy();
      const trusting = trustingFetch(() => ({ ca: [authority.cert], identity: null }));
      expect(await (await trusting(`https://localhost:${serving.port}/`, { headers })).text()).toBe(address);
      await serving.close();
    }
  });
});

describe('over HTTP/2', () => {
  it('bodies go up, and calls wait', async () => {
    await serve({ transport: withTls() });
    const session = await openHttp2();
    const spec = JSON.stringify({ name: 'hello', groups: [{ image: 'berth/busybox:local' }] });
    const waiting = overHttp2(session, { ':path': '/v1/events?waitMs=20000' });
    const made = await overHttp2(
      session,
      { ':path': '/v1/jobs', ':method': 'POST', 'content-type': 'application/json' },
      spec,
    );
    expect(made.headers[':status']).toBe(201);
    expect(JSON.parse((await waiting).text)).toMatchObject({ items: [{ type: 'job.created' }] });
    const large = { ':path': '/v1/jobs', ':method': 'POST', 'content-type': 'application/json' };
    const refused = await overHttp2(session, large, Buffer.alloc(1_100_000, 'x'));
    expect(refused.headers[':status']).toBe(413);
    session.close();
  });

  it('output of tasks streams up and down', async () => {
    await serve({ transport: withTls() });
    const agent = await ApiAgent.register(berth);
    const task = await placeTask(berth);
    await agent.report(task, 'running');
    const session = await openHttp2();
    const down = session.request({
      ':path': `/v1/tasks/${task}/logs?follow=true`,
      accept: 'text/event-stream',
      authorization: `Bearer ${berth.admin}`,
    });
    const { streams } = await agent.assignment((assignment) => assignment.streams.length > 0);
    const up = session.request({
      ':path': `/v1/agent/streams/${streams[0]?.id}`,
      ':method': 'POST',
      'content-type': 'application/x-ndjson',
      'berth-epoch': String(agent.session.epoch),
      authorization: `Bearer ${agent.session.nodeToken}`,
    });
    up.write(`${JSON.stringify(line(1, 'over two'))}\n`);
    await once(down, 'response');
    let seen = '';
    for await (const part of down.setEncoding('utf8')) {
      seen += part;
      if (seen.includes('over two')) break;
    }
    expect(seen).toContain('over two');
    up.close();
    session.destroy();
  });

  it('streams that are opened only to be reset end the connection, and the server goes on', async () => {
    await serve({ transport: withTls() });
    const session = await openHttp2();
    let goneCode: number | null = null;
    session.on('goaway', (code) => {
      goneCode = code;
    });
    for (let batch = 0; batch < 30 && !session.destroyed && !session.closed; batch++) {
      for (let at = 0; at < 20 && !session.destroyed && !session.closed; at++) {
        const stream = session.request({ ':path': '/v1/jobs', authorization: `Bearer ${berth.admin}` });
        stream.on('error', () => undefined);
        stream.close(constants.NGHTTP2_CANCEL);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('the connection to be ended', async () => session.closed || session.destroyed);
    expect([null, constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_ENHANCE_YOUR_CALM]).toContain(goneCode);
    expect((await overTls('/healthz')).status).toBe(200);
  });

  it('no more streams are open at a time than are allowed, and headers are bounded', async () => {
    await serve({ transport: withTls() });
    const session = await openHttp2();
    await eventually('the settings', async () => session.remoteSettings.maxConcurrentStreams === 128);
    const stream = session.request({
      ':path': '/healthz',
      ...Object.fromEntries([...Array(30)].map((_, at) => [`x-${at}`, 'a'.repeat(1000)])),
    });
    stream.on('error', () => undefined);
    await new Promise((resolve) => stream.once('close', resolve));
    expect(stream.rstCode).not.toBe(0);
    expect((await overTls('/healthz')).status).toBe(200);
    session.destroy();
  });
});
