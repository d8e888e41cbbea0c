/** The edge entry as processes: the tunnel before an etcd, and the Worker in its real runtime. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstToken } from '../../infra/edge/first-token.ts';
import { type EdgePart, planTunnel, planWorker } from '../../infra/edge/parts.ts';
import { freePort, startEtcd, type TestEtcd } from './etcd.ts';
import { clientOf, eventually, Process, type RealCluster, type RealReplica, withAgents } from './processes.ts';

const TOKEN_SECONDS = 3600;
/** A Worker that is started while other tests take the machine's cores. */
const READY_MS = 60_000;

export interface RealEdge extends RealReplica {
  /** The tunnel, and what it asks for. */
  readonly tunnel: { readonly url: string; readonly secret: string };
  log(): string;
  stop(): Promise<void>;
}

export async function startTunnel(etcd: TestEtcd, folder: string) {
  const tunnel = planTunnel({ etcd: etcd.url, port: await freePort(), env: {} });
  const process = processOf(tunnel, join(folder, 'tunnel.log'));
  process.start();
  const headers = { 'berth-tunnel-secret': tunnel.secret };
  await eventually('the tunnel to be ready', async () => {
    const answer = await fetch(`${tunnel.url}/v3/maintenance/status`, { method: 'POST', body: '{}', headers });
    return answer.ok;
  });
  return { url: tunnel.url, secret: tunnel.secret, process };
}

export async function startEdge(
  etcd: TestEtcd,
  { folder, token, variables }: { folder: string; token: string; variables: Record<string, string> },
): Promise<RealEdge> {
  const tunnel = await startTunnel(etcd, folder);
  const [port, inspectorPort] = [await freePort(), await freePort()];
  const worker = await planWorker({ tunnel, port, inspectorPort, folder: join(folder, 'worker'), env: {}, variables });
  const process = processOf(worker, join(folder, 'worker.log'));
  process.start();
  await eventually('the Worker to be ready', async () => (await fetch(`${worker.url}/readyz`)).ok, READY_MS);
  return {
    ...{ url: worker.url, tunnel, process },
    client: clientOf(worker.url, token),
    log: () => process.log(),
    async stop() {
      await process.stop();
      await tunnel.process.stop();
    },
  };
}

function processOf({ command, args, env }: EdgePart, logFile: string): Process {
  const set = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  const path = `${globalThis.process.env['PATH'] ?? ''}${env['PATH'] ?? ''}`;
  return new Process(args, logFile, { command, env: { ...Object.fromEntries(set), PATH: path } });
}

/** A cluster that has no other control plane. */
export async function startEdgeCluster(
  variables: Record<string, string> = {},
): Promise<RealCluster & { edge: RealEdge }> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-edge-'));
  const etcd = await startEtcd();
  const token = await firstToken([etcd.url], TOKEN_SECONDS);
  const edge = await startEdge(etcd, { folder, token, variables });
  const cluster = withAgents({ folder, etcd, token, replicas: [edge] });
  return {
    ...cluster,
    edge,
    async stop() {
      await cluster.stop();
      await edge.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
