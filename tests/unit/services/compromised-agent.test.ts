/**
 * What somebody can do who has taken over a node, with its token and whatever else its agent knows: nothing to any node but that. Each
 * attack is a call that an honest agent would never make, and afterwards everything of the other node is as it was.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { HEALTH_REPORTS_MAX, MESSAGES_MAX, STATUSES_MAX } from '../../../shared/protocol/agent.ts';
import { present } from '../../../shared/util/assert.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, line, ndjson } from '../../support/api-agent.ts';
import { Hand } from '../../support/frameworks.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';

const SECRET = 'only-for-node-b';

let berth: TestApi;
let evil: ApiAgent;
let other: ApiAgent;
let own: Task;
let foreign: Task;

beforeEach(async () => {
  berth = await startApi();
  evil = await ApiAgent.register(berth, 'node-a');
  other = await ApiAgent.register(berth, 'node-b');
  own = await taskOn('node-a', 'own', {});
  foreign = await taskOn('node-b', 'foreign', { PASSWORD: SECRET });
});
afterEach(() => berth.stop());

async function taskOn(node: string, name: string, env: Record<string, string>): Promise<Task> {
  const constraints = [{ attribute: 'node', operator: 'is', value: node }];
  const json = { name, groups: [{ image: `${name}/image`, env, constraints }] };
  const response = await berth.send('POST', '/v1/jobs', { json });
  expect([response.status, await response.text()]).toEqual([201, expect.any(String)]);
  await berth.replica.settle();
  await caughtUp(berth.replica.ctx);
  const task = [...berth.replica.ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === name);
  expect(task?.node).toBe(node);
  return present(task, 'the task');
}

/** Everything that is on record of the other node. */
function ofOther(): unknown {
  const { snapshot } = berth.replica.ctx.mirror;
  return structuredClone({
    node: snapshot.nodes.get('node-b'),
    ledger: snapshot.ledgers.get('node-b'),
    epoch: snapshot.epochs.get('node-b'),
    isAlive: snapshot.isAlive('node-b'),
    task: snapshot.tasks.get(foreign.id),
    streams: [...snapshot.streams.values()].filter(({ node }) => node === 'node-b'),
    messages: [...snapshot.messages.values()].filter(({ node }) => node === 'node-b'),
    fetches: [...snapshot.imageFetchesOn('node-b')],
  });
}

const status = (task: string, state: string, change: object = {}) => ({
  task,
  state,
  run: 0,
  atMs: Date.now(),
  reason: 'exited',
  message: state,
  exitCode: 0,
  ...change,
});
const health = { run: 0, healthy: false, ready: false, sinceMs: 1, checks: [] };

const post = (path: string, json: unknown, headers: Record<string, string> = {}) =>
  evil.send('POST', path, { json, headers });
const statuses = (change: object) => post('/v1/agent/statuses', { statuses: [], released: [], ...change });
const registration = (id: string, change: object = {}) => ({ node: nodeOf(id), seen: null, tasks: [], ...change });

