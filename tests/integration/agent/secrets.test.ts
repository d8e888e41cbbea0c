/** What tasks are given in confidence, in real containers and real processes: that it arrives, where it lies, and that it goes. */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryFiles } from '../../../node-agent/adapters/task-files/memory-files.ts';
import { ownFiles } from '../../../node-agent/adapters/task-files/own-files.ts';
import type { GivenFile } from '../../../node-agent/core/secrets.ts';
import type { TaskGroup } from '../../../shared/domain/job.ts';
import { base64Encode, utf8Encode } from '../../../shared/util/codec.ts';
import { AgentUnderTest } from './agent-process.ts';

const VALUE = "correct 'horse' $battery `staple`\nsecond line\n";
const ALLOW = '--allow-process-runtime';
const sh = (script: string) => ({ command: ['sh', '-c', script] });

let agent: AgentUnderTest;
let memory: string;

beforeEach(async () => {
  agent = await AgentUnderTest.make();
  memory = await mkdtemp('/dev/shm/berth-test-');
  // As folders above it are by nature: tasks without a container go through it.
  await chmod(memory, 0o711);
  agent.env['BERTH_SECRETS_DIR'] = join(memory, 'secrets');
});
afterEach(async () => {
  await agent.dispose();
  await rm(memory, { recursive: true, force: true });
});

const folderOf = (task: string) => join(memory, 'secrets', agent.nodeId, task);

function assign(id: string, group: Partial<TaskGroup>): string {
  const task = agent.assign(id, group);
  const value = base64Encode(utf8Encode(VALUE));
  const secrets = [{ name: 'password', role: 'default', version: 1, value }];
  agent.controlPlane.taskSecrets.set(task, { secrets, missing: [] });
  return task;
}

/** Every file of the agent's own folder as one text. */
async function stateOf(dir: string): Promise<string> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))).join('\n');
}

/** Waits until the words have been written to the container's output. */
async function outputOf(task: string, word: string): Promise<string> {
  return agent.until(`${task} to say ${word}`, async () => {
    const [info] = (await agent.containers()).filter(({ Labels }) => Labels['io.berth.task'] === task);
    if (info === undefined) return null;
    const logs = await agent.docker.getContainer(info.Id).logs({ stdout: true, stderr: true });
    const text = logs.toString('utf8');
    return text.includes(word) ? text : null;
  });
}

const SHOW =
  'stat -c "%u:%g %a" "$BERTH_SECRETS/password"; cat "$BERTH_SECRETS/password" | md5sum; echo "$PASSWORD" | md5sum';
const USES = [
  { name: 'password', env: 'PASSWORD' },
  { name: 'password', file: 'password' },
  { name: 'password', file: '/etc/deep/er/key.pem', mode: '0444' },
];

describe('a container', () => {
  it('has them in its variables and files, as its own user, and can’t change them', async () => {
    const script = `${SHOW}; cat /etc/deep/er/key.pem | md5sum; echo x >/etc/deep/er/key.pem; echo said; sleep 600`;
    const task = assign('files', { ...sh(script), user: '1234:55', secrets: USES });
    agent.start();
    await agent.running(task);
    const text = await outputOf(task, 'said');
    const sums = [...text.matchAll(/([0-9a-f]{32})/g)].map(([, sum]) => sum);
    expect(sums[0]).toBe(sums[2]);
    expect(text).toContain('1234:55 400');
    expect(text).toMatch(/read-only file system/i);
    expect(sums).toHaveLength(3);
  });

  it('leaves nothing of them anywhere when it has ended, whichever agent is there by then', async () => {
    const task = assign('ends', { ...sh('sleep 600'), secrets: [USES[1] ?? { name: '' }] });
    agent.start('--log-level', 'debug');
    await agent.running(task);
    expect(existsSync(folderOf(task))).toBe(true);
    const { Config, HostConfig } = await agent.containerOf(task);
    expect(JSON.stringify([Config, HostConfig])).not.toContain('battery');
    await agent.end('SIGKILL');
    agent.start('--log-level', 'debug');
    await agent.until('the next agent', () => (agent.controlPlane.registrations.length > 1 ? true : null));
    agent.controlPlane.stop(task, 200);
    expect(await agent.ended(task)).toMatchObject({ state: 'killed' });
    await agent.until('its files to go', () => (existsSync(folderOf(task)) ? null : true));
    const traces = [agent.log, await stateOf(agent.stateDir), JSON.stringify(agent.controlPlane.received.statuses)];
    for (const trace of traces) {
      expect(trace).not.toContain('battery');
      expect(trace).not.toContain(base64Encode(utf8Encode(VALUE)));
    }
  });

  it('that can’t be made has left no word of them, and nothing in memory', async () => {
    const task = assign('bad', { command: ['no-such-command'], secrets: USES });
    agent.start('--log-level', 'debug');
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'error', reason: 'command-unusable' });
    expect(end.message + agent.log).not.toContain('battery');
    await agent.until('its files to go', () => (existsSync(folderOf(task)) ? null : true));
  });

  it('is refused where the folder is on a disk', async () => {
    const task = assign('disk', { ...sh('sleep 600'), secrets: USES });
    agent.start('--secrets-dir', join(agent.stateDir, 'secrets'));
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'error', reason: 'refused-by-node' });
    expect(end.message).toMatch(/is on a disk; name a folder there with --secrets-dir/);
  });
});

