/**
 * Whether a replica goes on serving while it writes the whole state for tools of Mesos: small reads and submissions alone and beside
 * readers of `/master/state`, in turns. Mesos's master does nothing else for as long as it writes: 3.1 s for 400,000 tasks by its own
 * account (version 1.7), after 7 s before.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from './child.ts';
import { type Call, HttpClient } from './http.ts';
import type { ReplicaAddress } from './large-replica.ts';
import { NODES, nodeId, TASKS } from './large-state.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { Figure, Section, Table } from './report.ts';
import { Rest } from './rest.ts';
import { type Distribution, distributionOf } from './statistics.ts';

const ROUNDS = 12;
const CALLS_PER_ROUND = 150;
const READERS = [1, 10] as const;
const REST_MS = 250;
const START_MS = 120_000;
/** What a call may take beside twice its time alone. */
const ALLOWANCE_MS = 2;

const KINDS = ['read', 'submit'] as const;
type Kind = (typeof KINDS)[number];

/** How many read the state meanwhile. */
type Load = 0 | (typeof READERS)[number];

export async function measureMesosState(): Promise<Section> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bench-state-'));
  const readyFile = join(folder, 'ready.json');
  const replica = new Child({
    name: 'replica',
    command: process.execPath,
    args: [join(import.meta.dirname, 'large-replica.ts'), readyFile],
    logFile: join(folder, 'replica.log'),
  });
  try {
    await replica.until('the replica to serve', async () => existsSync(readyFile), START_MS);
    const { port, token } = JSON.parse(readFileSync(readyFile, 'utf8')) as ReplicaAddress;
    const api = new HttpClient({ host: '127.0.0.1', port }, { authorization: `Bearer ${token}` });
    const section = await measure(api, replica.pid);
    api.close();
    return section;
  } finally {
    await replica.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(api: HttpClient, pid: number): Promise<Section> {
  const rest = new Rest();
  const meter = new ProcessorMeter([{ name: 'replica', pids: [pid] }]);
  const times = new Map<string, number[]>();
  const reads: StateRead[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const load of [0, ...READERS] as const) {
      await rest.take(REST_MS);
      if (load === 1) meter.resume();
      const beside = new Readers(api, load);
      for (const kind of KINDS) {
        const took = await timesOf(api, kind);
        // The first round only warms up.
        if (round >= 0) times.set(`${kind} ${load}`, [...(times.get(`${kind} ${load}`) ?? []), ...took]);
      }
      const finished = await beside.stop();
      if (load === 1) meter.pause();
      if (load === 1 && round >= 0) reads.push(...finished);
    }
  }
  const of = (kind: Kind, load: Load) => distributionOf(times.get(`${kind} ${load}`) ?? []);
  return {
    name: 'mesos-state',
    figures: [...KINDS.flatMap((kind) => figuresOf(kind, of)), ...readFigures(reads)],
    tables: [callTable(of)],
    processor: meter.use(reads.length),
    othersPercent: rest.busyPercent,
  };
}

let submitted = 0;

async function timesOf(api: HttpClient, kind: Kind): Promise<number[]> {
  const took: number[] = [];
  for (let call = 0; call < CALLS_PER_ROUND; call += 1) {
    const asked = callOf(kind, call);
    const beganAtMs = performance.now();
    await api.expect(asked, 200, 201);
    took.push(performance.now() - beganAtMs);
  }
  return took;
}

function callOf(kind: Kind, call: number): Call {
  if (kind === 'read') return { method: 'GET', path: `/v1/nodes/${nodeId(call)}` };
  submitted += 1;
  const body = { name: `more-${submitted}`, groups: [{ image: 'berth/busybox:local' }] };
  return { method: 'POST', path: '/v1/jobs', body };
}

interface StateRead {
  readonly firstByteMs: number;
  readonly lastByteMs: number;
  readonly bytes: number;
}

/** So many clients that read the state, again and again, until they are stopped. */
class Readers {
  readonly #loops: readonly Promise<StateRead[]>[];
  #isOver = false;

  constructor(api: HttpClient, count: number) {
    this.#loops = Array.from({ length: count }, () => this.#read(api));
  }

  /** What they have read. */
  async stop(): Promise<StateRead[]> {
    this.#isOver = true;
    return (await Promise.all(this.#loops)).flat();
  }

  async #read(api: HttpClient): Promise<StateRead[]> {
    const reads: StateRead[] = [];
    while (!this.#isOver) reads.push(await readState(api));
    return reads;
  }
}

async function readState(api: HttpClient): Promise<StateRead> {
  const beganAtMs = performance.now();
  const response = await api.open({ method: 'GET', path: '/master/state' }, {});
  let firstByteMs = 0;
  let bytes = 0;
  for await (const chunk of response) {
    if (bytes === 0) firstByteMs = performance.now() - beganAtMs;
    bytes += (chunk as Buffer).length;
  }
  if (response.statusCode !== 200) throw new Error(`/master/state: ${response.statusCode}`);
  return { firstByteMs, lastByteMs: performance.now() - beganAtMs, bytes };
}

function figuresOf(kind: Kind, of: (kind: Kind, load: Load) => Distribution): Figure[] {
  const alone = of(kind, 0);
  return READERS.map((load) => {
    const beside = of(kind, load);
    const ratios = `${ratio(beside.p50, alone.p50)} × alone, p99 ${ratio(beside.p99, alone.p99)} ×`;
    return {
      name: `mesos-state: ${kind} beside ${load} ${load === 1 ? 'reader' : 'readers'}, p50`,
      unit: 'ms',
      measured: beside.p50,
      // One reader is what is usual; beside many there is no bound that Mesos has.
      target: load === 1 ? Math.round((2 * alone.p50 + ALLOWANCE_MS) * 100) / 100 : null,
      note: ratios,
    };
  });
}

function ratio(one: number, other: number): string {
  return (one / other).toFixed(1);
}

function readFigures(reads: readonly StateRead[]): Figure[] {
  const first = distributionOf(reads.map(({ firstByteMs }) => firstByteMs));
  const last = distributionOf(reads.map(({ lastByteMs }) => lastByteMs));
  const size = `${((reads[0]?.bytes ?? 0) / 1e6).toFixed(1)} MB, ${NODES} nodes, ${TASKS} tasks, ${reads.length} times`;
  return [
    { name: 'mesos-state: first byte, p50', unit: 'ms', measured: first.p50, target: null, note: size },
    { name: 'mesos-state: last byte, p50', unit: 'ms', measured: last.p50, target: null, note: 'beside 300 calls' },
  ];
}

function callTable(of: (kind: Kind, load: Load) => Distribution): Table {
  return {
    title: 'Other calls, ms',
    columns: ['call', 'readers', 'p50', 'p95', 'p99', 'max'],
    rows: KINDS.flatMap((kind) =>
      ([0, ...READERS] as const).map((load) => {
        const { p50, p95, p99, max } = of(kind, load);
        return [kind === 'read' ? 'GET /v1/nodes/{id}' : 'POST /v1/jobs', load, p50, p95, p99, max];
      }),
    ),
  };
}
