/** Processes without a container: they keep the contract of a runtime, and what is promised of them beside it. */
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProcessRuntime, type ProcessRuntimeOptions } from '../../../node-agent/adapters/process/process-runtime.ts';
import { systemClock } from '../../../node-agent/adapters/system/system-clock.ts';
import { systemRandom } from '../../../node-agent/adapters/system/system-random.ts';
import type { Container } from '../../../node-agent/core/model.ts';
import type { Log, LogRequest } from '../../../node-agent/executor/contracts.ts';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import type { AssignedTask, LogLine } from '../../../shared/protocol/agent.ts';
import { randomId } from '../../../shared/util/random.ts';
import { aGroup } from '../../support/builders.ts';
import { describeRuntime, type TaskKind } from '../../support/runtime-suite.ts';

const DEADLINE_MS = 20_000;
const POLL_MS = 10;
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const sh = (script: string) => ({ command: ['sh', '-c', script] });

const GROUPS: Readonly<Record<TaskKind, Partial<GroupSpec>>> = {
  sleeps: sh('trap "exit 143" TERM; sleep 600 & wait'),
  'ignores-term': sh('trap "" TERM; sleep 600'),
  'ends-with-3': sh('exit 3'),
  prints: sh('echo one; echo two; echo three'),
  'bad-command': { command: ['no-such-command'] },
  'unknown-image': sh('exit 0'),
};

/** Users of tasks belong to root's doing. */
const canMakeUsers = process.getuid?.() === 0;

class Machine {
  readonly dir: string;
  readonly nodeId: string;
  runtime: ProcessRuntime;

  private constructor(dir: string, nodeId: string, runtime: ProcessRuntime) {
    this.dir = dir;
    this.nodeId = nodeId;
    this.runtime = runtime;
  }

  static async make(change: Partial<ProcessRuntimeOptions> = {}): Promise<Machine> {
    const dir = await mkdtemp(join(tmpdir(), 'berth-processes-'));
    await chmod(dir, 0o711);
    const nodeId = `suite-${randomId(systemRandom, 8)}`;
    return new Machine(dir, nodeId, await ProcessRuntime.open({ ...options(dir, nodeId), ...change }));
  }

  /** Another agent of the same node, after this one has gone without a word. */
  async again(change: Partial<ProcessRuntimeOptions> = {}): Promise<void> {
    this.runtime = await ProcessRuntime.open({ ...options(this.dir, this.nodeId), ...change });
  }

  async start(id: string, group: Partial<GroupSpec>, devices: readonly string[] = []): Promise<Container> {
    const request = { assigned: { ...assigned(id, group), devices }, epoch: 1, run: 0, mountSources: new Map() };
    const result = await this.runtime.run(request, async () => {});
    if (result.type !== 'started') throw new Error(JSON.stringify(result));
    return result.container;
  }

  exited(id: string): Promise<Container> {
    return until(async () => {
      const container = await this.runtime.inspect(id);
      return container?.state === 'exited' ? container : null;
    });
  }

  async read(id: string, request: Partial<LogRequest> = {}): Promise<LogLine[]> {
    const lines: LogLine[] = [];
    const all = { follow: false, tail: null, since: null, ...request };
    for await (const batch of this.runtime.logs(id, all, new AbortController().signal)) lines.push(...batch);
    return lines;
  }

  folder(task: string): string {
    return join(this.dir, 'tasks', task);
  }

  work(task: string): string {
    return join(this.folder(task), 'work');
  }

  async dispose(): Promise<void> {
    for (const { id } of await this.runtime.list()) {
      await this.runtime.signal(id, 'SIGKILL');
      await until(async () => ((await this.runtime.remove(id)) ? true : null));
    }
    await rm(this.dir, { recursive: true, force: true });
  }
}

const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function options(dir: string, nodeId: string): ProcessRuntimeOptions {
  return {
    dir: join(dir, 'tasks'),
    userIdsDir: join(dir, 'user-ids'),
    userIds: { first: 1_880_100_000, last: 1_880_100_099 },
    users: ['nobody'],
    place: { nodeId, hostname: 'here' },
    bootId: 'this-boot',
    logMaxMiB: 8,
    mountsFile: '/proc/self/mounts',
    shell: '/bin/sh',
    path: PATH,
    clock: systemClock,
    random: systemRandom,
    log: SILENT,
  };
}

