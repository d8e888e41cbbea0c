/** `berth agent` and `berth control-plane` are the programs themselves, not parents of them. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { berth, isRunning, startBerth } from './cli-process.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-programs-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** An agent that finds no control plane, and the process id that it has locked its folder with. */
async function startAgent() {
  const args = ['--control-plane', 'http://127.0.0.1:1', '--join-token', 'none', '--state-dir', folder];
  const program = startBerth(['agent', ...args]);
  const lock = await vi.waitFor(() => readFile(join(folder, 'lock'), 'utf8'), { timeout: 30_000, interval: 20 });
  return { program, pid: Number(lock.split(' ')[0]) };
}

describe('berth agent', () => {
  it('is gone when the process that was started is killed', async () => {
    const { program, pid } = await startAgent();
    try {
      program.process.kill('SIGKILL');
      await once(program.process, 'exit');
      expect(isRunning(pid)).toBe(false);
    } finally {
      if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    }
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends in order on %s, and says so', async (signal) => {
    const { program } = await startAgent();
    await program.says('the agent has started');
    program.process.kill(signal);
    const { code, err } = await program.done;
    expect(err).toContain('the agent ends; tasks run on');
    expect(err).not.toMatch(/warning/i);
    expect(code).toBe(0);
  });
});

describe('berth control-plane and berth agent', () => {
  it.each([
    { name: 'control-plane', refused: 78 },
    { name: 'agent', refused: 2 },
  ])('berth $name passes arguments on, and its exit code back', async ({ name, refused }) => {
    expect((await berth([name, '--help'])).code).toBe(0);
    const { code, err } = await berth([name, '--no-such-setting']);
    expect(err).toContain('--no-such-setting');
    expect(code).toBe(refused);
  });
});
