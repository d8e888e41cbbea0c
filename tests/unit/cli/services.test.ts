/** Services on the command line. No node is there, so what the passes would come to is written by the tests. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { renderServiceTasks } from '../../../control-plane/cli/output/service-shapes.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { decodeRecord, putRecord } from '../../../control-plane/store/records.ts';
import type { Deployment } from '../../../shared/domain/deployment.ts';
import type { JobView } from '../../../shared/protocol/views.ts';
import { present } from '../../../shared/util/assert.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';
import { at, step, task } from './task-views.ts';

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
});
afterAll(() => cli.stop());

const serviceFile = (name: string, more = '') =>
  `name: ${name}\nkind: service\n${more}groups:\n  - image: busybox:1.36\n    count: 5\n`;

/** A service of this name, and the id of the deployment that is under way. */
async function aService(name: string, more = ''): Promise<string> {
  const { code, err } = await cli.berth(['job', 'apply', '--detach', '-'], { stdin: serviceFile(name, more) });
  expect({ code, err }).toEqual({ code: 0, err: `created job ${name}\n` });
  return deploymentOf(name);
}

async function deploymentOf(name: string): Promise<string> {
  const job = JSON.parse((await cli.berth(['job', 'show', name, '-o', 'json'])).out) as JobView;
  return present(job.deployment, `the deployment of ${name}`).id;
}

/** What the passes would write of it. Others may write at the same time. */
async function record(id: string, change: Partial<Deployment>): Promise<void> {
  const key = keys.deployment(id);
  await vi.waitFor(async () => {
    const { keyValue } = await cli.ctx.store.get(key);
    const { value, modRevision } = present(keyValue, id);
    const deployment = { ...decodeRecord('deployments', key, value), ...change };
    const writes = [putRecord('deployments', key, deployment)];
    expect(await cli.ctx.store.transact({ compares: [{ key, modRevision }], writes })).toMatchObject({
      committed: true,
    });
  });
}

const rolledOut = (id: string) => record(id, { state: 'succeeded', endedAtMs: 1, message: 'all are healthy' });

describe('a service that is applied', () => {
  it('is followed to the verdict of its deployment', async () => {
    const running = cli.start(['job', 'run', '-'], { stdin: serviceFile('svc-good') });
    await vi.waitFor(() => expect(running.err()).toMatch(/deployment \S+-d1 .*: 0 of 5 healthy/));
    await rolledOut(await deploymentOf('svc-good'));
    const { code, err } = await running.done;
    expect(code).toBe(0);
    expect(err).toMatch(/deployment \S+-d1 succeeded: version 1 is rolled out/);
  });

  it('that fails says what it was taken back to, and the exit code that it failed', async () => {
    const first = await aService('svc-bad');
    await rolledOut(first);
    const running = cli.start(['job', 'scale', 'svc-bad', '6']);
    await vi.waitFor(() => expect(running.err()).toContain('job svc-bad: version 1 → 2\n'));
    const failed = await deploymentOf('svc-bad');
    const next = first.replace(/1$/, '3');
    const { keyValue } = await cli.ctx.store.get(keys.deployment(first));
    const revert = { ...decodeRecord('deployments', '', present(keyValue, first).value), id: next, toVersion: 3 };
    const writes = [putRecord('deployments', keys.deployment(next), revert)];
    await cli.ctx.store.transact({ compares: [], writes });
    const message = 'check http of svc-bad-main-5 fails: 503';
    await record(failed, { state: 'failed', endedAtMs: 1, message, revertedBy: next });
    const { code, err } = await running.done;
    expect(code).toBe(1);
    expect(err).toContain(`deployment ${failed} failed: ${message}\n`);
    expect(err).toContain(`It is taken back: deployment ${next} rolls out version 3.\n`);
  });

  it('can be left', async () => {
    const running = cli.start(['job', 'apply', '-'], { stdin: serviceFile('svc-left') });
    await vi.waitFor(() => expect(running.err()).toContain('0 of 5 healthy'));
    running.interrupt('SIGINT');
    const { code, err } = await running.done;
    expect(code).toBe(130);
    expect(err).toMatch(/Deployment \S+ goes on without this command\./);
  });

  it('while a deployment runs is refused, and with --force is not', async () => {
    const id = await aService('svc-busy');
    const changed = { stdin: serviceFile('svc-busy', 'priority: 60\n') };
    const refused = await cli.berth(['job', 'apply', '--detach', '-'], changed);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(new RegExp(`deployment ${id} is rolling out version 1 .*force=true`));
    expect(refused.err).toContain('On the command line that is --force.');
    expect((await cli.berth(['job', 'apply', '--detach', '--force', '-'], changed)).code).toBe(0);
    const { out } = await cli.berth(['job', 'deployments', 'svc-busy']);
    expect(out).toMatch(
      /-d2 +svc-busy +1 → 2 +updated +(waiting|running)[^\n]*\n\S+-d1 +svc-busy +→ 1 +created +cancelled/,
    );
  });
});

