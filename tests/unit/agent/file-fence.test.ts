/** The real fence, with a real dead-man that kills real processes; containers and the machine's time are the test's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEAD_MAN_STAYS_MS } from '../../../node-agent/adapters/fence/dead-man.ts';
import { decodeFenceState, encodeFenceState } from '../../../node-agent/adapters/fence/fence-state.ts';
import { FenceFault } from '../../../node-agent/executor/contracts.ts';
import { describeFence } from '../../support/fence-suite.ts';
import { endProcess, FencedMachine, isProcess } from '../../support/fenced-machine.ts';

const CONTAINER = 'container-one-1';
const OTHER = 'container-two-2';
const WITNESS = 'container-witness';

/** The id of a process that has ended. */
async function endedProcess(): Promise<number> {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? 0;
}

/** The dead-man that has {@link WITNESS} on its list, and out of time, has looked at all of it. */
async function untilLooked(machine: FencedMachine): Promise<void> {
  machine.run(WITNESS);
  await machine.until('the dead-man to look', () => !machine.isRunning(WITNESS));
}

/** A `sleep` that hardly sleeps, and what it was asked for. */
async function notedSleeps({ procDir }: FencedMachine) {
  const [path, notes] = [join(procDir, 'bin'), join(procDir, 'sleeps')];
  await mkdir(path);
  await writeFile(join(path, 'sleep'), `#!/bin/sh\necho "$1" >>'${notes}'\nexec /bin/sleep 0.05\n`, { mode: 0o700 });
  const last = async () => (await readFile(notes, 'utf8').catch(() => '')).split('\n').slice(0, -1);
  return { path, last };
}

describeFence('the fence on a machine', () => FencedMachine.begin());

