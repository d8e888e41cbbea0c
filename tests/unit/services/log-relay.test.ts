import fc from 'fast-check';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { LineSink } from '../../../control-plane/services/line-sink.ts';
import { takeLines } from '../../../control-plane/services/log-lines.ts';
import { LogRelay, type LogRequest } from '../../../control-plane/services/log-relay.ts';
import type { StreamMeeting } from '../../../control-plane/services/stream-meeting.ts';
import { outputOf } from '../../../control-plane/services/task-logs.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { TaskState } from '../../../shared/domain/task.ts';
import type { LogLine } from '../../../shared/protocol/agent.ts';
import { ManualClock, settle } from '../../store/manual-clock.ts';
import { aJob, aTask } from '../../support/builders.ts';
import { eventually } from '../../support/processes.ts';
import { caughtUp, JOINER, nodeOf, startReplica, type TestReplica } from '../../support/replica.ts';

function line(text: string): LogLine {
  return { at: '2030-01-01T00:00:00Z', stream: 'stdout', text };
}

describe('lines out of a stream that is cut anywhere', () => {
  it('are the lines that went in', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { maxLength: 20 });
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 40 }), (written, size) => {
        const stream = written.map((text) => `${JSON.stringify(line(text))}\n`).join('');
        let rest = '';
        const read: string[] = [];
        for (let at = 0; at < stream.length; at += size) {
          const taken = takeLines(rest, stream.slice(at, at + size));
          rest = taken.rest;
          read.push(...taken.lines.map((one) => one.text));
        }
        expect(read).toEqual(written);
        expect(rest).toBe('');
      }),
    );
  });

  it.each([
    ['no JSON', 'oops\n', "a line isn't JSON"],
    ['something else', '{"at":"","stream":"stdin","text":""}\n', '/stream'],
    ['more than a line', '{"at":"","stream":"stdout","text":"","x":1}\n', 'x'],
    ['a line without end', 'x'.repeat(2_200_000), 'more than 2097152 characters'],
  ])('are refused if they are %s', (_name, text, why) => {
    expect(() => takeLines('', text)).toThrow(why);
  });
});

describe('a sink', () => {
  it('makes who brings lines wait until they are read', async () => {
    const sink = new LineSink('edge-1');
    const block = [line('x'.repeat(300_000))];
    let taken = false;
    const pushed = sink.push(block).then((isRead) => {
      taken = isRead;
    });
    await settle();
    expect(taken).toBe(false);
    const reader = sink.read();
    expect((await reader.next()).value).toEqual(block);
    await pushed;
    expect(taken).toBe(true);
  });

  it('hands out all there was before it ends with an error', async () => {
    const sink = new LineSink('edge-1');
    await sink.push([line('a')]);
    sink.end(new Error('broken'));
    const reader = sink.read();
    expect((await reader.next()).value).toEqual([line('a')]);
    await expect(reader.next()).rejects.toThrow('broken');
  });

  it('tells who brings lines that nobody reads any more', async () => {
    const sink = new LineSink('edge-1');
    const waiting = sink.push([line('x'.repeat(300_000))]);
    sink.abandon();
    expect(await waiting).toBe(false);
    expect(await sink.push([line('y')])).toBe(false);
    expect(await sink.read().next()).toEqual({ done: true, value: undefined });
  });
});

describe('whether a task has output', () => {
  const at = (state: TaskState) => ({ state, atMs: 0, reason: 'started', message: '' }) as const;
  it.each<[TaskState, TaskState[], number | null, string]>([
    ['pending', ['pending'], null, 'later'],
    ['staging', ['pending', 'staging'], null, 'later'],
    ['starting', ['pending', 'staging', 'starting'], null, 'later'],
    ['running', ['pending', 'staging', 'running'], null, 'there'],
    ['finished', ['pending', 'staging', 'running', 'finished'], 0, 'there'],
    ['failed', ['pending', 'staging', 'failed'], 1, 'there'],
    ['killed', ['pending', 'staging', 'running', 'killed'], null, 'there'],
    ['killed', ['pending', 'staging', 'killed'], null, 'none'],
    ['error', ['pending', 'staging', 'error'], null, 'none'],
    ['lost', ['pending', 'staging', 'lost'], null, 'none'],
  ])('that is %s after %j with exit code %j: %s', (state, history, exitCode, output) => {
    expect(outputOf(aTask(aJob(), { state, history: history.map(at), exitCode, node: 'edge-1' }))).toBe(output);
  });
});

