/** Reservations and volumes on the command line. */
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

describe('what is kept of a node', () => {
  it('is reserved, listed and given back', async () => {
    const reserved = await cli.berth(['node', 'reserve', 'edge-1', 'eng/ml', 'cpus=2,memMiB=1G', '--id', 'training']);
    expect(reserved).toMatchObject({ code: 0, out: 'training\n' });
    expect(reserved.err).toBe('cpus=2,memMiB=1024 of node edge-1 is kept for role eng/ml\n');
    expect((await cli.berth(['node', 'show', 'edge-1'])).out).toMatch(/^cpus +4 +0 +0 +2 +2$/m);
    const listed = await cli.berth(['node', 'reservations', 'edge-1']);
    expect(listed.out).toMatch(/^edge-1 +training +eng\/ml +cpus=2,memMiB=1024 +cpus=2,memMiB=1024 +0 +0 +dynamic /m);
    expect((await cli.berth(['node', 'reservations', '--role', 'ops', '-o', 'name'])).out).toBe('');
    const given = await cli.berth(['node', 'unreserve', 'edge-1', 'training']);
    expect(given).toMatchObject({ code: 0, err: 'reservation training on node edge-1 is given back by role eng/ml\n' });
    expect((await cli.berth(['node', 'reservations', '-o', 'json'])).out).toBe('[]\n');
  });

  it('holds volumes, which go only when that is meant', async () => {
    await cli.berth(['node', 'reserve', 'edge-1', 'ops', 'diskMiB=2G', '--id', 'archive']);
    const created = await cli.berth(['volume', 'create', 'edge-1', 'archive', '--size', '1G', '--id', 'data']);
    expect(created).toMatchObject({
      code: 0,
      out: 'data\n',
      err: 'volume data of 1GiB on node edge-1, for role ops\n',
    });
    expect((await cli.berth(['volume', 'list'])).out).toMatch(/^edge-1 +data +ops +archive +1GiB +there +0 /m);
    const unsure = await cli.berth(['volume', 'delete', 'edge-1', 'data']);
    expect(unsure).toMatchObject({ code: 2, err: expect.stringContaining('berth volume delete edge-1 data --yes') });
    const deleted = await cli.berth(['volume', 'delete', 'edge-1', 'data', '--yes']);
    expect(deleted).toMatchObject({
      code: 0,
      err: expect.stringContaining("as soon as the node's agent has deleted it"),
    });
    expect((await cli.berth(['volume', 'list', '--node', 'edge-1'])).out).toMatch(/ removing /);
  });

  it.each([
    [['node', 'reserve', 'edge-1', 'eng', 'cpus=9'], 1, '/amounts/cpus: asks for 9, and 4 are free on node "edge-1"'],
    [['node', 'reserve', 'edge-1', 'eng', 'cpus'], 2, 'Write it like cpus=2,memMiB=1G.'],
    [['node', 'unreserve', 'edge-1', 'none'], 1, 'there is no reservation "none" on node "edge-1"'],
    [['node', 'reservations', 'nowhere'], 1, 'there is no node "nowhere"'],
    [['volume', 'create', 'edge-1', 'archive'], 2, '--size'],
    [['volume', 'create', 'edge-1', 'none', '--size', '1G'], 1, 'there is no reservation "none"'],
    [['volume', 'delete', 'edge-1', 'none', '--yes'], 1, 'there is no volume "none" on node "edge-1"'],
  ])('%j is refused', async (args, code, message) => {
    expect(await cli.berth(args)).toMatchObject({ code, err: expect.stringContaining(message) });
  });
});