/** Each with what it is answered, as far as that matters. */
type Attack = readonly [name: string, attack: () => Promise<Response>, expected: number, body?: object];
const ATTACKS: readonly Attack[] = [
  ['to register as another node', () => post('/v1/agent/register', registration('node-b')), 403],
  ['to register as a node that is not there', () => post('/v1/agent/register', registration('node-c')), 403],
  [
    'to call in the session of another node',
    () => post('/v1/agent/heartbeat', { sentAtMs: 1 }, { 'Berth-Epoch': '99' }),
    409,
  ],
  [
    'to end a task of another node',
    () => statuses({ statuses: [status(foreign.id, 'finished')] }),
    200,
    { results: ['unknown'] },
  ],
  ['to start one', () => statuses({ statuses: [status(foreign.id, 'running')] }), 200, { results: ['unknown'] }],
  [
    'to end one that nobody knows',
    () => statuses({ statuses: [status('forged-main-0-abc-v1a0', 'failed')] }),
    200,
    { results: ['unknown'] },
  ],
  [
    'to end one among its own',
    () => statuses({ statuses: [status(own.id, 'running'), status(foreign.id, 'killed')] }),
    200,
    { results: ['committed', 'unknown'] },
  ],
  ['to call one unhealthy', () => statuses({ health: [{ task: foreign.id, health }] }), 200],
  ['to give back the place of one', () => statuses({ released: [foreign.id] }), 200],
  ['to give back the place of its own before its end', () => statuses({ released: [own.id] }), 200],
  ['to call volumes of another node deleted', () => statuses({ removedVolumes: ['data'] }), 200],
  [
    'to tell of images of another node',
    () => statuses({ images: [{ image: 'foreign/image', state: 'failed', message: 'x' }] }),
    200,
  ],
  [
    'to have had a task of another node',
    () => post('/v1/agent/register', registration('node-a', { tasks: [foreign.id], ended: [foreign.id] })),
    200,
  ],
  [
    'to speak for a task of another node',
    () =>
      post('/v1/agent/messages', { taken: [], said: [{ id: 'm1'.padEnd(16, '0'), task: foreign.id, data: 'aGk=' }] }),
    200,
    { results: ['unknown'] },
  ],
  ['to bring output that nobody asked it for', () => evil.stream('nosuchstream', ndjson(line(1, 'forged'))), 404],
  [
    'to pass for a replica',
    () => berth.send('POST', '/v1/peer/streams/x', { token: evil.session.nodeToken, body: '' }),
    403,
  ],
  ...[
    '/v1/jobs',
    '/v1/tasks',
    '/v1/nodes',
    '/v1/nodes/node-a',
    '/v1/events',
    '/v1/status',
    '/v1/endpoints',
    '/metrics',
    '/state',
  ].map((path) => [`to read ${path}`, () => berth.send('GET', path, { token: evil.session.nodeToken }), 403] as const),
  [
    'to submit a job',
    () =>
      berth.send('POST', '/v1/jobs', { token: evil.session.nodeToken, json: { name: 'x', groups: [{ image: 'x' }] } }),
    403,
  ],
  [
    'to make a token',
    () => berth.send('POST', '/v1/tokens', { token: evil.session.nodeToken, json: { subject: 'x' } }),
    403,
  ],
  ['to drain another node', () => berth.send('POST', '/v1/nodes/node-b/drain', { token: evil.session.nodeToken }), 403],
  [
    'to report more than a batch holds',
    () => statuses({ statuses: Array(STATUSES_MAX + 1).fill(status(own.id, 'running')) }),
    400,
  ],
  [
    'to report more checks than that',
    () => statuses({ health: Array(HEALTH_REPORTS_MAX + 1).fill({ task: own.id, health }) }),
    400,
  ],
  [
    'to say more than that',
    () =>
      post('/v1/agent/messages', {
        taken: [],
        said: Array(MESSAGES_MAX + 1).fill({ id: 'm'.repeat(16), task: own.id, data: '' }),
      }),
    400,
  ],
  [
    'to write a book where a sentence belongs',
    () => statuses({ statuses: [status(own.id, 'running', { message: 'x'.repeat(100_000) })] }),
    400,
  ],
  [
    'to name itself so that it moves the cursor',
    () =>
      post('/v1/agent/register', {
        ...registration('node-a'),
        node: nodeOf('node-a', { hostname: '\u001b[2Jnode-b' }),
      }),
    400,
  ],
  [
    'to name itself so that it reads backwards',
    () =>
      post('/v1/agent/register', {
        ...registration('node-a'),
        node: nodeOf('node-a', { attributes: { rack: '\u202e1' } }),
      }),
    400,
  ],
];

