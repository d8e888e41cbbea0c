/** Tasks in real containers: what the engine is told, what it does, and what is reported of it. */
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentUnderTest } from './agent-process.ts';

let agent: AgentUnderTest;

beforeEach(async () => {
  agent = await AgentUnderTest.make();
});

afterEach(async () => {
  await agent.dispose();
});

const sh = (script: string) => ({ command: ['sh', '-c', script] });

describe('a task', () => {
  it('runs, and ends as finished with 0', async () => {
    const task = agent.assign('ok', sh('exit 0'));
    agent.start();
    expect(await agent.ended(task)).toMatchObject({ state: 'finished', reason: 'exited', exitCode: 0 });
    expect(agent.controlPlane.historyOf(task).map((status) => status.state)).toEqual([
      'starting',
      'running',
      'finished',
    ]);
  });

  it('ends as failed with its own code', async () => {
    const task = agent.assign('bad', sh('exit 42'));
    agent.start();
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', exitCode: 42, message: 'exited with code 42' });
  });

  it('that uses more memory than its limit is ended, and it is said why', async () => {
    const task = agent.assign('oom', {
      ...sh('head -c 200m /dev/zero | tail'),
      resources: { cpus: 1, memMiB: 16, diskMiB: 0, gpus: 0, pids: 64, custom: {} },
    });
    agent.start();
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'out-of-memory' });
  });

  it('with an image that does not exist ends as an error in the words of the engine', async () => {
    const task = agent.assign('image', { image: 'berth.invalid/nothing:here' });
    agent.start();
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'error', reason: 'image-unavailable' });
    expect(end.message).toContain('berth.invalid/nothing:here');
    expect(await agent.containers()).toEqual([]);
  });

  it('with a command that does not exist ends as an error, and leaves no container behind', async () => {
    const task = agent.assign('command', { command: ['no-such-command'] });
    agent.start();
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'error', reason: 'command-unusable' });
    expect(end.message).toContain('no-such-command');
    expect(await agent.containers()).toEqual([]);
  });

  it('that runs longer than its timeout is ended', async () => {
    const task = agent.assign('slow', { ...sh('sleep 600'), timeoutSeconds: 0.5, killGraceSeconds: 0.2 });
    agent.start();
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'timed-out' });
  });

  it('knows who and where it is, and its own variables do not hide that', async () => {
    const task = agent.assign('env', { ...sh('env'), env: { COLOUR: 'red', BERTH_TASK_ID: 'a lie' } });
    agent.start();
    await agent.ended(task);
    agent.controlPlane.wantStreams([{ id: 's1', task, follow: false, tail: null, since: null }]);
    const lines = await agent.until('the output', () => {
      const kept = agent.controlPlane.received.lines.get('s1');
      return agent.controlPlane.received.endedStreams.includes('s1') ? (kept ?? []) : null;
    });
    const texts = lines.map((line) => line.text);
    expect(texts).toContain('COLOUR=red');
    expect(texts).toContain(`BERTH_TASK_ID=${task}`);
    expect(texts).toContain(`BERTH_NODE=${agent.nodeId}`);
    expect(texts).toContain('BERTH_INDEX=3');
  });
});

describe('limits', () => {
  it('hold for processor, memory and processes', async () => {
    const task = agent.assign('limits', {
      ...sh('sleep 600'),
      resources: { cpus: 0.25, memMiB: 48, diskMiB: 0, gpus: 0, pids: 77, custom: {} },
    });
    agent.start();
    await agent.running(task);
    const { HostConfig } = await agent.containerOf(task);
    expect(HostConfig.CpuQuota).toBe(25_000);
    expect(HostConfig.Memory).toBe(48 * 1024 * 1024);
    expect(HostConfig.MemorySwap).toBe(48 * 1024 * 1024);
    expect(HostConfig.PidsLimit).toBe(77);
  });

  it('on processes are enforced by the kernel', async () => {
    const task = agent.assign('forks', {
      ...sh('i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done; echo all of them'),
      resources: { cpus: 1, memMiB: 64, diskMiB: 0, gpus: 0, pids: 10, custom: {} },
    });
    agent.start();
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'exited' });
  });
});

