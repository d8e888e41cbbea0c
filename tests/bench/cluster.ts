/**
 * A cluster to measure: etcd that writes to disk, one replica, one agent from the bundle that is shipped, each a process of
 * its own.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/etcd.ts';
import { AGENT_PROGRAM } from './agent-program.ts';
import { Child } from './child.ts';
import { HttpClient } from './http.ts';
import type { Part } from './processor-time.ts';

export const BENCH_NODE = 'berth-bench';
/** Any machine may take part: what the node has is declared, not detected. */
const DECLARED = 'cpus=1000,memMiB=1000000,ports=40000-40999';

export interface Cluster {
  readonly api: HttpClient;
  /** etcd, replica and agent. */
  readonly parts: readonly Part[];
  stop(): Promise<void>;
}

export interface ClusterOptions {
  /** Where replica and agent leave CPU profiles; null: nowhere. */
  readonly profiles: string | null;
}

export async function startCluster({ profiles }: ClusterOptions): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bench-'));
  const children: Child[] = [];
  const start = (name: string, command: string, args: readonly string[]) => {
    const child = new Child({ name, command, args, logFile: join(folder, `${name}.log`) });
    children.push(child);
    return child;
  };
  const stop = async () => {
    for (const child of [...children].reverse()) await child.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const etcd = await startEtcd(folder, start);
    const replica = await startReplica({ folder, etcd, profiles, start });
    await startAgent({ folder, profiles, start, ...replica });
    return { api: replica.api, parts: children.map(({ name, pid }) => ({ name, pids: [pid] })), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Start = (name: string, command: string, args: readonly string[]) => Child;

/** The address of an etcd that is healthy. */
export async function startEtcd(folder: string, start: Start): Promise<string> {
  const [url, peerUrl] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const etcd = start('etcd', 'etcd', [
    ...['--name', 'bench', '--data-dir', join(folder, 'etcd'), '--logger', 'zap', '--log-level', 'warn'],
    ...['--listen-client-urls', url, '--advertise-client-urls', url],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
    ...['--initial-cluster', `bench=${peerUrl}`],
  ]);
  const http = clientOf(url);
  await etcd.until('etcd to be healthy', async () =>
    (await http.expect({ method: 'GET', path: '/health' }, 200)).includes('"true"'),
  );
  http.close();
  return url;
}

interface ReplicaOptions extends ClusterOptions {
  readonly folder: string;
  readonly etcd: string;
  readonly start: Start;
}

async function startReplica({ folder, etcd, profiles, start }: ReplicaOptions) {
  const tokenFile = join(folder, 'admin-token');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const replica = start('replica', process.execPath, [
    ...profiling(profiles, 'replica'),
    ...['control-plane/main-node.ts', '--etcd', etcd, '--listen', `127.0.0.1:${port}`],
    ...['--bootstrap-token-file', tokenFile, '--log-level', 'warn'],
  ]);
  const open = clientOf(url);
  await replica.until('the replica to be ready', async () => {
    await open.expect({ method: 'GET', path: '/readyz' }, 200);
    return true;
  });
  open.close();
  const token = readFileSync(tokenFile, 'utf8').trim();
  return { url, api: clientOf(url, { authorization: `Bearer ${token}` }) };
}

interface AgentOptions extends ClusterOptions {
  readonly folder: string;
  readonly start: Start;
  readonly url: string;
  readonly api: HttpClient;
}

async function startAgent({ folder, profiles, start, url, api }: AgentOptions): Promise<void> {
  const body = { kind: 'join', subject: 'bench', ttlSeconds: 3600 };
  const { token } = JSON.parse(await api.expect({ method: 'POST', path: '/v1/tokens', body }, 201)) as {
    token: string;
  };
  const joinTokenFile = join(folder, 'join-token');
  writeFileSync(joinTokenFile, `${token}\n`, { mode: 0o600 });
  const stateDir = join(folder, 'agent');
  mkdirSync(stateDir);
  const agent = start('agent', process.execPath, [
    ...profiling(profiles, 'agent'),
    ...AGENT_PROGRAM,
    ...['--control-plane', url, '--join-token-file', joinTokenFile, '--node-id', BENCH_NODE],
    ...['--state-dir', stateDir, '--resources', DECLARED, '--allow-host-network'],
  ]);
  await agent.until('the node to be ready', async () => {
    const { text } = await api.call({ method: 'GET', path: `/v1/nodes/${BENCH_NODE}` });
    return (JSON.parse(text) as { state?: string }).state === 'ready';
  });
}

function profiling(folder: string | null, name: string): string[] {
  return folder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.cpuprofile`];
}

function clientOf(url: string, headers: Readonly<Record<string, string>> = {}): HttpClient {
  const { hostname, port } = new URL(url);
  return new HttpClient({ host: hostname, port: Number(port) }, headers);
}
