/** Tasks without a container, under a real agent: what is reported of them, and what they outlive. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants, existsSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FENCE_MARGIN_MS } from '../../../control-plane/reconcile/fence-wait.ts';
import type { TaskGroup } from '../../../shared/domain/job.ts';
import type { AssignedTask } from '../../../shared/protocol/agent.ts';
import { AgentUnderTest } from './agent-process.ts';

const ALLOW = '--allow-process-runtime';
const STOP_AFTER_MS = 6000;
const sh = (script: string) => ({ command: ['sh', '-c', script] });

let agent: AgentUnderTest;
beforeEach(async () => {
  agent = await AgentUnderTest.make();
});
afterEach(() => agent.dispose());

const assign = (id: string, group: Partial<TaskGroup>, change: Partial<AssignedTask> = {}) =>
  agent.assign(id, { runtime: 'process', image: '', network: 'host', ...group }, change);

const work = (task: string) => join(agent.stateDir, 'tasks', task, 'work');

/** By what only they have in their environment. */
async function processesOf(task: string): Promise<string[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const environments = await Promise.all(
    names.map(async (name) => [name, await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '')] as const),
  );
  return environments.flatMap(([name, text]) => (text.includes(`BERTH_TASK_ID=${task}\0`) ? [name] : []));
}

/** Root makes users; without it the agent refuses the setting, which `settings` has a test for. */
describe.runIf(process.getuid?.() === 0)('a task without a container', () => {
  it('runs, and ends with its own code', async () => {
    const task = assign('code', sh('exit 42'));
    agent.start(ALLOW);
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', exitCode: 42, message: 'exited with code 42' });
    expect(agent.controlPlane.historyOf(task).map(({ state }) => state)).toEqual(['starting', 'running', 'failed']);
    expect(await agent.containers()).toEqual([]);
  });

  it('is asked to end by the signal that it wants, a real-time one too', async () => {
    const tasks = ['USR1', 'RTMIN+3'].map((name) =>
      assign(
        `signal-${name.length}`,
        {
          ...sh(
            `trap "exit 9" ${name === 'USR1' ? name : 37}; trap "" TERM; touch listens; while :; do sleep 0.1; done`,
          ),
          stopSignal: `SIG${name}`,
        },
        // Tasks of one version of a job are made from one template.
        { jobUid: `uid${name.length}` },
      ),
    );
    agent.start(ALLOW);
    for (const task of tasks) {
      await agent.until('it to listen', () => (existsSync(join(work(task), 'listens')) ? true : null));
      agent.controlPlane.stop(task, 20_000);
      expect(await agent.ended(task)).toMatchObject({ state: 'killed', reason: 'stop-requested', exitCode: 9 });
    }
  });

  it('runs beside one that has a container', async () => {
    const bare = assign('bare', sh('exit 0'));
    const contained = agent.assign('contained', sh('exit 0'));
    agent.start(ALLOW);
    expect(await agent.ended(bare)).toMatchObject({ state: 'finished' });
    expect(await agent.ended(contained)).toMatchObject({ state: 'finished' });
    expect(await agent.containers()).toHaveLength(1);
  });

  it('is refused where the operator has not allowed it, and the setting is named', async () => {
    const task = assign('refused', sh('exit 0'));
    agent.start();
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'error', reason: 'refused-by-node' });
    expect(end.message).toContain('--allow-process-runtime');
    expect(existsSync(work(task))).toBe(false);
  });

  it('with a command that is not there ends as an error, and leaves nothing behind', async () => {
    const task = assign('command', { command: ['no-such-command'] });
    agent.start(ALLOW);
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'error', reason: 'command-unusable' });
    expect(end.message).toContain('no-such-command');
    expect(existsSync(work(task))).toBe(false);
  });

  it('that uses more memory than its limit is ended, and it is said why', async () => {
    const task = assign('oom', {
      ...sh('head -c 200m /dev/zero | tail'),
      resources: { cpus: 1, memMiB: 16, diskMiB: 0, gpus: 0, pids: 64, custom: {} },
    });
    agent.start(ALLOW);
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'out-of-memory' });
  });

  it('is stopped with all that it has begun, and killed after its grace', async () => {
    const task = assign('tree', {
      ...sh('(setsid sh -c \'trap "" TERM; touch up; sleep 600\' &) & trap "" TERM; sleep 600'),
      killGraceSeconds: 0.5,
    });
    agent.start(ALLOW);
    await agent.until('the daemon', () => (existsSync(join(work(task), 'up')) ? true : null));
    agent.controlPlane.stop(task, 500);
    expect(await agent.ended(task)).toMatchObject({ state: 'killed', exitCode: 137 });
    expect(await processesOf(task)).toEqual([]);
  });

  it('that runs longer than its timeout is ended', async () => {
    const task = assign('slow', { ...sh('sleep 600'), timeoutSeconds: 0.5, killGraceSeconds: 0.2 });
    agent.start(ALLOW);
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'timed-out' });
  });

  it('outlives its agent, and the next one takes it up, or tells how it has ended meanwhile', async () => {
    const steady = assign('steady', sh('sleep 600'));
    const brief = assign('brief', sh('while [ ! -e end ]; do sleep 0.05; done; exit 9'));
    agent.start(ALLOW);
    await agent.running(steady);
    await agent.running(brief);
    const before = await processesOf(steady);
    await agent.end('SIGKILL');
    await writeFile(join(work(brief), 'end'), '');
    await agent.until('its end', async () => ((await processesOf(brief)).length === 0 ? true : null));
    agent.start(ALLOW);
    expect(await agent.ended(brief)).toMatchObject({ state: 'failed', exitCode: 9 });
    expect(await processesOf(steady)).toEqual(before);
    agent.controlPlane.stop(steady, 0);
    expect(await agent.ended(steady)).toMatchObject({ state: 'killed' });
  });

  it('is seen to its end by an agent that may start no other', async () => {
    const before = assign('before', sh('sleep 600'));
    agent.start(ALLOW);
    await agent.running(before);
    await agent.end('SIGTERM');
    agent.start();
    const after = assign('after', sh('sleep 600'));
    expect(await agent.ended(after)).toMatchObject({ reason: 'refused-by-node' });
    expect(agent.controlPlane.stateOf(before)).toBe('running');
    agent.controlPlane.stop(before, 0);
    expect(await agent.ended(before)).toMatchObject({ state: 'killed' });
    expect(await processesOf(before)).toEqual([]);
  });

  it('is followed without a line lost or given twice, over an agent that is killed', async () => {
    const script = 'i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo "line $i"; sleep 0.01; done';
    const task = assign('follow', sh(script));
    agent.start(ALLOW);
    const { received } = agent.controlPlane;
    const texts = (id: string) => (received.lines.get(id) ?? []).map(({ text }) => text);
    agent.controlPlane.wantStreams([{ id: 's1', task, follow: true, tail: null, since: null }]);
    await agent.until('some lines', () => (texts('s1').length > 50 ? true : null));
    await agent.end('SIGKILL');
    const since = received.lines.get('s1')?.at(-1)?.at ?? null;
    agent.controlPlane.wantStreams([{ id: 's2', task, follow: true, tail: null, since }]);
    agent.start(ALLOW);
    await agent.until('the rest', () => (received.endedStreams.includes('s2') ? true : null));
    expect([...texts('s1'), ...texts('s2')]).toEqual(Array.from({ length: 400 }, (_, at) => `line ${at + 1}`));
  });

  it('that must not run while its node is cut off is killed in time, without an agent', async () => {
    const task = assign('guarded', sh('trap "" TERM; sleep 600'), { stopAfterDisconnectMs: STOP_AFTER_MS });
    const free = assign('free', sh('sleep 600'));
    agent.start(ALLOW);
    await agent.running(task);
    await agent.running(free);
    const cutOffAtMs = Date.now();
    await agent.end('SIGKILL');
    await agent.until('its end', async () => ((await processesOf(task)).length === 0 ? true : null));
    expect(Date.now() - cutOffAtMs).toBeLessThan(STOP_AFTER_MS + FENCE_MARGIN_MS);
    expect(await processesOf(free)).not.toEqual([]);
    agent.start(ALLOW);
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'disconnected', exitCode: 137 });
  });
});

