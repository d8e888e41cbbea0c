import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runPasses } from '../../../control-plane/controllers/pass.ts';
import { runRound } from '../../../control-plane/controllers/round.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { getSettings, setSettings } from '../../../control-plane/services/settings.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../../shared/domain/settings.ts';
import { changed } from '../../support/changed-store.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  granted,
  JOINER,
  NO_OUTAGE,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

let replica: TestReplica;

beforeEach(async () => {
  replica = await startReplica();
});
afterEach(() => replica.stop());

const CHANGED: Settings = { ...DEFAULT_SETTINGS, gpuNodes: 'preferred', minAllocatable: [] };

describe('settings', () => {
  it('are the defaults until they are set, as a whole and under the version that was seen', async () => {
    expect(getSettings(replica.ctx, ADMIN)).toEqual({ version: 0, ...DEFAULT_SETTINGS });
    const same = await setSettings(replica.ctx, callOf(), DEFAULT_SETTINGS, { ifVersion: 0 });
    expect(same.body.version).toBe(0);
    const { body } = await setSettings(replica.ctx, callOf(), CHANGED, { ifVersion: 0 });
    await caughtUp(replica.ctx);
    expect(getSettings(replica.ctx, ADMIN)).toEqual({ ...CHANGED, version: body.version });
    expect(replica.ctx.mirror.snapshot.settings).toEqual(CHANGED);
    await expect(setSettings(replica.ctx, callOf(), DEFAULT_SETTINGS, { ifVersion: 0 })).rejects.toMatchObject({
      code: 'revision-mismatch',
    });
  });

  it('keep what a round planned under the ones before from being committed once they are answered', async () => {
    replica.stop();
    const memory = new MemoryStore({ clock: new SystemClock() });
    const hook: { run: (() => Promise<unknown>) | null } = { run: null };
    const store = changed(memory, {
      async transact(transaction) {
        const { run } = hook;
        if (run !== null && transaction.writes.some(({ key }) => key.includes('/ledger/'))) {
          hook.run = null;
          await run();
        }
        return memory.transact(transaction);
      },
    });
    replica = await startReplica({ store });
    const { ctx } = replica;
    const beside = { ...ctx, store: memory };
    const node = nodeOf('gpu-1');
    const resources = { ...node.resources, gpus: 2 };
    await registerNode(ctx, JOINER, { node: { ...node, resources }, seen: null, tasks: [] });
    await caughtUp(ctx);
    await setSettings(ctx, callOf(), { ...DEFAULT_SETTINGS, gpuNodes: 'unrestricted' }, { ifVersion: null });
    await submitJob(ctx, callOf(), specOf());
    await caughtUp(ctx);
    await runPasses(ctx, NO_OUTAGE);
    await caughtUp(ctx);
    hook.run = () =>
      setSettings(beside, callOf(), { ...DEFAULT_SETTINGS, gpuNodes: 'restricted' }, { ifVersion: null });
    expect(await runRound(ctx)).toMatchObject({ placed: 0, again: true });
    await caughtUp(ctx);
    expect(hook.run).toBe(null);
    await replica.settle();
    expect([...ctx.mirror.snapshot.tasks.values()]).toMatchObject([{ state: 'pending', node: null }]);
  });

  it('take rights of their own', async () => {
    const reader = granted(ADMIN, { actions: ['settings:read'] });
    expect(getSettings(replica.ctx, reader).gpuNodes).toBe('restricted');
    await expect(setSettings(replica.ctx, callOf(reader), CHANGED, { ifVersion: null })).rejects.toMatchObject({
      code: 'forbidden',
    });
    expect(() => getSettings(replica.ctx, granted(ADMIN, { actions: ['role:read'] }))).toThrow('settings:read');
  });
});
