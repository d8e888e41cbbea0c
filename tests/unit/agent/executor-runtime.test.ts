/** Executors and what they run, over the engine that tests use; the executors' sockets are real. */
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MESSAGES_WAITING_MAX } from '../../../node-agent/adapters/executor/executor.ts';
import { ExecutorRuntime } from '../../../node-agent/adapters/executor/executor-runtime.ts';
import type { ExecutorEvent } from '../../../node-agent/adapters/executor/protocol.ts';
import type { Container } from '../../../node-agent/core/model.ts';
import type {
  ContainerRequest,
  ExecutorsListener,
  RunResult,
  Subscription,
} from '../../../node-agent/executor/contracts.ts';
import type { TaskGroup } from '../../../shared/domain/job.ts';
import { type LogLine, MESSAGE_BYTES_MAX } from '../../../shared/protocol/agent.ts';
import { present } from '../../../shared/util/assert.ts';
import { FakeRuntime, LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, evenChance, IMAGE, TestClock } from './world.ts';

const clock = new TestClock();
let machine: FakeRuntime;
let dir: string;
let runtime: ExecutorRuntime;
let watch: Subscription;
let ends: string[];
/** What the machine was asked to run. */
let requests: ContainerRequest[];
const readers: { close: () => void }[] = [];
let chance = 0;
/** Another one each time: ids are made of it. */
const random = {
  ...evenChance,
  bytes: (length: number) => {
    chance += 1;
    return new Uint8Array(length).fill(chance % 32);
  },
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-ex-'));
  machine = new FakeRuntime({ clock, images: [IMAGE], behaviour: () => ({ ...LONG_RUNNING, startMs: 0 }) });
  ends = [];
  requests = [];
  runtime = await open();
});

afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  close();
  await rm(dir, { recursive: true, force: true });
});

/** The agent goes; executors and their tasks stay. */
function close(): void {
  watch.close();
  runtime.close();
}

async function open(): Promise<ExecutorRuntime> {
  const spied = new Proxy(machine, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        if (name === 'run') requests.push(args[0] as ContainerRequest);
        return Reflect.apply(member, target, args);
      };
    },
  });
  const opened = await ExecutorRuntime.open({ machine: spied, dir: join(dir, 'x'), clock, random });
  watch = opened.watch({ onEnd: (task) => ends.push(task), onGap: () => {} });
  return opened;
}

async function run(id: string, group: Partial<TaskGroup>, beforeStart = async () => {}): Promise<RunResult> {
  const assigned = anAssigned(id, { name: `the ${id}`, group });
  const running = runtime.run({ assigned, epoch: 1, run: 0, mountSources: new Map() }, beforeStart);
  let isDone = false;
  const done = () => {
    isDone = true;
  };
  running.then(done, done);
  await vi.waitFor(async () => {
    await clock.advance(0);
    expect(isDone).toBe(true);
  });
  return running;
}

async function started(id: string, group: Partial<TaskGroup>): Promise<Container> {
  const result = await run(id, group);
  if (result.type !== 'started') throw new Error(JSON.stringify(result));
  return result.container;
}

/** An executor whose container runs, and its socket. */
async function startExecutor(): Promise<{ container: Container; socketPath: string }> {
  const container = await started('runner', { isExecutor: true });
  return { container, socketPath: `${present(requests.at(-1)?.endpoint, 'an endpoint')}/executor.sock` };
}

const hosted: Partial<TaskGroup> = { image: '', runtime: 'executor', executor: 'runner', command: ['work'] };

/** What the executor hears from now on. */
function listen(socketPath: string): ExecutorEvent[] {
  const heard: ExecutorEvent[] = [];
  const call = request({ socketPath, path: '/events' }, (response) => {
    let rest = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      heard.push(...lines.map((line) => JSON.parse(line) as ExecutorEvent));
    });
    response.on('error', () => {});
  });
  call.on('error', () => {});
  call.end();
  readers.push({ close: () => call.destroy() });
  return heard;
}

