/** Tokens of tasks about themselves: there before the task is, exchanged while it runs, and gone with it. */
import { chmod, lstat, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MemoryFiles } from '../../../node-agent/adapters/task-files/memory-files.ts';
import { exchangeAfterMs, identityVariables } from '../../../node-agent/core/identity.ts';
import type { IdentityUse } from '../../../shared/domain/workload-identity.ts';
import { utf8Decode, utf8Encode } from '../../../shared/util/codec.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

const USES: readonly IdentityUse[] = [
  { name: 'vault', audience: 'https://vault.example.com', ttlSeconds: 3600 },
  { name: 'bucket', audience: 'sts.example.com', ttlSeconds: 600, env: 'TOKEN_FILE' },
];
const HALF_MS = 300_000;

async function started(world = new World()): Promise<World> {
  world.controlPlane.assign(anAssigned('t1', { group: { identity: USES } }));
  await world.startAgent();
  await world.clock.advance(500);
  return world;
}

function tokens(world: World, task = 't1'): string[] {
  const files = world.files.folders.get(task)?.get('identity') ?? [];
  return files.map(({ bytes }) => utf8Decode(bytes));
}

describe('a task that asks for tokens about itself', () => {
  it('has them before it starts, from one call', async () => {
    const world = await started();
    expect(world.runtime.identities.get('t1')).toEqual({ folder: '/memory/t1/identity', names: ['vault', 'bucket'] });
    expect(tokens(world)).toEqual(['vault-1', 'bucket-1']);
    expect(world.controlPlane.askedIdentity).toEqual(['t1']);
  });

  it('gets others at half of the shortest time, for as long as it runs', async () => {
    const world = await started();
    await world.clock.advance(HALF_MS - 1000);
    expect(tokens(world)).toEqual(['vault-1', 'bucket-1']);
    await world.clock.advance(1000);
    expect(tokens(world)).toEqual(['vault-2', 'bucket-2']);
    await world.clock.advance(HALF_MS);
    expect(tokens(world)).toEqual(['vault-3', 'bucket-3']);
    world.controlPlane.stop('t1', 0);
    await world.clock.advance(10_000);
    expect([...world.files.held]).toEqual([]);
    const asked = world.controlPlane.askedIdentity.length;
    await world.clock.advance(4 * HALF_MS);
    expect(world.controlPlane.askedIdentity).toHaveLength(asked);
  });

  it('gets others from the next agent at once, which does not know how old they are', async () => {
    const world = await started();
    await world.crash();
    await world.clock.advance(2 * HALF_MS);
    await world.startAgent();
    await world.clock.advance(1000);
    expect(tokens(world)).toEqual(['vault-2', 'bucket-2']);
    await world.clock.advance(HALF_MS);
    expect(tokens(world)).toEqual(['vault-3', 'bucket-3']);
  });

  it('keeps what it has while there are no others, and gets them as soon as there are', async () => {
    const world = await started();
    world.controlPlane.refusesIdentity = true;
    await world.clock.advance(2 * HALF_MS);
    expect(tokens(world)).toEqual(['vault-1', 'bucket-1']);
    expect(world.logged.some(({ message }) => message.startsWith('could not exchange the tokens of a task'))).toBe(
      true,
    );
    world.controlPlane.refusesIdentity = false;
    await world.clock.advance(31_000);
    expect(tokens(world)).toEqual(['vault-2', 'bucket-2']);
  });

  it('is asked for ever more seldom while there are none', async () => {
    const world = await started();
    world.controlPlane.refusesIdentity = true;
    await world.clock.advance(HALF_MS + 600_000);
    const failures = world.logged.filter(({ message }) => message.startsWith('could not exchange'));
    expect(failures.length).toBeGreaterThan(10);
    expect(failures.length).toBeLessThan(60);
  });

  it('waits with its start while they can not be had', async () => {
    const world = new World();
    world.controlPlane.refusesIdentity = true;
    world.controlPlane.assign(anAssigned('t1', { group: { identity: USES } }));
    await world.startAgent();
    await world.clock.advance(20_000);
    expect(world.runtime.started).toEqual([]);
    expect(world.controlPlane.historyOf('t1')[0]?.message).toContain("its tokens can't be had");
    world.controlPlane.refusesIdentity = false;
    await world.clock.advance(20_000);
    expect(world.runtime.started).toEqual(['t1']);
  });

  it('gets others for a further run, and goes on with the old ones where nobody can be asked', async () => {
    const behaviour = () => ({ ...LONG_RUNNING, lifeMs: 10_000, exitCode: 1 });
    const world = new World({ engine: { behaviour } });
    const inPlace = { max: 100, withinSeconds: 1, delaySeconds: 1, factor: 1, maxDelaySeconds: 1 };
    const restart = { afterReboot: false, inPlace };
    world.controlPlane.assign(anAssigned('t1', { group: { identity: USES, restart } }));
    await world.startAgent();
    await world.clock.advance(15_000);
    expect(tokens(world)).toEqual(['vault-2', 'bucket-2']);
    world.controlPlane.refusesIdentity = true;
    const runs = world.runtime.startedRuns.length;
    await world.clock.advance(30_000);
    expect(world.runtime.startedRuns.length).toBeGreaterThan(runs);
    expect(tokens(world)).toEqual(['vault-2', 'bucket-2']);
  });

  it('is refused by a node that has no memory to keep them in', async () => {
    const world = new World();
    world.files.refusal = 'the node keeps no secrets in memory: /run is on a disk';
    await started(world);
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({ state: 'error', reason: 'refused-by-node' });
    expect(world.controlPlane.askedIdentity).toEqual([]);
  });

  it('and one that does not are told apart', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t2'));
    await world.startAgent();
    await world.clock.advance(500);
    expect([world.controlPlane.askedIdentity, world.runtime.started]).toEqual([[], ['t2']]);
  });
});

