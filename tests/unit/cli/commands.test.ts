import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
});
afterAll(() => cli.stop());

const WAIT = { timeout: 10_000 };

/** A job of a name that no other test uses. */
function jobFile(name: string, more = ''): string {
  return `name: ${name}\ngroups:\n  - image: busybox\n    args: [echo, hi]\n${more}`;
}

/** A job is answered for before its tasks exist. */
async function tasksOf(job: string, role = 'default'): Promise<void> {
  await vi.waitFor(async () => {
    expect((await cli.berth(['task', 'list', '--job', job, '--role', role, '-o', 'name'])).out).toContain(job);
  }, WAIT);
}

describe('the command line', () => {
  it('has help with examples and exit codes', async () => {
    const { code, out } = await cli.berth(['--help']);
    expect(code).toBe(0);
    expect(out).toContain('berth run alpine:3.20 -- echo hello');
    expect(out).toContain('Exit codes:');
  });

  it.each([
    ['run'],
    ['job', 'apply'],
    ['task', 'logs'],
    ['node', 'drain'],
    ['node', 'gone'],
    ['token', 'create'],
    ['role', 'set'],
    ['node', 'reserve'],
    ['volume', 'create'],
    ['settings', 'set'],
    ['events'],
    ['dev'],
  ])('%s %s has help with examples', async (...command) => {
    const { code, out } = await cli.berth([...command, '--help']);
    expect(code).toBe(0);
    expect(out).toMatch(/Examples?:/);
    expect(out).toContain('--address');
  });

  it('says its version', async () => expect(await cli.berth(['--version'])).toMatchObject({ code: 0, out: '1.2.3\n' }));

  it.each([
    [['joob', 'list'], /unknown command 'joob'\n\(Did you mean job\?\)/],
    [['job', 'lst'], /unknown command 'lst'\n\(Did you mean list\?\)/],
    [['job', 'list', '--rle', 'x'], /unknown option '--rle'\n\(Did you mean --role\?\)/],
    [['job', 'show'], /missing required argument 'job'/],
    [['status', '-o', 'xml'], /Allowed choices are table, json, yaml, name/],
    [['status', '--token', ''], /--token isn't a token/],
    [['node', 'eligibility', 'edge-1', 'maybe'], /on or off/],
    [['node', 'gone', 'edge-1'], /would end as lost and start elsewhere[\s\S]*berth node gone edge-1 --yes/],
    [['dev', '--agents', '0'], /from 1 to 20/],
    [['completion', 'fish'], /bash or zsh/],
    [['job', 'apply', '/nowhere.yaml'], /\/nowhere.yaml/],
  ])('%j is wrong usage', async (args, message) => {
    const { code, out, err } = await cli.berth(args);
    expect(err).toMatch(message);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });

  it('shows the commands where one is missing', async () => {
    const { code, err } = await cli.berth(['task']);
    expect(code).toBe(2);
    expect(err).toContain('list [options]');
  });

  it('says where nothing answers, and how to start something there', async () => {
    const { code, err } = await cli.berth(['status', '--address', 'http://127.0.0.1:1']);
    expect(code).toBe(3);
    expect(err).toContain('no answer from the control plane at http://127.0.0.1:1: connect ECONNREFUSED');
    expect(err).toContain('berth dev');
  });

  it.each([
    ['no token', ['--token-file', '/dev/null'], 2],
    ['a token of somebody else', ['--token', 'eyJhbGciOiJub25lIn0.e30.'], 4],
  ])('says what to do with %s', async (_what, flags, expected) => {
    const { code, err } = await cli.berth(['job', 'list', ...flags]);
    expect(code).toBe(expected);
    expect(err).toContain('token');
  });
});

describe('applying jobs', () => {
  it('creates, leaves alone and changes, and says which', async () => {
    const apply = (stdin: string) => cli.berth(['job', 'apply', '--detach', '-'], { stdin });
    expect((await apply(jobFile('apply-a'))).err).toBe('created job apply-a\n');
    expect((await apply(jobFile('apply-a'))).err).toBe('job apply-a is unchanged (version 1)\n');
    const changed = await apply(jobFile('apply-a', '    count: 3\n    env: {A: b}\n'));
    expect(changed.err).toContain('changed job apply-a: version 1 → 2\n');
    expect(changed.err).toContain('  ~ /groups/0/count: 1 → 3\n');
    expect(changed.err).toContain('  + /groups/0/env/A: "b"\n');
    const history = await cli.berth(['job', 'history', 'apply-a']);
    expect(history.out).toMatch(/^ +2 .*\/groups\/0\/count: 1 → 3/m);
    expect(history.out).toMatch(/^ +1 .*first version$/m);
  });

  it('points at every fault of every job, and changes nothing', async () => {
    const stdin = `${jobFile('apply-sound')}---\n${jobFile('apply-faulty', '    comand: [x]\n    count: 0\n')}`;
    const { code, err } = await cli.berth(['job', 'apply', '-'], { stdin });
    expect(code).toBe(2);
    expect(err).toContain('the job file has 2 faults; nothing was changed');
    expect(err).toContain('stdin:10:5: /groups/0/comand: unknown field "comand"; did you mean "command"?');
    expect(err).toContain('stdin:11:5: /groups/0/count: must be at least 1');
    expect((await cli.berth(['job', 'show', 'apply-sound'])).code).toBe(1);
  });

  it('waits until the job runs, and can be left', async () => {
    const applying = cli.start(['job', 'apply', '-'], { stdin: jobFile('apply-wait') });
    await vi.waitFor(() => expect(applying.err()).toContain('main waits: No node has joined the cluster'));
    applying.interrupt('SIGINT');
    const { code, err } = await applying.done;
    expect(code).toBe(130);
    expect(err).toContain('The jobs go on without this command.');
    expect((await cli.berth(['job', 'show', 'apply-wait'])).out).toContain('pending');
  });

  it('is only planned by plan', async () => {
    const { code, out } = await cli.berth(['job', 'plan', '-'], { stdin: jobFile('plan-a') });
    expect(code).toBe(1);
    expect(out).toContain('job plan-a\n  would be created\n  main: 1 task would wait: No node has joined the cluster');
    expect((await cli.berth(['job', 'show', 'plan-a'])).code).toBe(1);
  });
});

describe('running a container', () => {
  it('says why it waits; Ctrl-C stops the job', async () => {
    const running = cli.start(['run', '--name', 'run-a', 'busybox', '--', 'echo', '-o', 'json']);
    await vi.waitFor(() => expect(running.err()).toContain('main waits: No node has joined the cluster'));
    running.interrupt('SIGINT');
    const { code, out, err } = await running.done;
    expect(code).toBe(130);
    expect(err).toContain('stopping job run-a; once more leaves at once');
    expect(err).toMatch(/job run-a stopped: /);
    expect(out).toBe('');
    const shown = JSON.parse((await cli.berth(['job', 'show', 'run-a', '-o', 'json'])).out);
    // What follows -- belongs to the container, whatever it looks like.
    expect(shown).toMatchObject({ state: 'stopped', spec: { groups: [{ args: ['echo', '-o', 'json'] }] } });
  });

  it('leaves at once when it is interrupted twice', async () => {
    const running = cli.start(['run', '--name', 'run-b', 'busybox']);
    await vi.waitFor(() => expect(running.err()).toContain('submitted job run-b'));
    running.interrupt('SIGTERM');
    running.interrupt('SIGTERM');
    expect((await running.done).code).toBe(143);
  });

  it('can be left running, with its name alone on stdout', async () => {
    const { code, out } = await cli.berth(['run', '--detach', '--role', 'eng/ml', '--name', 'run-c', 'busybox']);
    expect({ code, out }).toEqual({ code: 0, out: 'eng/ml/run-c\n' });
    expect((await cli.berth(['job', 'show', 'eng/ml/run-c'])).out).toContain('1 × busybox');
  });

  it('takes every flag into the job', async () => {
    const flags = ['--cpus', '0.5', '--mem', '1G', '-e', 'A=b=c', '-e', 'X', '-p', 'http:8080', '--count', '2'];
    const more = [
      '--retries',
      '3',
      '--timeout',
      '5m',
      '--constraint',
      'zone in a,b',
      '--network',
      'bridge',
      '--pull',
      'never',
    ];
    const args = ['run', '-d', '--name', 'run-d', ...flags, ...more, 'busybox', '--', 'sh', '-c', 'exit 3'];
    expect(await cli.berth(args, { env: { X: 'from here' } })).toMatchObject({ code: 0 });
    const { spec } = JSON.parse((await cli.berth(['job', 'show', 'run-d', '-o', 'json'])).out);
    expect(spec.groups[0]).toMatchObject({
      image: 'busybox',
      args: ['sh', '-c', 'exit 3'],
      resources: { cpus: 0.5, memMiB: 1024 },
      env: { A: 'b=c', X: 'from here' },
      ports: [{ name: 'http', containerPort: 8080 }],
      count: 2,
      retries: { max: 3 },
      timeoutSeconds: 300,
      constraints: [{ attribute: 'zone', operator: 'in', values: ['a', 'b'] }],
      pullPolicy: 'never',
    });
  });

  it('takes a job file', async () => {
    const { code } = await cli.berth(['run', '-d', '-f', '-', '--name', 'run-e'], { stdin: jobFile('other-name') });
    expect(code).toBe(0);
    expect((await cli.berth(['job', 'show', 'run-e'])).out).toContain('1 × busybox echo hi');
  });

  it.each([
    ['without an image', ['run'], '', /no image was given/],
    ['with an image and a file', ['run', '-f', '-', 'busybox'], jobFile('x'), /both an image and a file/],
    ['with no container and no command', ['run', '--process'], '', /no command was given/],
    ['with no container and a file', ['run', '--process', '-f', '-'], jobFile('x'), /both --process and a file/],
    [
      'with no container and a pull',
      ['run', '--process', '--pull', 'never', '--', 'true'],
      '',
      /--pull: is only for containers/,
    ],
    ['with two jobs in a file', ['run', '-f', '-'], `${jobFile('x')}---\n${jobFile('y')}`, /holds 2 jobs/],
    ['with a fault in the file', ['run', '-f', '-'], jobFile('x', '    count: 0\n'), /stdin:5:5: \/groups\/0\/count/],
    ['with an amount of nothing', ['run', '--cpus', '0', 'busybox'], '', /--cpus: must be at least/],
    ['with a name that is taken', ['run', '--name', 'run-c', '--role', 'eng/ml', 'busybox'], '', /run-c/],
    ['with a flag that nobody knows', ['run', '--nope', 'busybox'], '', /--nope/],
    ['where nothing answers', ['run', '--address', 'http://127.0.0.1:1', 'busybox'], '', /no answer/],
  ])('%s fails with 125, which no container says by accident', async (_how, args, stdin, message) => {
    const { code, err } = await cli.berth(args, { stdin });
    expect(err).toMatch(message);
    expect(code).toBe(125);
  });
});

describe('showing', () => {
  beforeAll(async () => {
    await cli.berth(['job', 'apply', '-d', '-'], {
      stdin: `${jobFile('show-a')}role: show\n---\n${jobFile('show-b')}role: show/below\n`,
    });
    await tasksOf('show-a', 'show');
    await tasksOf('show-b', 'show/below');
  });

  it('lists as a table for people', async () => {
    const { out } = await cli.berth(['job', 'list', '--role', 'show']);
    const [header, ...rows] = out.trimEnd().split('\n');
    expect(header).toMatch(/^NAME +ROLE +KIND +VERSION +STATE +TASKS +CREATED$/);
    expect(rows.map((row) => row.split(/\s+/).slice(0, 2).join(' ')).sort()).toEqual([
      'show-a show',
      'show-b show/below',
    ]);
  });

  it('lists as names that can be handed back', async () => {
    const { out } = await cli.berth(['job', 'list', '--role', 'show', '-o', 'name']);
    expect(out.split('\n').sort()).toEqual(['', 'show/below/show-b', 'show/show-a']);
    expect((await cli.berth(['job', 'show', 'show/below/show-b', '-o', 'name'])).out).toBe('show/below/show-b\n');
  });

  it('lists as JSON and YAML for programs', async () => {
    const asJson = JSON.parse((await cli.berth(['job', 'list', '--role', 'show', '-o', 'json'])).out);
    expect(asJson.map(({ name }: { name: string }) => name).sort()).toEqual(['show-a', 'show-b']);
    expect(parse((await cli.berth(['job', 'list', '--role', 'show', '-o', 'yaml'])).out)).toEqual(asJson);
  });

  it('says on stderr that there is nothing', async () => {
    expect(await cli.berth(['job', 'list', '--role', 'nobody'])).toEqual({
      code: 0,
      out: '',
      err: 'There are no jobs.\n',
    });
    expect((await cli.berth(['job', 'list', '--role', 'nobody', '-o', 'json'])).out).toBe('[]\n');
  });

  it('fits a terminal, in colour', async () => {
    const { out } = await cli.berth(['task', 'list', '--job', 'show-a', '--role', 'show'], { columns: 60 });
    expect(out).toContain('\u001b[33mpending\u001b[39m');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is taken away.
    for (const line of out.replace(/\u001b\[\d+m/g, '').split('\n')) expect([...line].length).toBeLessThanOrEqual(60);
    const plain = await cli.berth(['task', 'list', '--job', 'show-a', '--role', 'show', '--no-color'], { columns: 60 });
    expect(plain.out).not.toContain('\u001b');
  });

  it('shows a task by the start of its id, with why it waits', async () => {
    const { out } = await cli.berth(['task', 'show', 'show-a-main-0']);
    expect(out).toMatch(/^State +pending/m);
    expect(out).toContain('No node has joined the cluster');
    expect(out).toMatch(/^STATE +AT +AFTER +WHY$/m);
  });

  it('refuses a start that several ids have, and one that none has', async () => {
    const several = await cli.berth(['task', 'show', 'show-']);
    expect(several).toMatchObject({ code: 2, err: expect.stringContaining('2 tasks start with "show-"') });
    expect(several.err).toMatch(/show-a-main-0-\S+ \(pending\)/);
    expect(await cli.berth(['task', 'show', 'nope'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('no task whose id starts with "nope"'),
    });
  });

  it('shows the same list again when it changes, until interrupted', async () => {
    const watching = cli.start(['job', 'list', '--role', 'watch', '--watch', '-o', 'name']);
    await cli.berth(['run', '-d', '--role', 'watch', '--name', 'watch-a', 'busybox']);
    await vi.waitFor(() => expect(watching.out()).toBe('watch/watch-a\n'), WAIT);
    await cli.berth(['run', '-d', '--role', 'watch', '--name', 'watch-b', 'busybox']);
    await vi.waitFor(() => expect(watching.out()).toBe('watch/watch-a\nwatch/watch-a\nwatch/watch-b\n'), WAIT);
    watching.interrupt('SIGINT');
    expect((await watching.done).code).toBe(0);
  });

  it('shows the status of the cluster', async () => {
    const { out } = await cli.berth(['status']);
    expect(out).toMatch(/^Address +http:\/\/berth.test$/m);
    expect(out).toMatch(/^Nodes +0: 0 ready$/m);
    expect(JSON.parse((await cli.berth(['status', '-o', 'json'])).out)).toMatchObject({ version: '0.0.0-test' });
  });

  it('shows the events that are remembered, as far back as they go', async () => {
    const { out } = await cli.berth(['events', '--job', 'show-a', '-o', 'json']);
    const types = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).type);
    expect(types).toEqual(['job.created', 'task.pending']);
  });

  it('shows the events to come, until interrupted', async () => {
    const following = cli.start(['events', '-f', '--job', 'show-e']);
    // When the stream stands can't be seen from outside, so something is made to happen until it is seen.
    await vi.waitFor(async () => {
      const stdin = `${jobFile('show-e')}labels: {at: "${performance.now()}"}\n`;
      await cli.berth(['job', 'apply', '-d', '-'], { stdin });
      expect(following.out()).toMatch(/ {2}task\.pending {2,}show-e-main-0-/);
    }, WAIT);
    following.interrupt('SIGINT');
    expect((await following.done).code).toBe(0);
  });
});

describe('ending', () => {
  it('stops a job and waits for its end', async () => {
    await cli.berth(['run', '-d', '--name', 'end-a', 'busybox']);
    const { code, err } = await cli.berth(['job', 'stop', 'end-a', '--reason', 'not needed']);
    expect(code).toBe(0);
    expect(err).toMatch(/job end-a stopped: /);
    expect((await cli.berth(['job', 'show', 'end-a'])).out).toContain('not needed');
  });

  it('stops one task', async () => {
    await cli.berth(['run', '-d', '--name', 'end-b', 'busybox']);
    await tasksOf('end-b');
    expect(await cli.berth(['task', 'stop', 'end-b-main-0'])).toMatchObject({ code: 0 });
    await vi.waitFor(async () => expect((await cli.berth(['task', 'show', 'end-b'])).out).toMatch(/^State +killed/m));
  });

  it('deletes a job', async () => {
    await cli.berth(['run', '-d', '--name', 'end-c', 'busybox']);
    expect(await cli.berth(['job', 'delete', 'end-c'])).toMatchObject({ code: 0 });
    await vi.waitFor(async () => expect((await cli.berth(['job', 'show', 'end-c'])).code).toBe(1));
  });

  it('of what is not there is refused', async () => {
    expect(await cli.berth(['job', 'stop', 'nope'])).toMatchObject({ code: 1, err: expect.stringContaining('nope') });
    expect(await cli.berth(['node', 'gone', 'nope', '--yes'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no node "nope"'),
    });
    expect(await cli.berth(['node', 'drain', 'nope'])).toMatchObject({ code: 1, err: expect.stringContaining('nope') });
  });
});

describe('tokens', () => {
  it('go to stdout alone, and allow no more than they say', async () => {
    const made = await cli.berth([
      'token',
      'create',
      'reader',
      '--role',
      'show',
      '--action',
      'job:read',
      '--ttl',
      '1h',
    ]);
    expect(made).toMatchObject({ code: 0, err: expect.stringMatching(/^token \S+ for reader, until /) });
    const token = made.out.trim();
    expect(made.out).toBe(`${token}\n`);
    expect(await cli.berth(['job', 'list', '--token', token])).toMatchObject({ code: 0 });
    const refused = await cli.berth(['job', 'stop', 'show/show-a', '--token', token]);
    expect(refused).toMatchObject({ code: 4, err: expect.stringContaining('job:write') });
    const wider = await cli.berth(['token', 'create', 'x', '--action', '*', '--role', '*', '--token', token]);
    expect(wider.code).toBe(4);
  });

  it('for agents let nobody read', async () => {
    const { out } = await cli.berth(['token', 'create', 'rack-7', '--join']);
    expect((await cli.berth(['job', 'list', '--token', out.trim()])).code).toBe(4);
  });
});
