/**
 * What the agent weighs. Idle: several agents and as many bare Node.js processes, started together and looked at together.
 * At work: one of them follows a ledger that changes thousands of times.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { AGENT_BUNDLE, AGENT_PROGRAM } from './agent-program.ts';
import type { Settings } from './arguments.ts';
import { Child, pause } from './child.ts';
import { LedgerSource } from './ledger-source.ts';
import { engineParts, ProcessorMeter } from './processor-time.ts';
import type { Figure, Section, Table } from './report.ts';
import { median } from './statistics.ts';

const IDLE_RATIO_MAX = 1.35;
const BUSY_RATIO_MAX = 1.9;
const SAMPLES = 3;
const IDLE_MS = 9000;
const AFTER_CHANGES_MS = 3000;

/** In MiB. `anon` is what nobody else shares: heap, stacks, data. */
interface Memory {
  readonly rss: number;
  readonly anon: number;
}

interface Readings {
  readonly bare: readonly Memory[];
  readonly idle: readonly Memory[];
  /** After so many changes: the moment the last was taken, and a little later. */
  readonly busy: readonly { readonly changes: number; readonly atOnce: Memory; readonly later: Memory }[];
  readonly changesPerSecond: number;
}

interface Running {
  readonly child: Child;
  readonly source: LedgerSource;
}

export async function measureAgent({ changes }: Settings): Promise<Section> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bench-agent-'));
  const bare: Child[] = [];
  const agents: Running[] = [];
  try {
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      bare.push(startBare(folder));
      agents.push(await startAgent(folder, `berth-bench-agent-${sample}`));
    }
    await Promise.all(agents.map(({ source }) => source.followed()));
    await pause(IDLE_MS);
    const idle = { bare: bare.map(memoryOf), idle: agents.map(({ child }) => memoryOf(child)) };
    const [worker, ...others] = agents;
    if (worker === undefined) throw new Error('there is an agent');
    for (const { child } of others) await child.stop();
    const meter = new ProcessorMeter([{ name: 'agent', pids: [worker.child.pid] }, ...engineParts()]);
    meter.resume();
    const beganAtMs = performance.now();
    const busy = await afterChanges(worker, changes);
    meter.pause();
    const seconds = (performance.now() - beganAtMs - AFTER_CHANGES_MS * changes.length) / 1000;
    return sectionOf({ ...idle, busy, changesPerSecond: changes[1] / seconds }, meter, changes[1]);
  } finally {
    for (const child of [...bare, ...agents.map((agent) => agent.child)]) await child.stop();
    for (const { source } of agents) source.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function afterChanges({ child, source }: Running, changes: readonly number[]): Promise<Readings['busy']> {
  const busy: Readings['busy'][number][] = [];
  let made = 0;
  for (const target of changes) {
    await source.change(target - made);
    made = target;
    const atOnce = memoryOf(child);
    await pause(AFTER_CHANGES_MS);
    busy.push({ changes: target, atOnce, later: memoryOf(child) });
  }
  return busy;
}

function startBare(folder: string): Child {
  const args = ['-e', 'setInterval(()=>{},1e6)'];
  return new Child({ name: 'bare node', command: process.execPath, args, logFile: join(folder, 'bare.log') });
}

async function startAgent(folder: string, node: string): Promise<Running> {
  const source = new LedgerSource();
  const url = await source.open();
  const stateDir = join(folder, node);
  mkdirSync(stateDir);
  const joinTokenFile = join(folder, 'join-token');
  writeFileSync(joinTokenFile, 'join-token\n', { mode: 0o600 });
  const args = [
    ...AGENT_PROGRAM,
    ...['--control-plane', url, '--join-token-file', joinTokenFile],
    ...['--node-id', node, '--state-dir', stateDir],
  ];
  const child = new Child({ name: node, command: process.execPath, args, logFile: join(folder, `${node}.log`) });
  return { child, source };
}

function memoryOf({ pid }: Child): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mebibytes = (field: string) => {
    const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(rollup)?.[1];
    return Number(kibibytes) / 1024;
  };
  return { rss: mebibytes('Rss'), anon: mebibytes('Anonymous') };
}

function sectionOf(readings: Readings, meter: ProcessorMeter, changes: number): Section {
  return {
    name: `agent, ${changes} ledger changes`,
    figures: [...memoryFigures(readings), ...bundleFigures()],
    tables: [memoryTable(readings)],
    processor: meter.use(changes),
  };
}

function memoryFigures({ bare, idle, busy, changesPerSecond }: Readings): Figure[] {
  const bareRss = median(bare.map(({ rss }) => rss));
  const idleRss = median(idle.map(({ rss }) => rss));
  const note = (rss: number) => `${rss.toFixed(1)} MiB resident, against ${bareRss.toFixed(1)} MiB of a bare Node.js`;
  const [first, last] = [busy[0], busy.at(-1)];
  if (first === undefined || last === undefined) throw new Error('memory has been read after changes');
  const peak = Math.max(...busy.map(({ atOnce, later }) => Math.max(atOnce.rss, later.rss)));
  return [
    { name: 'agent idle', unit: '×', measured: idleRss / bareRss, target: IDLE_RATIO_MAX, note: note(idleRss) },
    {
      name: `agent after ${first.changes} changes`,
      unit: '×',
      measured: first.atOnce.rss / bareRss,
      target: BUSY_RATIO_MAX,
      note: note(first.atOnce.rss),
    },
    {
      name: `agent after ${last.changes}, against after ${first.changes}`,
      unit: '×',
      measured: last.atOnce.rss / first.atOnce.rss,
      target: 1,
      note: `${note(last.atOnce.rss)}; at most ${(peak / bareRss).toFixed(2)} × at any reading`,
    },
    {
      name: 'agent: ledger changes followed',
      unit: '/s',
      measured: changesPerSecond,
      target: null,
      note: 'one at a time, each asked for after the one before',
    },
  ];
}

function bundleFigures(): Figure[] {
  const kibibytes = (bytes: number) => bytes / 1024;
  const zipped = gzipSync(readFileSync(AGENT_BUNDLE), { level: 9 }).length;
  return [
    {
      name: 'agent bundle',
      unit: 'KiB',
      measured: kibibytes(statSync(AGENT_BUNDLE).size),
      target: null,
      note: `${kibibytes(zipped).toFixed(0)} KiB with gzip`,
    },
  ];
}

function memoryTable({ bare, idle, busy }: Readings): Table {
  const row = (name: string, memories: readonly Memory[]) => [
    name,
    median(memories.map(({ rss }) => rss)),
    median(memories.map(({ anon }) => anon)),
    memories.map(({ rss }) => rss.toFixed(1)).join(' '),
  ];
  return {
    title: 'Memory, MiB (medians)',
    columns: ['', 'resident', 'of it anonymous', 'each'],
    rows: [
      row('bare Node.js', bare),
      row('agent, idle', idle),
      ...busy.flatMap(({ changes, atOnce, later }) => [
        row(`agent, right after ${changes} changes`, [atOnce]),
        row(`agent, ${AFTER_CHANGES_MS / 1000} s later`, [later]),
      ]),
    ],
  };
}