describe('a compromised agent gets nowhere when it tries', () => {
  it.each(ATTACKS.map((one) => [one[0], one] as const))(
    '%s',
    async (_, [, attack, expected, body = expect.anything()]) => {
      const before = ofOther();
      const response = await attack();
      const text = await response.text();
      expect([response.status, text]).toEqual([expected, expect.not.stringContaining(SECRET)]);
      if (expected === 200) expect(JSON.parse(text)).toEqual(body);
      await caughtUp(berth.replica.ctx);
      await berth.replica.settle();
      expect(ofOther()).toEqual(before);
      expect(berth.replica.ctx.mirror.snapshot.tasks.get(foreign.id)).toEqual(foreign);
    },
  );

  it('to see what another node is to run', async () => {
    const response = await evil.send('GET', '/v1/agent/assignment');
    const text = await response.text();
    expect(text).toContain(own.id);
    for (const hidden of [SECRET, foreign.id, 'foreign/image', 'node-b']) expect(text).not.toContain(hidden);
    expect(await (await other.send('GET', '/v1/agent/assignment')).text()).toContain(SECRET);
  });

  it('to bring output into a stream that another node was asked for', async () => {
    await other.report(foreign.id, 'running');
    const over = new AbortController();
    const read = berth.send('GET', `/v1/tasks/${foreign.id}/logs?follow=true`, { signal: over.signal });
    const asked = await other.assignment(({ streams }) => streams.length > 0);
    const id = present(asked.streams[0], 'a stream').id;
    expect((await evil.stream(id, ndjson(line(1, 'forged')))).status).toBe(404);
    const delivered = other.stream(id, ndjson(line(1, 'true')));
    const response = await read;
    const reader = present(response.body, 'the output').getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    expect(first).toContain('true');
    expect(first).not.toContain('forged');
    over.abort();
    await delivered;
  });

  it('to see what is said to tasks of another node, or to have heard it', async () => {
    const { ctx } = berth.replica;
    const message = {
      to: 'task',
      framework: 'f',
      node: 'node-b',
      task: foreign.id,
      data: SECRET,
      place: 0,
      sentAtMs: 1,
    } as const;
    const key = keys.messageForTask('node-b', 'm'.repeat(16));
    await ctx.store.transact({ compares: [], writes: [putRecord('messages', key, message)] });
    await caughtUp(ctx);
    const before = ofOther();
    expect(await (await evil.send('GET', '/v1/agent/assignment')).text()).not.toContain(SECRET);
    expect((await post('/v1/agent/messages', { taken: ['m'.repeat(16)], said: [] })).status).toBe(200);
    await caughtUp(ctx);
    expect(ofOther()).toEqual(before);
  });

  it('to bring a task back that has ended', async () => {
    await evil.report(own.id, 'finished', { exitCode: 0 });
    const ended = berth.replica.ctx.mirror.snapshot.tasks.get(own.id);
    for (const state of ['running', 'failed', 'starting']) {
      const response = await statuses({ statuses: [status(own.id, state, { run: 7 })] });
      expect([state, response.status, await response.json()]).toEqual([state, 200, { results: ['known'] }]);
    }
    await caughtUp(berth.replica.ctx);
    expect(berth.replica.ctx.mirror.snapshot.tasks.get(own.id)).toEqual(ended);
  });

  it('to stay the node once that was declared gone', async () => {
    await new Hand(berth.replica.ctx).ledger('node-a', (ledger) => ledger);
    const { ctx } = berth.replica;
    await ctx.store.transact({ compares: [], writes: [{ type: 'delete', key: keys.alive('node-a') }] });
    await caughtUp(ctx);
    expect((await berth.send('POST', '/v1/nodes/node-a/gone')).status).toBe(200);
    await caughtUp(ctx);
    await berth.replica.settle();
    for (const [path, json] of [
      ['/v1/agent/register', registration('node-a')],
      ['/v1/agent/heartbeat', { sentAtMs: 1 }],
      ['/v1/agent/statuses', { statuses: [status(own.id, 'running')], released: [] }],
    ] as const) {
      expect([path, (await post(path, json)).status]).toEqual([path, expect.any(Number)]);
      expect((await post(path, json)).ok).toBe(false);
    }
  });
});

describe("a replica's token", () => {
  it.each(['/v1/jobs', '/v1/agent/assignment', '/v1/nodes', '/state'])('reads no %s', async (path) => {
    const token = await berth.token({ kind: 'peer', subject: 'replica-2', roles: ['*'], actions: ['*'] });
    expect((await berth.send('GET', path, { token, headers: { 'Berth-Epoch': '1' } })).status).toBe(403);
  });
});
