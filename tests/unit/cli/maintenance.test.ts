/** Maintenance windows on the command line. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeOf } from '../../support/replica.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
  const { out: joinToken } = await cli.berth(['token', 'create', 'rack', '--join']);
  await cli.post('/v1/agent/register', joinToken.trim(), { node: nodeOf('edge-1'), seen: null, tasks: [] });
});
afterAll(() => cli.stop());

const maintenance = (...args: string[]) => cli.berth(['node', 'maintenance', ...args]);

describe('when a node is out of service', () => {
  it('is set by times, listed, shown with the node, and taken back', async () => {
    const times = ['--at', '2090-12-24T19:00+01:00', '--until', '2090-12-24T19:30:00Z'];
    expect(await maintenance('set', 'edge-1', ...times)).toMatchObject({
      code: 0,
      err: 'node edge-1 is out of service from 2090-12-24T18:00:00.000Z on, for 1h30m\n',
    });
    expect((await maintenance('list')).out).toMatch(
      /^edge-1 +coming +2090-12-24T18:00:00.000Z +2090-12-24T19:30:00.000Z +1h30m +\S+ +-$/m,
    );
    expect((await cli.berth(['node', 'show', 'edge-1'])).out).toMatch(
      /^Maintenance +from 2090-12-24T18:00:00.000Z on, for 1h30m, set by /m,
    );
    const cleared = await maintenance('clear', 'edge-1');
    expect(cleared).toMatchObject({ code: 0, err: 'nothing is planned for node edge-1 (ready)\n' });
    expect((await maintenance('list', '-o', 'name')).out).toBe('');
  });

  it('is set as from now, with or without an end', async () => {
    expect((await maintenance('set', 'edge-1', '--in', '0s')).err).toMatch(/ on, until that is taken back\n$/);
    expect((await maintenance('list')).out).toMatch(/^edge-1 +running +\S+Z +taken back +- /m);
    expect((await cli.berth(['node', 'list'])).out).toMatch(/^edge-1 +edge-1.example +maintenance /m);
    expect((await cli.berth(['status'])).out).toMatch(/1 in maintenance/);
    const before = Date.now();
    await maintenance('set', 'edge-1', '--in', '2h', '--for', '30m');
    const [window] = JSON.parse((await maintenance('list', '-o', 'json')).out);
    expect(window).toMatchObject({ state: 'coming', durationSeconds: 1800 });
    expect(Date.parse(window.startsAt) - before).toBeGreaterThanOrEqual(7_200_000);
    expect(Date.parse(window.startsAt) - before).toBeLessThan(7_260_000);
  });

  it.each([
    [['set', 'edge-1'], 2, 'say when it begins: with --at or with --in'],
    [['set', 'edge-1', '--in', '1h', '--at', '2090-12-24T18:00Z'], 2, 'say when it begins'],
    [['set', 'edge-1', '--in', '1h', '--for', '1h', '--until', '2090-12-24T18:00Z'], 2, 'not both'],
    [['set', 'edge-1', '--in', '1h', '--until', '2020-12-24T18:00Z'], 2, 'it has to end after it begins'],
    [['set', 'edge-1', '--at', '2090-12-24 18:00'], 2, 'Write it like 2026-12-24T18:00Z'],
    [['set', 'edge-1', '--at', '2090-13-24T18:00Z'], 2, 'Write it like 2026-12-24T18:00Z'],
    [['set', 'edge-1', '--at', '2020-12-24T18:00Z', '--for', '1h'], 2, 'which is past'],
    [['set', 'nowhere', '--in', '1h'], 1, 'there is no node "nowhere"'],
    [['clear', 'nowhere'], 1, 'there is no node "nowhere"'],
  ])('%j is refused', async (args, code, message) => {
    expect(await maintenance(...args)).toMatchObject({ code, err: expect.stringContaining(message) });
  });
});