function assigned(id: string, group: Partial<GroupSpec>): AssignedTask {
  return {
    ...{ id, jobUid: 'u', jobName: 'suite', jobVersion: 1, role: 'default', groupName: 'main' },
    ...{ index: 0, attempt: 0, run: 0, state: 'staging', stopAfterDisconnectMs: null, ports: {} },
    ...{ stop: null, disowned: false },
    group: {
      ...aGroup({ image: '', network: 'host', resources: { cpus: 1, memMiB: 64 } }),
      runtime: 'process',
      ...group,
    },
  };
}

async function until<T>(look: () => Promise<T | null>): Promise<T> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > deadlineMs) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

const texts = (lines: readonly LogLine[]) => lines.map((line) => line.text);

/** Those of the task's processes that are there, by what only it has in its environment. */
async function processesOf(task: string): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => {
      const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
      return environment.split('\0').includes(`BERTH_TASK_ID=${task}`) ? [Number(name)] : [];
    }),
  );
  return found.flat();
}

/** A process that has left its parent, its session and its process group, and doesn't listen. */
const DAEMON = '(setsid sh -c \'trap "" TERM; echo daemon; sleep 600\' &) & ';

/** As if the machine had only hierarchies of this version. The kernel's own list, without the others. */
const MOUNTS = readFileSync('/proc/self/mounts', 'utf8').split('\n');
const ofType = (type: string) => MOUNTS.filter((line) => line.split(' ')[2] === type);

const MACHINES = [
  { name: 'with cgroups', mounts: MOUNTS },
  { name: 'with cgroups of version 1 alone', mounts: ofType('cgroup') },
  { name: 'with cgroups of version 2 alone', mounts: ofType('cgroup2') },
  { name: 'without cgroups', mounts: null },
].filter(({ mounts }) => mounts === null || mounts.length > 0);