function say(socketPath: string, path: string, body: unknown): Promise<{ code: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, method: 'POST' }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ code: response.statusCode ?? 0, text }));
    });
    call.on('error', reject);
    call.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
}

async function tell(socketPath: string, body: unknown): Promise<number> {
  return (await say(socketPath, '/status', body)).code;
}

describe('an executor', () => {
  it('is a task like any other, with a folder of its own for its socket', async () => {
    const { container, socketPath } = await startExecutor();
    expect(machine.started).toEqual(['runner']);
    expect(await runtime.list()).toEqual([container]);
    expect((await stat(socketPath)).isSocket()).toBe(true);
  });

  it('shares its folder with nobody', async () => {
    const { socketPath } = await startExecutor();
    expect((await stat(join(socketPath, '../..'))).mode & 0o777).toBe(0o700);
    await started('plain', {});
    expect(requests.at(-1)?.endpoint).toBeUndefined();
  });

  it('is let go of when nothing of it is left', async () => {
    const { container } = await startExecutor();
    await started('t', hosted);
    machine.killFromOutside(container.id);
    await vi.waitFor(() => expect(ends).toContain('t'));
    await runtime.remove(container.id);
    await runtime.list();
    expect(await readdir(join(dir, 'x'))).toHaveLength(1);
    for (const { id } of await runtime.list()) await runtime.remove(id);
    expect(await runtime.list()).toEqual([]);
    expect(await readdir(join(dir, 'x'))).toEqual([]);
  });
});

