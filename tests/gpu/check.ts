/**
 * The check itself. Arguments: the bundled agent, and a folder to work in. What the agent is to find is read here by itself, from
 * another of the driver's outputs, so that a mistake in the agent's reading isn't made twice.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ProcessRuntime } from '../../node-agent/adapters/process/process-runtime.ts';
import { systemClock } from '../../node-agent/adapters/system/system-clock.ts';
import { systemRandom } from '../../node-agent/adapters/system/system-random.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import { aGroup } from '../support/builders.ts';
import { PROBE_SOURCE } from './probe.ts';

const TASK_DEADLINE_MS = 60_000;
const POLL_MS = 50;
const FIRST_USER = 1_880_200_000;

let failures = 0;

function expectSame(what: string, actual: unknown, expected: unknown): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== should) failures += 1;
  say(is === should ? `ok      ${what}: ${is}` : `FAILED  ${what}: ${is}, and it should be ${should}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface Described {
  readonly node: { readonly gpus: readonly { readonly id: string }[]; readonly resources: { readonly gpus: number } };
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
}

function describeMachine(agent: string, ...args: readonly string[]): Described {
  const { stdout, stderr } = spawnSync(process.execPath, [agent, '--describe', ...args], { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Described;
}

/** Cards that aren't cut into instances, and instances. */
function listedIds(): string[] {
  const lines = execFileSync('nvidia-smi', ['-L'], { encoding: 'utf8' }).split('\n');
  const ids = lines.flatMap((line) => /\(UUID: ([^)]+)\)/.exec(line)?.[1] ?? []);
  return ids.filter((id, at) => id.startsWith('MIG-') || ids[at + 1]?.startsWith('MIG-') !== true);
}

function checkDetection(agent: string): readonly string[] {
  const found = describeMachine(agent);
  say(JSON.stringify(found.node.gpus, null, 2));
  for (const warning of found.warnings) say(`warning: ${warning}`);
  const ids = listedIds();
  expectSame(
    'the agent finds what the driver lists',
    found.node.gpus.map(({ id }) => id),
    ids,
  );
  expectSame('it counts them', found.node.resources.gpus, ids.length);
  expectSame('none where the operator wants none', describeMachine(agent, '--gpus', 'none').node.gpus, []);
  const [first = ''] = ids;
  for (const name of [first, '0']) {
    const { node } = describeMachine(agent, '--gpus', name);
    expectSame(`the one that is named ${name}`, node.gpus[0]?.id, first);
  }
  const { faults } = describeMachine(agent, '--gpus', 'GPU-nothing');
  expectSame('one that is not there is a mistake', faults.length, 1);
  say(`        ${faults[0] ?? ''}`);
  return ids;
}

async function checkTasks(folder: string, ids: readonly string[]): Promise<void> {
  const source = join(folder, 'probe.c');
  const probe = join(folder, 'probe');
  writeFileSync(source, PROBE_SOURCE);
  execFileSync('gcc', ['-o', probe, source, '-ldl']);
  const runtime = await openRuntime(folder);
  say(`limits that this machine can't keep: ${runtime.unlimited.join(', ') || 'none'}`);
  const seen = async (devices: readonly string[]) => {
    const lines = await outputOf(runtime, probe, devices);
    say(`        with ${devices.join(', ') || 'none'}: ${lines.join('; ')}`);
    return lines.flatMap((line) => /^uuid (.*)$/.exec(line)?.[1] ?? []);
  };
  expectSame('a task without a GPU sees none', await seen([]), []);
  for (const id of ids) {
    expectSame(`a task with ${id} sees it alone`, await seen([id]), [id.replace(/^(GPU|MIG)-/, '')]);
  }
}

function openRuntime(folder: string): Promise<ProcessRuntime> {
  return ProcessRuntime.open({
    dir: join(folder, 'tasks'),
    userIdsDir: join(folder, 'user-ids'),
    userIds: { first: FIRST_USER, last: FIRST_USER + 99 },
    users: [],
    place: { nodeId: 'gpu-check', hostname: hostname() },
    bootId: null,
    logMaxMiB: 8,
    mountsFile: '/proc/self/mounts',
    shell: '/bin/sh',
    path: process.env['PATH'] ?? '',
    clock: systemClock,
    random: systemRandom,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
}

async function outputOf(runtime: ProcessRuntime, probe: string, devices: readonly string[]): Promise<string[]> {
  const env = { LD_LIBRARY_PATH: process.env['LD_LIBRARY_PATH'] ?? '' };
  const assigned: AssignedTask = {
    ...{ id: `check-${devices.length}-${performance.now().toFixed(0)}`, jobUid: 'u', jobName: 'check', jobVersion: 1 },
    ...{ role: 'default', groupName: 'main', index: 0, attempt: 0, run: 0, state: 'staging' },
    group: {
      ...aGroup({ image: '', network: 'host', resources: { cpus: 2, memMiB: 4096, gpus: devices.length } }),
      ...{ runtime: 'process', command: [probe], env },
    },
    ...{ stopAfterDisconnectMs: null, ports: {}, devices, stop: null, disowned: false },
  };
  const result = await runtime.run({ assigned, epoch: 1, run: 0, mountSources: new Map() }, async () => {});
  if (result.type !== 'started') throw new Error(JSON.stringify(result));
  const { id } = result.container;
  const deadlineMs = performance.now() + TASK_DEADLINE_MS;
  while ((await runtime.inspect(id))?.state !== 'exited') {
    if (performance.now() > deadlineMs) throw new Error('the task did not end');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const lines: string[] = [];
  const all = { follow: false, tail: null, since: null };
  for await (const batch of runtime.logs(id, all, new AbortController().signal)) {
    lines.push(...batch.map(({ text }) => text));
  }
  await runtime.remove(id);
  return lines;
}

async function main([agent = '', folder = '']: readonly string[]): Promise<void> {
  const ids = checkDetection(agent);
  await checkTasks(folder, ids);
  say(failures === 0 ? 'all of it is right' : `${failures} of it failed`);
}

main(process.argv.slice(2)).then(
  () => process.exit(failures === 0 ? 0 : 1),
  (cause: unknown) => {
    say(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
    process.exit(1);
  },
);