describe('what is done to a service', () => {
  it('is scaled, restarted and taken back, and its history says so', async () => {
    await rolledOut(await aService('svc-a'));
    const detached = async (...args: string[]) => {
      const { code, err } = await cli.berth(['job', ...args, '--detach']);
      expect({ code, err }).toMatchObject({ code: 0 });
      await rolledOut(await deploymentOf('svc-a'));
      return err;
    };
    expect(await detached('scale', 'svc-a', '--by=-2')).toBe('job svc-a: version 1 → 2\n');
    expect((await cli.berth(['job', 'scale', 'svc-a', '3'])).err).toBe('job svc-a is unchanged (version 2)\n');
    expect(await detached('restart', 'svc-a')).toBe('job svc-a: version 2 → 3\n');
    expect(await detached('revert', 'svc-a', '--to', '1')).toBe('job svc-a: version 3 → 4\n');
    const again = 'what it would be reverted to is what is wanted already, so nothing is restarted';
    const { err } = await cli.berth(['job', 'revert', 'svc-a', '--to', '1']);
    expect(err).toBe(`job svc-a is unchanged (version 4): ${again}\n`);
    const { out } = await cli.berth(['job', 'history', 'svc-a']);
    expect(out).toMatch(/^ +4 .*reverted +succeeded +~ \/groups\/0\/count: 3 → 5$/m);
    expect(out).toMatch(/^ +3 .*restarted +succeeded/m);
    expect(out).toMatch(/^ +2 .*scaled +succeeded +~ \/groups\/0\/count: 5 → 3$/m);
    expect((await cli.berth(['job', 'diff', 'svc-a'])).out).toBe('~ /groups/0/count: 3 → 5\n');
    expect((await cli.berth(['job', 'diff', 'svc-a', '4', '1'])).out).toBe('nothing differs\n');
    expect((await cli.berth(['job', 'diff', 'svc-a', '9'])).err).toContain('no version 9 on record');
  });

  it('is suspended, shown so, resumed and retried', async () => {
    await rolledOut(await aService('svc-b'));
    expect((await cli.berth(['job', 'suspend', 'svc-b', '--reason', 'night'])).err).toMatch(
      /^job svc-b suspended: suspended by tester: night/,
    );
    const { out } = await cli.berth(['job', 'status', 'svc-b']);
    expect(out).toMatch(/State +suspended: suspended by tester: night/);
    expect(out).toMatch(/GROUP +HEALTHY +LIVE +OUTDATED\nmain +0\/0/);
    expect((await cli.berth(['job', 'resume', 'svc-b', '--detach'])).code).toBe(0);
    expect((await cli.berth(['job', 'history', 'svc-b'])).out).toMatch(/^ +1 .*created +(waiting|running)/m);
    expect((await cli.berth(['job', 'retry', 'svc-b'])).err).toMatch(/^job svc-b (pending|running): /);
    expect((await cli.berth(['job', 'list'])).out).toMatch(/svc-b .* 0\/5 healthy/);
  });

  it.each([
    [['job', 'scale', 'svc-x'], /say how many tasks, or --by/],
    [['job', 'scale', 'svc-x', '3', '--by', '1'], /say how many tasks, or --by/],
    [['job', 'scale', 'svc-x', 'many'], /a whole number/],
    [['job', 'scale', 'svc-x', '--by', '1.5'], /a whole number, such as 2 or -2/],
  ])('%j is wrong usage', async (args, message) => {
    const { code, err } = await cli.berth(args);
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });

  it('of a million tasks is refused', async () => {
    await rolledOut(await aService('svc-many'));
    const { code, err } = await cli.berth(['job', 'scale', 'svc-many', '1000000']);
    expect(err).toContain('/count: must be at most 10000');
    expect(code).toBe(2);
  });
});

