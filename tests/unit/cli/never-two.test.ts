/** What is said of a job's slots that wait for the end of something else. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { nodeOf } from '../../support/replica.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

const SOON = { timeout: 5000 };

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
});
afterAll(() => cli.stop());

describe('a job that must never run twice at a time', () => {
  it('says by plan, show and apply what its new version waits for', async () => {
    const joinToken = (await cli.berth(['token', 'create', 'rack', '--join'])).out.trim();
    const body = { node: nodeOf('edge-1'), seen: null, tasks: [] };
    expect((await cli.post('/v1/agent/register', joinToken, body)).status).toBe(200);
    const file = (more: string) => `name: alone\ngroups:\n  - image: busybox\n${more}stopAfterDisconnectSeconds: 20\n`;
    await cli.berth(['job', 'apply', '--detach', '-'], { stdin: file('') });
    await vi.waitFor(async () => {
      expect((await cli.berth(['job', 'show', 'alone'])).out).toContain('staging');
    }, SOON);

    const next = { stdin: file('    env: {A: b}\n') };
    const sentence = /main\[0\] waits until alone-main-0-[a-z0-9]+-v1a0 on node edge-1 has ended/;
    const planned = await cli.berth(['job', 'plan', '-'], next);
    expect(planned.out).toMatch(sentence);
    expect(planned).toMatchObject({ code: 1, out: expect.not.stringContaining('→ edge-1') });
    const running = cli.start(['job', 'apply', '-'], next);
    await vi.waitFor(() => expect(running.err()).toMatch(sentence), SOON);
    running.interrupt('SIGINT');
    const { err } = await running.done;
    expect(err).not.toContain('main[0] staging');
    expect((await cli.berth(['job', 'show', 'alone'])).out).toMatch(/^State +pending: main\[0\] waits until /m);
  });
});
