/** Programs of the machine, run for a bounded time. */
import { describe, expect, it } from 'vitest';
import { type ProgramCall, runProgram } from '../../../node-agent/adapters/machine/run-program.ts';
import { systemClock } from '../../../node-agent/adapters/system/system-clock.ts';

const sh = (script: string, change: Partial<ProgramCall> = {}) =>
  runProgram({ program: 'sh', args: ['-c', script], timeoutMs: 20_000, clock: systemClock, ...change });

describe('a program of the machine', () => {
  it('tells what it printed, its errors too, and its exit code', async () => {
    const result = await sh('echo out; echo err >&2; exit 9');
    expect(result).toMatchObject({ type: 'ended', exitCode: 9 });
    expect(result.type === 'ended' && result.output.split('\n').toSorted()).toEqual(['', 'err', 'out']);
  });

  it('may not be there', async () => {
    expect(await sh('', { program: 'berth-no-such-program' })).toEqual({ type: 'missing' });
  });

  it('may be there and not be one that can be run', async () => {
    expect(await sh('', { program: '/etc/passwd' })).toMatchObject({ type: 'failed' });
  });

  it('is given up when it hangs, with what it has started', async () => {
    const startedAtMs = performance.now();
    expect(await sh('sleep 60 & wait', { timeoutMs: 100 })).toEqual({
      type: 'failed',
      why: 'it did not end within 0.1 s',
    });
    expect(performance.now() - startedAtMs).toBeLessThan(10_000);
  });

  it('is given up when it prints without end', async () => {
    expect(await sh('yes')).toEqual({ type: 'failed', why: 'it printed too much' });
  });

  it('may be killed by somebody', async () => {
    expect(await sh('kill -9 $$')).toEqual({ type: 'failed', why: 'it was ended by SIGKILL' });
  });
});
