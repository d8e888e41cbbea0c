/** What services ask of their tasks, in real containers: another run where it was, and an end that others have heard of. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentUnderTest, IMAGE } from './agent-process.ts';

let agent: AgentUnderTest;

beforeEach(async () => {
  agent = await AgentUnderTest.make();
});
afterEach(() => agent.dispose());

const sh = (script: string) => ({ command: ['sh', '-c', script] });
const inPlace = { max: 2, withinSeconds: 600, delaySeconds: 0.2, factor: 1, maxDelaySeconds: 1 };
const restart = { afterReboot: false, inPlace };

/** The output of what the task runs in now, once it has as many lines. */
async function output(task: string, lines: number): Promise<string[]> {
  const id = `s-${task}`;
  agent.controlPlane.wantStreams([{ id, task, follow: true, tail: null, since: null }]);
  return agent.until(`${lines} lines of ${task}`, () => {
    const kept = agent.controlPlane.received.lines.get(id) ?? [];
    return kept.length >= lines ? kept.map(({ text }) => text) : null;
  });
}

describe('a task that goes down', () => {
  it('is started again where it was, as often as it may, and finds again what it has left in volumes', async () => {
    const volume = `berth-test-${agent.nodeId}`;
    const count =
      'echo $BERTH_RUN >> /data/runs; echo $BERTH_RUN >> /host/runs; test "$(wc -l < /data/runs)" -gt 2 && cat /data/runs && exit 7; exit 3';
    const folder = await mkdtemp(join(tmpdir(), 'berth-mount-'));
    const mounts = [
      { type: 'volume' as const, source: volume, target: '/data', readOnly: false },
      { type: 'bind' as const, source: folder, target: '/host', readOnly: false },
    ];
    const task = agent.assign('counts', { ...sh(count), mounts, restart });
    agent.start('--allow-host-mount', folder);
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'failed', reason: 'exited', run: 2, exitCode: 7 });
    expect(end.message).toContain('started again in place 2 times');
    expect(await output(task, 3)).toEqual(['0', '1', '2']);
    const told = agent.controlPlane.historyOf(task).map(({ state, run, reason }) => `${state} ${run} ${reason}`);
    expect(told).toEqual([
      'starting 0 accepted',
      'running 0 started',
      'starting 1 restarted-in-place',
      'running 1 restarted-in-place',
      'starting 2 restarted-in-place',
      'running 2 restarted-in-place',
      'failed 2 exited',
    ]);
    // The task that takes its place on the same node finds the same volume.
    expect(await readFile(join(folder, 'runs'), 'utf8')).toBe('0\n1\n2\n');
    const next = agent.assign('reads', {
      ...sh('test "$(wc -l < /data/runs)" = 3 && cmp /data/runs /host/runs'),
      mounts,
    });
    expect(await agent.ended(next)).toMatchObject({ state: 'finished' });
    await agent.end('SIGTERM');
    for (const { Id } of await agent.containers()) await agent.docker.getContainer(Id).remove({ force: true });
    await agent.docker.getVolume(volume).remove();
    await rm(folder, { recursive: true, force: true });
  });

  it('is started again while nobody can be asked, by the agent that was there or by the next', async () => {
    const long = { ...inPlace, delaySeconds: 3, maxDelaySeconds: 3 };
    const task = agent.assign('alone', { ...sh('sleep 600'), restart: { afterReboot: false, inPlace: long } });
    agent.start();
    await agent.running(task);
    agent.controlPlane.fault = 'away';
    const first = await agent.containerOf(task);
    await agent.docker.getContainer(first.Id).kill();
    await agent.until('its container to have ended', async () =>
      (await agent.containerOf(task)).State.Running ? null : true,
    );
    await agent.end('SIGTERM');
    agent.start();
    const second = await agent.until('another container', async () => {
      const found = await agent.containerOf(task).catch(() => null);
      return found !== null && found.Id !== first.Id && found.State.Running ? found : null;
    });
    expect(second.Config.Labels['io.berth.run']).toBe('1');
    agent.controlPlane.fault = null;
    await agent.until('its further run to be told', () =>
      agent.controlPlane.historyOf(task).at(-1)?.run === 1 && agent.controlPlane.stateOf(task) === 'running'
        ? true
        : null,
    );
    expect(agent.controlPlane.historyOf(task).at(-1)?.message).toContain('before: exited with code 137');
  });
});

