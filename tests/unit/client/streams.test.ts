import { describe, expect, it } from 'vitest';
import { ApiError, UnexpectedAnswerError, UnreachableError } from '../../../shared/client/errors.ts';
import type { LogEvent } from '../../../shared/client/logs.ts';
import type { EventView } from '../../../shared/protocol/views.ts';
import { json, networkFault, problem, scriptedServer, stream } from './scripted-server.ts';

function event(revision: number, task: string): EventView {
  const nothing = { role: null, job: null, node: null, framework: null, deployment: null, reason: null, at: null };
  return { ...nothing, revision, type: 'task.running', task, message: `${task} runs` };
}

function sent(view: EventView, options: { last: boolean } = { last: true }): string {
  return `${options.last ? `id: ${view.revision}\n` : ''}event: ${view.type}\ndata: ${JSON.stringify(view)}\n\n`;
}

async function take<T>(from: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of from) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

const { signal } = new AbortController();

const at = (revision: number) => ({ incarnation: 1, revision });

describe('events', () => {
  it('go on after the last revision when the connection breaks, each once', async () => {
    const server = scriptedServer([
      stream([sent(event(5, 'a')), sent(event(6, 'b'))], 'break'),
      stream([sent(event(7, 'c'))]),
    ]);
    const events = await server.settle(take(server.client.events({ after: at(4), job: 'hello', signal }), 3));
    expect(events.map(({ task }) => task)).toEqual(['a', 'b', 'c']);
    expect(server.requests.map(({ url }) => url.search)).toEqual(['?job=hello&after=4', '?job=hello&after=6']);
  });

  it('of a revision that came in part are read again whole', async () => {
    const half = sent(event(6, 'b1'), { last: false });
    const server = scriptedServer([stream([sent(event(5, 'a')), half], 'break'), stream([half, sent(event(6, 'b2'))])]);
    const events = await server.settle(take(server.client.events({ after: at(4), signal }), 3));
    expect(events.map(({ task }) => task)).toEqual(['a', 'b1', 'b2']);
  });

  it('are asked for anew when nothing, not even a comment, has come for too long', async () => {
    const server = scriptedServer([stream([': alive\n\n'], 'hang'), stream([sent(event(5, 'a'))])]);
    const before = server.clock.now();
    await server.settle(take(server.client.events({ after: null, signal }), 1));
    expect(server.requests).toHaveLength(2);
    expect(server.clock.now() - before).toBeGreaterThanOrEqual(35_000);
  });

  it('that are no longer remembered are a refusal, at once', async () => {
    const server = scriptedServer([problem(410, 'history-gone')]);
    await expect(server.settle(take(server.client.events({ after: at(1), signal }), 1))).rejects.toMatchObject({
      code: 'history-gone',
    });
  });

  it('are resumed from where a quiet stream has got to', async () => {
    const server = scriptedServer([
      stream([sent(event(5, 'a')), ': still here\nid: 90\n\n'], 'break'),
      stream([sent(event(91, 'b'))]),
    ]);
    await server.settle(take(server.client.events({ after: at(4), signal }), 2));
    expect(server.requests[1]?.url.searchParams.get('after')).toBe('90');
  });

  it.each([
    ['history-gone', 410, 1],
    ['unavailable', 503, 2],
  ])('that end in the problem %s (%d) take %d connections', async (code, status, connections) => {
    const body = { type: 'about:blank', title: code, status, code, detail: 'why', requestId: 'r' };
    const server = scriptedServer([
      stream([`event: error\ndata: ${JSON.stringify(body)}\n\n`], 'hang'),
      stream([sent(event(5, 'a'))]),
    ]);
    const reading = server.settle(take(server.client.events({ after: at(4), signal }), 1));
    if (connections === 1) await expect(reading).rejects.toMatchObject({ code });
    else await reading;
    expect(server.requests).toHaveLength(connections);
  });

  it('that are nonsense are refused rather than skipped', async () => {
    const server = scriptedServer([stream(['id: 1\ndata: {"revision":1}\n\n'])]);
    await expect(server.settle(take(server.client.events({ after: at(1), signal }), 1))).rejects.toThrow(
      UnexpectedAnswerError,
    );
  });

  it('are given up soon where no connection was ever made', async () => {
    const server = scriptedServer(Array.from({ length: 4 }, () => networkFault('ECONNREFUSED')));
    await expect(server.settle(take(server.client.events({ after: at(1), signal }), 1))).rejects.toThrow(
      UnreachableError,
    );
  });

  it('are waited for through an outage of minutes once they have come', async () => {
    const outage = Array.from({ length: 30 }, () => networkFault('ECONNREFUSED'));
    const server = scriptedServer([stream([sent(event(5, 'a'))]), ...outage, stream([sent(event(6, 'b'))])]);
    const events = await server.settle(take(server.client.events({ after: at(4), signal }), 2));
    expect(events).toHaveLength(2);
  });

  it('are given up after an outage of five minutes', async () => {
    const outage = Array.from({ length: 200 }, () => networkFault('ECONNREFUSED'));
    const server = scriptedServer([stream([sent(event(5, 'a'))]), ...outage]);
    const before = server.clock.now();
    await expect(server.settle(take(server.client.events({ after: at(4), signal }), 2))).rejects.toThrow(
      UnreachableError,
    );
    expect(server.clock.now() - before).toBeGreaterThan(300_000);
    expect(server.clock.now() - before).toBeLessThan(310_000);
  });

  it('end when the caller says so', async () => {
    const stop = new AbortController();
    const server = scriptedServer([stream([sent(event(5, 'a'))], 'hang')]);
    const seen: EventView[] = [];
    const reading = (async () => {
      for await (const each of server.client.events({ after: at(4), signal: stop.signal })) {
        seen.push(each);
        stop.abort();
      }
    })();
    await server.settle(reading);
    expect(seen).toHaveLength(1);
  });

  it('of the past come page by page, until one is empty', async () => {
    const server = scriptedServer([
      json({ items: [event(5, 'a')], next: '5' }),
      json({ items: [event(6, 'b')], next: '6' }),
      json({ items: [], next: '9' }),
    ]);
    const events = await take(server.client.recentEvents({ after: at(0), type: 'task.running' }), 10);
    expect(events.map(({ revision }) => revision)).toEqual([5, 6]);
    expect(server.requests.map(({ url }) => url.searchParams.get('after'))).toEqual(['0', '5', '6']);
  });
});

