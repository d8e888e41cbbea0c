/** A persistent volume in real containers: what one task writes, the next one reads, over a restart of the agent. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentUnderTest } from './agent-process.ts';

let agent: AgentUnderTest;

beforeEach(async () => {
  agent = await AgentUnderTest.make();
});
afterEach(() => agent.dispose());

const withVolume = (script: string, readOnly = false) => ({
  command: ['sh', '-c', script],
  mounts: [{ type: 'persistent' as const, source: 'data', target: '/data', readOnly }],
});

describe('a persistent volume', () => {
  it('outlives its tasks and the agent, and goes when that is asked for and nobody uses it', async () => {
    const writer = agent.assign('writer', { ...withVolume('echo kept > /data/file'), user: '1234' });
    agent.start();
    expect(await agent.ended(writer)).toMatchObject({ state: 'finished' });
    await agent.end('SIGTERM');
    const reader = agent.assign('reader', withVolume('test "$(cat /data/file)" = kept && ! touch /data/more', true));
    agent.start();
    expect(await agent.ended(reader)).toMatchObject({ state: 'finished' });
    const folder = join(agent.stateDir, 'volumes', 'data');
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('kept\n');

    const user = agent.assign('user', withVolume('sleep 600'));
    await agent.running(user);
    agent.controlPlane.removeVolumes('data');
    // The assignment that asks for its end has been taken: what came with it was started.
    const later = agent.assign('later', { command: ['true'] });
    await agent.ended(later);
    expect((await stat(folder)).isDirectory()).toBe(true);
    agent.controlPlane.stop(user, 0);
    await agent.ended(user);
    await agent.until('the volume to be deleted', () =>
      agent.controlPlane.received.removedVolumes.includes('data') ? true : null,
    );
    await expect(stat(folder)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
