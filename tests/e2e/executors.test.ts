/** A framework's executor, from the offer to the process, and what it runs: over messages, the end of the agent, and its own. */
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FrameworkSession } from '../../shared/client/framework-session.ts';
import type { MessageView, TaskUpdateView } from '../../shared/protocol/framework.ts';
import type { AcceptInput } from '../../shared/protocol/offers.ts';
import { endProcessTasks } from '../support/process-tasks.ts';
import { eventually, type RealAgent, type RealCluster, startRealCluster } from '../support/processes.ts';

/** Root makes the users that such tasks run as. */
const canMakeUsers = process.getuid?.() === 0;

let cluster: RealCluster;
let agent: RealAgent;
let dir: string;
let session: FrameworkSession;
const ending = new AbortController();
/** The last update of each task, by the framework's name for it. */
const updates = new Map<string, TaskUpdateView>();
const messages: MessageView[] = [];

beforeAll(async () => {
  if (!canMakeUsers) return;
  dir = await mkdtemp(join(tmpdir(), 'berth-e2e-ex-'));
  await chmod(dir, 0o755);
  await copyFile(join(import.meta.dirname, '../support/executor-program.ts'), join(dir, 'executor.ts'));
  cluster = await startRealCluster({ replicas: 2 });
  const allowed = ['--allow-process-runtime', '--allow-executors', '--process-dir', join(dir, 'tasks')];
  const resources = ['--resources', 'cpus=2,memMiB=1024,ports=22240-22249'];
  agent = await cluster.addAgent('host', [...resources, ...allowed, '--docker-socket', 'none']);
  session = await FrameworkSession.begin(client(), { name: 'caller', roles: ['default'] });
  void read();
});
afterAll(async () => {
  if (!canMakeUsers) return;
  ending.abort();
  await cluster?.stop();
  await endProcessTasks(join(dir, 'tasks'));
  await rm(dir, { recursive: true, force: true });
});

function client() {
  const [replica] = cluster.replicas;
  if (replica === undefined) throw new Error('a cluster has a replica');
  return replica.client;
}

async function read(): Promise<void> {
  for await (const event of session.events(ending.signal)) {
    if (event.type === 'message') messages.push(event.message);
    if (event.type !== 'update') continue;
    updates.set(event.update.task, event.update);
    await session.acknowledge(event.update);
  }
}

function heard(task: string, state: string): Promise<TaskUpdateView> {
  return eventually(`word that ${task} is ${state}`, async () => {
    const update = updates.get(task);
    return update?.state === state && update;
  });
}

type Launched = Extract<NonNullable<AcceptInput['operations']>[number], { type: 'launch' }>['tasks'][number];

async function launch(...tasks: Launched[]): Promise<void> {
  const offer = await eventually('an offer', async () => [...session.offers.keys()][0]);
  await session.accept({ offers: [offer], operations: [{ type: 'launch', tasks }], refuseSeconds: 0 });
}

const small = { cpus: 0.1, memMiB: 32 };

function hosted(task: string, script: string): Launched {
  return { task, executor: 'runner', command: ['sh', '-c', script], resources: small, killGraceSeconds: 1 };
}

describe.runIf(canMakeUsers)('an executor', () => {
  it('runs tasks, hears and is heard, is adopted, and takes what it ran with it', async () => {
    const program = [process.execPath, join(dir, 'executor.ts')];
    const resources = { cpus: 0.5, memMiB: 256, pids: 200 };
    await launch(
      { task: 'runner', runtime: 'process', isExecutor: true, command: program, resources, killGraceSeconds: 1 },
      hosted('lasting', 'sleep 600'),
      hosted('other', 'sleep 600'),
      hosted('brief', 'exit 3'),
    );
    await heard('lasting', 'running');
    await heard('other', 'running');
    expect(await heard('brief', 'failed')).toMatchObject({ exitCode: 3, message: 'exited with code 3' });

    await session.message('runner', 'good morning');
    await session.message('lasting', 'good evening');
    await eventually('answers', async () => messages.length >= 2);
    const said = messages.map(({ task, node, data }) => [task, node, data.replace(/^\S+ /, '')]);
    expect(said).toContainEqual(['runner', agent.node, 'heard good morning']);
    expect(said).toContainEqual(['lasting', agent.node, 'heard good evening']);
    await expect(session.message('brief', 'too late')).rejects.toMatchObject({ code: 'conflict' });

    await agent.process.kill();
    agent.process.start();
    await session.kill('other');
    expect(await heard('other', 'killed')).toMatchObject({ reason: 'stop-requested' });
    expect(updates.get('lasting')).toMatchObject({ state: 'running' });

    await session.kill('runner');
    expect(await heard('lasting', 'failed')).toMatchObject({
      reason: 'executor-ended',
      message: expect.stringContaining('its executor'),
    });
    await heard('runner', 'killed');
    await eventually('all places to be given back', async () => (await client().nodes.get(agent.node)).tasks === 0);
  }, 120_000);
});
