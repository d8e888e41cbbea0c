/** Persistent volumes on a node: made for tasks, and deleted when nothing uses them. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderVolumes } from '../../../node-agent/adapters/volumes/folder-volumes.ts';
import type { Container, LocalTask } from '../../../node-agent/core/model.ts';
import { unusedVolumes } from '../../../node-agent/core/volumes.ts';
import { VolumeFault } from '../../../node-agent/executor/contracts.ts';
import { INDEX_PLACEHOLDER, type MountSpec } from '../../../shared/domain/job.ts';
import { aGroup } from '../../support/builders.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

const MOUNT: MountSpec = { type: 'persistent', source: 'data', target: '/data', readOnly: false };
const MOUNTS = { mounts: [MOUNT] };

describe('a folder for each volume', () => {
  let base: string;
  let volumes: FolderVolumes;
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'berth-volumes-'));
    volumes = new FolderVolumes(join(base, 'volumes'));
  });
  afterEach(() => rm(base, { recursive: true, force: true }));

  it('is made once, open to every user, below one that is not', async () => {
    const path = await volumes.ensure('data');
    expect(path).toBe(join(base, 'volumes', 'data'));
    const mode = async (of: string) => (await stat(of)).mode & 0o777;
    expect([await mode(path), await mode(join(base, 'volumes'))]).toEqual([0o777, 0o700]);
    await writeFile(join(path, 'kept'), 'yes');
    expect(await volumes.ensure('data')).toBe(path);
    expect(await readFile(join(path, 'kept'), 'utf8')).toBe('yes');
  });

  it('goes with all that is in it, and nothing else', async () => {
    const [path, other] = [await volumes.ensure('data'), await volumes.ensure('other')];
    const outside = join(base, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'file'), 'stays');
    await mkdir(join(path, 'deep/deeper'), { recursive: true });
    await symlink(outside, join(path, 'deep/link'));
    await volumes.remove('data');
    await volumes.remove('data');
    expect(await readdir(join(base, 'volumes'))).toEqual(['other']);
    expect(await readFile(join(outside, 'file'), 'utf8')).toBe('stays');
    expect((await stat(other)).isDirectory()).toBe(true);
  });

  it('is never what a link leads to', async () => {
    await mkdir(join(base, 'volumes'));
    await symlink(base, join(base, 'volumes/data'));
    await expect(volumes.ensure('data')).rejects.toThrow(VolumeFault);
    await volumes.remove('data');
    expect(await readdir(base)).toEqual(['volumes']);
  });

  it.each(['..', '../outside', '/etc', 'a/b', '', 'A'])('has an id, which %j is not', async (id) => {
    await expect(volumes.ensure(id)).rejects.toThrow('that is no id');
    await expect(volumes.remove(id)).rejects.toThrow('that is no id');
  });

  it('says what is wrong with the disk', async () => {
    await writeFile(join(base, 'volumes'), 'a file');
    await expect(volumes.ensure('data')).rejects.toThrow(/make the folder of volume data: .*E(EXIST|NOTDIR)/);
  });
});

describe('volumes that are to be deleted', () => {
  const group = aGroup(MOUNTS);
  const local = (change: Partial<LocalTask>) =>
    new Map([['t', { phase: 'running', origin: anAssigned('t', { group }), ...change } as LocalTask]]);
  const container = (change: Partial<Container>) =>
    new Map([['t', { state: 'running', volumes: ['data'], ...change } as Container]]);
  const NOTHING = { tasks: new Map(), containers: new Map(), assigned: [] };

  it.each<[string, Partial<Parameters<typeof unusedVolumes>[1]>, boolean]>([
    ['nothing uses them', {}, true],
    ['a container runs with it', { containers: container({}) }, false],
    ['one may start with it', { containers: container({ state: 'created' }) }, false],
    ['one has ended', { containers: container({ state: 'exited' }) }, true],
    ['one runs with another', { containers: container({ volumes: ['other'] }) }, true],
    ['one runs with none', { containers: container({ volumes: undefined }) }, true],
    ['a task is being started with it', { tasks: local({ phase: 'starting' }) }, false],
    ['a task with it has ended', { tasks: local({ phase: 'ended', origin: null }) }, true],
    ['a task with it is placed here', { assigned: [anAssigned('t', { group })] }, false],
    [
      'a task with it is placed here and has ended',
      { assigned: [anAssigned('t', { group })], tasks: local({ phase: 'ended', origin: null }) },
      true,
    ],
    ['a task with it has had its end told', { assigned: [anAssigned('t', { group, state: 'finished' })] }, true],
  ])('may go or not: %s', (_name, use, isUnused) => {
    expect(unusedVolumes(['data', 'free'], { ...NOTHING, ...use })).toEqual(isUnused ? ['data', 'free'] : ['free']);
  });
});

describe('an agent with volumes', () => {
  it('makes one for the first task that mounts it, and finds it again after its own restart', async () => {
    const world = new World();
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: MOUNTS }));
    await world.clock.advance(1000);
    expect([...world.volumes.folders]).toEqual(['data']);
    expect(world.runtime.containerOf('t1')).toMatchObject({ state: 'running', volumes: ['data'] });
    await world.crash();
    await world.startAgent();
    await world.clock.advance(1000);
    expect(world.volumes.removed).toEqual([]);
  });

  it('makes one for each task that names its index, and keeps it for as long as that one runs', async () => {
    const world = new World({
      engine: { behaviour: ({ index }) => ({ ...LONG_RUNNING, lifeMs: index === 1 ? 5000 : null }) },
    });
    await world.startAgent();
    const group = { mounts: [{ ...MOUNT, source: `data-${INDEX_PLACEHOLDER}` }] };
    for (const index of [0, 1]) world.controlPlane.assign(anAssigned(`t${index}`, { group, index }));
    await world.clock.advance(1000);
    expect([...world.volumes.folders]).toEqual(['data-0', 'data-1']);
    world.controlPlane.removeVolumes('data-0', 'data-1');
    await world.clock.advance(20_000);
    expect(world.volumes.removed).toEqual(['data-1']);
  });

  it('deletes one when it is told to, once its last container has ended, and tells', async () => {
    const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 5000 }) } });
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: MOUNTS }));
    await world.clock.advance(1000);
    world.controlPlane.removeVolumes('data');
    await world.clock.advance(2000);
    expect(world.volumes.removed).toEqual([]);
    await world.clock.advance(5000);
    expect(world.volumes.removed).toEqual(['data']);
    expect(world.controlPlane.received.removedVolumes).toEqual(['data']);
    await world.clock.advance(60_000);
    expect(world.volumes.removed).toEqual(['data']);
  });

  it('leaves one alone that a container of no known task uses', async () => {
    const world = new World();
    const stranger = {
      state: 'running',
      exitCode: null,
      outOfMemory: false,
      error: '',
      startedAtMs: 0,
      endedAtMs: null,
    } as const;
    world.runtime.plant({ ...stranger, task: 'unknown', run: 0, volumes: ['data'] }, { ...LONG_RUNNING, stopMs: 8000 });
    world.controlPlane.removeVolumes('data');
    await world.startAgent();
    await world.clock.advance(7000);
    expect(world.volumes.removed).toEqual([]);
    await world.clock.advance(10_000);
    expect(world.volumes.removed).toEqual(['data']);
  });

  it('deletes nothing while it has no session, and tells again what may have been lost', async () => {
    const world = new World();
    await world.startAgent();
    world.controlPlane.fault = 'away';
    world.controlPlane.removeVolumes('data');
    await world.clock.advance(30_000);
    expect(world.volumes.removed).toEqual([]);
    world.controlPlane.fault = null;
    await world.clock.advance(60_000);
    expect(world.controlPlane.received.removedVolumes).toEqual(['data']);
    // As after a restore of the store: the control plane asks once more, in another session.
    world.controlPlane.removeVolumes('data');
    world.controlPlane.raiseEpoch();
    await world.clock.advance(10_000);
    expect(world.controlPlane.received.removedVolumes).toEqual(['data', 'data']);
  });

  it('tries again what the disk refuses, for tasks and for deletions', async () => {
    const world = new World();
    world.volumes.failures = 2;
    await world.startAgent();
    world.controlPlane.assign(anAssigned('t1', { group: MOUNTS }));
    await world.clock.advance(30_000);
    expect(world.runtime.started).toEqual(['t1']);
    world.volumes.failures = 2;
    world.controlPlane.removeVolumes('other');
    await world.clock.advance(60_000);
    expect(world.volumes.removed).toEqual(['other']);
    expect(world.logged.filter(({ message }) => message.startsWith('could not delete a volume'))).toHaveLength(2);
  });
});
