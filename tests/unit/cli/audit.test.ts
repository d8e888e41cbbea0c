import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { auditViewSchema } from '../../../shared/protocol/audit.ts';
import { eventually } from '../../support/processes.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;

beforeEach(async () => {
  cli = await startCliUnderTest();
});
afterEach(() => cli.stop());

async function weigh(role: string, weight: number): Promise<void> {
  expect((await cli.berth(['role', 'set', role, '--weight', String(weight)])).err).toBe('');
}

describe('berth audit', () => {
  it('shows who did what, the last of it last', async () => {
    await weigh('eng', 2);
    await weigh('eng', 3);
    const { code, out } = await cli.berth(['audit']);
    expect(code).toBe(0);
    const [header, first, second, ...more] = out.trimEnd().split('\n');
    expect(header).toMatch(/^TIME +WHO +WHAT +CALL +FROM +TOKEN$/);
    expect(first).toMatch(/Z {2}\S+ +created role eng +PUT \/v1\/roles\/\{path\} +- +\S+$/);
    expect(second).toMatch(/changed role eng \(.*\/weight/);
    expect(more).toEqual([]);
  });

  it('shows what is asked for, as much as is asked for', async () => {
    for (const role of ['eng', 'ops', 'eng/ml']) await weigh(role, 2);
    const named = async (...args: string[]) => {
      const { out } = await cli.berth(['audit', '-o', 'json', ...args]);
      const lines = out.split('\n').filter((line) => line !== '');
      return lines.map((line) => auditViewSchema.parse(JSON.parse(line)).objects[0]?.id);
    };
    expect(await named('--role', 'eng')).toEqual(['eng', 'eng/ml']);
    expect(await named('--object', 'role/ops')).toEqual(['ops']);
    expect(await named('--since', '1h', '--outcome', 'refused')).toEqual([]);
    const { out, err } = await cli.berth(['audit', '--limit', '1', '-o', 'name']);
    expect(out).toMatch(/^\d{13}-[0-9a-f]{16}\n$/);
    expect(err).toBe('These are the last 1; there are more: see --limit and --since.\n');
  });

  it('shows what was refused, and why', async () => {
    const token = ['token', 'create', 'ci', '--role', 'eng', '--action', 'job:read', '--ttl', '1h'];
    expect((await cli.berth(token, { env: { BERTH_TOKEN: 'x.y.z' } })).code).toBe(4);
    await eventually('the refusal', async () => {
      const { out } = await cli.berth(['audit']);
      return /nobody known +refused, unauthenticated, at \/v1\/tokens: /.test(out);
    });
  });

  it('follows what is done until it is interrupted, one object per line', async () => {
    await weigh('eng', 2);
    const running = cli.start(['audit', '-f', '--since', '1h', '-o', 'json']);
    const lines = () => running.out().split('\n').slice(0, -1);
    await eventually('what was before', async () => lines().length === 1);
    await weigh('ops', 2);
    await eventually('what came then', async () => lines().length === 2);
    expect(lines().map((line) => auditViewSchema.parse(JSON.parse(line)).objects[0]?.id)).toEqual(['eng', 'ops']);
    running.interrupt('SIGINT');
    await running.done;
  });

  it('says for how long it stays on record, and sets it', async () => {
    expect((await cli.berth(['settings', 'show'])).out).toMatch(/Audit kept +90 d/);
    await cli.berth(['settings', 'set', '--audit-keep', '30']);
    expect((await cli.berth(['settings', 'show'])).out).toMatch(/Audit kept +30 d/);
  });
});
