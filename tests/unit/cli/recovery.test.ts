/** What an operator sees and does after the store was restored. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RegisterResponse } from '../../../shared/protocol/agent.ts';
import { nodeOf } from '../../support/replica.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
});
afterAll(() => cli.stop());

async function join(token: string, node: string, tasks: readonly string[]): Promise<RegisterResponse> {
  const seen = { incarnation: 1, generation: 99 };
  const response = await cli.post('/v1/agent/register', token, { node: nodeOf(node), seen, tasks });
  expect(response.status).toBe(200);
  return response.json();
}

describe('after a restore', () => {
  it('shows what is ahead and how to go on, recovers only when told so twice, and ends what is kept aside', async () => {
    const { out: joinToken } = await cli.berth(['token', 'create', 'rack', '--join']);
    const session = await join(joinToken.trim(), 'edge-1', ['lost-main-0', 'lost-main-1']);
    const before = await cli.berth(['status']);
    expect(before.out).toContain('1 ahead of this state');
    expect(before.out).toMatch(
      /^Ahead +1 node has seen a later state than this one; .*`berth cluster recover --help`$/m,
    );
    const shown = await cli.berth(['node', 'show', 'edge-1']);
    expect(shown.out).toContain('has seen a later state than this one');
    expect(shown.out).toMatch(/^lost-main-0 +-$/m);
    expect((await cli.berth(['node', 'list'])).out).toMatch(/edge-1 .* ahead /);

    const unsure = await cli.berth(['cluster', 'recover']);
    expect(unsure).toMatchObject({ code: 2, out: '', err: expect.stringContaining('--yes') });
    const early = await cli.berth(['node', 'stop-kept-aside', 'edge-1', '--all']);
    expect(early).toMatchObject({ code: 1, err: expect.stringContaining('recover the cluster first') });
    const done = await cli.berth(['cluster', 'recover', '--yes']);
    expect(done).toMatchObject({ code: 0, err: expect.stringContaining('1 node known to the state') });
    expect(done.out).toMatch(/^recovered: incarnation \d{10}\n$/);

    await join(session.nodeToken, 'edge-1', ['lost-main-0', 'lost-main-1']);
    const after = await cli.berth(['status']);
    expect(after.out).toMatch(/^Kept aside +1 node still runs what a restored state knows nothing of/m);
    expect(after.out).toMatch(/^Recovered +(now|\S+ ago)$/m);
    const listed = await cli.berth(['node', 'show', 'edge-1']);
    expect(listed.out).toContain('To end them: berth node stop-kept-aside edge-1');
    const stopped = await cli.berth(['node', 'stop-kept-aside', 'edge-1', 'lost-main-1', '--reason', 'old']);
    expect(stopped).toMatchObject({ code: 0, err: 'node edge-1 is to end 1 of the 2 tasks that it keeps aside\n' });
    expect((await cli.berth(['node', 'show', 'edge-1'])).out).toMatch(/^lost-main-1 +asked for .* by tester: old$/m);
  });

  it.each([
    [['edge-1'], 2, 'name the tasks, or give --all'],
    [['edge-1', 'lost-main-0', '--all'], 2, 'name the tasks or give --all, not both'],
    [['edge-1', 'lost-main'], 2, '2 tasks start with "lost-main"'],
    [['edge-1', 'other'], 1, 'keeps no task aside whose id starts with "other"'],
    [['nowhere', '--all'], 1, 'there is no node "nowhere"'],
  ])('node stop-kept-aside %j is refused', async (args, code, message) => {
    const ran = await cli.berth(['node', 'stop-kept-aside', ...args]);
    expect(ran).toMatchObject({ code, err: expect.stringContaining(message) });
  });

  it('takes revisions of the new incarnation to go on from', async () => {
    await cli.berth(['run', '-d', '--name', 'later', 'busybox']);
    const { out } = await cli.berth(['events', '-o', 'name']);
    const [first = ''] = out.split('\n');
    expect(first).toMatch(/^\d{10}-\d+$/);
    expect((await cli.berth(['events', '--after', first])).code).toBe(0);
    const old = await cli.berth(['events', '--after', '1']);
    expect(old).toMatchObject({ code: 1, err: expect.stringContaining('may never have happened') });
    expect(await cli.berth(['events', '--after', 'x'])).toMatchObject({ code: 2 });
  });
});
