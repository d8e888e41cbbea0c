/**
 * What the agent weighs. Idle: several agents and as many bare Node.js processes, started together and looked at together.
 * At work: one of them follows a ledger that changes thousands of times. A heap under work rises and falls with each
 * collection, so what it weighs "after so many changes" is the median of readings over the last of them, and whether it grows
 * is told by the highest of them.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { AGENT_BUNDLE, AGENT_PROGRAM } from './agent-program.ts';
import type { Settings } from './arguments.ts';
import { Child } from './child.ts';
import { LedgerSource } from './ledger-source.ts';
import { engineParts, ProcessorMeter, type ProcessorUse } from './processor-time.ts';
import type { Figure, Section, Table } from './report.ts';
import { Rest } from './rest.ts';
import { median } from './statistics.ts';

const IDLE_RATIO_MAX = 1.35;
/** After the smaller number of changes, and no higher after the larger one. */
const BUSY_RATIO_MAX = 1.9;
const SAMPLES = 3;
const IDLE_MS = 9000;
/** Readings are taken over so many changes, this many apart. */
const WINDOW_CHANGES = 2500;
const CHANGES_PER_READING = 50;
/** What counts as "after" them. */
const LAST_READINGS = 20;

/** In MiB. `anon` is what nobody else shares: heap, stacks, data. */
interface Memory {
  readonly rss: number;
  readonly anon: number;
}

interface Readings {
  readonly bare: readonly Memory[];
  readonly idle: readonly Memory[];
  readonly busy: readonly BusyReadings[];
  readonly changesPerSecond: number;
}

interface BusyReadings {
  readonly changes: number;
  /** While the last of them were followed. */
  readonly memories: readonly Memory[];
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
    const rest = new Rest();
    await rest.take(IDLE_MS);
    const idle = { bare: bare.map(memoryOf), idle: agents.map(({ child }) => memoryOf(child)) };
    const [worker, ...others] = agents;
    if (worker === undefined) throw new Error('there is an agent');
    for (const { child } of others) await child.stop();
    const meter = new ProcessorMeter([{ name: 'agent', pids: [worker.child.pid] }, ...engineParts()]);
    const busy = await afterChanges(worker, changes, meter);
    const use = meter.use(changes[1]);
    return sectionOf({ ...idle, busy, changesPerSecond: changes[1] / use.elapsedSeconds }, use, rest);
  } finally {
    for (const child of [...bare, ...agents.map((agent) => agent.child)]) await child.stop();
    for (const { source } of agents) source.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The meter runs while the agent works. */
async function afterChanges(
  { child, source }: Running,
  changes: readonly number[],
  meter: ProcessorMeter,
): Promise<BusyReadings[]> {
  const busy: BusyReadings[] = [];
  let made = 0;
  for (const target of changes) {
    meter.resume();
    const unread = Math.max(0, target - made - WINDOW_CHANGES);
    await source.change(unread);
    const memories: Memory[] = [];
    for (made += unread; made < target; made += CHANGES_PER_READING) {
      await source.change(Math.min(CHANGES_PER_READING, target - made));
      memories.push(memoryOf(child));
    }
    made = target;
    meter.pause();
    busy.push({ changes: target, memories });
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
    ...['--node-id', node, '--state-dir', stateDir, '--gpus', 'none'],
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

function sectionOf(readings: Readings, processor: ProcessorUse, rest: Rest): Section {
  return {
    name: `agent, ${processor.tasks} ledger changes`,
    figures: [...memoryFigures(readings), ...bundleFigures()],
    tables: [memoryTable(readings)],
    processor,
    othersPercent: rest.busyPercent,
  };
}

function memoryFigures({ bare, idle, busy, changesPerSecond }: Readings): Figure[] {
  const bareRss = median(bare.map(({ rss }) => rss));
  const idleRss = median(idle.map(({ rss }) => rss));
  const note = (rss: number) => `${rss.toFixed(1)} MiB resident, against ${bareRss.toFixed(1)} MiB of a bare Node.js`;
  const after = busy.map(({ changes, memories }) => {
    const resident = memories.map(({ rss }) => rss);
    return { changes, rss: median(resident.slice(-LAST_READINGS)), highest: Math.max(...resident) };
  });
  const [first, last] = [after[0], after.at(-1)];
  if (first === undefined || last === undefined) throw new Error('memory has been read after changes');
  return [
    { name: 'agent idle', unit: '×', measured: idleRss / bareRss, target: IDLE_RATIO_MAX, note: note(idleRss) },
    ...after.map(({ changes, rss }) => ({
      name: `agent after ${changes} changes`,
      ...({ unit: '×', measured: rss / bareRss, target: BUSY_RATIO_MAX, note: note(rss) } as const),
    })),
    {
      name: `agent after ${last.changes} against after ${first.changes}`,
      unit: '×',
      measured: last.highest / first.highest,
      target: null,
      note: `highest reading over ${WINDOW_CHANGES} changes: ${last.highest.toFixed(1)} MiB, against ${first.highest.toFixed(1)} MiB`,
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
    Math.min(...memories.map(({ rss }) => rss)),
    Math.max(...memories.map(({ rss }) => rss)),
    memories.length,
  ];
  return {
    title: 'Memory, MiB (medians)',
    columns: ['', 'resident', 'of it anonymous', 'least resident', 'most resident', 'readings'],
    rows: [
      row('bare Node.js', bare),
      row('agent, idle', idle),
      ...busy.map(({ changes, memories }) => row(`agent, up to ${changes} changes`, memories)),
    ],
  };
}
