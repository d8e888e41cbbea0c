/**
 * A whole replica in this process, over a store in memory, with a socket: for tests that need real agents and real command lines, and
 * have a say in what the replica reaches elsewhere.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdaptorServer } from '@hono/node-server';
import Docker from 'dockerode';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { createReplica, type Replica } from '../../control-plane/app.ts';
import { mintAdminToken } from '../../control-plane/services/tokens.ts';
import { type BerthClient, createClient } from '../../shared/client/client.ts';
import { SILENT_LOGGER } from '../../shared/util/log.ts';
import { randomId } from '../../shared/util/random.ts';
import { eventually, Process } from './processes.ts';

export interface OwnReplica {
  readonly replica: Replica;
  readonly address: string;
  readonly admin: BerthClient;
  readonly adminToken: string;
  /** Starts an agent with the real engine, and waits until its node is ready. */
  addAgent(name: string, extra?: readonly string[]): Promise<OwnAgent>;
  stop(): Promise<void>;
}

export interface OwnAgent {
  readonly node: string;
  readonly process: Process;
}

/** `fetch`: how the replica reaches others. */
export async function startOwnReplica(options: { readonly fetch: typeof fetch }): Promise<OwnReplica> {
  const [clock, random, ending] = [new SystemClock(), new CryptoRandom(), new AbortController()];
  const replica = await createReplica({
    store: new MemoryStore({ clock }),
    clock,
    random,
    log: SILENT_LOGGER,
    signal: ending.signal,
    replica: { id: 'replica-1', url: 'http://127.0.0.1:1' },
    config: { leaseTtlMs: 10_000, heartbeatIntervalMs: 1000, version: '0.0.0-test' },
    outsideIssuers: [],
    clientAddress: () => null,
    fetch: options.fetch,
  });
  const running = replica.run();
  const server = createAdaptorServer({ fetch: replica.api.fetch }) as Server;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { token } = await mintAdminToken(replica.mint, { subject: 'tester', ttlSeconds: 3600 });
  const admin = createClient({ address, token, fetch: globalThis.fetch, clock, random });
  const folder = await mkdtemp(join(tmpdir(), 'berth-own-'));
  const agents: OwnAgent[] = [];
  return {
    replica,
    address,
    admin,
    adminToken: token,
    async addAgent(name, extra = []) {
      const node = `${name}-${randomId(random, 5)}`;
      const { token: joinToken } = await admin.createToken({ kind: 'join', subject: node });
      const identity = ['--node-id', node, '--state-dir', join(folder, node), '--gpus', 'none'];
      const args = ['node-agent/main.ts', '--control-plane', address, '--join-token', joinToken, ...identity, ...extra];
      const agent = { node, process: new Process(args, join(folder, `${node}.log`)) };
      agents.push(agent);
      agent.process.start();
      await eventually(`node ${node} to be ready`, async () => (await admin.nodes.get(node)).state === 'ready');
      return agent;
    },
    async stop() {
      await Promise.all(agents.map((agent) => agent.process.stop()));
      await removeContainers(agents.map((agent) => agent.node));
      await rm(folder, { recursive: true, force: true });
      ending.abort();
      server.closeAllConnections();
      server.close();
      await running;
    },
  };
}

async function removeContainers(nodes: readonly string[]): Promise<void> {
  const docker = new Docker();
  for (const node of nodes) {
    const left = await docker.listContainers({ all: true, filters: { label: [`io.berth.node=${node}`] } });
    for (const { Id } of left) await docker.getContainer(Id).remove({ force: true, v: true });
  }
}
