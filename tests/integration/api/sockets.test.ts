import { once } from 'node:events';
import { get, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpControlPlane } from '../../../node-agent/adapters/control-plane/http-control-plane.ts';
import type { LogLine } from '../../../shared/protocol/agent.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, line, placeTask } from '../../support/api-agent.ts';

let berth: TestApi;
let server: Server;
let port: number;

beforeEach(async () => {
  berth = await startApi();
  server = createAdaptorServer({ fetch: berth.api.fetch }) as Server;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterEach(async () => {
  berth.stop();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${berth.admin}`, 'content-type': 'application/json', ...init.headers };
  return fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers });
}

/** Sends bytes as they are, and returns what comes back until the connection ends. */
async function raw(text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8').on('data', (part) => {
    answer += part;
  });
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.end(text);
  await closed;
  return answer;
}

describe('over real connections', () => {
  it.each([
    ['said beforehand', () => 'x'.repeat(10_000_000)],
    ['found out on the way', () => new Blob(['x'.repeat(10_000_000)]).stream()],
  ])('a body of 10 MB is refused, its size %s, and the server goes on', async (_name, body) => {
    const init = { method: 'POST', body: body(), duplex: 'half' } as RequestInit;
    expect((await call('/v1/jobs', init)).status).toBe(413);
    expect((await call('/healthz')).status).toBe(200);
  });

  it('an HTTP request that is none is refused by the server', async () => {
    expect(await raw('HELLO\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
    expect(await raw('GET /v1/jobs HTTP/1.1\r\nHost: a b\r\n\r\n')).toMatch(/^HTTP\/1\.1 4/);
    expect(await raw(`GET /v1/jobs/a\\b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 4/);
    expect(await raw(`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(/^HTTP\/1\.1 4/);
    expect((await call('/healthz')).status).toBe(200);
  });

  it('HEAD answers as GET does, without a body and without opening anything', async () => {
    const token = `Bearer ${berth.admin}`;
    const heads = ['/v1/jobs', '/v1/events', '/v1/tasks/none/logs', '/docs'].map(async (path) => {
      const head = request({ port, path, method: 'HEAD', headers: { authorization: token, accept: '*/*' } }).end();
      const [response] = (await once(head, 'response')) as [IncomingMessage];
      response.resume();
      await once(response, 'end');
      return response.statusCode;
    });
    expect(await Promise.all(heads)).toEqual([200, 200, 200, 200]);
  });

  it('a client that closes its connection ends its long request', async () => {
    const path = '/v1/events?waitMs=60000';
    const headers = { authorization: `Bearer ${berth.admin}` };
    const waiting = get({ port, path, headers });
    waiting.on('error', () => undefined);
    await once(waiting, 'socket');
    const stream = get({ port, path: '/v1/events', headers: { ...headers, accept: 'text/event-stream' } });
    stream.on('error', () => undefined);
    await once(stream, 'response');
    waiting.destroy();
    stream.destroy();
    server.close();
    await once(server, 'close');
    server.listen(0);
    await once(server, 'listening');
  });
});

describe("the agent's own client", () => {
  let agent: HttpControlPlane;
  let stopping: AbortController;
  let epoch: number;

  beforeEach(async () => {
    stopping = new AbortController();
    let nodeToken: string | null = (await ApiAgent.register(berth)).session.nodeToken;
    agent = new HttpControlPlane({
      urls: [`http://127.0.0.1:${port}`],
      userAgent: 'test',
      https: () => {
        throw new Error('nothing here is encrypted');
      },
      log: { debug() {}, info() {}, warn() {}, error() {} },
      tokens: {
        readNodeToken: async () => nodeToken,
        readJoinToken: async () => null,
        writeNodeToken: async (token) => {
          nodeToken = token;
        },
      },
    });
    epoch = 1;
  });
  afterEach(() => {
    stopping.abort();
    agent.close();
  });

  async function running(): Promise<string> {
    const { nodeOf } = await import('../../support/replica.ts');
    ({ epoch } = await agent.register({ node: nodeOf('edge-1'), seen: null, tasks: [] }, stopping.signal));
    const task = await placeTask(berth);
    const status = { task, state: 'running', atMs: 1, reason: 'started', message: '', exitCode: null, run: 0 } as const;
    expect(await agent.statuses(epoch, { statuses: [status], released: [] }, stopping.signal)).toEqual({
      results: ['committed'],
    });
    return task;
  }

  async function wantedStream(): Promise<string> {
    const query = { position: null, streamsVersion: null, waitMs: 1000 };
    for (let looks = 0; looks < 50; looks++) {
      const assignment = await agent.assignment(epoch, query, stopping.signal);
      const [stream] = assignment?.streams ?? [];
      if (stream !== undefined) return stream.id;
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error('no stream is wanted');
  }

  it('registers, follows, reports and sends output', async () => {
    const task = await running();
    const asked = call(`/v1/tasks/${task}/logs`);
    async function* lines(): AsyncGenerator<readonly LogLine[]> {
      yield [line(1, 'one')];
      yield [line(2, 'two'), line(3, 'three')];
    }
    await agent.stream(epoch, await wantedStream(), lines(), stopping.signal);
    expect(await (await asked).text()).toBe('one\ntwo\nthree\n');
    expect(await agent.heartbeat(epoch, 1, stopping.signal)).toEqual({ nodeToken: null });
  });

  it('shows a quiet follower that somebody is there, and stops sending when the client goes', async () => {
    const task = await running();
    const gone = new AbortController();
    const asked = call(`/v1/tasks/${task}/logs?follow=true`, { signal: gone.signal });
    async function* silence(): AsyncGenerator<readonly LogLine[]> {
      await new Promise(() => undefined);
    }
    const sent = agent.stream(epoch, await wantedStream(), silence(), stopping.signal);
    expect((await asked).status).toBe(200);
    gone.abort();
    await sent;
  });
});
