/** `berth job why` against a replica. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobExplanationView } from '../../../shared/protocol/explanation.ts';
import { nodeOf } from '../../support/replica.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
  const { out: joinToken } = await cli.berth(['token', 'create', 'rack', '--join']);
  await cli.post('/v1/agent/register', joinToken.trim(), { node: nodeOf('edge-1'), seen: null, tasks: [] });
  const large = { name: 'large', groups: [{ image: 'busybox', resources: { cpus: 99 } }] };
  expect((await cli.post('/v1/jobs', cli.token, large)).status).toBe(201);
});
afterAll(() => cli.stop());

describe('berth job why', () => {
  it('shows the funnel and the nearest node', async () => {
    const { code, out } = await cli.berth(['job', 'why', 'large'], { columns: 100, env: { NO_COLOR: '1' } });
    expect(code).toBe(0);
    expect(out).toMatch(/^1 task of group "main" waits: none of 1 node/);
    expect(out).toMatch(/^STAGE +NODES +REFUSED +WHY$/m);
    expect(out).toMatch(/^cpu +1 +1 +1 has too few cpus free$/m);
    expect(out).toMatch(/^Nearest: edge-1 lacks \d+ of 99 cpus/m);
  });

  it('tells one task alone, and every stage to programs', async () => {
    const first = await cli.berth(['job', 'why', 'large', '-o', 'json']);
    const explanation = JSON.parse(first.out) as JobExplanationView;
    expect(explanation.groups[0]?.funnel).toHaveLength(12);
    const id = explanation.groups[0]?.tasks[0] ?? '';
    const one = await cli.berth(['job', 'why', 'large', '--task', id, '-o', 'json']);
    expect(JSON.parse(one.out)).toMatchObject({ groups: [{ tasks: [id] }] });
  });

  it('says of what it was asked where there is no such thing', async () => {
    expect(await cli.berth(['job', 'why', 'none'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no job "none"'),
    });
    const { groups } = JSON.parse((await cli.berth(['job', 'why', 'large', '-o', 'json'])).out) as JobExplanationView;
    const id = groups[0]?.tasks[0] ?? '';
    const other = await cli.berth(['job', 'why', 'large', '--task', id.replace('large', 'other')]);
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining('job "large" has no task "other') });
  });
});