describe('users that an operator lends to tasks', () => {
  it.each(['nosuch', 'root'])(
    'are refused at the start, and when it is asked what the agent would tell: %s',
    async (user) => {
      const child = agent.start(ALLOW, '--process-user', user);
      const [code] = await once(child, 'exit');
      expect(code).toBe(2);
      expect(agent.log).toContain(`--process-user is "${user}"`);
      const main = join(import.meta.dirname, '../../../node-agent/main.ts');
      const { status, stdout } = spawnSync(process.execPath, [main, '--describe', '--process-user', user]);
      expect(status).toBe(2);
      expect(JSON.parse(String(stdout)).faults).toEqual([expect.stringContaining(`--process-user is "${user}"`)]);
    },
  );
});

describe.runIf(process.getuid?.() === 0)('an executor without a container', () => {
  it('can neither put anything in the place of its socket, nor keep an agent from starting again', async () => {
    const meddling =
      'rm -rf "$S"; mkdir -p "$S/x"; ln -s /etc/shadow "$(dirname "$S")/new.sock"; echo "$S" > "$HOME/tried"; sleep 600';
    const task = assign('meddler', { ...sh(`S="$BERTH_EXECUTOR_SOCKET"; ${meddling}`), isExecutor: true });
    agent.start(ALLOW, '--allow-executors');
    const socket = await agent.until('it to try', async () => {
      const text = await readFile(join(work(task), 'tried'), 'utf8').catch(() => '');
      return text.endsWith('\n') ? text.trim() : null;
    });
    await agent.end('SIGKILL');
    agent.start(ALLOW, '--allow-executors');
    expect(await agent.ended(assign('next', sh('exit 0')))).toMatchObject({ state: 'finished' });
    const { uid } = await stat(work(task));
    expect(await stat(socket)).toMatchObject({ uid, gid: uid, mode: constants.S_IFSOCK | 0o600 });
    expect(await readdir(dirname(socket))).toEqual([basename(socket)]);
    expect(await stat(dirname(socket))).toMatchObject({ uid: 0, mode: constants.S_IFDIR | 0o711 });
  });
});

describe.runIf(process.getuid?.() === 0)('a node without a container engine', () => {
  it('joins, says so, and runs what needs none', async () => {
    const task = assign('ok', sh('exit 0'));
    const contained = agent.assign('contained', sh('exit 0'));
    agent.start(ALLOW, '--docker-socket', 'none');
    expect(await agent.ended(task)).toMatchObject({ state: 'finished' });
    const end = await agent.ended(contained);
    expect(end).toMatchObject({ state: 'error', reason: 'image-unavailable' });
    expect(end.message).toContain('the node has no container engine');
    expect(agent.controlPlane.registrations.at(-1)?.node).toMatchObject({
      engine: 'none',
      consent: { processRuntime: true },
    });
  });
});
