/** What `logs` does where output can't be had at once, or not at all: against scripted answers, in virtual time. */
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../../control-plane/cli/exit.ts';
import type { Io, Output } from '../../../control-plane/cli/io.ts';
import { runCommandLine } from '../../../control-plane/cli/program.ts';
import { json, problem, type Reply, type ScriptedServer, scriptedServer, stream } from '../client/scripted-server.ts';
import { task } from './task-views.ts';

const line = (at: string, text: string) =>
  `event: log\nid: ${at}\ndata: ${JSON.stringify({ at, stream: 'stdout', text })}\n\n`;
const end = 'event: end\ndata: {"state":"failed","exitCode":3}\n\n';
const lastWords = (message: string) => `event: error\ndata: ${JSON.stringify({ code: 'conflict', message })}\n\n`;

const running = json(task({ id: 't1', state: 'running' }));
const ended = json(task({ id: 't1', state: 'lost' }));
const away = problem(409, 'conflict', { detail: 'node "edge-1" is unreachable', retryAfterSeconds: 5 });
const gone = problem(409, 'conflict', { detail: 'node "edge-1" was declared gone' });

async function logs(args: readonly string[], replies: readonly Reply[]) {
  const server: ScriptedServer = scriptedServer(replies);
  let out = '';
  let err = '';
  const output = (write: (text: string) => void): Output => ({ write, isTerminal: false, columns: null });
  const io: Io = {
    out: output((text) => {
      out += text;
    }),
    err: output((text) => {
      err += text;
    }),
    env: { BERTH_ADDR: 'http://berth.test', BERTH_TOKEN: 'a-token' },
    fetch: server.fetch,
    clock: server.clock,
    random: { next: () => 0.5, bytes: (length) => new Uint8Array(length) },
    readHidden: async () => null,
    readStdin: async () => '',
    onInterruption: () => () => undefined,
    exitNow: () => undefined,
  };
  const code = await server.settle(runCommandLine(['task', 'logs', ...args, 't1'], io, '1.2.3'));
  expect(server.requests, 'every reply is asked for').toHaveLength(replies.length);
  return { code, out, err, urls: server.requests.map(({ url }) => url.pathname + url.search) };
}

describe('berth task logs -f', () => {
  it('waits for a node that is away, also when the task has ended, and goes on after the last line', async () => {
    const { code, out, err, urls } = await logs(
      ['-f'],
      [
        running,
        stream([line('t1', 'one')], 'break'),
        ...Array.from({ length: 20 }, () => away),
        stream([line('t2', 'two'), end]),
      ],
    );
    expect([code, out]).toEqual([EXIT.ok, 'one\ntwo\n']);
    expect(err.match(/unreachable/g)).toHaveLength(1);
    expect(urls.at(-1)).toBe('/v1/tasks/t1/logs?follow=true&since=t1');
  });

  it('says that output is missing, and fails, once its node is gone for good', async () => {
    const { code, out, err } = await logs(['-f'], [running, stream([line('t1', 'one')], 'break'), away, gone]);
    expect([code, out]).toEqual([EXIT.outputMissing, 'one\n']);
    expect(err).toContain('node "edge-1" was declared gone');
    expect(err).toContain('the output of task t1 is incomplete');
  });

  it('asks a few times more for what can not be read of a task that has ended', async () => {
    const broken = stream([lastWords('the engine does not answer')]);
    const lost = await logs(['-f'], [running, broken, broken, broken, broken, broken, ended]);
    expect([lost.code, lost.err.match(/does not answer/g)?.length]).toEqual([EXIT.outputMissing, 1]);
    const found = await logs(['-f'], [running, broken, broken, broken, broken, stream([line('t1', 'one'), end])]);
    expect([found.code, found.out]).toEqual([EXIT.ok, 'one\n']);
  });

  it('goes on asking while the task runs', async () => {
    const broken = stream([lastWords('the engine does not answer')]);
    const tries = [broken, broken, broken, broken, broken, running, broken, running, stream([end])];
    expect((await logs(['-f'], [running, ...tries])).code).toBe(EXIT.ok);
  });
});

describe('berth task logs', () => {
  it('asks once, and fails where there is no answer', async () => {
    expect(await logs([], [running, away])).toMatchObject({ code: EXIT.outputMissing, out: '' });
    expect(await logs([], [running, stream([line('t1', 'one'), end])])).toMatchObject({ code: EXIT.ok, out: 'one\n' });
  });
});
