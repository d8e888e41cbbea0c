import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
});
afterAll(() => cli.stop());

describe('berth balancer', () => {
  it.each<[string[], string]>([
    [['--https', ':443'], '--https needs --certs'],
    [['--certs', '/certs'], '--certs needs --https'],
    [['--redirect-to-https'], '--redirect-to-https needs --https'],
    [['--https', ':80', '--certs', '/certs'], '--http and --https need different ports'],
    [['--http', '80'], 'Write it like :80'],
    [['--status-listen', ':70000'], 'Write it like :80'],
    [['--service-address', 'here'], '--service-address "here" is no IP address'],
    [['--config-dir', '/a b'], '--config-dir may hold letters'],
    [['--http', 'off', '--config-dir', '/a b'], '--config-dir may hold letters'],
    [['--https', 'off', '--config-dir', '/a b'], '--config-dir may hold letters'],
    [['--config-dir', `/${'x'.repeat(100)}`], '--config-dir must have at most 85 characters'],
  ])('%j is refused', async (flags, words) => {
    const { code, err } = await cli.berth(['balancer', ...flags]);
    expect(err).toContain(words);
    expect(code).toBe(2);
  });
});
