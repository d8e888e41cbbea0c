import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { StreamRequest } from '../../../shared/protocol/agent.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, line, ndjson, placeTask } from '../../support/api-agent.ts';
import { caughtUp } from '../../support/replica.ts';

const EVENTS = { accept: 'text/event-stream' };

let peers: Map<string, TestApi>;
/** Where clients ask. */
let berth: TestApi;
/** Another replica over the same store. */
let other: TestApi;
let agent: ApiAgent;

beforeEach(async () => {
  const clock = new SystemClock();
  const store = new MemoryStore({ clock });
  peers = new Map();
  berth = await startApi({ store, clock, id: 'here', peers });
  other = await startApi({ store, clock, id: 'there', peers });
  agent = await ApiAgent.register(berth);
});
afterEach(() => {
  for (const replica of peers.values()) replica.stop();
});

async function runningTask(): Promise<string> {
  const task = await placeTask(berth);
  await agent.report(task, 'running');
  return task;
}

/** What the agent is asked to send. */
async function wanted(): Promise<StreamRequest> {
  const { streams } = await agent.assignment((assignment) => assignment.streams.length > 0);
  const [stream] = streams;
  if (stream === undefined) throw new Error('no stream is wanted');
  return stream;
}

async function noStreamWanted(): Promise<void> {
  await agent.assignment((assignment) => assignment.streams.length === 0);
}

function output(
  task: string,
  query = '',
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return berth.send('GET', `/v1/tasks/${task}/logs${query}`, { headers, ...(signal !== undefined && { signal }) });
}