describe.runIf(process.getuid?.() === 0)('a task without a container', () => {
  it('has them in its variables and files, none of which is ever on a disk', async () => {
    const script = `{ ${SHOW}; } >said; ls -la "$BERTH_SECRETS/.." >listed 2>&1; mv said spoken; sleep 600`;
    const task = assign('bare', {
      ...{ runtime: 'process', image: '', network: 'host' },
      ...sh(script),
      secrets: USES.slice(0, 2),
    });
    agent.start(ALLOW);
    await agent.running(task);
    const work = join(agent.stateDir, 'tasks', task, 'work');
    await agent.until('it to speak', () => (existsSync(join(work, 'spoken')) ? true : null));
    const text = await readFile(join(work, 'spoken'), 'utf8');
    const owner = (await stat(work)).uid;
    expect(text).toContain(`${owner}:${owner} 400`);
    expect(text).toMatch(/[0-9a-f]{32}/);
    expect(await readFile(join(work, 'listed'), 'utf8')).toMatch(/permission denied/i);
    expect(await stateOf(agent.stateDir)).not.toContain('battery');
    // Through the link into memory, and nowhere else.
    expect((await stat(join(folderOf(task), 'secrets', '.launch'))).mode & 0o777).toBe(0o400);
    const onDisk = await readdir(join(agent.stateDir, 'tasks', task), { withFileTypes: true });
    expect(onDisk.find(({ name }) => name === 'launch')?.isSymbolicLink()).toBe(true);
    agent.controlPlane.stop(task, 200);
    expect(await agent.ended(task)).toMatchObject({ state: 'killed' });
    await agent.until('its files to go', () => (existsSync(folderOf(task)) ? null : true));
    expect(await stateOf(agent.stateDir)).not.toContain('battery');
  });
});

describe('files in memory', () => {
  it('are in a folder of the node’s own, which nobody else may write', async () => {
    const files = await MemoryFiles.open([join(memory, 'mine')], 'edge-1');
    const folder = await files.write('t1', 'secrets', [{ name: 'a', bytes: utf8Encode('x') }]);
    expect(folder).toBe(join(memory, 'mine', 'edge-1', 't1', 'secrets'));
    const modes = await Promise.all([folder, join(folder, 'a'), join(memory, 'mine')].map((path) => stat(path)));
    expect(modes.map(({ mode }) => mode & 0o777)).toEqual([0o711, 0o400, 0o711]);
    await files.write('t1', 'secrets', [{ name: 'b', bytes: utf8Encode('y') }]);
    expect((await files.read('t1', 'secrets'))?.files.map(({ name }) => name)).toEqual(['b']);
    expect(await files.read('t1', 'other')).toBe(null);
    const next = await MemoryFiles.open([join(memory, 'mine')], 'edge-1');
    expect([...next.held]).toEqual(['t1']);
    await next.remove('t1');
    await next.remove('t1');
    expect([[...next.held], await readdir(join(memory, 'mine', 'edge-1'))]).toEqual([[], []]);
  });

  it('belong to whoever the task runs as, and where that is known by name only, everybody in it may read them', async () => {
    const files = await MemoryFiles.open([join(memory, 'mine')], 'edge-1');
    const folder = await files.write('t1', 'secrets', [{ name: 'a', bytes: utf8Encode('x') }]);
    const file: GivenFile = { source: join(folder, 'a'), target: 'a', mode: null, uid: null };
    const owned = async (change: Partial<GivenFile>, user: { uid: number; gid: number } | null) => {
      await ownFiles([{ ...file, ...change }], user);
      const { uid, gid, mode } = await stat(file.source);
      return [uid, gid, (mode & 0o777).toString(8)];
    };
    expect(await owned({}, { uid: 1234, gid: 55 })).toEqual([1234, 55, '400']);
    expect(await owned({}, null)).toEqual([0, 0, '444']);
    expect(await owned({ uid: 77 }, null)).toEqual([77, 0, '400']);
    expect(await owned({ mode: '0440' }, { uid: 1, gid: 2 })).toEqual([1, 2, '440']);
  });

  it.each(['..', '../x', 'a/b', ''])('belong to a task with an id, which %j is not', async (task) => {
    const files = await MemoryFiles.open([join(memory, 'mine')], 'edge-1');
    await expect(files.write(task, 'secrets', [])).rejects.toThrow('no id');
    await expect(files.remove(task)).rejects.toThrow('no id');
  });

  it('are kept in the first folder that will do, and in none that others could exchange', async () => {
    const tried = [join(agent.stateDir, 'on-disk'), join(memory, 'second')];
    expect((await MemoryFiles.open(tried, 'n')).refusal).toBe(null);
    expect(existsSync(join(memory, 'second', 'n'))).toBe(true);
    await chmod(join(memory, 'second'), 0o777);
    expect((await MemoryFiles.open([join(memory, 'second')], 'n')).refusal).toContain('can be written by others');
    await symlink(agent.stateDir, join(memory, 'link'));
    expect((await MemoryFiles.open([join(memory, 'link')], 'n')).refusal).toContain("is not the agent's own folder");
  });
});
