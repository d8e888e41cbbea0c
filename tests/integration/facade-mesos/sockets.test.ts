/** What comes over a real connection: records as chunks of the body, as clients that read chunk by chunk need them. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ChunkedResponse } from '../../../control-plane/adapters/http/chunked-response.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { subscription } from '../../support/mesos-client.ts';
import { eventually } from '../../support/processes.ts';

let berth: TestApi;
let server: Server;
let socket: Socket;
let answer: string;

beforeEach(async () => {
  berth = await startApi();
  server = createAdaptorServer({
    fetch: berth.api.fetch,
    serverOptions: { ServerResponse: ChunkedResponse },
  }) as Server;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  answer = '';
  socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.setEncoding('utf8').on('data', (part) => {
    answer += part;
  });
});
afterEach(async () => {
  socket.destroy();
  berth.stop();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

/** As the npm package `mesos-framework` sends it: in chunks, and without saying what it accepts. */
function send(json: object, headers = ''): void {
  const body = JSON.stringify(json);
  const length = Buffer.byteLength(body).toString(16);
  const head = `POST /api/v1/scheduler HTTP/1.1\r\nContent-Type: application/json\r\nHost: 127.0.0.1\r\n${headers}`;
  const login = `Authorization: Basic ${btoa(`painter:${berth.admin}`)}\r\n`;
  socket.write(`${head}${login}Transfer-Encoding: chunked\r\n\r\n${length}\r\n${body}\r\n0\r\n\r\n`);
}

/** The chunks that have come, and whether the last of them has. */
function chunks(): { parts: string[]; isOver: boolean } {
  const parts: string[] = [];
  let rest = answer.slice(answer.indexOf('\r\n\r\n') + 4);
  for (;;) {
    const [size = ''] = rest.split('\r\n', 1);
    const length = Number.parseInt(size, 16);
    if (size === '' || rest.length < size.length + 4 + length) return { parts, isOver: false };
    if (length === 0) return { parts, isOver: true };
    parts.push(rest.slice(size.length + 2, size.length + 2 + length));
    rest = rest.slice(size.length + 4 + length);
  }
}

it('each record is one chunk, and the headers are what clients look for', async () => {
  send(subscription({ name: 'Fähre' }));
  await eventually('two records', async () => chunks().parts.length >= 2);
  const [head = ''] = answer.split('\r\n\r\n');
  const lines = head.toLowerCase().split('\r\n');
  expect(lines[0]).toBe('http/1.1 200 ok');
  expect(lines).toContain('content-type: application/json');
  expect(lines).toContain('transfer-encoding: chunked');
  expect(lines.filter((line) => /^mesos-stream-id: [0-9a-f-]{36}$/.test(line))).toHaveLength(1);
  expect(lines.filter((line) => /^content-(length|encoding):/.test(line))).toEqual([]);
  const { parts, isOver } = chunks();
  expect(parts[0]).toMatch(/^\d+\n\{"type":"SUBSCRIBED","subscribed":\{[^\n]*\}\}$/);
  expect(parts[1]).toBe('20\n{"type":"HEARTBEAT"}');
  expect(isOver).toBe(false);
});

it('a refused subscription is a record in a chunk, and then a clean end', async () => {
  send(subscription({ role: '' }));
  await eventually('the end', async () => chunks().isOver);
  const { parts } = chunks();
  expect(parts).toEqual([expect.stringMatching(/^\d+\n\{"type":"ERROR","error":\{"message":"[^\n]*"\}\}$/)]);
  expect(answer.toLowerCase()).toContain('mesos-stream-id:');
});

it('the stream ends cleanly when the replica goes away', async () => {
  send(subscription());
  await eventually('two records', async () => chunks().parts.length >= 2);
  berth.stop();
  await eventually('the end', async () => chunks().isOver);
});

it('a call that is taken is answered by 202 and an empty body', async () => {
  send(subscription());
  await eventually('two records', async () => chunks().parts.length >= 2);
  const streamId = /mesos-stream-id: (\S+)/i.exec(answer)?.[1];
  const [first = ''] = chunks().parts;
  const { subscribed } = JSON.parse(first.split('\n')[1] ?? '') as { subscribed: { framework_id: object } };
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1/scheduler`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${berth.admin}`,
      'content-type': 'application/json',
      'mesos-stream-id': streamId ?? '',
    },
    body: JSON.stringify({ type: 'REVIVE', framework_id: subscribed.framework_id }),
  });
  expect([response.status, response.headers.get('content-length'), response.headers.get('content-type')]).toEqual([
    202,
    '0',
    null,
  ]);
});
