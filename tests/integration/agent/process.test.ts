/** The agent as a process: it dies, is replaced, is told to end; its tasks run on. */
import { spawn } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readMachineIdentity } from '../../../node-agent/adapters/machine/machine-identity.ts';
import { AgentUnderTest } from './agent-process.ts';

let agent: AgentUnderTest;

beforeEach(async () => {
  agent = await AgentUnderTest.make();
});

afterEach(async () => {
  await agent.dispose();
});

const sh = (script: string) => ({ command: ['sh', '-c', script] });

describe('an agent that is killed', () => {
  it('leaves its tasks running, and the next one adopts them', async () => {
    const task = agent.assign('survivor', sh('sleep 600'));
    agent.start();
    await agent.running(task);
    const before = await agent.containerOf(task);
    await agent.end('SIGKILL');
    agent.start();
    await agent.until('the second session', () => (agent.controlPlane.epoch === 2 ? true : null));
    agent.controlPlane.stop(task, 0);
    expect(await agent.ended(task)).toMatchObject({ state: 'killed' });
    expect((await agent.containerOf(task)).Id).toBe(before.Id);
    expect(await agent.containers()).toHaveLength(1);
  });

  it('is followed by one that reports what has ended meanwhile', async () => {
    const task = agent.assign('meanwhile', sh('sleep 1; exit 9'));
    agent.start();
    await agent.running(task);
    await agent.end('SIGKILL');
    await agent.until('the container to end', async () =>
      (await agent.containerOf(task)).State.Running ? null : true,
    );
    agent.start();
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', exitCode: 9 });
  });

  it('is followed by one that goes on although its journal has a torn end', async () => {
    const task = agent.assign('torn', sh('sleep 600'));
    agent.start();
    await agent.running(task);
    await agent.end('SIGKILL');
    const path = join(agent.stateDir, 'journal');
    const journal = await readFile(path, 'utf8');
    await writeFile(path, `${journal}0badc0de {"kind":"forgotten","ta`);
    agent.start();
    await agent.until('the second session', () => (agent.controlPlane.epoch === 2 ? true : null));
    agent.controlPlane.stop(task, 0);
    expect(await agent.ended(task)).toMatchObject({ state: 'killed' });
    expect(agent.log).toContain('damaged lines');
  });
});

describe('an agent that is told to end', () => {
  it('ends cleanly, and leaves its tasks running', async () => {
    const task = agent.assign('stays', sh('sleep 600'));
    agent.start();
    await agent.running(task);
    expect(await agent.end('SIGTERM')).toBe(0);
    expect((await agent.containerOf(task)).State.Running).toBe(true);
  });
});

describe('tokens', () => {
  it('the node keeps its own, for itself alone, and joins with it the next time', async () => {
    agent.start();
    await agent.until('a session', () => (agent.controlPlane.epoch === 1 ? true : null));
    await agent.until('its first heartbeat', () => (agent.controlPlane.heartbeats > 0 ? true : null));
    await agent.end('SIGTERM');
    const { mode } = await stat(join(agent.stateDir, 'node-token'));
    expect(mode & 0o077).toBe(0);
    agent.server.joinTokens.clear();
    agent.start();
    await agent.until('a second session', () => (agent.controlPlane.epoch === 2 ? true : null));
  });

  it('falls back to the join token when its own is refused', async () => {
    agent.start();
    await agent.until('a session', () => (agent.controlPlane.epoch === 1 ? true : null));
    agent.server.nodeTokens.clear();
    await agent.until('a second session', () => (agent.controlPlane.epoch === 2 ? true : null));
  });
});

describe('the state folder', () => {
  it('serves one agent at a time', async () => {
    const first = agent.start();
    await agent.until('a session', () => (agent.controlPlane.epoch === 1 ? true : null));
    const second = agent.start();
    const code = await new Promise((resolve) => second.once('exit', resolve));
    expect(code).toBe(2);
    expect(agent.log).toContain('another agent');
    first.kill('SIGKILL');
  });
});

describe.skipIf(Object.keys(await readMachineIdentity()).length === 0)('a state folder of another machine', () => {
  it('is refused before anything is said, unless it was moved on purpose', async () => {
    const path = join(agent.stateDir, 'machine');
    await writeFile(path, JSON.stringify({ hardware: 'another', system: 'another' }));
    const refused = agent.start();
    expect(await new Promise((resolve) => refused.once('exit', resolve))).toBe(2);
    expect(agent.log).toContain('was made on another machine');
    expect(agent.log).toContain('--state-dir-moved');
    expect(agent.server.requests).toEqual([]);
    agent.start('--state-dir-moved');
    await agent.until('a session', () => (agent.controlPlane.epoch === 1 ? true : null));
    await agent.end('SIGTERM');
    agent.start();
    await agent.until('a second session', () => (agent.controlPlane.epoch === 2 ? true : null));
  });
});

