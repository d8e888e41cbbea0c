/** What an executor's socket stands: whoever can open it is a tenant, and the agent behind it serves the whole node. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Endpoint } from '../../../node-agent/adapters/executor/endpoint.ts';

const HEAD = 'HTTP/1.1\r\nHost: x\r\n';

let dir: string;
let socket: string;
let endpoint: Endpoint;
let outstanding: () => [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-ex-'));
  socket = join(dir, 'executor.sock');
  outstanding = () => [];
  endpoint = await Endpoint.open({
    socket,
    socketMode: 0o600,
    outstanding: () => outstanding(),
    onStatus: async () => ({ code: 204 }),
    onMessage: () => ({ code: 202 }),
    onConfirmed: () => ({ code: 204 }),
  });
});

afterEach(async () => {
  endpoint.close();
  await rm(dir, { recursive: true, force: true });
});

/** The status line with which bytes are answered that no HTTP client would send; empty: there is none before the line is closed. */
function send(bytes: string, isCutShort = false): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const line = connect(socket, () => line.write(bytes, () => isCutShort && line.destroy()));
    line.setEncoding('latin1');
    line.on('data', (chunk: string) => {
      heard += chunk;
      if (heard.includes('\r\n')) line.destroy();
    });
    line.on('error', () => {});
    line.on('close', () => resolve(heard.split('\r\n')[0] ?? ''));
  });
}

/** What isn't caught in the endpoint ends an agent, and fails the test here. */
async function expectServed(path = '/confirm'): Promise<void> {
  const body = '{"message":"a"}';
  const answer = await send(`POST ${path} ${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`);
  expect(answer).toMatch(/ 204 /);
}

describe("an executor's endpoint", () => {
  it.each<[string, string, RegExp]>([
    ['a path that is no URL', `GET // ${HEAD}\r\n`, / 404 /],
    ['a host that is none', `POST http://[ ${HEAD}\r\n`, / 40[04] /],
    ['a port that is none', `POST //x:99999999/status ${HEAD}\r\n`, / 404 /],
    ['an escape that is none', `POST /%zz ${HEAD}\r\n`, / 404 /],
    ['no HTTP', '\0\r\n\r\n', / 400 /],
    ['a length that is none', `POST /status ${HEAD}Content-Length: -1\r\n\r\n`, / 400 /],
    ['a body that is no JSON', `POST /status ${HEAD}Content-Length: 2\r\n\r\n[[`, / 400 /],
    ['chunks that are none', `POST /status ${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, / 400 /],
    ['a flood of headers', `GET / ${HEAD}${'a: b\r\n'.repeat(20_000)}\r\n`, / 431 /],
    ['another protocol', `GET / ${HEAD}Connection: upgrade\r\nUpgrade: other\r\n\r\n`, / 404 /],
    ['a tunnel', `CONNECT // ${HEAD}\r\n`, /^$/],
  ])('outlives %s', async (_, bytes, answer) => {
    expect(await send(bytes)).toMatch(answer);
    await expectServed();
  });

  it.each([
    ['a body', `POST /status ${HEAD}Content-Length: 9\r\n\r\n{`],
    ['headers', `POST /status ${HEAD}`],
    ['what it is told', `GET /events ${HEAD}\r\n`],
  ])('outlives that %s breaks off', async (_, bytes) => {
    await send(bytes, true);
    endpoint.tell({ type: 'kill', task: 't', isForced: false });
    await expectServed();
  });

  it('lets go of an executor that it can not tell what is outstanding', async () => {
    outstanding = () => {
      throw new Error('no disk');
    };
    await send(`GET /events ${HEAD}\r\n`);
    await expectServed();
  });

  it('takes what follows a question mark for no part of a path', async () => {
    await expectServed('/confirm?a=//');
  });
});