describe('what a task is told of its tokens', () => {
  it('is where they are', () => {
    const given = { folder: '/run/node/t1', names: ['vault', 'bucket'] };
    expect(identityVariables(USES, given)).toEqual({
      BERTH_IDENTITY_DIR: '/run/node/t1',
      TOKEN_FILE: '/run/node/t1/bucket',
    });
    expect(identityVariables(USES, given, '/in')).toEqual({ BERTH_IDENTITY_DIR: '/in', TOKEN_FILE: '/in/bucket' });
    expect(identityVariables(USES, undefined, '/in')).toEqual({});
  });

  it('is exchanged by durations, whatever time it is at the control plane', () => {
    expect(exchangeAfterMs([{ name: 'a', token: '', issuedAtMs: 5e12, expiresAtMs: 5e12 + 60_000 }])).toBe(30_000);
  });
});

describe('files in memory that are exchanged', () => {
  it('take the place of the old ones in one step, with their owner and mode, in the same folder', async () => {
    const base = await mkdtemp('/dev/shm/berth-exchange-');
    try {
      const files = await MemoryFiles.open([join(base, 'files')], 'n1');
      expect(files.refusal).toBe(null);
      const folder = await files.write('t1', 'identity', [{ name: 'vault', bytes: utf8Encode('old') }]);
      await chmod(join(folder, 'vault'), 0o440);
      const before = await stat(folder);
      expect(await files.exchange('t1', 'identity', [{ name: 'vault', bytes: utf8Encode('new') }])).toBe(true);
      expect(await readFile(join(folder, 'vault'), 'utf8')).toBe('new');
      expect((await lstat(join(folder, 'vault'))).mode & 0o777).toBe(0o440);
      expect((await stat(folder)).ino).toBe(before.ino);
      expect(await files.exchange('t1', 'identity', [{ name: 'other', bytes: utf8Encode('x') }])).toBe(false);
      expect(await files.exchange('t2', 'identity', [{ name: 'vault', bytes: utf8Encode('x') }])).toBe(false);
      await expect(files.exchange('t1', 'identity', [{ name: '../x', bytes: utf8Encode('x') }])).rejects.toThrow(
        'a name',
      );
    } finally {
      await rm(base, { recursive: true, force: true });
    }
  });
});
