/** A follower that stays for weeks must not make the agent grow with every line. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HttpControlPlane } from '../../../node-agent/adapters/control-plane/http-control-plane.ts';
import type { LogLine } from '../../../shared/protocol/agent.ts';

const BATCHES = 40_000;
/** What remains for good. A single forgotten promise per batch is some 250 bytes. */
const BYTES_PER_BATCH_MAX = 50;

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

let server: Server;
let url: string;

beforeEach(async () => {
  server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.writeHead(204).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

it('keeps nothing of the lines that it has sent', async () => {
  const controlPlane = new HttpControlPlane({
    urls: [url],
    userAgent: 'test',
    https: () => {
      throw new Error('nothing here is encrypted');
    },
    tokens: { readNodeToken: async () => 'own', readJoinToken: async () => null, writeNodeToken: async () => {} },
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  const heapUsed: number[] = [];
  const measure = () => {
    collect();
    heapUsed.push(process.memoryUsage().heapUsed);
  };
  async function* lines(): AsyncGenerator<readonly LogLine[]> {
    for (let batch = 0; batch < 2 * BATCHES; batch += 1) {
      if (batch % BATCHES === 0) measure();
      yield [{ at: '', stream: 'stdout', text: 'x' }];
    }
    measure();
  }
  await controlPlane.stream(1, 's1', lines(), new AbortController().signal);
  controlPlane.close();
  // The first half warms up whatever is only made once.
  const [, half = 0, whole = 0] = heapUsed;
  expect((whole - half) / BATCHES).toBeLessThan(BYTES_PER_BATCH_MAX);
});
