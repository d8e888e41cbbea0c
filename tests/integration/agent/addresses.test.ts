/** The agent's way to the control plane over sockets: replicas that hang, streams that end, tokens that can't be kept or read. */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpControlPlane, type TokenStore } from '../../../node-agent/adapters/control-plane/http-control-plane.ts';
import { ControlPlaneFault, type Log } from '../../../node-agent/executor/contracts.ts';
import type { LogLine, RegisterRequest } from '../../../shared/protocol/agent.ts';

const LEASE_TTL_MS = 800;
const never = new AbortController().signal;
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listening(server: Server | TcpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers registrations and heartbeats, until `isHung`: then it takes calls and says nothing. */
async function replica() {
  const calls: string[] = [];
  const state = { isHung: false };
  const server = createServer((request, response) => {
    const call = request.url ?? '';
    calls.push(call);
    if (state.isHung || call.includes('/streams/')) return;
    const session = { nodeToken: 'own', epoch: 1, incarnation: 1, heartbeatIntervalMs: 200, leaseTtlMs: LEASE_TTL_MS };
    response.end(JSON.stringify(call.endsWith('/register') ? session : { nodeToken: null }));
  });
  closing.push(() => server.closeAllConnections());
  return { url: await listening(server), calls, state };
}

function client(urls: readonly string[], tokens: Partial<TokenStore> = {}) {
  const warnings: string[] = [];
  const log: Log = { debug() {}, info() {}, warn: (message) => void warnings.push(message), error() {} };
  const controlPlane = new HttpControlPlane({
    urls,
    userAgent: 'test',
    https: () => {
      throw new Error('nothing here is encrypted');
    },
    tokens: {
      readNodeToken: async () => 'own',
      readJoinToken: async () => null,
      writeNodeToken: async () => {},
      ...tokens,
    },
    log,
  });
  closing.push(() => controlPlane.close());
  return { controlPlane, warnings };
}

// What the node says of itself is of no interest to the replicas here.
const REQUEST = { seen: null, tasks: [] } as unknown as RegisterRequest;

describe('a replica that hangs', () => {
  it('costs a heartbeat no more than a quarter of the lease, and the next one goes elsewhere', async () => {
    const [first, second] = [await replica(), await replica()];
    const { controlPlane } = client([first.url, second.url]);
    await controlPlane.register(REQUEST, never);
    first.state.isHung = true;
    const begun = performance.now();
    await expect(controlPlane.heartbeat(1, 0, never)).rejects.toMatchObject({ kind: 'away' });
    // Half of the lease, so that a busy machine doesn't fail this; the call itself is given up after a quarter.
    expect(performance.now() - begun).toBeLessThan(LEASE_TTL_MS / 2);
    await controlPlane.heartbeat(1, 0, never);
    expect(second.calls).toEqual(['/v1/agent/heartbeat']);
  });
});

describe('a stream that the agent itself ends', () => {
  it('says nothing about the address that it went to', async () => {
    const [first, second] = [await replica(), await replica()];
    const { controlPlane } = client([first.url, second.url]);
    await controlPlane.register(REQUEST, never);
    const over = new AbortController();
    async function* silence(): AsyncGenerator<readonly LogLine[]> {
      await new Promise((resolve) => over.signal.addEventListener('abort', resolve));
    }
    const sent = controlPlane.stream(1, 's1', silence(), over.signal);
    over.abort();
    await expect(sent).rejects.not.toBeInstanceOf(ControlPlaneFault);
    await controlPlane.heartbeat(1, 0, never);
    expect(first.calls.at(-1)).toBe('/v1/agent/heartbeat');
    expect(second.calls).toEqual([]);
  });

  it('and one that the replica breaks off sends the agent elsewhere', async () => {
    const breaking = await listening(createTcpServer((socket) => socket.destroy()));
    const second = await replica();
    const { controlPlane } = client([breaking, second.url]);
    async function* silence(): AsyncGenerator<readonly LogLine[]> {
      await new Promise(() => undefined);
    }
    await expect(controlPlane.stream(1, 's1', silence(), never)).rejects.toMatchObject({ kind: 'away' });
    await controlPlane.heartbeat(1, 0, never);
    expect(second.calls).toEqual(['/v1/agent/heartbeat']);
  });
});

describe('tokens', () => {
  it('that cannot be kept serve from memory, and it is said once', async () => {
    const { url } = await replica();
    const full = () => Promise.reject(new Error('ENOSPC: no space left on device, write'));
    const { controlPlane, warnings } = client([url], { writeNodeToken: full });
    await controlPlane.register(REQUEST, never);
    await controlPlane.register(REQUEST, never);
    expect(await controlPlane.heartbeat(1, 0, never)).toEqual({ nodeToken: null });
    expect(warnings).toEqual(['the node token could not be kept; the next start needs the join token']);
  });

  it.each(['readNodeToken', 'readJoinToken'] as const)('are asked for again later when %s fails', async (read) => {
    const { url } = await replica();
    const unreadable = () => Promise.reject(new Error('EIO: i/o error, read'));
    const { controlPlane } = client([url], { readNodeToken: async () => null, [read]: unreadable });
    await expect(controlPlane.register(REQUEST, never)).rejects.toMatchObject({
      name: 'ControlPlaneFault',
      message: expect.stringContaining('EIO'),
    });
  });
});
