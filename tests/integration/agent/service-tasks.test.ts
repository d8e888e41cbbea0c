/** What services ask of their tasks, in real containers: another run where it was, and an end that others have heard of. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentUnderTest } from './agent-process.ts';

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
  it('is started again where it was, as often as it may, and keeps what a volume of the engine holds', async () => {
    const volume = `berth-test-${agent.nodeId}`;
    const count =
      'echo $BERTH_RUN >> /data/runs; test "$(wc -l < /data/runs)" -gt 2 && cat /data/runs && exit 7; exit 3';
    const mounts = [{ type: 'volume' as const, source: volume, target: '/data', readOnly: false }];
    const task = agent.assign('counts', { ...sh(count), mounts, restart });
    agent.start();
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
    const next = agent.assign('reads', { ...sh('test "$(wc -l < /data/runs)" = 3'), mounts });
    expect(await agent.ended(next)).toMatchObject({ state: 'finished' });
    await agent.end('SIGTERM');
    for (const { Id } of await agent.containers()) await agent.docker.getContainer(Id).remove({ force: true });
    await agent.docker.getVolume(volume).remove();
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