describe.runIf(canMakeUsers)('tasks without a container', () => {
  describeRuntime(
    'processes',
    async () => {
      const machine = await Machine.make();
      return {
        runtime: machine.runtime,
        task: (id, kind) => assigned(id, GROUPS[kind]),
        until,
        dispose: () => machine.dispose(),
      };
    },
    { hasImages: false },
  );

  let machine: Machine;
  let task: string;
  beforeEach(async () => {
    machine = await Machine.make();
    task = `t-${randomId(systemRandom, 8)}`;
  });
  afterEach(() => machine.dispose());

  describe.each(MACHINES)('on a machine $name', ({ mounts }) => {
    beforeEach(async () => {
      const mountsFile = join(machine.dir, 'mounts');
      await writeFile(mountsFile, (mounts ?? []).join('\n'));
      await machine.again({ mountsFile });
    });

    it('end with all that they have begun, when their first process ends', async () => {
      const { id } = await machine.start(task, sh(`${DAEMON} sleep 0.3; exit 4`));
      expect(await machine.exited(id)).toMatchObject({ exitCode: 4 });
      expect(await processesOf(task)).toEqual([]);
    });

    it('end with all that they have begun, when they are killed', async () => {
      const { id } = await machine.start(task, sh(`${DAEMON} sleep 600`));
      await until(async () => (texts(await machine.read(id)).includes('daemon') ? true : null));
      expect((await processesOf(task)).length).toBeGreaterThan(1);
      await machine.runtime.signal(id, 'SIGKILL');
      expect(await machine.exited(id)).toMatchObject({ exitCode: 137, outOfMemory: false });
      expect(await processesOf(task)).toEqual([]);
    });

    it('are all told politely', async () => {
      const { id } = await machine.start(task, sh('sh -c "sleep 600" & wait $!; echo "child $?"; exit 9'));
      await until(async () => ((await processesOf(task)).length > 1 ? true : null));
      await machine.runtime.signal(id, 'SIGTERM');
      await machine.exited(id);
      expect(await processesOf(task)).toEqual([]);
    });
  });

  it('are held to their memory, and it is told when that was why they ended', async () => {
    const { id } = await machine.start(task, {
      ...sh('head -c 200m /dev/zero | tail'),
      ...{ resources: { cpus: 1, memMiB: 16, diskMiB: 0, gpus: 0, pids: 64, custom: {} } },
    });
    const ended = await machine.exited(id);
    expect(ended.outOfMemory).toBe(true);
    expect(ended.exitCode).not.toBe(0);
  });

  it('are held to their number of processes', async () => {
    const { id } = await machine.start(task, {
      ...sh('i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done; echo all of them'),
      ...{ resources: { cpus: 1, memMiB: 64, diskMiB: 0, gpus: 0, pids: 10, custom: {} } },
    });
    await machine.exited(id);
    expect(texts(await machine.read(id))).not.toContain('all of them');
  });

  it('have a user, a folder and variables of their own, and no rights', async () => {
    const script =
      'id -u; id -G; pwd; echo "$HOME"; touch "$TMPDIR/x" && echo ok; grep NoNewPrivs /proc/self/status; env';
    const { id } = await machine.start(task, { ...sh(script), env: { LD_X: "it's\nb", HOME2: '$HOME' } });
    await machine.exited(id);
    const lines = texts(await machine.read(id));
    const [user = '', groups, folder, home, ok, noNew] = lines;
    expect(Number(user)).toBeGreaterThanOrEqual(1_880_100_000);
    expect([groups, folder, home]).toEqual([user, machine.work(task), machine.work(task)]);
    expect([ok, noNew]).toEqual(['ok', 'NoNewPrivs:\t1']);
    expect(lines).toEqual(expect.arrayContaining(["LD_X=it's", 'b', 'HOME2=$HOME', `BERTH_TASK_ID=${task}`]));
    expect(lines).toContain('CUDA_VISIBLE_DEVICES=');
  });

  describe.each(MACHINES)('run commands beside themselves on a machine $name', ({ mounts }) => {
    beforeEach(async () => {
      const mountsFile = join(machine.dir, 'mounts');
      await writeFile(mountsFile, (mounts ?? []).join('\n'));
      await machine.again({ mountsFile });
    });

    const beside = (id: string, command: readonly string[]) =>
      machine.runtime.exec(id, command, new AbortController().signal);

    it('as the same user, in the same folder and groups, with the same variables', async () => {
      const env = { LD_X: "it's", 'A.B-c': '1 2' };
      const script = 'id -u; pwd; echo "$LD_X" "$BERTH_TASK_ID"; grep NoNewPrivs /proc/self/status';
      const { id } = await machine.start(task, { ...sh(`{ ${script}; } >new; mv new own; sleep 600`), env });
      const own = join(machine.work(task), 'own');
      await until(async () => (existsSync(own) ? true : null));
      const { exitCode, output } = await beside(id, ['sh', '-c', script]);
      expect({ exitCode, output }).toEqual({ exitCode: 0, output: await readFile(own, 'utf8') });
      expect((await beside(id, ['env'])).output).toContain('A.B-c=1 2');
      const groups = (await beside(id, ['cat', '/proc/self/cgroup'])).output;
      expect(groups.includes(id)).toBe(mounts !== null);
    });

    it('whatever the words are, and say which program is not there', async () => {
      const { id } = await machine.start(task, sh('sleep 600'));
      expect((await beside(id, ['printf', '%s\n', "it's", '', '$HOME `x`'])).output).toBe("it's\n\n$HOME `x`\n");
      const { exitCode, output } = await beside(id, ['no-such-program']);
      expect(exitCode).toBe(127);
      expect(output).toContain('there is no program no-such-program');
    });

    it('that are ended with all that they have begun when nobody waits for them', async () => {
      const { id } = await machine.start(task, { command: ['sleep', '600'] });
      await until(async () => ((await processesOf(task)).length === 1 ? true : null));
      const over = new AbortController();
      const hanging = machine.runtime.exec(id, ['sh', '-c', 'sleep 500 & sleep 500; true'], over.signal);
      await until(async () => ((await processesOf(task)).length === 4 ? true : null));
      over.abort();
      expect((await hanging).exitCode).toBeNull();
      await until(async () => ((await processesOf(task)).length === 1 ? true : null));
    });
  });

  it('are told the GPUs that they hold, whatever their job says', async () => {
    const env = { CUDA_VISIBLE_DEVICES: '0', NVIDIA_VISIBLE_DEVICES: 'all' };
    const { id } = await machine.start(task, { command: ['env'], env }, ['GPU-a', 'MIG-b']);
    await machine.exited(id);
    const lines = texts(await machine.read(id)).filter((line) => /GPUS|VISIBLE/.test(line));
    expect(lines.toSorted()).toEqual([
      'BERTH_GPUS=GPU-a,MIG-b',
      'CUDA_VISIBLE_DEVICES=GPU-a,MIG-b',
      'NVIDIA_VISIBLE_DEVICES=GPU-a,MIG-b',
    ]);
  });

  it('get variables too that a shell has no name for', async () => {
    const { id } = await machine.start(task, { command: ['env'], env: { 'A.B-c': '1 2' } });
    await machine.exited(id);
    expect(texts(await machine.read(id))).toContain('A.B-c=1 2');
  });

  it('cannot look into each other, nor into what is kept about them', async () => {
    const first = await machine.start(task, sh('echo secret >mine; sleep 600'));
    await until(async () => (existsSync(join(machine.work(task), 'mine')) ? true : null));
    const folder = machine.folder(task);
    const other = await machine.start(
      `${task}-2`,
      sh(`cat ${folder}/work/mine ${folder}/launch ${folder}/out.0; ls ${folder}; exit 6`),
    );
    await machine.exited(other.id);
    const lines = await machine.read(other.id);
    expect(lines.filter((line) => line.stream === 'stdout')).toEqual([]);
    expect(lines.filter((line) => /denied/i.test(line.text))).toHaveLength(4);
    expect((await machine.runtime.inspect(first.id))?.state).toBe('running');
  });

  it('give their users to others when they have ended and there are no more, the oldest first, and stay closed to them', async () => {
    const userIds = { first: 1_880_100_000, last: 1_880_100_001 };
    await machine.again({ userIds });
    const own = (name: string) => sh(`id -u; echo ${name} >mine`);
    const [first, second] = [await machine.start(task, own('a')), await machine.start(`${task}-2`, own('b'))];
    for (const { id } of [first, second]) await machine.exited(id);
    const users = [texts(await machine.read(first.id)), texts(await machine.read(second.id))];
    const third = await machine.start(`${task}-3`, sh(`id -u; cat ${machine.work(task)}/mine; sleep 600`));
    const lines = await until(async () => {
      const found = await machine.read(third.id);
      return found.length > 1 ? found : null;
    });
    expect(lines[0]?.text).toBe(users[0]?.[0]);
    expect(lines.filter(({ text }) => /denied/i.test(text))).toHaveLength(1);
    expect([texts(await machine.read(first.id)), texts(await machine.read(second.id))]).toEqual(users);
    // It has ended, and what runs as its user is another's.
    await machine.runtime.signal(first.id, 'SIGKILL');
    const fourth = await machine.start(`${task}-4`, sh('sleep 600'));
    await expect(machine.start(`${task}-5`, sh('sleep 600'))).rejects.toThrow(/--process-uids/);
    expect(await machine.runtime.remove(first.id)).toBe(true);
    await expect(machine.start(`${task}-5`, sh('sleep 600'))).rejects.toThrow(/--process-uids/);
    await machine.again({ userIds });
    const running = (await machine.runtime.list()).filter(({ state }) => state === 'running').map(({ id }) => id);
    expect(running.sort()).toEqual([third.id, fourth.id].sort());
  });

  it('are not ended in place of one that had their user before, where only that tells their processes', async () => {
    await machine.again({ userIds: { first: 1_880_100_000, last: 1_880_100_000 }, mountsFile: '/dev/null' });
    const first = await machine.start(task, sh('exit 0'));
    await machine.exited(first.id);
    const second = await machine.start(`${task}-2`, sh('sleep 600'));
    await machine.runtime.signal(first.id, 'SIGKILL');
    // A process that is just becoming another program shows no environment.
    await vi.waitFor(async () => expect(await processesOf(`${task}-2`)).not.toEqual([]), 5000);
    expect(await machine.runtime.inspect(first.id)).toMatchObject({ state: 'exited', exitCode: 0 });
    expect(await machine.runtime.inspect(second.id)).toMatchObject({ state: 'running' });
  });

  it('run as a user of the machine only where its operator lists that one', async () => {
    const { id } = await machine.start(task, { ...sh('id -un'), user: 'nobody', workingDir: '/' });
    await machine.exited(id);
    expect(texts(await machine.read(id))).toEqual(['nobody']);
    await expect(machine.start(`${task}-2`, { ...sh('id'), user: 'daemon' })).rejects.toThrow(/--process-user daemon/);
    expect(existsSync(machine.folder(`${task}-2`))).toBe(false);
  });

  it('are refused where they would have to be stopped from outside, and nobody could', async () => {
    await machine.again({ mountsFile: '/dev/null' });
    const request = { assigned: { ...assigned(task, sh('true')), stopAfterDisconnectMs: 10_000 }, epoch: 1, run: 0 };
    const result = await machine.runtime.run({ ...request, mountSources: new Map() }, async () => {});
    expect(result).toMatchObject({ type: 'refused', reason: 'refused-by-node' });
  });

  it.each([
    ['a working folder that is not there', { ...sh('true'), workingDir: '/no/such/folder' }, /no\/such\/folder/],
    ['a program that may not be run', { command: ['/etc/passwd'] }, /etc\/passwd/],
  ])('are refused for %s, and leave nothing behind', async (_, group, message) => {
    await expect(machine.start(task, group)).rejects.toThrow(message);
    expect(await machine.runtime.list()).toEqual([]);
    expect(existsSync(machine.folder(task))).toBe(false);
  });

  it('run on without an agent, and the next one finds them', async () => {
    const { id } = await machine.start(task, sh('echo before; sleep 600'));
    const ended = await machine.start(`${task}-2`, sh('exit 11'));
    await machine.exited(ended.id);
    await machine.again();
    const found = await machine.runtime.list();
    expect(found).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id, task, state: 'running' }),
        expect.objectContaining({ id: ended.id, state: 'exited', exitCode: 11 }),
      ]),
    );
  });

  it.each([
    ['empty', () => ''],
    ['half of it', (text: string) => text.slice(0, text.length / 2)],
    ['another thing', () => '{"id":1}'],
  ])('do not keep the others away when a power cut has left the record of one damaged (%s)', async (_, damage) => {
    const ended = await machine.start(task, sh('exit 0'));
    await machine.exited(ended.id);
    const { id } = await machine.start(`${task}-2`, sh('sleep 600'));
    const file = join(machine.folder(task), 'record');
    await writeFile(file, damage(await readFile(file, 'utf8')));
    expect(await machine.runtime.list()).toMatchObject([{ id }]);
    const warned: unknown[] = [];
    await machine.again({ log: { ...SILENT, warn: (_message, fields) => void warned.push(fields) } });
    expect(warned).toEqual([{ file }]);
    expect(await machine.runtime.list()).toMatchObject([{ id, state: 'running' }]);
    const again = await machine.start(task, sh('exit 0'));
    expect(await machine.exited(again.id)).toMatchObject({ exitCode: 0 });
  });

  it('are left alone until a reboot when they may run and nobody can read their record', async () => {
    const { id } = await machine.start(task, sh('sleep 600'));
    const file = join(machine.folder(task), 'record');
    const record = await readFile(file, 'utf8');
    await writeFile(file, '');
    await machine.again();
    await expect(machine.start(task, sh('true'))).rejects.toThrow(/can't be read/);
    expect(await processesOf(task)).not.toEqual([]);
    await writeFile(file, record);
    expect(await machine.runtime.list()).toMatchObject([{ id, state: 'running' }]);
  });

  it('have ended when the machine has been off, nobody knows how, and may run again', async () => {
    const { id } = await machine.start(task, sh('sleep 600'));
    await machine.again({ bootId: 'another-boot' });
    expect(await machine.runtime.list()).toMatchObject([{ id, state: 'exited', exitCode: null }]);
    await expect(machine.start(task, sh('sleep 600'))).rejects.toThrow(/there is one already/);
    // The machine's part: it was not really off.
    await machine.runtime.signal(id, 'SIGKILL');
    await until(async () => (existsSync(join(machine.folder(task), 'exit')) ? true : null));
    expect(await machine.runtime.remove(id)).toBe(true);
    const again = await machine.start(task, sh('sleep 600'));
    expect(again.id).not.toBe(id);
    expect(await machine.runtime.list()).toMatchObject([{ id: again.id, state: 'running' }]);
  });

  it('are seen to end although their supervisor was killed', async () => {
    const { id } = await machine.start(task, sh('sleep 600'));
    const supervisor = Number(await readFile(join(machine.folder(task), 'begun', 'pid'), 'utf8'));
    process.kill(supervisor, 'SIGKILL');
    expect((await machine.runtime.inspect(id))?.state).toBe('running');
    await machine.runtime.signal(id, 'SIGKILL');
    expect(await machine.exited(id)).toMatchObject({ exitCode: null });
  });

  it('are not started by a supervisor that comes too late', async () => {
    const request = {
      assigned: assigned(task, sh('touch started; sleep 600')),
      epoch: 1,
      run: 0,
      mountSources: new Map(),
    };
    const failed = machine.runtime.run(request, () => Promise.reject(new Error('no')));
    await expect(failed).rejects.toThrow('no');
    const [created] = await machine.runtime.list();
    expect(created?.state).toBe('created');
    expect(await machine.runtime.remove(created?.id ?? '')).toBe(true);
    expect(existsSync(machine.folder(task))).toBe(false);
  });

  describe('output', () => {
    it('tells the streams apart, keeps their order, and goes on from any line', async () => {
      const script = 'for i in 1 2 3 4 5 6; do echo "out $i"; echo "err $i" >&2; sleep 0.02; done; printf "no end"';
      const { id } = await machine.start(task, sh(script));
      await machine.exited(id);
      const lines = await machine.read(id);
      const of = (stream: string) => texts(lines.filter((line) => line.stream === stream));
      expect(of('stdout')).toEqual([...[1, 2, 3, 4, 5, 6].map((at) => `out ${at}`), 'no end']);
      expect(of('stderr')).toEqual([1, 2, 3, 4, 5, 6].map((at) => `err ${at}`));
      expect(lines.map(({ at }) => at)).toEqual([...new Set(lines.map(({ at }) => at))].sort());
      for (const [at, line] of lines.entries()) {
        expect(await machine.read(id, { since: line.at })).toEqual(lines.slice(at + 1));
        expect(await machine.read(id, { tail: at })).toEqual(at === 0 ? [] : lines.slice(-at));
      }
    });

    it('is followed whole, once and in order, by readers that change agents in between', async () => {
      const { id } = await machine.start(
        task,
        sh('for i in $(seq 1 3000); do echo "line $i"; [ $((i % 100)) = 0 ] && sleep 0.02; done'),
      );
      const taken: LogLine[] = [];
      for (;;) {
        const over = new AbortController();
        const request = { follow: true, tail: null, since: taken.at(-1)?.at ?? null };
        const before = taken.length;
        for await (const batch of machine.runtime.logs(id, request, over.signal)) {
          taken.push(...batch);
          if (taken.length - before > 500) break;
        }
        if (taken.length === before) break;
        await machine.again();
      }
      expect(texts(taken)).toEqual(Array.from({ length: 3000 }, (_, at) => `line ${at + 1}`));
    });

    it('is kept within its bound, the latest of it', async () => {
      const { id } = await machine.start(task, sh('seq 1 2000000'));
      await machine.exited(id);
      const lines = texts(await machine.read(id));
      expect(lines.at(-1)).toBe('2000000');
      const first = 2_000_000 - lines.length + 1;
      // The oldest one that is kept may have lost its beginning.
      expect(lines.slice(1)).toEqual(Array.from({ length: lines.length - 1 }, (_, at) => String(first + 1 + at)));
      const bytes = lines.join('\n').length + 1;
      // Of 8 MiB half for each stream, and of that an eighth less at the least.
      expect(bytes).toBeGreaterThan(3.5 * 1024 * 1024 - 16);
      expect(bytes).toBeLessThan(4 * 1024 * 1024);
    });

    it('is kept whole up to its bound', async () => {
      const { id: first } = await machine.start(task, sh('exit 0'));
      await machine.exited(first);
      const { segmentBytes } = JSON.parse(await readFile(join(machine.folder(task), 'record'), 'utf8'));
      const length = segmentBytes * 8;
      const { id } = await machine.start(`${task}-2`, sh(`head -c ${length} /dev/zero`));
      await machine.exited(id);
      expect(texts(await machine.read(id)).reduce((sum, text) => sum + text.length, 0)).toBe(length);
    });

    it('has an end although somebody else holds its pipe open', async () => {
      const { id } = await machine.start(task, sh('echo before; chmod 666 ../out.pipe; touch open; sleep 600'));
      await until(async () => (existsSync(join(machine.work(task), 'open')) ? true : null));
      const held = await open(join(machine.folder(task), 'out.pipe'), 'w');
      try {
        await held.write('from outside\n');
        await machine.runtime.signal(id, 'SIGKILL');
        expect(await machine.exited(id)).toMatchObject({ exitCode: 137 });
        expect(texts(await machine.read(id))).toEqual(['before', 'from outside']);
        expect(await machine.runtime.remove(id)).toBe(true);
      } finally {
        await held.close();
      }
    });

    it('is cut into pieces where a line is long', async () => {
      const { id } = await machine.start(task, sh('head -c 100000 /dev/zero | tr "\\0" x; echo; echo after'));
      await machine.exited(id);
      const lines = await machine.read(id);
      expect(lines.map(({ text, continues }) => [text.length, continues])).toEqual([
        [65_536, true],
        [100_000 - 65_536, undefined],
        [5, undefined],
      ]);
      expect(await machine.read(id, { since: lines[0]?.at ?? '' })).toEqual(lines.slice(1));
    });
  });
});
