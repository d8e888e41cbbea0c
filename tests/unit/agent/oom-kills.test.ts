import { describe, expect, it } from 'vitest';
import { OomKills, readOomKills } from '../../../node-agent/adapters/docker/oom-kills.ts';

function counted(count: number | null) {
  const kernel = { count };
  return { kernel, kills: new OomKills(async () => kernel.count) };
}

describe('kills for want of memory', () => {
  it('are to be waited for until they are settled, and then no more', async () => {
    const { kernel, kills } = counted(3);
    const settle = await kills.unsettled();
    expect(await kills.unsettled()).not.toBeNull();
    settle?.();
    expect(await kills.unsettled()).toBeNull();
    kernel.count = 4;
    expect(await kills.unsettled()).not.toBeNull();
  });

  it('are not settled by what was counted earlier them', async () => {
    const { kernel, kills } = counted(3);
    const earlier = await kills.unsettled();
    kernel.count = 4;
    const later = await kills.unsettled();
    later?.();
    earlier?.();
    expect(await kills.unsettled()).toBeNull();
    kernel.count = 5;
    earlier?.();
    expect(await kills.unsettled()).not.toBeNull();
  });

  it('are always to be waited for where the kernel does not count', async () => {
    const { kills } = counted(null);
    (await kills.unsettled())?.();
    expect(await kills.unsettled()).not.toBeNull();
  });

  it.runIf(process.platform === 'linux')('are counted by this kernel', async () => {
    expect(await readOomKills()).toBeGreaterThanOrEqual(0);
  });
});
