/** Roles and settings on the command line. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { painter } from '../../../control-plane/cli/output/paint.ts';
import { renderRole, roleShape } from '../../../control-plane/cli/output/role-shapes.ts';
import { renderTable } from '../../../control-plane/cli/output/table.ts';
import type { FrameworkView } from '../../../shared/protocol/framework.ts';
import type { RoleView } from '../../../shared/protocol/roles.ts';
import { nodeOf } from '../../support/replica.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
  const { out: joinToken } = await cli.berth(['token', 'create', 'rack', '--join']);
  await cli.post('/v1/agent/register', joinToken.trim(), { node: nodeOf('edge-1'), seen: null, tasks: [] });
});
afterAll(() => cli.stop());

describe('berth role', () => {
  it('sets what is named and leaves the rest, lists, shows and takes back', async () => {
    expect(await cli.berth(['role', 'set', 'eng/ml', '--weight', '2'])).toMatchObject({ code: 0 });
    const set = await cli.berth(['role', 'set', 'eng/ml', '--limit', 'cpus=3,memMiB=1G', '--guarantee', 'cpus=1']);
    expect(set).toMatchObject({ code: 0, err: '' });
    expect(set.out).toMatch(/^Weight +2$/m);
    expect(set.out).toMatch(/^cpus +0 +0 +0 +0 +1 +3$/m);
    expect(set.out).toMatch(/^memMiB +0 +0 +0 +0 +- +1024$/m);
    expect(set.out).toMatch(/^Below +it holds less cpus than it is promised$/m);
    const listed = await cli.berth(['role', 'list']);
    expect(listed.out).toMatch(/^eng +1 /m);
    expect(listed.out).toMatch(/^eng\/ml +2 +0\.0% .* 0\/3 +0MiB\/1GiB +0 +- +cpus=1 /m);
    expect((await cli.berth(['role', 'list', '--role', 'eng/ml', '-o', 'name'])).out).toBe('eng/ml\n');
    const unlimited = await cli.berth(['role', 'set', 'eng/ml', '--no-limit', '-o', 'json']);
    expect(JSON.parse(unlimited.out)).toMatchObject({ weight: 2, limit: {}, guarantee: { cpus: 1 } });
    const unset = await cli.berth(['role', 'unset', 'eng/ml']);
    expect(unset).toMatchObject({ code: 0, err: 'role eng/ml has the weight 1, no limit and no guarantee\n' });
    expect(await cli.berth(['role', 'show', 'eng/ml'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no role "eng/ml"'),
    });
  });

  it('says who holds what of it, and for how long', async () => {
    const joined = await cli.post('/v1/frameworks', cli.token, { name: 'painter', roles: ['studio/film'] });
    const { id } = (await joined.json()) as FrameworkView;
    const { out } = await cli.berth(['role', 'show', 'studio']);
    expect(out).toMatch(new RegExp(`^${id} +painter +studio/film +disconnected`, 'm'));
    const role = JSON.parse((await cli.berth(['role', 'show', 'studio', '-o', 'json'])).out) as RoleView;
    expect(role.held).toMatchObject({ since: { tasks: null, offers: null, reservations: null }, offersUntil: null });
    const at = (seconds: number) => new Date(seconds * 1000).toISOString();
    const since = { tasks: at(1000), offers: at(1290), reservations: null };
    const holding: RoleView = { ...role, held: { ...role.held, since, offersUntil: at(1320) } };
    const options = { paint: painter(false), nowMs: 1_300_000, width: null };
    const line = 'tasks for up to 5m, offers for up to 10s (the last one ends in 20s)';
    expect(renderRole(role, [], options)).toMatch(/^Holds +-$/m);
    expect(renderRole(holding, [], options)).toContain(line);
    expect(renderRole(holding, [], { ...options, nowMs: 1_330_000 })).toContain('(the last one ends now)');
    expect(renderTable(roleShape.columns(options.nowMs), [holding], options)).toMatch(/^studio .* 5m +- +0 +1$/m);
  });

  it('says what stands in the way, and goes past it when forced', async () => {
    const tooMuch = ['role', 'set', 'ops', '--guarantee', 'cpus=5'];
    const refused = await cli.berth(tooMuch);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toBe(
      'berth: role "ops" is left as it is; with force it is set all the same\n' +
        '  /guarantee/cpus: brings what all roles are promised to 5, and the nodes have 4\n',
    );
    expect(await cli.berth([...tooMuch, '--force'])).toMatchObject({ code: 0 });
  });

  it.each<[string[], number, string]>([
    [['eng'], 2, 'Give --weight, --limit or --guarantee'],
    [['eng', '--limit', 'cpus'], 2, 'Write it like cpus=2,memMiB=1G.'],
    [['eng', '--limit', 'cpus=1,cpus=2'], 2, 'cpus is named twice'],
    [['eng', '--limit', 'cpus=1G'], 2, 'must be a number'],
    ...['0', '-1', '1e9', 'x', ''].map((weight): [string[], number, string] => [
      ['eng', '--weight', weight],
      2,
      'It must be a number from 0.001 to 1000000',
    ]),
    [['Eng', '--weight', '2'], 2, 'up to 8 names joined by "/"'],
  ])('set %j is refused', async (args, code, message) => {
    expect(await cli.berth(['role', 'set', ...args])).toMatchObject({ code, err: expect.stringContaining(message) });
  });
});

describe('berth settings', () => {
  it('sets what is named and leaves the rest', async () => {
    const set = await cli.berth(['settings', 'set', '--gpu-nodes', 'preferred', '--offer-timeout', '30s']);
    expect(set).toMatchObject({ code: 0, err: '' });
    const more = ['--min-allocatable', 'cpus=0.1,memMiB=64', '--min-allocatable', 'gpus=1', '--no-exclude'];
    expect(await cli.berth(['settings', 'set', ...more])).toMatchObject({ code: 0 });
    const { out } = await cli.berth(['settings', 'show']);
    expect(out).toMatch(/^GPU nodes +preferred$/m);
    expect(out).toMatch(/^Offer timeout +30s$/m);
    expect(out).toMatch(/^Smallest offer +cpus=0.1,memMiB=64 or gpus=1$/m);
    expect(out).toMatch(/^Not in shares +-$/m);
    const back = ['--no-min-allocatable', '--exclude', 'gpus', '-o', 'json'];
    expect(JSON.parse((await cli.berth(['settings', 'set', ...back])).out)).toMatchObject({
      gpuNodes: 'preferred',
      minAllocatable: [],
      excludedFromShares: ['gpus'],
    });
  });

  it.each([
    [[], 2, 'nothing was said that should be set'],
    [['--gpu-nodes', 'all'], 2, 'Allowed choices are restricted, preferred, unrestricted'],
    [['--offer-timeout', '2d'], 2, '/offerTimeoutSeconds: must be at most 86400'],
  ])('set %j is refused', async (args, code, message) => {
    expect(await cli.berth(['settings', 'set', ...args])).toMatchObject({
      code,
      err: expect.stringContaining(message),
    });
  });
});
