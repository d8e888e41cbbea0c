/**
 * Offers to a thousand frameworks of Mesos, whose streams are spread over three replicas: from the round that makes an offer, which its
 * `madeAt` tells, until its record has been read; and what a stream takes of a replica's memory. Nodes are registered and nothing runs
 * on them; their leases are long, so that nobody has to keep them alive meanwhile.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HeldOfferView } from '../../shared/protocol/offers.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { nodeOf } from '../support/replica.ts';
import { Child, pause } from './child.ts';
import { type Start, type StartedReplica, startEtcd, startReplica } from './cluster.ts';
import { BenchFramework } from './mesos-client.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { Figure, Section } from './report.ts';
import { Rest } from './rest.ts';
import { distributionOf } from './statistics.ts';

const REPLICAS = 3;
const FRAMEWORKS = 1000;
const NODES = 1000;
/** The first is a warm-up. */
const WAVES = 6;
const AT_ONCE = 16;
const QUIET_MS = 2000;
const WAVE_MS_MAX = 60_000;

export async function measureMesosStreams(): Promise<Section> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bench-streams-'));
  const children: Child[] = [];
  const start: Start = (name, command, args) => {
    const child = new Child({ name, command, args, logFile: join(folder, `${children.length}.log`) });
    children.push(child);
    return child;
  };
  try {
    const etcd = await startEtcd(folder, start);
    const replicas: StartedReplica[] = [];
    const settings = ['--lease-ttl', '600'];
    while (replicas.length < REPLICAS) {
      replicas.push(await startReplica({ folder, etcd, profiles: null, start, settings }));
    }
    return await measure(replicas, readFileSync(join(folder, 'admin-token'), 'utf8').trim());
  } finally {
    for (const child of [...children].reverse()) await child.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(replicas: readonly StartedReplica[], token: string): Promise<Section> {
  const pids = replicas.map(({ child }) => child.pid);
  const meter = new ProcessorMeter([{ name: 'replicas', pids }]);
  const rest = new Rest();
  const before = residentKiB(pids);
  const frameworks = await subscribeAll(replicas, token);
  await rest.take(QUIET_MS);
  const perStreamKiB = (residentKiB(pids) - before) / FRAMEWORKS;
  await registerNodes(replicas);
  const tookMs: number[] = [];
  for (let wave = 0; wave < WAVES; wave += 1) {
    await settled(frameworks);
    const madeAt = await offersNow(replicas);
    const took = frameworks.flatMap(({ offers }) =>
      offers.flatMap(({ id, atMs }) => (madeAt.has(id) ? [atMs - (madeAt.get(id) ?? 0)] : [])),
    );
    if (wave > 0) tookMs.push(...took);
    await rest.take(QUIET_MS / 4);
    meter.resume();
    await atOnce(frameworks, (framework) => framework.declineAll());
    meter.pause();
  }
  for (const framework of frameworks) framework.close();
  return sectionOf(tookMs, perStreamKiB, { processor: meter.use(0), othersPercent: rest.busyPercent });
}

function sectionOf(
  tookMs: readonly number[],
  perStreamKiB: number,
  around: Pick<Section, 'processor' | 'othersPercent'>,
): Section {
  const { count, mean, p50, p95, p99, min, max } = distributionOf(tookMs);
  const note = `${count} offers to ${FRAMEWORKS} frameworks on ${REPLICAS} replicas, while all of them decline and are offered anew`;
  const figure = (name: string, unit: Figure['unit'], measured: number, about: string): Figure => {
    return { name: `mesos-streams: ${name}`, unit, measured, target: null, note: about };
  };
  return {
    name: 'mesos-streams',
    figures: [
      figure('round to record read, median', 'ms', p50, note),
      figure('round to record read, p99', 'ms', p99, note),
      figure('memory per stream', 'KiB', perStreamKiB, 'of the replicas, resident, with the record of its framework'),
    ],
    tables: [
      {
        title: 'From the round that makes an offer until its record has been read, ms',
        columns: ['', 'offers', 'mean', 'p50', 'p95', 'p99', 'min', 'max'],
        rows: [['offers', count, mean, p50, p95, p99, min, max]],
      },
    ],
    ...around,
  };
}

async function subscribeAll(replicas: readonly StartedReplica[], token: string): Promise<BenchFramework[]> {
  const frameworks: BenchFramework[] = [];
  const names = Array.from({ length: FRAMEWORKS }, (_, n) => `bench-${n}`);
  await atOnce(names, async (name, n) => {
    const port = Number(new URL(replicas[n % replicas.length]?.url ?? '').port);
    frameworks.push(await BenchFramework.subscribe({ port, token }, name));
  });
  return frameworks;
}

async function registerNodes(replicas: readonly StartedReplica[]): Promise<void> {
  const [{ api } = { api: null }] = replicas;
  if (api === null) return;
  const body = { kind: 'join', subject: 'bench', ttlSeconds: 3600 };
  const { token } = JSON.parse(await api.expect({ method: 'POST', path: '/v1/tokens', body }, 201)) as {
    token: string;
  };
  const names = Array.from({ length: NODES }, (_, n) => `node-${n}`);
  await atOnce(names, async (name) => {
    const call = {
      method: 'POST',
      path: '/v1/agent/register',
      body: { node: nodeOf(name), seen: null, tasks: [] },
    } as const;
    const response = await api.open(call, { authorization: `Bearer ${token}` });
    response.resume();
    if (response.statusCode !== 200) throw new Error(`a node could not be registered: ${response.statusCode}`);
  });
}

/** Every framework holds something, and nothing more has come for a while. */
async function settled(frameworks: readonly BenchFramework[]): Promise<void> {
  const deadlineMs = performance.now() + WAVE_MS_MAX;
  for (let [seen, sinceMs] = [-1, performance.now()]; performance.now() < deadlineMs; await pause(20)) {
    const count = frameworks.reduce((sum, { offers }) => sum + offers.length, 0);
    if (count !== seen) [seen, sinceMs] = [count, performance.now()];
    if (count >= NODES && performance.now() - sinceMs > QUIET_MS) return;
  }
  throw new Error('the offers of a wave did not come to rest');
}

/** When each standing offer was made. */
async function offersNow(replicas: readonly StartedReplica[]): Promise<ReadonlyMap<string, number>> {
  const made = new Map<string, number>();
  const [replica] = replicas;
  for (let after: string | null = ''; replica !== undefined && after !== null; ) {
    const path: string = `/v1/offers?limit=1000${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
    const page = JSON.parse(await replica.api.expect({ method: 'GET', path }, 200)) as Page<HeldOfferView>;
    for (const { id, madeAt } of page.items) made.set(id, Date.parse(madeAt));
    after = page.next;
  }
  return made;
}

async function atOnce<T>(items: readonly T[], act: (item: T, index: number) => Promise<void>): Promise<void> {
  const queue = [...items.entries()];
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await act(next[1], next[0]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function residentKiB(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const [, amount = '0'] = /^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
    return sum + Number(amount);
  }, 0);
}