describe('a task that an executor runs', () => {
  it('has no container, and is launched over the socket until its executor says a word about it', async () => {
    const { socketPath } = await startExecutor();
    const container = await started('t', { ...hosted, env: { A: 'b' } });
    expect(container).toMatchObject({ task: 't', state: 'running' });
    expect(machine.started).toEqual(['runner']);
    const launch = { type: 'launch', task: 't', name: 'the t', run: 0, command: ['work'], env: { A: 'b' } };
    const first = listen(socketPath);
    await vi.waitFor(() => expect(first).toMatchObject([launch]));
    const second = listen(socketPath);
    await vi.waitFor(() => expect(second).toMatchObject([launch]));
    expect(await tell(socketPath, { task: 't', state: 'running' })).toBe(204);
    await runtime.signal(container.id, 'SIGTERM');
    const third = listen(socketPath);
    await vi.waitFor(() => expect(third).toEqual([{ type: 'kill', task: 't', isForced: false }]));
    await runtime.signal(container.id, 'SIGKILL');
    await vi.waitFor(() => expect(third.at(-1)).toEqual({ type: 'kill', task: 't', isForced: true }));
  });

  it.each([
    [{ state: 'finished' }, { state: 'finished', reason: 'exited', exitCode: 0 }],
    [
      { state: 'failed', exitCode: 3, message: 'no luck' },
      { state: 'failed', reason: 'exited', exitCode: 3, message: 'no luck' },
    ],
    [
      { state: 'error', message: 'what?' },
      { state: 'error', reason: 'command-unusable', exitCode: null, message: 'what?' },
    ],
  ])('ends as its executor says: %j', async (said, ending) => {
    const { socketPath } = await startExecutor();
    const { id } = await started('t', hosted);
    expect(await tell(socketPath, { task: 't', ...said })).toBe(204);
    expect(ends).toEqual(['t']);
    expect(await runtime.inspect(id)).toMatchObject({ state: 'exited', ending });
    // Said again, it is noted already; an end is final.
    expect(await tell(socketPath, { task: 't', state: 'failed' })).toBe(204);
    expect(await runtime.inspect(id)).toMatchObject({ ending });
    expect(await tell(socketPath, { task: 't', state: 'running' })).toBe(410);
    expect(await runtime.remove(id)).toBe(true);
    expect(await tell(socketPath, { task: 't', state: 'running' })).toBe(404);
  });

  it('has not ended before that is on disk', async () => {
    const { socketPath } = await startExecutor();
    const { id } = await started('t', hosted);
    const tasks = join(socketPath, '../../tasks');
    await rename(tasks, `${tasks}-away`);
    const status = { task: 't', state: 'finished' };
    expect(await tell(socketPath, status)).toBe(500);
    expect(ends).toEqual([]);
    expect(await runtime.inspect(id)).toMatchObject({ state: 'running' });
    await rename(`${tasks}-away`, tasks);
    expect(await tell(socketPath, status)).toBe(204);
    expect(ends).toEqual(['t']);
  });

  it('is not removed while it runs', async () => {
    await startExecutor();
    const { id } = await started('t', hosted);
    expect(await runtime.remove(id)).toBe(false);
    expect(await runtime.inspect(id)).toMatchObject({ state: 'running' });
  });

  it('ends with its executor, by an event or by what is listed later', async () => {
    const { container } = await startExecutor();
    const { id } = await started('t', hosted);
    machine.killFromOutside(container.id);
    await vi.waitFor(() => expect(ends).toContain('t'));
    const ending = { state: 'failed', reason: 'executor-ended' };
    expect(await runtime.inspect(id)).toMatchObject({ state: 'exited', exitCode: null, ending });
  });

  it('ends with its executor while no agent is there', async () => {
    const { container } = await startExecutor();
    await started('t', hosted);
    close();
    machine.killFromOutside(container.id);
    runtime = await open();
    const listed = (await runtime.list()).find(({ task }) => task === 't');
    expect(listed).toMatchObject({ state: 'exited', ending: { reason: 'executor-ended' } });
  });

  it('is not started without its executor', async () => {
    expect(await run('t', hosted)).toMatchObject({ type: 'refused', reason: 'executor-ended' });
    const { container } = await startExecutor();
    machine.killFromOutside(container.id);
    expect(await run('t', hosted)).toMatchObject({ type: 'refused', reason: 'executor-ended' });
  });

  it('is not launched where the agent must not', async () => {
    const { socketPath } = await startExecutor();
    const heard = listen(socketPath);
    const refusing = run('t', hosted, () => Promise.reject(new Error('not now')));
    await expect(refusing).rejects.toThrow('not now');
    const [left] = (await runtime.list()).filter(({ task }) => task === 't');
    expect(left).toMatchObject({ state: 'created' });
    await started('t', hosted);
    expect((await runtime.list()).filter(({ task }) => task === 't')).toHaveLength(1);
    await vi.waitFor(() => expect(heard).toHaveLength(1));
  });

  it('is taken up by the next agent, with what its executor has not confirmed', async () => {
    const { socketPath } = await startExecutor();
    const taken = await started('t', hosted);
    await started('u', hosted);
    await tell(socketPath, { task: 't', state: 'running' });
    await runtime.signal(taken.id, 'SIGTERM');
    close();
    runtime = await open();
    expect((await runtime.list()).map(({ task, state }) => [task, state]).sort()).toEqual([
      ['runner', 'running'],
      ['t', 'running'],
      ['u', 'running'],
    ]);
    const heard = listen(socketPath);
    await vi.waitFor(() =>
      expect(heard.map(({ type, task }) => [type, task]).sort()).toEqual([
        ['kill', 't'],
        ['launch', 'u'],
      ]),
    );
  });

  it('says where its output is', async () => {
    await startExecutor();
    const { id } = await started('t', hosted);
    const lines: LogLine[] = [];
    for await (const batch of runtime.logs(
      id,
      { follow: true, tail: null, since: null },
      new AbortController().signal,
    )) {
      lines.push(...batch);
    }
    expect(lines).toMatchObject([{ error: expect.stringContaining('task "runner"') }]);
  });
});