describe("a task's output", () => {
  it('comes as text from the agent, line by line as it was written', async () => {
    const task = await runningTask();
    const asked = output(task);
    const { id, ...request } = await wanted();
    expect(request).toEqual({ task, follow: false, tail: null, since: null });
    const delivered = agent.stream(id, ndjson(line(1, 'hello'), line(2, 'oh no', 'stderr'), line(3, 'ünïcödé ✓')));
    const response = await asked;
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await response.text()).toBe('hello\noh no\nünïcödé ✓\n');
    expect((await delivered).status).toBe(204);
    await noStreamWanted();
  });

  it('comes over another replica, if that is the one that the agent talks to', async () => {
    const task = await runningTask();
    const asked = output(task, '?timestamps=true');
    agent.berth = other;
    const { id } = await wanted();
    const delivered = agent.stream(id, ndjson(line(1, 'from afar')));
    expect(await (await asked).text()).toBe('2030-01-01T00:00:01.000000000Z from afar\n');
    expect((await delivered).status).toBe(204);
  });

  it('is cut to what was asked for by the agent', async () => {
    const task = await runningTask();
    const asked = output(task, '?tail=5&since=2030-01-01T02:00:00.5%2B02:00&follow=true');
    const { id, ...request } = await wanted();
    expect(request).toEqual({ task, follow: true, tail: 5, since: '2030-01-01T00:00:00.500000000Z' });
    await Promise.all([agent.stream(id, ''), asked]);
  });

  it('may be counted back from now', async () => {
    const task = await runningTask();
    const asked = output(task, '?since=1h30m');
    const { id, since } = await wanted();
    const back = Date.now() - Date.parse(since ?? '');
    expect(back).toBeGreaterThanOrEqual(5_400_000);
    expect(back).toBeLessThan(5_460_000);
    await Promise.all([agent.stream(id, ''), asked]);
  });

  it('comes as events with their times as ids, and with the end of the task', async () => {
    const task = await runningTask();
    const asked = output(task, '?follow=true', EVENTS);
    const { id } = await wanted();
    const delivered = agent.stream(id, ndjson(line(1, 'a'), line(2, 'b')));
    const response = await asked;
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const text = response.text();
    await delivered;
    await agent.report(task, 'finished', { reason: 'exited', exitCode: 0 });
    expect(await text).toBe(
      [
        `event: log\nid: ${line(1, '').at}\ndata: ${JSON.stringify(line(1, 'a'))}\n\n`,
        `event: log\nid: ${line(2, '').at}\ndata: ${JSON.stringify(line(2, 'b'))}\n\n`,
        'event: end\ndata: {"state":"finished","exitCode":0}\n\n',
      ].join(''),
    );
  });

  it('gives no position in the middle of a line', async () => {
    const task = await runningTask();
    const asked = output(task, '', EVENTS);
    const { id } = await wanted();
    await agent.stream(id, ndjson({ ...line(1, 'a'), continues: true }, line(1, 'b')));
    const text = await (await asked).text();
    expect(text.match(/^(id: .*|event: log)$/gm)).toEqual(['event: log', 'event: log', `id: ${line(1, '').at}`]);
  });

  it('goes on after the last line that the client has', async () => {
    const task = await runningTask();
    const asked = output(task, '?tail=3', { ...EVENTS, 'last-event-id': line(7, '').at });
    const { id, tail, since } = await wanted();
    expect([tail, since]).toEqual([null, line(7, '').at]);
    await Promise.all([agent.stream(id, ''), asked]);
    expect((await output(task, '', { ...EVENTS, 'last-event-id': 'yesterday' })).status).toBe(400);
  });

  it('ends with what the agent says of it, if there is none to be had', async () => {
    const task = await runningTask();
    const last = { at: '', stream: 'stderr', text: '', error: 'the container is gone' } as const;
    const asText = output(task);
    const first = await wanted();
    await agent.stream(first.id, ndjson(line(1, 'a'), last));
    expect(await (await asText).text()).toBe('a\nberth: the output ends here: the container is gone\n');
    await noStreamWanted();
    const asEvents = output(task, '', EVENTS);
    const second = await wanted();
    await agent.stream(second.id, ndjson(last));
    expect(await (await asEvents).text()).toContain(
      'event: error\ndata: {"code":"conflict","message":"the container is gone"}',
    );
  });

  it('is empty for a task that has not started, and waited for if it is followed', async () => {
    const task = await placeTask(berth);
    expect(await (await output(task)).text()).toBe('');
    const followed = await output(task, '?follow=true');
    const text = followed.text();
    await agent.report(task, 'running');
    const { id } = await wanted();
    await agent.stream(id, ndjson(line(1, 'at last')));
    expect(await text).toBe('at last\n');
  });

  it('of a task that ends before it starts is its end', async () => {
    const task = await placeTask(berth);
    const text = (await output(task, '?follow=true', EVENTS)).text();
    await agent.report(task, 'error', { reason: 'image-unavailable' });
    expect(await text).toBe('event: end\ndata: {"state":"error","exitCode":null}\n\n');
  });

  it('is not for everybody', async () => {
    const task = await runningTask();
    const blind = await berth.token({ subject: 'ops', roles: ['ops'], actions: ['*'] });
    expect((await berth.send('GET', `/v1/tasks/${task}/logs`, { token: blind })).status).toBe(404);
    const deaf = await berth.token({ actions: ['task:read'] });
    expect((await berth.send('GET', `/v1/tasks/${task}/logs`, { token: deaf })).status).toBe(403);
  });
});

