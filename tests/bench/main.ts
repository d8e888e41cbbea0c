/**
 * `npm run bench`: measures, prints tables, writes them as JSON. A number over its target is said plainly and is no failure:
 * the exit code says only whether it could be measured.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { bundleAgent } from '../../infra/bundle/agent.ts';
import { measureAgent } from './agent-memory.ts';
import { measureAllocator } from './allocator.ts';
import { readSettings, type Settings, USAGE } from './arguments.ts';
import { measureBalancer } from './balancer.ts';
import { measureBulk } from './bulk.ts';
import { startCluster } from './cluster.ts';
import { measureEdge } from './edge.ts';
import { Engine } from './engine.ts';
import { measureFailover } from './failover.ts';
import { measureLatency } from './latency.ts';
import { measureMesosState } from './mesos-state.ts';
import { measureMesosStreams } from './mesos-streams.ts';
import { measurePlanning } from './planning.ts';
import { measureReplace } from './replace.ts';
import { type Section, sectionText, summaryText, verdictOf } from './report.ts';
import { measureRolling } from './rolling.ts';
import { measureStore } from './store-throughput.ts';
import { removeContainers } from './workload.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RESULTS = join(import.meta.dirname, 'results');

async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2));
  if (settings === 'help') return print(USAGE);
  process.chdir(ROOT);
  const machine = await describeMachine();
  print(
    `${machine.processor}, ${machine.processors} processors, load ${machine.loadBefore.join(' ')} before the start`,
  );
  const sections: Section[] = [];
  for await (const section of measure(settings)) {
    sections.push(section);
    print(`\n${sectionText(section)}`);
  }
  print(`\n${summaryText(sections)}`);
  print(`Written to ${write({ machine, settings, sections })}`);
}

async function* measure(settings: Settings): AsyncGenerator<Section> {
  const wants = (...parts: readonly string[]) => settings.parts.some((part) => parts.includes(part));
  if (wants('latency', 'bulk', 'agent', 'failover', 'rolling', 'replace')) await bundleAgent();
  if (wants('planning')) yield await measurePlanning();
  if (wants('allocator')) yield await measureAllocator();
  if (wants('mesos-state')) yield await measureMesosState();
  if (wants('store')) yield await measureStore();
  if (wants('agent')) yield await measureAgent(settings);
  if (wants('latency', 'bulk', 'replace')) yield* measureCluster(settings);
  if (wants('failover')) yield await measureFailover(settings);
  if (wants('rolling')) yield* measureRolling(settings);
  if (wants('balancer')) yield await measureBalancer();
  if (wants('edge')) yield await measureEdge();
  if (wants('mesos-streams')) yield await measureMesosStreams(settings);
}

async function* measureCluster(settings: Settings): AsyncGenerator<Section> {
  const engine = new Engine(process.env['DOCKER_HOST']);
  await removeContainers(engine);
  const cluster = await startCluster(settings);
  try {
    if (settings.parts.includes('latency')) yield* await measureLatency(cluster, engine, settings);
    if (settings.parts.includes('bulk')) yield* await measureBulk(cluster, engine, settings);
    if (settings.parts.includes('replace')) yield* await measureReplace(cluster, engine, settings);
  } finally {
    await cluster.stop();
    await removeContainers(engine);
    engine.close();
  }
}

async function describeMachine() {
  const engine = new Engine(process.env['DOCKER_HOST']);
  const engineVersion = await engine.version();
  engine.close();
  const [processor] = cpus();
  return {
    at: new Date().toISOString(),
    processor: processor?.model ?? 'unknown',
    processors: cpus().length,
    kernel: release(),
    node: process.version,
    engine: engineVersion,
    etcd: execFileSync('etcd', ['--version'], { encoding: 'utf8' }).split('\n', 1)[0],
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
    loadBefore: loadavg().map((load) => load.toFixed(2)),
  };
}

interface Results {
  readonly machine: Awaited<ReturnType<typeof describeMachine>>;
  readonly settings: Settings;
  readonly sections: readonly Section[];
}

/** The path of the file. */
function write({ machine, settings, sections }: Results): string {
  mkdirSync(RESULTS, { recursive: true });
  const path = join(RESULTS, `${machine.at.replaceAll(':', '-')}.json`);
  const judged = sections.map((section) => ({
    ...section,
    figures: section.figures.map((figure) => ({ ...figure, verdict: verdictOf(figure) })),
  }));
  const loadAfter = readFileSync('/proc/loadavg', 'utf8').split(' ', 3);
  const results = { machine: { ...machine, loadAfter }, settings, sections: judged };
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
  return path;
}

function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
