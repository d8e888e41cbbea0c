/**
 * A cluster to measure: etcd that writes to disk, one replica, one agent from the bundle that is shipped, each a process of
 * its own.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeView } from '../../shared/protocol/views.ts';
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
  /** Of the agent's engine; absent: the machine's own. */
  readonly engineSocket?: string;
}

export async function startCluster({ profiles, engineSocket }: ClusterOptions): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bench-'));
  const children: Child[] = [];
  const start = (name: string, command: string, args: readonly string[]) => {
    const child = new Child({ name, command, args, logFile: join(folder, `${name.replaceAll(' ', '-')}.log`) });
    children.push(child);
    return child;
  };
  const stop = async () => {
    for (const child of [...children].reverse()) await child.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const etcd = await startEtcd(folder, start);
    const { api, url } = await startReplica({ folder, etcd, profiles, start });
    await startAgent({
      ...{ folder, profiles, start, node: BENCH_NODE, urls: [url], api },
      ...(engineSocket === undefined ? {} : { engineSocket }),
    });
    return { api, parts: children.map(({ name, pid }) => ({ name, pids: [pid] })), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts a process whose output goes to a file of the cluster's. */
export type Start = (name: string, command: string, args: readonly string[]) => Child;

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
  /** Where it listens; a free port where none is given. */
  readonly port?: number;
  /** Further settings. */
  readonly settings?: readonly string[];
  /** For Node.js. */
  readonly flags?: readonly string[];
  /** What sets it apart from the other replicas of the cluster. */
  readonly name?: string;
}

export interface StartedReplica {
  readonly url: string;
  readonly child: Child;
  /** With the first admin token. */
  readonly api: HttpClient;
}

/** A replica that is ready. */
export async function startReplica(options: ReplicaOptions): Promise<StartedReplica> {
  const {
    folder,
    etcd,
    profiles,
    start,
    port = await freePort(),
    settings = [],
    flags = [],
    name = 'replica',
  } = options;
  const tokenFile = join(folder, 'admin-token');
  const url = `http://127.0.0.1:${port}`;
  const child = start(name, process.execPath, [
    ...profiling(profiles, name),
    ...flags,
    ...['control-plane/main-node.ts', '--etcd', etcd, '--listen', `127.0.0.1:${port}`],
    // It is what a replica can do that is measured, not what it lets one caller do.
    ...['--bootstrap-token-file', tokenFile, '--log-level', 'warn', '--rate-limit', 'off', ...settings],
  ]);
  const open = clientOf(url);
  await child.until('the replica to be ready', async () => {
    await open.expect({ method: 'GET', path: '/readyz' }, 200);
    return true;
  });
  open.close();
  const token = readFileSync(tokenFile, 'utf8').trim();
  return { url, child, api: clientOf(url, { authorization: `Bearer ${token}` }) };
}

interface AgentOptions extends ClusterOptions {
  readonly folder: string;
  readonly start: Start;
  readonly node: string;
  readonly urls: readonly string[];
  readonly api: HttpClient;
}

/** An agent that the cluster has heard of. Started again for the same node, it takes up the folder of the one before. */
export async function startAgent(options: AgentOptions): Promise<Child> {
  const { folder, profiles, start, node, urls, api, engineSocket } = options;
  const joinTokenFile = join(folder, `join-token-${node}`);
  if (!existsSync(joinTokenFile)) await writeJoinToken(api, node, joinTokenFile);
  const stateDir = join(folder, node);
  mkdirSync(stateDir, { recursive: true });
  const agent = start(`agent of ${node}`, process.execPath, [
    ...profiling(profiles, 'agent'),
    ...AGENT_PROGRAM,
    ...urls.flatMap((url) => ['--control-plane', url]),
    ...['--join-token-file', joinTokenFile, '--node-id', node],
    ...['--state-dir', stateDir, '--resources', DECLARED, '--allow-host-network', '--gpus', 'none'],
    ...(engineSocket === undefined ? [] : ['--docker-socket', engineSocket]),
  ]);
  await agent.until('the node to be ready', async () => (await nodeOf(api, node)).state === 'ready');
  return agent;
}

async function writeJoinToken(api: HttpClient, node: string, file: string): Promise<void> {
  const body = { kind: 'join', subject: node, ttlSeconds: 3600 };
  const { token } = JSON.parse(await api.expect({ method: 'POST', path: '/v1/tokens', body }, 201)) as {
    token: string;
  };
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
}

export async function nodeOf(api: HttpClient, node: string): Promise<Pick<NodeView, 'state' | 'tasks'>> {
  return JSON.parse(await api.expect({ method: 'GET', path: `/v1/nodes/${node}` }, 200)) as NodeView;
}

function profiling(folder: string | null, name: string): string[] {
  return folder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.cpuprofile`];
}

function clientOf(url: string, headers: Readonly<Record<string, string>> = {}): HttpClient {
  const { hostname, port } = new URL(url);
  return new HttpClient({ host: hostname, port: Number(port) }, headers);
}