describe('when something is in the way of output', () => {
  it('a node that is unreachable is named at once', async () => {
    const task = await runningTask();
    const { ctx } = berth.replica;
    await ctx.store.revokeLease(ctx.mirror.snapshot.lease('/berth/alive/edge-1') ?? '');
    await caughtUp(ctx);
    const response = await output(task);
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({
      detail: expect.stringContaining('node "edge-1", which is unreachable'),
    });
  });

  it('a node that becomes unreachable ends the stream, and it does not look complete', async () => {
    const task = await runningTask();
    const asked = output(task, '?follow=true', EVENTS);
    const { id } = await wanted();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(ndjson(line(1, 'a')))),
    });
    const delivered = agent.stream(id, body);
    const reader = (await asked).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('event: log');
    const { ctx } = berth.replica;
    await ctx.store.revokeLease(ctx.mirror.snapshot.lease('/berth/alive/edge-1') ?? '');
    await expect(reader?.read()).rejects.toThrow('node "edge-1" has become unreachable');
    expect((await delivered).status).toBe(204);
  });

  it('an agent whose connection breaks ends the stream, and it does not look complete', async () => {
    const task = await runningTask();
    const asked = output(task, '?follow=true');
    const { id } = await wanted();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(ndjson(line(1, 'a')))),
      pull: (controller) => controller.error(new Error('ECONNRESET')),
    });
    const delivered = agent.stream(id, body);
    await expect((await asked).text()).rejects.toThrow();
    await delivered;
  });

  it('an agent that sends nonsense is told so, and so is the reader', async () => {
    const task = await runningTask();
    const asked = output(task, '', EVENTS);
    const { id } = await wanted();
    const delivered = await agent.stream(id, `${ndjson(line(1, 'a'))}{"at": 7}\n`);
    expect(delivered.status).toBe(400);
    expect(await (await asked).text()).toContain('event: error');
  });

  it('a client that goes away stops the agent', async () => {
    const task = await runningTask();
    const gone = new AbortController();
    const asked = output(task, '?follow=true', {}, gone.signal);
    const { id } = await wanted();
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(ndjson(line(1, 'a')))),
      cancel: () => {
        cancelled = true;
      },
    });
    const delivered = agent.stream(id, body);
    await (await asked).body?.getReader().read();
    gone.abort();
    expect((await delivered).status).toBe(204);
    expect(cancelled).toBe(true);
    await noStreamWanted();
  });

  it('a client that goes away while the agent is asked leaves nothing behind', async () => {
    const task = await runningTask();
    const gone = new AbortController();
    const asked = output(task, '', {}, gone.signal);
    const { id } = await wanted();
    gone.abort();
    await asked;
    await noStreamWanted();
    expect((await agent.stream(id, ndjson(line(1, 'late')))).status).toBe(404);
  });

  it('a slow client slows the agent down', async () => {
    const task = await runningTask();
    const asked = output(task, '?follow=true');
    const { id } = await wanted();
    const block = new TextEncoder().encode(
      ndjson(...Array.from({ length: 64 }, (_, n) => line(n % 60, 'x'.repeat(1000)))),
    );
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1;
        if (sent > 200) controller.close();
        else controller.enqueue(block);
      },
    });
    const delivered = agent.stream(id, body);
    const reader = (await asked).body?.getReader();
    await reader?.read();
    // Whatever could still be taken without a reader has been taken once nothing more happens between two looks.
    let before = -1;
    while (before !== sent) {
      before = sent;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sent).toBeLessThan(20);
    let bytes = 0;
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) bytes += part.value.length;
    expect((await delivered).status).toBe(204);
    expect(bytes).toBeGreaterThan(199 * 64 * 1000);
  });

  it('nobody delivers for another node, or twice, or what nobody wants', async () => {
    const task = await runningTask();
    const asked = output(task);
    const { id } = await wanted();
    const stranger = await ApiAgent.register(berth, 'edge-2');
    expect((await stranger.stream(id, ndjson(line(1, 'forged')))).status).toBe(404);
    stranger.berth = other;
    await caughtUp(other.replica.ctx);
    expect((await stranger.stream(id, ndjson(line(1, 'forged')))).status).toBe(404);
    const [first, second] = await Promise.all([
      agent.stream(id, ndjson(line(1, 'true'))),
      agent.stream(id, ndjson(line(1, 'again'))),
    ]);
    expect([first.status, second.status]).toEqual([204, 409]);
    expect(await (await asked).text()).toBe('true\n');
    expect((await agent.stream('nobody', ndjson(line(1, 'x')))).status).toBe(404);
    expect((await agent.stream('..%2fx', ndjson(line(1, 'x')))).status).toBe(400);
  });
});
