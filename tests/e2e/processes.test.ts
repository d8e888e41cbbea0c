/** Tasks without a container, from the job file to the process, over the death of the agent. */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobSpecInput } from '../../shared/protocol/job.ts';
import type { TaskView } from '../../shared/protocol/views.ts';
import { endProcessTasks } from '../support/process-tasks.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';
import { berth, isRunning, startBerth } from './cli-process.ts';

/** Root makes the users that such tasks run as. */
const canMakeUsers = process.getuid?.() === 0;

let cluster: RealCluster;
let allowing: RealAgent;
let other: RealAgent;
let dir: string;

beforeAll(async () => {
  if (!canMakeUsers) return;
  dir = await mkdtemp(join(tmpdir(), 'berth-e2e-tasks-'));
  await chmod(dir, 0o711);
  cluster = await startRealCluster({ replicas: 2 });
  const resources = ['--resources', 'cpus=2,memMiB=512,ports=22200-22219'];
  const processes = ['--allow-process-runtime', '--process-dir', dir, '--docker-socket', 'none'];
  allowing = await cluster.addAgent('bare', [...resources, ...processes]);
  other = await cluster.addAgent('boxed', ['--resources', 'cpus=2,memMiB=512,ports=22220-22239']);
});
afterAll(async () => {
  if (!canMakeUsers) return;
  await cluster?.stop();
  await endProcessTasks(dir);
  await rm(dir, { recursive: true, force: true });
});

const client = () => {
  const [replica] = cluster.replicas;
  if (replica === undefined) throw new Error('a cluster has a replica');
  return replica.client;
};

const env = () => ({ BERTH_ADDR: cluster.replicas[0]?.url, BERTH_TOKEN: cluster.token });

async function apply(name: string, script: string, more: readonly string[] = []): Promise<void> {
  const file = join(dir, `.${name}.yaml`);
  const group = [
    '  - runtime: process',
    `    command: [sh, -c, ${JSON.stringify(script)}]`,
    ...more.map((line) => `    ${line}`),
  ];
  await writeFile(file, [`name: ${name}`, 'groups:', ...group, ''].join('\n'));
  const { code, err } = await berth(['job', 'apply', '--detach', file], env());
  expect(code, err).toBe(0);
}

function taskOf(job: string, state: string): Promise<TaskView> {
  return eventually(`a task of ${job} to be ${state}`, async () => {
    const { items } = await client().tasks.list({ job });
    return items.find((task) => task.state === state);
  });
}

const work = (task: TaskView, name: string) => join(dir, task.id, 'work', name);

describe.runIf(canMakeUsers)('a job without containers', () => {
  it('runs where it is allowed, and nowhere else, and tells its output and its code', async () => {
    await apply('exits', 'echo out; echo err >&2; exit 3');
    const task = await taskOf('exits', 'failed');
    expect(task).toMatchObject({ node: allowing.node, exitCode: 3, reason: 'exited' });
    const { out, err } = await berth(['task', 'logs', task.id], env());
    expect({ out, err }).toEqual({ out: 'out\n', err: 'err\n' });
    expect((await berth(['job', 'show', 'exits'], env())).out).toContain('1 × process sh -c echo out');
  });

  it('waits where nobody allows it, and says so; so does a container where there is no engine', async () => {
    const on = (node: string) => [{ attribute: 'node', operator: '=' as const, value: node }];
    const waits = async (name: string, group: JobSpecInput['groups'][number], words: string) => {
      await client().jobs.submit({ name, groups: [group] });
      const { id } = await taskOf(name, 'pending');
      const { explanation } = await client().tasks.get(id);
      expect(explanation?.summary).toContain(words);
    };
    const bare = { runtime: 'process' as const, command: ['true'] };
    await waits('refused', { ...bare, constraints: on(other.node) }, "doesn't allow all of: process-runtime");
    await waits('boxed', { image: 'berth/busybox:local', constraints: on(allowing.node) }, 'has no container engine');
  });

  it('needs its own action of the caller', async () => {
    const { token } = await client().createToken({
      kind: 'user',
      subject: 'ci',
      actions: ['job:*'],
      roles: ['default'],
    });
    const body = JSON.stringify({ name: 'narrow', groups: [{ runtime: 'process', command: ['true'] }] });
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
    const answer = await fetch(`${cluster.replicas[0]?.url}/v1/jobs`, { method: 'POST', headers, body });
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain('job:process-runtime');
  });

  it('is followed over the death of its agent, and loses nothing and gives nothing twice', async () => {
    await apply('survivor', 'i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo "line $i"; sleep 0.02; done; exit 5');
    const { id } = await taskOf('survivor', 'running');
    const follower = startBerth(['task', 'logs', '--follow', id], env());
    await follower.says(/^line 50$/m);
    await allowing.process.kill();
    allowing.process.start();
    expect(await taskOf('survivor', 'failed')).toMatchObject({ id, exitCode: 5, run: 0 });
    const { out } = await follower.done;
    expect(out.trimEnd().split('\n')).toEqual(Array.from({ length: 500 }, (_, at) => `line ${at + 1}`));
  });

  it('is stopped with all that it has begun', async () => {
    await apply('tree', '(setsid sh -c \'echo $$ >pid; trap "" TERM; sleep 600\' &) & sleep 600', [
      'killGraceSeconds: 1',
    ]);
    const task = await taskOf('tree', 'running');
    const pid = await eventually('the daemon', async () => {
      const file = work(task, 'pid');
      return existsSync(file) && Number(await readFile(file, 'utf8'));
    });
    expect(isRunning(pid)).toBe(true);
    await berth(['job', 'stop', 'tree'], env());
    await taskOf('tree', 'killed');
    expect(isRunning(pid)).toBe(false);
  });

  it('is held to its memory', async () => {
    await apply('hog', 'head -c 200m /dev/zero | tail', ['resources: { memMiB: 16 }']);
    expect(await taskOf('hog', 'failed')).toMatchObject({ reason: 'out-of-memory' });
  });

  it("can not read what is another task's", async () => {
    await apply('secretive', 'echo secret >mine; sleep 600');
    const task = await taskOf('secretive', 'running');
    await eventually('the secret', async () => existsSync(work(task, 'mine')));
    await apply('curious', `cat ${work(task, 'mine')}; ls ${join(dir, task.id)}`);
    const { id } = await taskOf('curious', 'failed');
    const { out, err } = await berth(['task', 'logs', id], env());
    expect(out).toBe('');
    expect(err.match(/denied/gi)).toHaveLength(2);
    await berth(['job', 'stop', 'secretive'], env());
  });
});