describe('logs', () => {
  const line = (at: string, text: string) =>
    `event: log\nid: ${at}\ndata: ${JSON.stringify({ at, stream: 'stdout', text })}\n\n`;
  const end = 'event: end\ndata: {"state":"failed","exitCode":3}\n\n';
  const texts = (events: readonly LogEvent[]) =>
    events.map((each) => (each.kind === 'line' ? each.line.text : each.kind));

  it('go on after the last line when the connection breaks, and end with the exit code', async () => {
    const server = scriptedServer([
      stream([line('t1', 'one'), line('t2', 'two')], 'break'),
      stream([line('t3', 'three'), end]),
    ]);
    const query = { follow: true, tail: 10, signal };
    const events = await server.settle(take(server.client.tasks.logs('hello-main-0', query), 10));
    expect(texts(events)).toEqual(['one', 'two', 'three', 'end']);
    expect(events.at(-1)).toEqual({ kind: 'end', state: 'failed', exitCode: 3 });
    const [first, second] = server.requests;
    expect(first?.url.search).toBe('?follow=true&tail=10');
    expect(second?.url.search).toBe('?follow=true');
    expect(second?.headers.get('Last-Event-ID')).toBe('t2');
  });

  it('that can not be had say why', async () => {
    const server = scriptedServer([stream(['event: error\ndata: {"message":"the node is away"}\n\n'])]);
    const events = await take(server.client.tasks.logs('hello-main-0', { follow: false, signal }), 10);
    expect(events).toEqual([{ kind: 'error', message: 'the node is away', isPassing: false }]);
  });

  it('of a task that is not there are a refusal', async () => {
    const server = scriptedServer([problem(404, 'not-found')]);
    const reading = take(server.client.tasks.logs('nothing', { follow: true, signal }), 1);
    await expect(server.settle(reading)).rejects.toThrow(ApiError);
  });
});