describe('a deployment', () => {
  it('is found by its id or its job, shown, paused, resumed and aborted', async () => {
    const id = await aService('svc-dep');
    expect((await cli.berth(['deployment', 'pause', 'svc-dep'])).err).toMatch(new RegExp(`^deployment ${id} paused`));
    const { out } = await cli.berth(['deployment', 'show', id]);
    expect(out).toMatch(/State +paused/);
    expect(out).toMatch(/GROUP +WANTED +NEW +HEALTHY +OLD\nmain +5 /);
    expect((await cli.berth(['deployment', 'list', '--state', 'paused', '-o', 'name'])).out).toBe(`${id}\n`);
    expect((await cli.berth(['deployment', 'resume', id])).code).toBe(0);
    expect((await cli.berth(['deployment', 'promote', id])).err).toContain('has nothing to promote');
    const refused = await cli.berth(['deployment', 'abort', id]);
    expect(refused.err).toContain('nothing to go back to');
    expect((await cli.berth(['deployment', 'abort', id, '--no-revert'])).err).toContain('aborted by tester');
    expect((await cli.berth(['deployment', 'show', 'nothing-such'])).err).toContain('nothing-such');
  });
});

describe('a plan of a service', () => {
  it('says what is made, how it gets there, and what stands in the way', async () => {
    const { out } = await cli.berth(['job', 'plan', '-'], { stdin: serviceFile('svc-plan', 'dependsOn: [db]\n') });
    expect(out).toContain('  would be created\n  main: 5 made (the group is new)\n');
    expect(out).toContain('  It begins when these are up: db.\n');
    expect(out).toContain(
      'healthy for 600 s, and stays as it is then, since there is no good version yet to go back to.',
    );
    expect(out).toContain('  warning: There is no job "db" in role "default"');
    expect(out).toContain('main: 5 tasks would wait');
  });
});

describe('the tasks of a service', () => {
  const job = { name: 'web', role: 'default', groups: [{ name: 'main', wanted: 2, live: 2, healthy: 1, outdated: 1 }] };
  const options = { paint: (_colour: string, text: string) => text, nowMs: Date.parse(at(10_000)), width: null };
  const shown = (tasks: Parameters<typeof renderServiceTasks>[1]) =>
    renderServiceTasks(job as unknown as JobView, tasks, options);
  const runs = [step('pending', 0), step('running', 5)];
  const health = (healthy: boolean, ready: boolean, message = 'ok') => ({
    healthy,
    ready,
    since: at(5),
    checks: [{ name: 'http', passing: healthy, message, at: at(5) }],
  });

  it('are shown with their health and version, and what a failing check says', () => {
    const text = shown([
      task({ history: runs, health: health(true, true), node: 'edge-1' }),
      task({ index: 1, history: runs, health: health(false, false, '503'), outdated: true }),
      task({ index: 2, history: runs, health: health(true, false) }),
      task({ index: 3, history: runs }),
      task({
        index: 4,
        history: runs,
        health: {
          ...health(true, true),
          healthy: null,
          checks: [{ name: 'http', passing: null, message: '', at: at(5) }],
        },
      }),
    ]);
    expect(text).toMatch(/^GROUP +HEALTHY +LIVE +OUTDATED\nmain +1\/2 +2 +1\n/);
    expect(text).toMatch(/main\[0\] +running +healthy +1 +edge-1 /);
    expect(text).toMatch(/main\[1\] +running +unhealthy +1 \(old\) .*http: 503/);
    expect(text).toMatch(/main\[2\] +running +not ready/);
    expect(text).toMatch(/main\[3\] +running +unchecked/);
    expect(text).toMatch(/main\[4\] +running +starting/);
  });

  it('that have ended are few, the latest first', () => {
    const ended = Array.from({ length: 7 }, (_, attempt) =>
      task({ attempt, history: [step('failed', attempt)], endedAt: at(attempt), message: `end ${attempt}` }),
    );
    const text = shown(ended);
    expect(text).toContain('end 6');
    expect(text).toContain('end 2');
    expect(text).not.toContain('end 1');
    expect(text).toContain('and 2 that ended before: berth task list --job web --role default\n');
  });
});
