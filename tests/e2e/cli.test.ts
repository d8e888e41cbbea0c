import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  berth,
  containers,
  type DevCluster,
  IMAGE,
  markOf,
  type Ran,
  shell,
  startBerth,
  startDev,
} from './cli-process.ts';

let dev: DevCluster;
beforeAll(async () => {
  dev = await startDev();
}, 180_000);
afterAll(() => dev?.stop());

/** Goes on until it is told to end, and then ends at once; a bare `sleep` would ignore the polite signal. */
const STEADY = 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done';

const WAIT = { timeout: 30_000, interval: 200 };

function run(flags: readonly string[], ...command: string[]): Promise<Ran> {
  return berth(['run', ...flags, IMAGE, '--', ...command], dev.env);
}

describe('berth run', () => {
  it('is the container: its output, its streams, its exit code', async () => {
    const { code, out, err } = await run([], 'sh', '-c', 'echo to-out; echo to-err >&2; printf "no end"; exit 7');
    expect(code).toBe(7);
    expect(out).toBe('to-out\nno end\n');
    expect(err).toMatch(/^to-err$/m);
    expect(err).toMatch(/main\[0\] staging: .*(had room|fits)/);
    expect(err).toContain('exit code 7');
  });

  it('shows only the output when it is quiet', async () => {
    expect(await run(['--quiet'], 'echo', 'hi')).toEqual({ code: 0, out: 'hi\n', err: '' });
  });

  it('names the task of each line when there are several', async () => {
    const { code, out } = await run(['--count', '3'], 'sh', '-c', 'echo "I am $BERTH_INDEX"');
    expect(code).toBe(0);
    expect(out.trimEnd().split('\n').sort()).toEqual(['main[0] | I am 0', 'main[1] | I am 1', 'main[2] | I am 2']);
  });

  it('shows every attempt, and exits as the last one did', async () => {
    const script = 'echo "attempt $BERTH_ATTEMPT"; [ "$BERTH_ATTEMPT" = 1 ]';
    const { code, out } = await run(['--retries', '2'], 'sh', '-c', script);
    expect(out).toBe('attempt 0\nattempt 1\n');
    expect(code).toBe(0);
  });

  it('loses nothing of a long output', async () => {
    const { code, out } = await run(['--quiet'], 'seq', '20000');
    expect(code).toBe(0);
    expect(out.split('\n').filter((line) => line !== '')).toHaveLength(20_000);
    expect(out.endsWith('\n19999\n20000\n')).toBe(true);
  });

  it('stops the job on Ctrl-C', async () => {
    const running = startBerth(['run', '--name', 'ctrl-c', IMAGE, '--', 'sh', '-c', STEADY], dev.env);
    await running.says(/^up$/m);
    running.process.kill('SIGINT');
    const { code, err } = await running.done;
    expect(code).toBe(130);
    expect(err).toContain('stopping job ctrl-c');
    const { out } = await berth(['job', 'show', 'ctrl-c', '-o', 'json'], dev.env);
    expect(JSON.parse(out)).toMatchObject({ state: 'stopped', stop: { reason: 'berth run got SIGINT' } });
  });

  it('says why a job waits, while it waits', async () => {
    const running = startBerth(['run', '--name', 'too-large', '--mem', '900G', IMAGE, '--', 'true'], dev.env);
    await running.says(/main waits: 0 of 2 nodes can take it: .*memory/);
    running.process.kill('SIGTERM');
    expect((await running.done).code).toBe(143);
  });

  it.each([
    [
      'an image that is not there',
      ['run', '--pull', 'never', 'berth/nothing:here', '--', 'true'],
      /berth\/nothing:here/,
    ],
    ['a command that is not there', ['run', IMAGE, '--', '/no/such/command'], /\/no\/such\/command/],
  ])('fails with 125 for %s, and says so', async (_what, args, message) => {
    const { code, err } = await berth(args, dev.env);
    expect(err).toMatch(message);
    expect(code).toBe(125);
  });

  it('stops what runs too long', async () => {
    const { code, err } = await run(['--timeout', '1s'], 'sh', '-c', STEADY);
    expect(err).toContain('timeout of 1 s');
    expect(code).not.toBe(0);
  });

  it.runIf(process.getuid?.() === 0)('is a process of the node where no container is wanted', async () => {
    const script = 'echo "to-out $BERTH_INDEX"; echo to-err >&2; [ "$(id -u)" = 0 ] || exit 7';
    const { code, out, err } = await berth(['run', '--process', '--', 'sh', '-c', script], dev.env);
    expect({ code, out }).toEqual({ code: 7, out: 'to-out 0\n' });
    expect(err).toMatch(/^to-err$/m);
    const { code: missing, err: why } = await berth(['run', '--process', '--', 'no-such-program'], dev.env);
    expect(why).toContain('there is no program no-such-program');
    expect(missing).toBe(125);
  });

  it('opens the ports that it was asked for', async () => {
    const script = `mkdir /www && echo here > /www/index.html && httpd -p 8080 -h /www && ${STEADY}`;
    const flags = ['--detach', '--name', 'web', '--port', 'http:8080'];
    expect((await run(flags, 'sh', '-c', script)).out).toBe('web\n');
    const port = await vi.waitFor(async () => {
      const [task] = JSON.parse((await berth(['task', 'list', '--job', 'web', '-o', 'json'], dev.env)).out);
      expect(task).toMatchObject({ state: 'running' });
      return task.ports.http;
    }, WAIT);
    await vi.waitFor(async () => expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('here\n'), WAIT);
    expect(await berth(['job', 'stop', 'web'], dev.env)).toMatchObject({ code: 0 });
    expect(await containers(`${markOf(dev.dataDir)}-web`)).toSatisfy((names: string[]) => names.length <= 1);
  });
});