describe('messages', () => {
  const said: { task: string; data: string }[] = [];
  const taken: string[] = [];
  let isFull = false;
  const listener: ExecutorsListener = {
    onSaid: (message) => !isFull && said.push(message) > 0,
    onTaken: (message) => taken.push(message),
  };

  beforeEach(() => {
    said.length = 0;
    taken.length = 0;
    isFull = false;
    runtime.listen(listener);
  });

  it('come to an executor until it confirms them', async () => {
    const { socketPath } = await startExecutor();
    await started('t', hosted);
    await tell(socketPath, { task: 't', state: 'running' });
    expect(runtime.deliver({ id: 'a', task: 'runner', data: 'x' })).toBe('waits');
    expect(runtime.deliver({ id: 'b', task: 't', data: 'y' })).toBe('waits');
    expect(runtime.deliver({ id: 'b', task: 't', data: 'y' })).toBe('waits');
    expect(runtime.deliver({ id: 'c', task: 'nobody', data: 'z' })).toBe('gone');
    const heard = listen(socketPath);
    const a = { type: 'message', id: 'a', task: null, data: 'x' };
    const b = { type: 'message', id: 'b', task: 't', data: 'y' };
    await vi.waitFor(() => expect(heard).toEqual([a, b]));
    await say(socketPath, '/confirm', { message: 'a' });
    await say(socketPath, '/confirm', { message: 'a' });
    expect(taken).toEqual(['a']);
    const again = listen(socketPath);
    await vi.waitFor(() => expect(again).toEqual([b]));
    runtime.withdraw('b');
    const later = listen(socketPath);
    runtime.deliver({ id: 'd', task: 'runner', data: '' });
    await vi.waitFor(() => expect(later.map((event) => 'id' in event && event.id)).toEqual(['d']));
  });

  it('wait where they come from when too many wait for one executor', async () => {
    await startExecutor();
    for (let n = 0; n < MESSAGES_WAITING_MAX; n += 1) {
      expect(runtime.deliver({ id: `m${n}`, task: 'runner', data: '' })).toBe('waits');
    }
    expect(runtime.deliver({ id: 'more', task: 'runner', data: '' })).toBe('crowded');
  });

  it('go to the framework from the executor or a task of its own, and wait there when too many wait here', async () => {
    const { socketPath } = await startExecutor();
    await started('t', hosted);
    expect((await say(socketPath, '/message', { data: 'one' })).code).toBe(202);
    expect((await say(socketPath, '/message', { data: 'two', task: 't' })).code).toBe(202);
    expect((await say(socketPath, '/message', { data: 'three', task: 'runner-2' })).code).toBe(404);
    expect(said).toEqual([
      { task: 'runner', data: 'one' },
      { task: 't', data: 'two' },
    ]);
    isFull = true;
    expect((await say(socketPath, '/message', { data: 'four' })).code).toBe(429);
  });

  it.each<[string, string, unknown, number, string]>([
    ['no JSON', '/status', '{', 400, 'JSON object'],
    ['no task', '/status', { state: 'running' }, 400, '`task`'],
    ['a state that there is not', '/status', { task: 't', state: 'killed' }, 400, 'running, finished, failed, error'],
    ['an exit code that there is not', '/status', { task: 't', state: 'failed', exitCode: 1.5 }, 400, '`exitCode`'],
    ['data that is no text', '/message', { data: 1 }, 400, '`data`'],
    ['too much data', '/message', { data: 'x'.repeat(MESSAGE_BYTES_MAX + 1) }, 400, `${MESSAGE_BYTES_MAX} bytes`],
    ['far too much of anything', '/message', 'x'.repeat(9 * MESSAGE_BYTES_MAX), 413, 'longer than'],
    ['an id that is none', '/confirm', { message: 1 }, 400, '`message`'],
    ['a call that there is not', '/state', {}, 404, '/state'],
  ])(
    'and all else that an executor says is refused with a reason where it is %s',
    async (_, path, body, code, words) => {
      const { socketPath } = await startExecutor();
      const answer = await say(socketPath, path, body);
      expect(answer.code).toBe(code);
      expect(JSON.parse(answer.text)).toMatchObject({ message: expect.stringContaining(words) });
    },
  );

  it('takes as much as a message may hold, however it is spelled', async () => {
    const { socketPath } = await startExecutor();
    const body = `{"data":"${'\\u0001'.repeat(MESSAGE_BYTES_MAX)}"}`;
    expect((await say(socketPath, '/message', body)).code).toBe(202);
  });
});
