/** Tasks that must not run while their node is cut off, in the real engine: whatever has become of the agent. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FENCE_MARGIN_MS } from '../../../control-plane/reconcile/fence-wait.ts';
import { AgentUnderTest } from './agent-process.ts';

let agent: AgentUnderTest;

beforeEach(async () => {
  agent = await AgentUnderTest.make();
});

afterEach(async () => {
  await agent.dispose();
});

/** Twelve heartbeats, so that a machine that is very busy loses no task. */
const STOP_AFTER_MS = 6000;
/** The last heartbeat may have been sent so long before the cut. */
const EARLY_MS = 3000;
/** The dead-man's look, the kill, and the engine that notes the end. */
const LATE_MS = FENCE_MARGIN_MS;
const sh = (script: string) => ({ command: ['sh', '-c', script], killGraceSeconds: 1 });
const guarded = { stopAfterDisconnectMs: STOP_AFTER_MS };

/** Some processes that hear of no signal. */
const STUBBORN = sh('trap "" TERM; sleep 600 & sleep 600 & while :; do sleep 1; done');

async function runningGuarded(group: { readonly command: string[]; readonly killGraceSeconds: number }) {
  const task = agent.assign('guarded', group, guarded);
  agent.start();
  await agent.running(task);
  return task;
}

async function ends(task: string): Promise<{ readonly atMs: number; readonly exitCode: number }> {
  return agent.until('the container to end', async () => {
    const { State: state } = await agent.containerOf(task);
    return state.Running ? null : { atMs: Date.parse(state.FinishedAt), exitCode: state.ExitCode };
  });
}

describe('a task that must not run while its node is cut off', () => {
  it('runs for as long as heartbeats get through', async () => {
    const task = await runningGuarded(STUBBORN);
    const free = agent.assign('free', sh('sleep 600'));
    await agent.running(free);
    const beats = agent.controlPlane.heartbeats;
    await agent.until('heartbeats of more than that time', () =>
      agent.controlPlane.heartbeats > beats + 16 ? true : null,
    );
    expect((await agent.containerOf(task)).State.Running).toBe(true);
  });

  it.each([
    { fate: 'killed', signal: 'SIGKILL', back: null },
    { fate: 'held up', signal: 'SIGSTOP', back: 'SIGCONT' },
  ] as const)('is killed in time when the agent is $fate, and the one that is back says why', async (row) => {
    const task = await runningGuarded(STUBBORN);
    const free = agent.assign('free', sh('sleep 600'));
    await agent.running(free);
    const cutOffAtMs = Date.now();
    process.kill(agent.pid ?? 0, row.signal);
    const { atMs, exitCode } = await ends(task);
    expect(exitCode).toBe(137);
    expect(atMs - cutOffAtMs).toBeGreaterThan(STOP_AFTER_MS - EARLY_MS);
    expect(atMs - cutOffAtMs).toBeLessThan(STOP_AFTER_MS + LATE_MS);
    expect((await agent.containerOf(free)).State.Running).toBe(true);
    if (row.back === null) agent.start();
    else process.kill(agent.pid ?? 0, row.back);
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'disconnected', exitCode: 137 });
  });

  it('is killed in time when the agent has lost its journal', async () => {
    const task = await runningGuarded(STUBBORN);
    const cutOffAtMs = Date.now();
    await agent.end('SIGKILL');
    agent.controlPlane.fault = 'away';
    await rm(join(agent.stateDir, 'journal'));
    agent.start();
    const { atMs, exitCode } = await ends(task);
    expect(exitCode).toBe(137);
    expect(atMs - cutOffAtMs).toBeLessThan(STOP_AFTER_MS + LATE_MS);
  });

  it('is killed in time when another agent has begun anew in the same folder, whose task runs on', async () => {
    const task = await runningGuarded(STUBBORN);
    const cutOffAtMs = Date.now();
    await agent.end('SIGKILL');
    await rm(agent.stateDir, { recursive: true });
    const other = await AgentUnderTest.make(agent.stateDir);
    try {
      const next = other.assign('next', STUBBORN, guarded);
      other.start();
      await other.running(next);
      const { atMs, exitCode } = await ends(task);
      expect(exitCode).toBe(137);
      expect(atMs - cutOffAtMs).toBeLessThan(STOP_AFTER_MS + LATE_MS);
      expect((await other.containerOf(next)).State.Running).toBe(true);
    } finally {
      await other.dispose();
    }
  });

  it('is told to end before that by an agent that lives', async () => {
    const task = await runningGuarded(sh('trap "exit 7" TERM; while :; do sleep 0.1; done'));
    agent.controlPlane.fault = 'away';
    // The dead-man's way to end it would give 137.
    expect((await ends(task)).exitCode).toBe(7);
    agent.controlPlane.fault = null;
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'disconnected', exitCode: 7 });
  });

  it('is not started by an agent that comes back too late, but let go of', async () => {
    const task = await runningGuarded(STUBBORN);
    await agent.end('SIGKILL');
    await ends(task);
    agent.start();
    await agent.ended(task);
    await agent.until('the watch to be over', async () => {
      const state = await readFile(join(agent.stateDir, 'fence', 'state'), 'utf8');
      return state.includes('stop ') ? null : true;
    });
    expect(await agent.containers()).toHaveLength(1);
  });
});
