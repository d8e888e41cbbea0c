/**
 * Runs the parts of the test suite one after the other, whatever the earlier ones say, and ends with one line:
 * `N passed, N failed`. Its exit code is 0 only if nothing failed.
 *
 *     npm test                      every part
 *     npm test -- unit store        only these
 *
 * What a part needs from the machine (an etcd, a haproxy, a container engine) is set up just before the first part that needs it; where
 * that doesn't work, the part counts as failed. A container engine that was started for the tests is stopped at the end, unless
 * BERTH_KEEP_ENGINE=1.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Count, countScript, countTests } from './runner/count.ts';
import { type Part, type Requirement, selectParts } from './runner/parts.ts';

const root = join(import.meta.dirname, '..');
const partTimeoutMs = 30 * 60_000;
const killGraceMs = 10_000;

type Ended = { readonly exitCode: number | null; readonly stdout: string };
type PartResult = { readonly part: Part; readonly count: Count; readonly seconds: string };

let running: ChildProcess | undefined;
let interrupted = false;
let engineIsOurs = false;
const setUps = new Map<Requirement, Promise<boolean>>();

function interrupt(): void {
  interrupted = true;
  running?.kill('SIGTERM');
}

/** Runs a command in the repository to its end. Its stdout is shown, or kept for the caller. */
function execute(command: string, args: readonly string[], stdout: 'inherit' | 'pipe'): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const env = process.stdout.isTTY ? process.env : { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined };
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', stdout, 'inherit'] });
  running = child;
  let kept = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    kept += chunk;
  });
  const term = setTimeout(() => {
    console.error(`${command} ${args.join(' ')} took longer than ${partTimeoutMs} ms and is ended.`);
    child.kill('SIGTERM');
  }, partTimeoutMs);
  const kill = setTimeout(() => child.kill('SIGKILL'), partTimeoutMs + killGraceMs);
  const settle = (exitCode: number | null) => {
    clearTimeout(term);
    clearTimeout(kill);
    running = undefined;
    resolve({ exitCode, stdout: kept });
  };
  child.once('error', (error) => {
    console.error(`${command} could not be run: ${error.message}`);
    settle(null);
  });
  child.once('close', settle);
  return promise;
}

async function setUp(requirement: Requirement): Promise<boolean> {
  const { exitCode, stdout } = await execute('bash', ['infra/bootstrap/setup.sh', requirement], 'pipe');
  if (requirement === 'engine' && stdout.includes('started')) engineIsOurs = true;
  return exitCode === 0;
}

function ensureSetUp(requirement: Requirement): Promise<boolean> {
  const begun = setUps.get(requirement) ?? setUp(requirement);
  setUps.set(requirement, begun);
  return begun;
}

async function runScript(script: string): Promise<Count> {
  const { exitCode } = await execute('npm', ['run', '--silent', script], 'inherit');
  return countScript(script, exitCode);
}

async function runProject(project: string): Promise<Count> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-test-'));
  const reportFile = join(folder, 'report.json');
  try {
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
    const { exitCode } = await execute(
      process.execPath,
      [vitest, 'run', '--project', project, ...reporters],
      'inherit',
    );
    const reportText = await readFile(reportFile, 'utf8').catch(() => undefined);
    return countTests(reportText, exitCode);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runPart(part: Part): Promise<Count> {
  for (const requirement of part.requires) {
    if (await ensureSetUp(requirement)) continue;
    return {
      passed: 0,
      failed: 1,
      notes: [`not run, because there is no ${requirement} (its set-up says why, above)`],
    };
  }
  return part.script === undefined ? await runProject(part.name) : await runScript(part.script);
}

async function runParts(selected: readonly Part[]): Promise<readonly PartResult[]> {
  const results: PartResult[] = [];
  for (const part of selected) {
    if (interrupted) break;
    console.log(`\n=== ${part.name}: ${part.what}`);
    const startedAtMs = performance.now();
    const count = await runPart(part);
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
    console.log(`=== ${part.name}: ${count.passed} passed, ${count.failed} failed in ${seconds} s`);
    results.push({ part, count, seconds });
  }
  return results;
}

function summarize(results: readonly PartResult[]): number {
  console.log('\n=== summary');
  for (const { part, count, seconds } of results) {
    console.log(`${part.name.padEnd(12)} ${count.passed} passed, ${count.failed} failed, ${seconds} s`);
    for (const note of count.notes) console.log(`    failed: ${note}`);
    for (const note of count.unchecked ?? []) console.log(`    not checked: ${note}`);
  }
  const passed = results.reduce((sum, { count }) => sum + count.passed, 0);
  const failed = results.reduce((sum, { count }) => sum + count.failed, interrupted ? 1 : 0);
  if (interrupted) console.log('Interrupted: the rest was not run, which counts as one failure.');
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed;
}

async function main(): Promise<void> {
  const selected = selectParts(process.argv.slice(2));
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const results = await runParts(selected);
  if (engineIsOurs && process.env['BERTH_KEEP_ENGINE'] !== '1') {
    await execute('bash', ['infra/bootstrap/setup.sh', 'stop-engine'], 'inherit');
  }
  process.exitCode = summarize(results) === 0 ? 0 : 1;
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  console.log('\n0 passed, 1 failed');
  process.exitCode = 1;
});