describe('the relay', () => {
  let clock: ManualClock;
  let replica: TestReplica;
  let relay: LogRelay;

  beforeEach(async () => {
    clock = new ManualClock();
    const starting = startReplica({ clock });
    replica = await starting;
    const registered = registerNode(replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    await registered;
    const never = () => Promise.reject(new Error('there is no other replica'));
    relay = new LogRelay({ ctx: replica.ctx, peerToken: never, fetch: never });
  });

  function request(change: Partial<LogRequest> = {}): LogRequest {
    const { signal } = new AbortController();
    return { task: 't', node: 'edge-1', follow: true, tail: null, since: null, signal, ...change };
  }

  async function streams(): Promise<string[]> {
    return (await replica.ctx.store.range({ prefix: '/berth/streams/' })).keyValues.map((one) => one.key);
  }

  /** The id of the one stream that is wanted. */
  async function wantedId(): Promise<string> {
    await settle();
    return (await streams())[0]?.split('/').at(-1) ?? '';
  }

  function bodyOf(text: string): ReadableStream<Uint8Array> {
    return new Blob([text]).stream();
  }

  it('names the node whose agent does not answer within ten seconds, and takes its wish back', async () => {
    const refused = expect(relay.open(request())).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('the agent of node "edge-1" did not send the output of task "t" within 10 s'),
    });
    await settle();
    expect(await streams()).toHaveLength(1);
    // Heartbeats keep the node: it is only its agent that is slow to answer.
    await clock.advance(9000);
    await replica.ctx.store.keepLeaseAlive(replica.ctx.mirror.snapshot.lease('/berth/alive/edge-1') ?? '');
    await clock.advance(1000);
    await refused;
    await settle();
    expect(await streams()).toEqual([]);
  });

  it('keeps its wishes alive for as long as they are followed, and no longer', async () => {
    const leaving = new AbortController();
    const opening = relay.open(request({ signal: leaving.signal }));
    const id = await wantedId();
    const never = new ReadableStream<Uint8Array>();
    const delivered = relay.deliver('edge-1', id, never);
    await opening;
    for (let beats = 0; beats < 12; beats++) {
      await clock.advance(5000);
      await replica.ctx.store.keepLeaseAlive(replica.ctx.mirror.snapshot.lease('/berth/alive/edge-1') ?? '');
    }
    expect(await streams()).toHaveLength(1);
    leaving.abort();
    await delivered;
    await settle();
    expect(await streams()).toEqual([]);
  });

  it('asks anew under another lease when the one it has was lost', async () => {
    const first = relay.open(request());
    const id = await wantedId();
    const lease = replica.ctx.mirror.snapshot.lease(`/berth/streams/edge-1/${id}`) ?? '';
    await replica.ctx.store.revokeLease(lease);
    const second = relay.open(request());
    const again = await wantedId();
    expect(again).not.toBe(id);
    await relay.deliver('edge-1', again, bodyOf(`${JSON.stringify(line('a'))}\n`));
    const read: string[] = [];
    for await (const lines of await second) read.push(...lines.map((one) => one.text));
    expect(read).toEqual(['a']);
    const refused = expect(first).rejects.toMatchObject({ code: 'conflict' });
    await clock.advance(10_000);
    await refused;
  });

  it('asks one node for so many streams at a time, whichever replica they are read on, and says so', async () => {
    const peer = (id: string, node: string) => {
      const stream = { id, node, task: 't', replica: 'other', follow: true, tail: null, since: null, requestedAtMs: 0 };
      return putRecord('streams', keys.stream(node, id), stream);
    };
    for (let block = 0; block < 5; block++) {
      const ids = Array.from({ length: 51 }, (_, place) => `s${block}x${place}`);
      await replica.ctx.store.transact({ compares: [], writes: ids.map((id) => peer(id, 'edge-1')) });
    }
    await replica.ctx.store.transact({ compares: [], writes: [peer('elsewhere', 'edge-2')] });
    await settle();
    const leaving = new AbortController();
    const last = relay.open(request({ signal: leaving.signal }));
    await expect(relay.open(request())).rejects.toMatchObject({
      code: 'limit-exceeded',
      message: '256 clients read output of tasks on node "edge-1" already; try again later',
      retryAfterSeconds: 5,
    });
    await settle();
    expect(await streams()).toHaveLength(257);
    leaving.abort();
    await last;
    await settle();
    expect(await streams()).toHaveLength(256);
    const next = new AbortController();
    const again = relay.open(request({ signal: next.signal }));
    await settle();
    expect(await streams()).toHaveLength(257);
    next.abort();
    await again;
  });

  it('refuses what is sent to it by mistake', async () => {
    await expect(relay.deliver('edge-1', 'nothing', bodyOf(''))).rejects.toMatchObject({ code: 'not-found' });
    await expect(relay.deliverFromPeer('nothing', bodyOf(''))).rejects.toMatchObject({ code: 'not-found' });
  });

  it('ends its streams when the replica goes away, and they do not look complete', async () => {
    const opening = relay.open(request());
    const delivered = relay.deliver('edge-1', await wantedId(), new ReadableStream<Uint8Array>());
    const lines = await opening;
    relay.close();
    const reader = lines[Symbol.asyncIterator]();
    await expect(reader.next()).rejects.toMatchObject({ name: 'LogInterrupted' });
    void delivered;
  });
});