describe('the dead-man', () => {
  let machine: FencedMachine;
  beforeEach(async () => {
    machine = await FencedMachine.begin();
  });
  afterEach(() => machine.dispose());

  it('is one, and is there again at the next heartbeat when somebody has ended it', async () => {
    const fence = await machine.open();
    fence.confirmed(fence.nowMs());
    await fence.arm(CONTAINER, 20_000);
    const { keeper } = await machine.state();
    expect(isProcess(keeper)).toBe(true);
    await fence.arm('container-two-2', 20_000);
    await machine.open();
    expect((await machine.state()).keeper).toBe(keeper);
    endProcess(keeper);
    await machine.until('it to be gone', () => !isProcess(keeper));
    await machine.advance(1000);
    fence.confirmed(fence.nowMs());
    await machine.until('another one', async () => isProcess((await machine.state()).keeper));
    expect((await machine.state()).keeper).not.toBe(keeper);
  });

  it('makes way for that of another version, without a moment in which nobody watches', async () => {
    const fence = await machine.open();
    fence.confirmed(fence.nowMs());
    machine.run(CONTAINER);
    await fence.arm(CONTAINER, 20_000);
    const { keeper } = await machine.state();
    await writeFile(join(machine.dir, 'dead-man.sh'), '# an older one\n');
    await machine.open();
    const { keeper: next } = await machine.state();
    expect(next).not.toBe(keeper);
    await machine.until('the older one to be gone', () => !isProcess(keeper));
    await machine.advance(20_000);
    await machine.until('the container to be killed', () => !machine.isRunning(CONTAINER));
  });

  it('goes by what it knew when the folder is taken away, and leaves when there is nothing left to do', async () => {
    const fence = await machine.open();
    fence.confirmed(fence.nowMs());
    machine.run(CONTAINER);
    await fence.arm(OTHER, 40_000);
    await fence.arm(CONTAINER, 20_000);
    await fence.arm(WITNESS, 1);
    await machine.advance(10);
    await untilLooked(machine);
    const { keeper } = await machine.state();
    await rm(machine.dir, { recursive: true });
    await machine.advance(20_000);
    await machine.until('the container to be killed', () => !machine.isRunning(CONTAINER));
    machine.run(OTHER);
    await machine.advance(20_000);
    await machine.until('the other to be killed', () => !machine.isRunning(OTHER));
    await machine.advance(DEAD_MAN_STAYS_MS);
    await machine.until('it to be gone', () => !isProcess(keeper));
  });

  it('goes on beside that of another agent, which has made a new folder in the same place', async () => {
    const before = await machine.open({ pid: await endedProcess() });
    before.confirmed(before.nowMs());
    await before.arm(CONTAINER, 20_000);
    await before.arm(WITNESS, 1);
    await machine.advance(10);
    await untilLooked(machine);
    const { keeper } = await machine.state();
    await rm(machine.dir, { recursive: true });
    const after = await machine.open();
    after.confirmed(after.nowMs());
    await after.arm(OTHER, 2 * DEAD_MAN_STAYS_MS);
    const { keeper: next } = await machine.state();
    machine.run(CONTAINER);
    machine.run(OTHER);
    for (let look = 0; look < 2; look += 1) await untilLooked(machine);
    expect(machine.isRunning(CONTAINER)).toBe(true);
    await machine.advance(20_000);
    await machine.until('the container to be killed', () => !machine.isRunning(CONTAINER));
    await machine.advance(DEAD_MAN_STAYS_MS);
    await machine.until('the old one to be gone', () => !isProcess(keeper));
    expect([isProcess(next), machine.isRunning(OTHER)]).toEqual([true, true]);
  });

  it('leaves when its agent is gone and nothing was found for long after the last deadline, not before', async () => {
    const fence = await machine.open({ pid: await endedProcess() });
    fence.confirmed(fence.nowMs());
    await fence.arm(CONTAINER, 20_000);
    await fence.arm(WITNESS, 1);
    const { keeper } = await machine.state();
    await machine.advance(10_000);
    for (let start = 0; start < 2; start += 1) {
      await untilLooked(machine);
      await machine.advance(DEAD_MAN_STAYS_MS - 1000);
    }
    machine.run(CONTAINER);
    await machine.until('what is started late to be killed', () => !machine.isRunning(CONTAINER));
    await machine.advance(DEAD_MAN_STAYS_MS);
    await machine.until('it to be gone', () => !isProcess(keeper));
  });

  it('stays for a while without an agent, too, where all was over before it began', async () => {
    const fence = await machine.open({ pid: await endedProcess() });
    fence.confirmed(fence.nowMs() - DEAD_MAN_STAYS_MS);
    await fence.arm(WITNESS, 1);
    for (let look = 0; look < 2; look += 1) await untilLooked(machine);
  });

  it('stays for as long as its agent lives', async () => {
    const { path, last } = await notedSleeps(machine);
    const fence = await machine.open({ path });
    fence.confirmed(fence.nowMs());
    await fence.arm(WITNESS, 1);
    await machine.advance(2 * DEAD_MAN_STAYS_MS);
    const { length } = await last();
    await machine.until('some looks', async () => (await last()).length > length + 2);
    expect(isProcess((await machine.state()).keeper)).toBe(true);
  });

  it.each([
    { agent: 'is gone', pid: endedProcess, quietMs: 60_000, seconds: '5' },
    { agent: 'has just gone', pid: endedProcess, quietMs: 1000, seconds: '0.5' },
    { agent: 'lives', pid: async () => process.pid, quietMs: 120_000, seconds: '0.5' },
  ])('looks every $seconds s when its agent $agent and nothing was found for $quietMs ms', async (row) => {
    const { path, last } = await notedSleeps(machine);
    const fence = await machine.open({ pid: await row.pid(), path });
    fence.confirmed(fence.nowMs());
    await fence.arm(WITNESS, 1);
    await machine.advance(10);
    await untilLooked(machine);
    await machine.advance(row.quietMs);
    const { length } = await last();
    await machine.until('some looks', async () => (await last()).length > length + 2);
    expect((await last()).at(-1)).toBe(row.seconds);
  });

  it('takes a file that is not whole for none', async () => {
    const fence = await machine.open();
    fence.confirmed(fence.nowMs());
    machine.run(CONTAINER);
    await fence.arm(CONTAINER, 20_000);
    await writeFile(join(machine.dir, 'state'), 'boot boot-1\nagent 1\nkeeper 1\nconfirmed 9999999999\n');
    await machine.advance(20_000);
    await machine.until('the container to be killed', () => !machine.isRunning(CONTAINER));
  });

  it('never lets a machine that seems younger than its last contact off', async () => {
    const fence = await machine.open();
    fence.confirmed(fence.nowMs());
    machine.run(CONTAINER);
    await fence.arm(CONTAINER, 20_000);
    await machine.advance(-500_000);
    await machine.until('the container to be killed', () => !machine.isRunning(CONTAINER));
  });
});