describe('settings', () => {
  it('that are wrong are all named, and nothing is started', async () => {
    const main = join(import.meta.dirname, '../../../node-agent/main.ts');
    const args = ['--control-plane', 'ftp://x', '--start-concurrency', 'many', '--resources', 'gpus=some'];
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let told = '';
    child.stderr.on('data', (chunk: Buffer) => {
      told += chunk.toString('utf8');
    });
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(2);
    for (const setting of ['--control-plane', '--start-concurrency', '--resources']) expect(told).toContain(setting);
  });
});

describe('output', () => {
  const texts = (stream: string) => agent.controlPlane.received.lines.get(stream)?.map((line) => line.text) ?? [];

  it('is followed from before the start to the end', async () => {
    agent.start();
    const task = `talks-${agent.nodeId}`;
    agent.assign('talks', sh('for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.2; done'));
    agent.controlPlane.wantStreams([{ id: 's1', task, follow: true, tail: null, since: null }]);
    await agent.until('the end of the output', () =>
      agent.controlPlane.received.endedStreams.includes('s1') ? true : null,
    );
    const lines = agent.controlPlane.received.lines.get('s1') ?? [];
    expect(lines.filter((line) => line.stream === 'stdout').map((line) => line.text)).toEqual([
      'out 1',
      'out 2',
      'out 3',
    ]);
    expect(lines.filter((line) => line.stream === 'stderr').map((line) => line.text)).toEqual([
      'err 1',
      'err 2',
      'err 3',
    ]);
    for (const line of lines) expect(line.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  });

  it('can be had in part: the last lines, or those after a time', async () => {
    const task = agent.assign('counts', sh('for i in 1 2 3 4 5; do echo $i; sleep 0.05; done'));
    agent.start();
    await agent.ended(task);
    const ask = (id: string, part: { readonly tail: number | null; readonly since: string | null }) => {
      agent.controlPlane.wantStreams([{ id, task, follow: false, ...part }]);
      return agent.until(`stream ${id}`, () => (agent.controlPlane.received.endedStreams.includes(id) ? true : null));
    };
    await ask('all', { tail: null, since: null });
    expect(texts('all')).toEqual(['1', '2', '3', '4', '5']);
    await ask('tail', { tail: 2, since: null });
    expect(texts('tail')).toEqual(['4', '5']);
    const third = agent.controlPlane.received.lines.get('all')?.[2]?.at ?? '';
    await ask('since', { tail: null, since: third });
    expect(texts('since')).toEqual(['4', '5']);
  });

  it('comes whole, however long its lines and however much of it', async () => {
    const task = agent.assign('floods', {
      ...sh('head -c 100000 /dev/zero | tr "\\0" x; echo; seq 1 50000'),
      resources: { cpus: 1, memMiB: 64, diskMiB: 0, gpus: 0, pids: 64, custom: {} },
    });
    agent.start();
    await agent.ended(task);
    agent.controlPlane.wantStreams([{ id: 's1', task, follow: true, tail: null, since: null }]);
    await agent.until('all of it', () => (agent.controlPlane.received.endedStreams.includes('s1') ? true : null));
    const [first, second, third] = texts('s1');
    expect([first?.length, second?.length, third]).toEqual([65_536, 100_000 - 65_536, '1']);
    expect(texts('s1').slice(2)).toEqual(Array.from({ length: 50_000 }, (_, index) => String(index + 1)));
  });

  it('ends when nobody wants it any more', async () => {
    const task = agent.assign('quiet', sh('echo hello; sleep 600'));
    agent.start();
    await agent.running(task);
    agent.controlPlane.wantStreams([{ id: 's1', task, follow: true, tail: null, since: null }]);
    await agent.until('the first line', () => (texts('s1').length > 0 ? true : null));
    agent.controlPlane.wantStreams([]);
    await agent.until('its end', () =>
      agent.controlPlane.received.endedStreams.includes('s1') ||
      agent.controlPlane.received.brokenStreams.includes('s1')
        ? true
        : null,
    );
  });
});

describe('many tasks', () => {
  it('are all started, and all reported', async () => {
    const tasks = Array.from({ length: 12 }, (_, index) => agent.assign(`t${index}`, sh('exit 0')));
    agent.start();
    const ends = await Promise.all(tasks.map((task) => agent.ended(task)));
    expect(ends.map((end) => end.state)).toEqual(tasks.map(() => 'finished'));
    expect(await agent.containers()).toHaveLength(12);
  });
});
