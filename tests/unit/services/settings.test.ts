import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { getSettings, setSettings } from '../../../control-plane/services/settings.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../../shared/domain/settings.ts';
import { ADMIN, callOf, caughtUp, startReplica, type TestReplica } from '../../support/replica.ts';

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

  it('take rights of their own', async () => {
    const reader = { ...ADMIN, actions: ['settings:read'] };
    expect(getSettings(replica.ctx, reader).gpuNodes).toBe('restricted');
    await expect(setSettings(replica.ctx, callOf(reader), CHANGED, { ifVersion: null })).rejects.toMatchObject({
      code: 'forbidden',
    });
    expect(() => getSettings(replica.ctx, { ...ADMIN, actions: ['role:read'] })).toThrow('settings:read');
  });
});