describe('a task', () => {
  it('is told where it is reached, who is beside it and what it is found as, in each of its runs', async () => {
    const task = agent.assign(
      'told',
      {
        ...sh('env | sort; exit 1'),
        count: 5,
        restart: { afterReboot: false, inPlace: { ...inPlace, max: 1 } },
        ports: [
          { name: 'http', protocol: 'tcp' },
          { name: 'admin-api', protocol: 'tcp' },
        ],
      },
      {
        ports: { 'admin-api': 20_002, http: 20_001 },
        role: 'eng/ml',
        jobVersion: 4,
        peers: ['edge-2:20005', '[::1]:20006'],
      },
    );
    agent.start('--address', '192.0.2.7');
    const end = await agent.ended(task);
    expect(end.run).toBe(1);
    const lines = await output(task, 15);
    const told = lines.filter((line) => line.startsWith('BERTH_'));
    expect(told).toEqual(
      expect.arrayContaining([
        'BERTH_ADDRESS_ADMIN_API=192.0.2.7:20002',
        'BERTH_ADDRESS_HTTP=192.0.2.7:20001',
        'BERTH_COUNT=5',
        'BERTH_GROUP=main',
        'BERTH_INDEX=3',
        'BERTH_JOB=job',
        'BERTH_PEERS=edge-2:20005,[::1]:20006',
        'BERTH_PORT=20001',
        'BERTH_PORTS=20001,20002',
        'BERTH_PORT_ADMIN_API=20002',
        'BERTH_RUN=1',
        'BERTH_SERVICE=job.ml.eng.berth',
        'BERTH_VERSION=4',
      ]),
    );
    expect(agent.controlPlane.registrations[0]?.node.address).toBe('192.0.2.7');
  });
});

describe('an image that the node is to have', () => {
  it('is told of where it is there, and where it can not be had, and why', async () => {
    agent.start();
    await agent.until('the agent to join', () => (agent.controlPlane.epoch > 0 ? true : null));
    expect(agent.controlPlane.registrations[0]?.node.address).toBe('127.0.0.1');
    agent.controlPlane.wantImages(IMAGE, 'berth.invalid/nothing:here');
    const reports = await agent.until('both to be told of', () => {
      const { images } = agent.controlPlane.received;
      return images.length >= 2 ? images.toSorted((a, b) => (a.image < b.image ? 1 : -1)) : null;
    });
    expect(reports).toMatchObject([
      { image: IMAGE, state: 'ready' },
      { image: 'berth.invalid/nothing:here', state: 'failed' },
    ]);
    expect(reports[1]?.message).toContain('berth.invalid');
  });
});

describe('a task that is to end', () => {
  it('is left alone for its delay, and then gets the signal that it wants', async () => {
    const task = agent.assign('quits', {
      ...sh('trap "echo asked; exit 9" USR1; trap "" TERM; echo listening; while :; do sleep 0.1; done'),
      stopSignal: 'SIGUSR1',
    });
    agent.start();
    await output(task, 1);
    const askedAtMs = Date.now();
    agent.controlPlane.stop(task, 20_000, 1500);
    expect(await agent.ended(task)).toMatchObject({ state: 'killed', reason: 'stop-requested', exitCode: 9 });
    expect(Date.now() - askedAtMs).toBeGreaterThanOrEqual(1500);
    expect((await agent.containerOf(task)).Config).toMatchObject({ StopSignal: 'SIGUSR1' });
  });
});