describe('stopping', () => {
  it('lets a task end by itself within its grace', async () => {
    const task = agent.assign('polite', sh('trap "exit 5" TERM; echo listening; sleep 600 & wait'));
    agent.start();
    agent.controlPlane.wantStreams([{ id: 's1', task, follow: true, tail: null, since: null }]);
    // Right after its start a shell hasn't set its trap yet.
    await agent.until('the task to listen', () => (agent.controlPlane.received.lines.get('s1')?.length ? true : null));
    agent.controlPlane.stop(task, 20_000);
    expect(await agent.ended(task)).toMatchObject({ state: 'killed', reason: 'stop-requested', exitCode: 5 });
  });

  it('kills a task that does not listen', async () => {
    const task = agent.assign('deaf', sh('trap "" TERM; sleep 600'));
    agent.start();
    await agent.running(task);
    agent.controlPlane.stop(task, 300);
    expect(await agent.ended(task)).toMatchObject({ state: 'killed', reason: 'stop-requested', exitCode: 137 });
  });

  it('removes a task whose place is gone', async () => {
    const task = agent.assign('gone', { ...sh('sleep 600'), killGraceSeconds: 0 });
    agent.start();
    await agent.running(task);
    agent.controlPlane.sweep(task);
    await agent.until('its container to go', async () => ((await agent.containers()).length === 0 ? true : null));
  });
});

describe('ports', () => {
  it('are mapped from the node to the container', async () => {
    const port = await freePort();
    const task = agent.assign(
      'web',
      {
        ...sh('mkdir /www; echo hello > /www/index.html; httpd -f -p 80 -h /www'),
        network: 'bridge',
        ports: [{ name: 'http', containerPort: 80, protocol: 'tcp' }],
      },
      { ports: { http: port } },
    );
    agent.start();
    await agent.running(task);
    const text = await agent.until('an answer from the task', async () => {
      const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
      return response?.ok ? response.text() : null;
    });
    expect(text).toBe('hello\n');
  });

  it('that somebody else holds end the task as an error', async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, '0.0.0.0', () => resolve((holder.address() as { port: number }).port));
    });
    const task = agent.assign(
      'taken',
      { ...sh('sleep 600'), network: 'bridge', ports: [{ name: 'http', protocol: 'tcp' }] },
      { ports: { http: port } },
    );
    agent.start();
    const end = await agent.ended(task);
    holder.close();
    expect(end).toMatchObject({ state: 'error', reason: 'engine-error' });
    expect(await agent.containers()).toEqual([]);
  });
});

describe('what an operator has to allow', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-mount-'));
    await writeFile(join(folder, 'note'), 'from the node\n');
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('is refused otherwise, with the name of the setting', async () => {
    const mounts = [{ type: 'bind', source: folder, target: '/data', readOnly: true } as const];
    const tasks = [
      agent.assign('mount', { mounts }),
      agent.assign('host', { network: 'host' }),
      agent.assign('privileged', { privileged: true }),
      agent.assign('device', { devices: ['/dev/kmsg'] }),
      agent.assign('capability', { capAdd: ['NET_ADMIN'] }),
    ];
    agent.start();
    const ends = await Promise.all(tasks.map((task) => agent.ended(task)));
    expect(ends.map((end) => end.reason)).toEqual(tasks.map(() => 'refused-by-node'));
    const settings = ['host-mount', 'host-network', 'privileged', 'device', 'capability'];
    for (const [index, setting] of settings.entries()) expect(ends[index]?.message).toContain(`--allow-${setting}`);
    expect(await agent.containers()).toEqual([]);
  });

  it('works once it is allowed', async () => {
    const task = agent.assign('mount', {
      ...sh('cat /data/note && ! echo x > /data/other'),
      mounts: [{ type: 'bind', source: folder, target: '/data', readOnly: true }],
    });
    agent.start('--allow-host-mount', folder);
    expect(await agent.ended(task)).toMatchObject({ state: 'finished' });
  });

  it('is refused through a link that leads elsewhere', async () => {
    await symlink('/etc', join(folder, 'way-out'));
    const source = join(folder, 'way-out');
    const task = agent.assign('link', { mounts: [{ type: 'bind', source, target: '/data', readOnly: true }] });
    agent.start('--allow-host-mount', folder);
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'error', reason: 'refused-by-node' });
    expect(end.message).toContain('/etc');
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