describe('where those who bring and those who read are served by different processes', () => {
  /** One place for all processes of a platform. */
  function meetingPlace(): StreamMeeting & { readonly given: string[] } {
    const waiting = new Map<string, (body: ReadableStream<Uint8Array> | null) => void>();
    const given: string[] = [];
    return {
      given,
      read: (id, signal) =>
        new Promise((resolve) => {
          waiting.set(id, resolve);
          signal.addEventListener('abort', () => resolve(null), { once: true });
        }),
      async bring(id, body) {
        const give = waiting.get(id);
        if (give === undefined) return 'nobody-reads';
        if (given.includes(id)) return 'brought-already';
        given.push(id);
        const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
        give(readable);
        await body.pipeTo(writable).catch(() => undefined);
        return 'taken';
      },
    };
  }

  async function twoDoors(urls: { reads: string; brings: string }) {
    const store = new MemoryStore({ clock: new SystemClock() });
    const meeting = meetingPlace();
    const calls: string[] = [];
    const peer = (url: string | URL | Request) => {
      calls.push(String(url));
      return Promise.resolve(new Response(null, { status: 204 }));
    };
    const doorAt = async (id: string, url: string) => {
      const { ctx, stop } = await startReplica({ store, id });
      onTestFinished(stop);
      const own = { ...ctx, replica: { id, url } };
      return new LogRelay({ ctx: own, peerToken: async () => 'token', fetch: peer as typeof fetch, meeting });
    };
    const reads = await doorAt('edge-a', urls.reads);
    const brings = await doorAt('edge-b', urls.brings);
    const { ctx, stop } = await startReplica({ store, id: 'registers' });
    onTestFinished(stop);
    await registerNode(ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    return { store, ctx, meeting, calls, reads, brings };
  }

  const EDGE = 'https://berth.example';
  const text = `${JSON.stringify(line('a'))}\n${JSON.stringify(line('b'))}\n`;

  async function opened({ reads, ctx, store }: Awaited<ReturnType<typeof twoDoors>>, signal: AbortSignal) {
    await caughtUp(ctx);
    const request = { task: 't', node: 'edge-1', follow: true, tail: null, since: null, signal };
    const lines = eventuallyOpen(() => reads.open(request));
    const id = await eventually('the stream to be on record', async () => {
      const { keyValues } = await store.range({ prefix: '/berth/streams/' });
      return keyValues[0]?.key.split('/').at(-1);
    });
    return { lines, id };
  }

  /** The reader's own mirror may not know of the node yet. */
  async function eventuallyOpen<T>(open: () => Promise<T>): Promise<T> {
    return eventually('the node to be known', () => open());
  }

  it('they meet, whichever of them serves which', async () => {
    const doors = await twoDoors({ reads: EDGE, brings: EDGE });
    const { lines, id } = await opened(doors, new AbortController().signal);
    await doors.brings.deliver('edge-1', id, new Blob([text]).stream());
    const read: string[] = [];
    for await (const batch of await lines) read.push(...batch.map((one) => one.text));
    expect(read).toEqual(['a', 'b']);
    expect([doors.meeting.given, doors.calls]).toEqual([[id], []]);
  });

  it('a replica finds the door of the one who reads by its URL, for as long as the stream is on record', async () => {
    const doors = await twoDoors({ reads: EDGE, brings: 'http://10.0.0.1:7878' });
    const over = new AbortController();
    const { lines, id } = await opened(doors, over.signal);
    void lines.catch(() => undefined);
    await eventually('the replica to know the door', async () => {
      await doors.brings.deliver('edge-1', id, new Blob([text]).stream());
      return true;
    });
    expect(doors.calls).toEqual([`${EDGE}/v1/peer/streams/${id}`]);
    await doors.brings.deliverFromPeer(id, new Blob([text]).stream());
    await lines;
    over.abort();
    await eventually('what it left on record to go', async () => {
      const { keyValues } = await doors.store.range({ prefix: '/berth/replicas/' });
      return keyValues.length === 0;
    });
  });

  it('says so when nobody reads, and when somebody brings it already', async () => {
    const doors = await twoDoors({ reads: EDGE, brings: EDGE });
    const { lines, id } = await opened(doors, new AbortController().signal);
    const first = doors.brings.deliver('edge-1', id, new ReadableStream());
    await lines;
    await expect(doors.brings.deliver('edge-1', id, new Blob([text]).stream())).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(doors.brings.deliverFromPeer('nothing', new Blob([text]).stream())).rejects.toMatchObject({
      code: 'not-found',
    });
    void first;
  });
});