describe('the fence of a machine', () => {
  let machine: FencedMachine;
  beforeEach(async () => {
    machine = await FencedMachine.begin();
  });
  afterEach(() => machine.dispose());

  /** A shell that runs nothing, and counts how often it is asked to. */
  async function failingShell() {
    const shell = join(machine.procDir, 'failing-shell');
    await writeFile(shell, '#!/bin/sh\necho call >>"$(dirname "$0")/calls"\nexit 1\n');
    await chmod(shell, 0o700);
    const calls = async () => (await readFile(join(machine.procDir, 'calls'), 'utf8')).split('\n').length - 1;
    return { shell, calls };
  }

  it('knows nothing of the time before the machine was off', async () => {
    const before = await machine.open();
    before.confirmed(before.nowMs());
    await before.arm(CONTAINER, 20_000);
    await machine.boot('boot-2');
    const after = await machine.open();
    expect(after.isArmed(CONTAINER)).toBe(false);
    expect(after.contactAgeMs()).toBe(Number.POSITIVE_INFINITY);
    expect((await machine.state()).armed.size).toBe(0);
  });

  it('refuses where it may not signal containers, where it can not see them, and where there is no such clock', async () => {
    const fence = await machine.open();
    expect(await fence.refusal()).toBeNull();
    await machine.allow('00000000a80425fb');
    expect(await fence.refusal()).toBeNull();
    await machine.allow('00000000a80425db');
    expect(await fence.refusal()).toContain('KILL');
    machine.run(CONTAINER);
    expect(await fence.escapeOf(CONTAINER)).toBeNull();
    expect(await fence.escapeOf('container-two-2')).toContain("can't see");
    await rm(join(machine.procDir, 'uptime'));
    const blind = await machine.open();
    expect(await blind.refusal()).toContain('uptime');
    await expect(blind.arm(CONTAINER, 20_000)).rejects.toThrow(FenceFault);
    blind.confirmed(blind.nowMs());
    expect(blind.contactAgeMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it.each(['/bin/false', '/bin/no-shell', '/bin/cat'])('refuses where no dead-man can begin (%s)', async (shell) => {
    const fence = await machine.open({ shell });
    expect(await fence.refusal()).toContain(`${shell} runs scripts`);
    await expect(fence.arm(CONTAINER, 20_000)).rejects.toThrow(FenceFault);
  });

  it('tries once whether a dead-man can begin, and again after a while where none could', async () => {
    const { shell, calls } = await failingShell();
    const fence = await machine.open({ shell });
    for (let asked = 0; asked < 3; asked += 1) expect(await fence.refusal()).toContain("can't begin");
    expect(await calls()).toBe(1);
    await writeFile(shell, '#!/bin/sh\nexec /bin/sh "$@"\n');
    await machine.advance(60_000);
    expect(await fence.refusal()).toBeNull();
    await writeFile(shell, '#!/bin/sh\nexit 1\n');
    await machine.advance(60_000);
    expect(await fence.refusal()).toBeNull();
  });

  it('arms again as soon as a dead-man can begin', async () => {
    const shell = join(machine.procDir, 'late-shell');
    const fence = await machine.open({ shell });
    await expect(fence.arm(CONTAINER, 20_000)).rejects.toThrow("can't be started");
    await writeFile(shell, '#!/bin/sh\nexit 3\n', { mode: 0o700 });
    await expect(fence.arm(CONTAINER, 20_000)).rejects.toThrow('ends with 3');
    await writeFile(shell, '#!/bin/sh\nexec /bin/sh "$@"\n');
    await fence.arm(CONTAINER, 20_000);
    expect(isProcess((await machine.state()).keeper)).toBe(true);
  });

  it('waits for a dead-man that is slow to begin, instead of starting a second one', async () => {
    const shell = join(machine.procDir, 'slow-shell');
    const [calls, go] = [join(machine.procDir, 'calls'), join(machine.procDir, 'go')];
    const lines = [`echo call >>${calls}`, `while [ ! -e ${go} ]; do sleep 0.1; done`, 'exec /bin/sh "$@"', ''];
    await writeFile(shell, ['#!/bin/sh', ...lines].join('\n'), { mode: 0o700 });
    const fence = await machine.open({ shell });
    await expect(fence.arm(CONTAINER, 20_000)).rejects.toThrow('does not begin');
    await writeFile(go, '');
    await fence.arm(CONTAINER, 20_000);
    expect(isProcess((await machine.state()).keeper)).toBe(true);
    expect(await readFile(calls, 'utf8')).toBe('call\n');
  });

  it('has one write under way and one to come, however many heartbeats there are', async () => {
    const { shell, calls } = await failingShell();
    const fence = await machine.open({ shell });
    await expect(fence.arm(CONTAINER, 20_000)).rejects.toThrow(FenceFault);
    const before = await calls();
    for (let beat = 1; beat <= 50; beat += 1) fence.confirmed(fence.nowMs() + beat);
    await expect(fence.arm('container-two-2', 20_000)).rejects.toThrow(FenceFault);
    const tries = (await calls()) - before;
    expect(tries).toBeGreaterThan(0);
    expect(tries).toBeLessThanOrEqual(2);
  });

  it('arms nothing under a name that could be part of another', async () => {
    const fence = await machine.open();
    for (const id of ['', 'docker', 'container one 1']) await expect(fence.arm(id, 1)).rejects.toThrow(FenceFault);
    expect((await machine.state().catch(() => null))?.armed.size ?? 0).toBe(0);
  });

  it('says once that it can not be told of contact, and fails to arm', async () => {
    const fence = await machine.open();
    fence.confirmed(fence.nowMs());
    await fence.arm(CONTAINER, 20_000);
    endProcess((await machine.state()).keeper);
    await rm(machine.dir, { recursive: true });
    await expect(fence.arm('container-two-2', 20_000)).rejects.toThrow(FenceFault);
    for (let beat = 1; beat <= 3; beat += 1) {
      await machine.advance(1000);
      fence.confirmed(fence.nowMs());
    }
    await machine.until('a warning', () => machine.warnings.length > 0);
    expect(machine.warnings).toHaveLength(1);
  });
});

describe('the state of a fence', () => {
  const anyState = fc.record({
    bootId: fc.uuid(),
    life: fc.uuid(),
    agent: fc.nat(),
    keeper: fc.nat(),
    confirmedAtMs: fc.option(fc.nat()),
    armed: fc
      .array(fc.tuple(fc.stringMatching(/^[0-9a-f]{64}$/), fc.integer({ min: 1, max: 31_536_000_000 })))
      .map((entries) => new Map(entries)),
  });

  it('is read as it was written, and never from a part', () => {
    fc.assert(
      fc.property(anyState, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (state, share) => {
        const text = encodeFenceState(state);
        expect(decodeFenceState(text)).toEqual(state);
        expect(decodeFenceState(text.slice(0, Math.floor(share * (text.length - 4))))).toBeNull();
      }),
    );
  });
});
