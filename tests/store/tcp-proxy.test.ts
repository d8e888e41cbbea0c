/** The faults are worth as much as the wire that makes them: what it does to requests and answers, over HTTP/1 and HTTP/2. */
import { once } from 'node:events';
import { createServer, request as request1 } from 'node:http';
import { connect as connect2, createServer as createServer2 } from 'node:http2';
import type { Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { holds } from './faults/place.ts';
import { TcpProxy } from './tcp-proxy.ts';

/** Sends one request over a connection of its own. Resolves with how much of the body came, and whether all of it did. */
type Send = (url: string, path: string) => Promise<{ readonly bytes: number; readonly whole: boolean }>;

const BODY = 'x'.repeat(5000);
const WITHIN_MS = 5000;
/** How long an answer is waited for that should not come. */
const PATIENCE_MS = 150;

const sendOverHttp1: Send = (url, path) =>
  new Promise((resolve) => {
    let bytes = 0;
    const request = request1(new URL(path, url), { agent: false }, (answer) => {
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      answer.on('error', () => undefined);
      answer.on('close', () => resolve({ bytes, whole: answer.complete }));
    });
    request.on('error', () => resolve({ bytes, whole: false }));
    request.end();
  });

const sendOverHttp2: Send = (url, path) =>
  new Promise((resolve) => {
    let [bytes, ended] = [0, false];
    const session = connect2(url);
    session.on('error', () => resolve({ bytes, whole: false }));
    const stream = session.request({ ':path': path });
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on('end', () => {
      ended = bytes === BODY.length;
    });
    stream.on('error', () => undefined);
    stream.on('close', () => {
      session.destroy();
      resolve({ bytes, whole: ended });
    });
  });

/** Makes a server that hands each request's path to `handle`. */
type Serve = (handle: (path: string, answer: (body: string) => void) => void) => Server;

const PROTOCOLS: readonly { readonly name: string; readonly send: Send; readonly serve: Serve }[] = [
  {
    name: 'HTTP/1',
    send: sendOverHttp1,
    serve: (handle) => createServer((request, answer) => handle(request.url ?? '', (body) => answer.end(body))),
  },
  {
    name: 'HTTP/2',
    send: sendOverHttp2,
    serve: (handle) => createServer2((request, answer) => handle(request.url, (body) => answer.end(body))),
  },
];

describe.each(PROTOCOLS)('a wire that carries $name', ({ send, serve }) => {
  const arrived: string[] = [];
  let server: Server;
  let proxy: TcpProxy;

  beforeEach(async () => {
    arrived.splice(0);
    server = serve((path, answer) => {
      arrived.push(path);
      answer(BODY);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server that listens has a port');
    proxy = await TcpProxy.start(address.port);
  });

  afterEach(async () => {
    await proxy.close();
    server.close();
  });

  const inTime = (condition: () => boolean) => holds(condition, WITHIN_MS);

  /** Sends and tells how it stands, for as long as nothing is known. */
  function begin(path: string) {
    const state: { answer: Awaited<ReturnType<Send>> | null } = { answer: null };
    send(proxy.url, path).then((answer) => {
      state.answer = answer;
    });
    return state;
  }

  test('lets everything through', async () => {
    expect(await send(proxy.url, '/a')).toEqual({ bytes: BODY.length, whole: true });
    expect(arrived).toEqual(['/a']);
  });

  test('loses an answer after the request got through, and never makes up for it', async () => {
    proxy.hold('answers');
    const sent = begin('/a');
    expect(await inTime(() => proxy.heldAnswerBytes > 0)).toBe(true);
    proxy.swallow();
    proxy.letThrough('answers');
    const fresh = begin('/b');
    expect(await holds(() => sent.answer !== null || fresh.answer !== null, PATIENCE_MS)).toBe(false);
    proxy.heal();
    expect(await inTime(() => sent.answer !== null)).toBe(true);
    expect(sent.answer).toEqual({ bytes: 0, whole: false });
    expect(await send(proxy.url, '/c')).toEqual({ bytes: BODY.length, whole: true });
  });

  test('cuts an answer in the middle', async () => {
    proxy.cutAfter(2000);
    const { bytes, whole } = await send(proxy.url, '/a');
    expect(whole).toBe(false);
    expect(bytes).toBeLessThan(2000);
    expect(await proxy.hasCut(0)).toBe(true);
    expect(await send(proxy.url, '/b')).toEqual({ bytes: BODY.length, whole: true });
  });

  test.each(['requests', 'answers'] as const)(
    'holds %s back, and lets them go on as if nothing had been',
    async (direction) => {
      proxy.hold(direction);
      const sent = begin('/a');
      expect(await holds(() => sent.answer !== null, PATIENCE_MS)).toBe(false);
      if (direction === 'requests') expect(arrived).toEqual([]);
      proxy.letThrough(direction);
      expect(await inTime(() => sent.answer !== null)).toBe(true);
      expect(sent.answer).toEqual({ bytes: BODY.length, whole: true });
      expect(arrived).toEqual(['/a']);
    },
  );

  test('lets a request arrive whose sender is gone, after the one that was sent again', async () => {
    proxy.hold('requests');
    const sent = begin('/late');
    expect(await inTime(() => proxy.heldRequestBytes > 0)).toBe(true);
    proxy.leave();
    proxy.letThrough('requests');
    expect(await inTime(() => sent.answer !== null)).toBe(true);
    expect(sent.answer).toEqual({ bytes: 0, whole: false });
    expect(await send(proxy.url, '/again')).toEqual({ bytes: BODY.length, whole: true });
    expect(arrived).toEqual(['/again']);
    proxy.arriveLate();
    expect(await inTime(() => arrived.includes('/late'))).toBe(true);
  });

  test('takes its time in both directions', async () => {
    proxy.delay(60);
    const begunMs = performance.now();
    expect(await send(proxy.url, '/a')).toEqual({ bytes: BODY.length, whole: true });
    expect(performance.now() - begunMs).toBeGreaterThanOrEqual(120);
  });

  test('forgets the connections that are open, and none that come', async () => {
    proxy.hold('requests');
    const sent = begin('/a');
    expect(await inTime(() => proxy.heldRequestBytes > 0)).toBe(true);
    proxy.forget();
    proxy.letThrough('requests');
    expect(await send(proxy.url, '/b')).toEqual({ bytes: BODY.length, whole: true });
    expect([arrived, sent.answer]).toEqual([['/b'], null]);
  });

  test.each(['close', 'reset'] as const)('cuts everything with a %s', async (ending) => {
    proxy.hold('answers');
    const sent = begin('/a');
    expect(await inTime(() => arrived.length === 1)).toBe(true);
    proxy.cut(ending);
    expect(await inTime(() => sent.answer !== null)).toBe(true);
    expect([sent.answer?.whole, proxy.openConnections]).toEqual([false, 0]);
  });
});
