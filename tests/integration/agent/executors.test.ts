/** An executor in a container of the real engine, and what it runs: over messages, kills, an agent that is started again, and its end. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { TaskGroup } from '../../../shared/domain/job.ts';
import { present } from '../../../shared/util/assert.ts';
import { aGroup } from '../../support/builders.ts';
import { AgentUnderTest } from './agent-process.ts';

const PROGRAM = join(import.meta.dirname, '../../support/executor-program.ts');
const LIBRARIES = '/usr/lib/x86_64-linux-gnu';
/** What Node.js needs beside itself, as the engine's own image has nothing of it. */
const MOUNTS: readonly (readonly [string, string])[] = [
  [process.execPath, '/node'],
  [PROGRAM, '/executor.ts'],
  [LIBRARIES, '/lib/x86_64-linux-gnu'],
  [LIBRARIES, '/lib64'],
];

let under: AgentUnderTest;

beforeEach(async () => {
  under = await AgentUnderTest.make();
});

afterEach(async () => {
  await under.dispose();
});

function start(...args: readonly string[]): void {
  under.start(...MOUNTS.flatMap(([source]) => ['--allow-host-mount', source]), ...args);
}

function assignExecutor(): string {
  const group: Partial<TaskGroup> = {
    isExecutor: true,
    command: ['/node'],
    args: ['/executor.ts'],
    user: '4711',
    resources: { ...aGroup().resources, cpus: 0.5, memMiB: 256, pids: 200 },
    mounts: MOUNTS.map(([source, target]) => ({ type: 'bind', source, target, readOnly: true })),
  };
  return under.assign('runner', group);
}

function assignHosted(id: string, executor: string, script: string, change: Partial<TaskGroup> = {}): string {
  const command = ['/bin/sh', '-c', script];
  return under.assign(id, { image: '', runtime: 'executor', executor, command, killGraceSeconds: 2, ...change });
}

it('runs tasks of its framework, and they end with it, whatever becomes of the agent meanwhile', async () => {
  start('--allow-executors');
  const runner = assignExecutor();
  // All at once: the tasks wait for what is to run them.
  const lasting = assignHosted('lasting', runner, 'sleep 600');
  const ending = assignHosted('ending', runner, 'test "$WORD" = hello; exit $?', { env: { WORD: 'hello' } });
  await under.running(lasting);
  expect(await under.ended(ending)).toMatchObject({ state: 'finished', exitCode: 0 });
  expect(await under.containers()).toHaveLength(1);

  under.controlPlane.send({ id: 'm-1', task: runner, data: 'good morning' });
  under.controlPlane.send({ id: 'm-2', task: lasting, data: 'good evening' });
  await under.until('answers', () => (under.controlPlane.received.said.length >= 2 ? true : null));
  const said = under.controlPlane.received.said.map(({ task, data }) => ({ task, data }));
  expect(said).toContainEqual({ task: runner, data: `${runner} heard good morning` });
  expect(said).toContainEqual({ task: lasting, data: `${lasting} heard good evening` });
  await under.until('both to be taken', () => (under.controlPlane.received.taken.length === 2 ? true : null));

  await under.end('SIGKILL');
  start('--allow-executors');
  const stopped = assignHosted('stopped', runner, 'trap "" TERM; sleep 600 & wait');
  await under.running(stopped);
  under.controlPlane.stop(stopped, 500);
  // Politely is not enough: its grace has to pass.
  expect(await under.ended(stopped)).toMatchObject({ state: 'killed', reason: 'stop-requested' });
  expect(under.controlPlane.stateOf(lasting)).toBe('running');
  expect(under.controlPlane.historyOf(lasting).map(({ state }) => state)).toEqual(['starting', 'running']);

  under.controlPlane.stop(runner, 0);
  expect(await under.ended(runner)).toMatchObject({ state: 'killed' });
  const end = await under.ended(lasting);
  expect(end).toMatchObject({ state: 'failed', reason: 'executor-ended', exitCode: null });
  expect(end.message).toContain(`its executor "${runner}" has ended`);
  // At once, and not when everything is looked at again some time.
  expect(end.atMs - present(under.controlPlane.historyOf(runner).at(-1), 'an end').atMs).toBeLessThan(10_000);
  const late = assignHosted('late', runner, 'true');
  expect(await under.ended(late)).toMatchObject({ state: 'failed', reason: 'executor-ended' });
}, 90_000);

it('is refused where the operator has not allowed it', async () => {
  start();
  const runner = assignExecutor();
  const end = await under.ended(runner);
  expect(end).toMatchObject({ state: 'error', reason: 'refused-by-node' });
  expect(end.message).toContain('--allow-executors');
  expect(await under.containers()).toEqual([]);
});