describe('berth task logs', () => {
  beforeAll(async () => {
    await run(['--name', 'logs', '--quiet'], 'sh', '-c', 'for i in 1 2 3 4; do echo "line $i"; done; echo oops >&2');
  });

  it('shows what there is, stdout apart from stderr', async () => {
    const { code, out, err } = await berth(['task', 'logs', 'logs-main-0'], dev.env);
    expect({ code, out, err }).toEqual({ code: 0, out: 'line 1\nline 2\nline 3\nline 4\n', err: 'oops\n' });
  });

  it('shows the end of it, with times', async () => {
    const { out, err } = await berth(['task', 'logs', '--tail', '2', '--timestamps', 'logs-main-0'], dev.env);
    expect((out + err).trimEnd().split('\n')).toHaveLength(2);
    expect(out + err).toMatch(/^\d{4}-\d\d-\d\dT\S+Z (line 4|oops)$/m);
  });

  it('shows nothing of before --since', async () => {
    const { code, out } = await berth(['task', 'logs', '--since', '2100-01-01T00:00:00Z', 'logs-main-0'], dev.env);
    expect({ code, out }).toEqual({ code: 0, out: '' });
  });

  it('follows to the end', async () => {
    await run(['--detach', '--name', 'follow'], 'sh', '-c', 'echo one; sleep 1; echo two');
    await vi.waitFor(async () => {
      expect((await berth(['task', 'list', '--job', 'follow', '-o', 'name'], dev.env)).out).toMatch(/^follow-main-0/);
    }, WAIT);
    expect(await berth(['task', 'logs', '-f', 'follow-main-0'], dev.env)).toMatchObject({ code: 0, out: 'one\ntwo\n' });
  });

  it('does not mind a reader that has had enough', async () => {
    await run(['--name', 'pipe', '--quiet'], 'seq', '50000');
    const { out, err } = await shell(`berth task logs pipe-main-0 | head -n 1; echo "\${PIPESTATUS[0]}"`, dev.env);
    expect(out).toMatch(/^1\n(141|0)\n$/);
    expect(err).toBe('');
  });
});

describe('job files', () => {
  it('are applied, wait until all runs, and say what changed', async () => {
    const file = join(dev.home, 'jobs.yaml');
    const job = (count: number) =>
      JSON.stringify({ name: 'steady', groups: [{ image: IMAGE, args: ['sh', '-c', STEADY], count }] });
    await writeFile(file, job(1));
    const plan = await berth(['job', 'plan', file], dev.env);
    expect(plan).toMatchObject({
      code: 0,
      out: expect.stringMatching(/would be created\n {2}main\[0\] → edge-\d-\S+: /),
    });
    const created = await berth(['job', 'apply', file], dev.env);
    expect(created).toMatchObject({ code: 0, err: expect.stringContaining('created job steady') });
    expect(created.err).toMatch(/main\[0\] running/);
    await writeFile(file, job(2));
    const changed = await berth(['job', 'apply', file], dev.env);
    expect(changed.err).toContain('  ~ /groups/0/count: 1 → 2');
    const stopped = await berth(['job', 'stop', 'steady'], dev.env);
    expect(stopped).toMatchObject({ code: 0, err: expect.stringContaining('job steady stopped') });
  });
});

describe('nodes', () => {
  it('are listed, shown, kept from new tasks, and emptied', async () => {
    const { out } = await berth(['node', 'list', '-o', 'name'], dev.env);
    const [first = '', second = ''] = out.trimEnd().split('\n');
    expect((await berth(['node', 'show', first], dev.env)).out).toMatch(/^Attributes .*zone=a/m);

    await berth(['node', 'eligibility', first, 'off'], dev.env);
    await run(['--detach', '--name', 'moved'], 'sh', '-c', STEADY);
    const task = await vi.waitFor(async () => {
      const [only] = JSON.parse((await berth(['task', 'list', '--job', 'moved', '-o', 'json'], dev.env)).out);
      expect(only).toMatchObject({ state: 'running', node: second });
      return only;
    }, WAIT);
    await berth(['node', 'eligibility', first, 'on'], dev.env);

    const drained = await berth(['node', 'drain', second, '--deadline', '0', '--wait'], dev.env);
    expect(drained).toMatchObject({ code: 0, err: expect.stringContaining(`node ${second} is empty`) });
    expect((await berth(['task', 'show', task.id, '-o', 'json'], dev.env)).out).toMatch(/"state": "killed"/);
    expect(await berth(['node', 'drain', second, '--undo'], dev.env)).toMatchObject({ code: 0 });
  });
});

describe('completion', () => {
  it('asks the cluster for names, in a real bash', async () => {
    const line = `source <(berth completion bash)
      COMP_WORDS=(berth node show edge-1); COMP_CWORD=3; _berth; echo "\${COMPREPLY[0]}"`;
    expect((await shell(line, dev.env)).out).toBe(`edge-1-${markOf(dev.dataDir)}\n`);
  });
});
