/**
 * An unmodified framework for Mesos, on the npm package `mesos-framework`: it launches ten containers over two agents, is told how
 * they fare, dies, comes back with its id on another replica, asks how they stand and ends them.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, Process, type RealCluster, startRealCluster } from '../support/processes.ts';

const COUNT = 10;

interface Told {
  readonly event: string;
  readonly framework?: string;
  readonly task?: string;
  readonly state?: string;
  readonly agent?: string;
  readonly reason?: string;
}

let cluster: RealCluster;
let folder = '';
const programs: Process[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  cluster = await startRealCluster({ replicas: 2, leaseTtlSeconds: 5, flags: ['--mesos-anonymous', 'default'] });
  // Both use one engine, so that ports of one are none of the other's.
  await cluster.addAgent('first', ['--resources', 'cpus=1,memMiB=512,ports=26140-26159']);
  await cluster.addAgent('second', ['--resources', 'cpus=1,memMiB=512,ports=26160-26179']);
});
afterAll(async () => {
  for (const program of programs) await program.kill();
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

function start(name: string, replica: number, args: readonly string[]): Process {
  const port = new URL(cluster.replicas[replica]?.url ?? '').port;
  const own = ['--port', port, '--log-folder', folder, '--image', 'berth/busybox:local', '--count', String(COUNT)];
  const program = new Process(['tests/e2e/mesos-program.ts', ...own, ...args], join(folder, `${name}.log`));
  programs.push(program);
  program.start();
  return program;
}

/** What the program has been told so far. Its other output isn't JSON. */
function toldTo(program: Process): Told[] {
  return program
    .log()
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Told] : []));
}

function tasksIn(told: readonly Told[], state: string): Set<string> {
  return new Set(told.flatMap((one) => (one.event === 'update' && one.state === state ? [one.task ?? ''] : [])));
}

it('a framework on mesos-framework lives through its own death and its replica', { timeout: 120_000 }, async () => {
  const first = start('first', 0, []);
  const running = await eventually('ten tasks to run', async () => {
    const told = toldTo(first);
    const tasks = tasksIn(told, 'TASK_RUNNING');
    return tasks.size === COUNT && { told, tasks };
  });
  const id = running.told.find(({ event }) => event === 'subscribed')?.framework ?? '';
  expect(running.told.filter(({ event }) => event === 'error')).toEqual([]);
  const agents = new Set(running.told.flatMap(({ state, agent }) => (state === 'TASK_RUNNING' ? [agent] : [])));
  expect(agents.size).toBe(2);
  const client = cluster.replicas[1]?.client;
  const live = await client?.tasks.list({ framework: id, state: ['running'] });
  expect(live?.items.length).toBe(COUNT);

  await first.kill();
  const second = start('second', 1, ['--id', id]);
  const ended = await eventually('ten tasks to be killed', async () => {
    const told = toldTo(second);
    return tasksIn(told, 'TASK_KILLED').size === COUNT && told;
  });
  expect(ended.find(({ event }) => event === 'subscribed')?.framework).toBe(id);
  expect(tasksIn(ended, 'TASK_KILLED')).toEqual(running.tasks);
  const asked = ended.filter(({ reason }) => reason === 'REASON_RECONCILIATION');
  expect(new Set(asked.map(({ task }) => task))).toEqual(running.tasks);
  expect(ended.filter(({ event }) => event === 'error')).toEqual([]);

  // Heard and acknowledged, all of it: nothing is left to tell.
  await eventually('every update to be acknowledged', async () => {
    const framework = await client?.frameworks.get(id);
    return framework?.tasks.killed === COUNT && framework.state === 'connected';
  });
  const left = await Promise.all((live?.items ?? []).map(({ id: task }) => cluster.containersOf(task)));
  expect(left.flat().filter(({ State }) => State === 'running')).toEqual([]);
});
