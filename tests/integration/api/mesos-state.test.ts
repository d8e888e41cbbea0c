import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { type AskedToken, startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { aJob, aRole, aTask } from '../../support/builders.ts';
import { Hand } from '../../support/frameworks.ts';
import { caughtUp } from '../../support/replica.ts';
import { dnsRecords } from '../../unit/facade-mesos/mesos-dns.ts';

let berth: TestApi;
let hand: Hand;

beforeEach(async () => {
  berth = await startApi();
  hand = new Hand(berth.replica.ctx);
  await ApiAgent.register(berth);
});
afterEach(() => berth.stop());

async function read(path: string, options: Parameters<TestApi['send']>[2] = {}, method = 'GET') {
  const response = await berth.send(method, path, options);
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

async function json(path: string, grant: AskedToken = {}) {
  const { status, text } = await read(path, { token: await berth.token(grant) });
  expect([path, status]).toEqual([path, 200]);
  return JSON.parse(text) as Record<string, Record<string, unknown>[]>;
}

async function submit(name: string, role = 'default'): Promise<void> {
  const ports = [{ name: 'http', containerPort: 80 }];
  const spec = { name, role, groups: [{ image: 'x', ports }] };
  expect((await berth.send('POST', '/v1/jobs', { json: spec })).status).toBe(201);
  await berth.replica.settle();
}

describe('what tools for Mesos ask for', () => {
  it.each([
    ...[
      'state',
      'state.json',
      'state-summary',
      'slaves',
      'slaves/edge-1',
      'frameworks',
      'frameworks/',
      'tasks',
      'tasks/',
    ],
    ...['roles', 'flags', 'metrics/snapshot', 'version'],
  ])(
    '/master/%s is there, without /master as well, by POST too, and only with a token where it says something',
    async (name) => {
      for (const path of [`/master/${name}`, `/${name}`]) {
        expect(await read(path)).toMatchObject({ status: 200, type: 'application/json' });
        expect(await read(path, {}, 'POST')).toMatchObject({ status: 200 });
        expect(await read(path, {}, 'DELETE')).toMatchObject({ status: 405 });
        const anybody = name === 'version' ? 200 : 401;
        expect(await read(path, { token: null })).toMatchObject({ status: anybody });
        const { text } = await read(`${path}?jsonp=angular.callbacks._0`);
        expect(JSON.parse(/^angular\.callbacks\._0\((.*)\);$/s.exec(text)?.[1] ?? 'null')).toEqual(expect.any(Object));
      }
    },
  );

  it('is served beside what is native under a like path', async () => {
    expect(await read('/metrics')).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' });
    expect(await read('/healthz', { token: null })).toMatchObject({ status: 200 });
    for (const path of ['/health', '/master/health']) {
      expect(await read(path, { token: null })).toEqual({ status: 200, type: null, text: '' });
    }
  });

  it('leads whoever looks for the leader back here, with a port', async () => {
    const answer = await berth.api.request('http://10.0.0.7:7878/redirect');
    expect([answer.status, answer.headers.get('location')]).toEqual([307, '//10.0.0.7:7878']);
    const { leader } = JSON.parse(
      await (
        await berth.api.request('https://berth.example/master/state', {
          headers: { authorization: `Basic ${btoa(`anybody:${berth.admin}`)}` },
        })
      ).text(),
    );
    expect(leader).toBe('master@berth.example:443');
  });

  it.each(['alert(1)//', 'a b', '', `${'a'.repeat(201)}`])('refuses the callback %j', async (callback) => {
    for (const path of ['/master/state', '/master/roles']) {
      const { status, text } = await read(`${path}?jsonp=${encodeURIComponent(callback)}`);
      expect([status, text]).toEqual([400, "The parameter 'jsonp' must be the name of a function"]);
    }
  });

  it('is enough for mesos-dns', async () => {
    await submit('web');
    const [task] = berth.replica.ctx.mirror.snapshot.tasks.values();
    if (task === undefined) throw new Error('nothing was placed');
    await hand.report(task.id, 'running');
    const { a } = dnsRecords(await json('/master/state.json'));
    expect(a).toEqual({ 'web.berth.mesos': ['edge-1.example'] });
  });
});

describe('tasks', () => {
  const job = aJob({ spec: { name: 'many' } });

  beforeEach(async () => {
    for (let index = 0; index < 5; index++) {
      await hand.put(aTask(job, { index, state: 'running', node: 'edge-1', atMs: 1000 * ((index * 2) % 5) }));
    }
  });

  const indexes = async (query: string) =>
    ((await json(`/tasks?${query}`))['tasks'] ?? []).map(({ id }) => Number(/^many-main-(\d)/.exec(String(id))?.[1]));

  it.each([
    ['', [2, 4, 1, 3, 0]],
    ['order=asc', [0, 3, 1, 4, 2]],
    ['order=asc&limit=-1', [0, 3, 1, 4, 2]],
    ['order=asc&limit=2&offset=1', [3, 1]],
    ['limit=0', []],
    ['limit=many&offset=-3&order=up', [2, 4, 1, 3, 0]],
    ['offset=9', []],
    ['framework_id=berth&limit=1', [2]],
    ['framework_id=other', []],
    [`task_id=${aTask(job, { index: 3 }).id}`, [3]],
  ])('?%s', async (query, expected) => expect(await indexes(query)).toEqual(expected));
});

describe('who may see what', () => {
  it('a token for one role sees no task of another, in any list', async () => {
    await submit('secret', 'eng');
    await submit('open');
    const grant = { roles: ['default'], actions: ['task:read', 'role:read', 'framework:read'] };
    for (const path of ['/state', '/tasks', '/frameworks', '/state-summary', '/slaves', '/roles']) {
      const text = JSON.stringify(await json(path, grant));
      expect([path, text.includes('secret'), text.includes('"eng"'), text.includes('edge-1.example')]).toEqual([
        path,
        false,
        false,
        false,
      ]);
    }
    expect(JSON.stringify(await json('/tasks', grant))).toContain('open');
    expect(JSON.stringify(await json('/tasks'))).toContain('secret');
  });

  it('metrics and flags take rights of their own; the state leaves out flags', async () => {
    const token = await berth.token({ actions: ['node:read', 'task:read'] });
    expect(await read('/metrics/snapshot', { token })).toMatchObject({ status: 403 });
    expect(await read('/flags', { token })).toMatchObject({ status: 403 });
    expect(await json('/state', { actions: ['node:read'] })).toMatchObject({ flags: {} });
    expect(await json('/state')).toMatchObject({ flags: { offer_timeout: '60secs' } });
  });

  it('tokens of nodes see nothing', async () => {
    const agent = await ApiAgent.register(berth, 'edge-2');
    expect(await read('/state', { token: agent.session.nodeToken })).toMatchObject({ status: 403 });
  });
});

it('roles say their weight, what is promised to them, what they hold and for whom', async () => {
  const { store } = berth.replica.ctx;
  const role = aRole('eng', { weight: 2, guarantee: { cpus: 1 }, limit: { cpus: 3, memMiB: 512 } });
  await store.transact({ compares: [], writes: [putRecord('roles', keys.role('eng'), role)] });
  await submit('model', 'eng');
  await caughtUp(berth.replica.ctx);
  const held = { cpus: 0.1, gpus: 0, mem: 64, disk: 0 };
  const none = { cpus: 0, gpus: 0, mem: 0, disk: 0 };
  expect(await json('/roles')).toEqual({
    roles: [
      {
        name: 'eng',
        weight: 2,
        quota: { role: 'eng', guarantee: { cpus: 1 }, limit: { cpus: 3, mem: 512 }, consumed: held },
        ...{ resources: held, allocated: held, offered: none, reserved: none },
        frameworks: ['berth'],
      },
    ],
  });
});

it('a summary counts tasks by state, of nodes and of frameworks', async () => {
  await submit('web');
  const summary = await json('/state-summary');
  expect(summary['slaves']).toMatchObject([
    { id: 'edge-1', TASK_STAGING: 1, TASK_RUNNING: 0, framework_ids: ['berth'] },
  ]);
  expect(summary['frameworks']).toMatchObject([
    { id: 'berth', TASK_STAGING: 1, TASK_RUNNING: 0, slave_ids: ['edge-1'] },
  ]);
});

it('what is written over many turns is of one moment, whatever happens meanwhile', async () => {
  const job = aJob({ spec: { name: 'many' } });
  const writes = Array.from({ length: 300 }, (_, index) => {
    const task = aTask(job, { index, state: 'running', node: 'edge-1' });
    return putRecord('tasks', keys.task(task.id), task);
  });
  for (let from = 0; from < writes.length; from += 100) {
    await berth.replica.ctx.store.transact({ compares: [], writes: writes.slice(from, from + 100) });
  }
  await caughtUp(berth.replica.ctx);
  const { body } = await berth.send('GET', '/master/state');
  const reader = body?.getReader();
  const pieces: Uint8Array[] = [(await reader?.read())?.value ?? new Uint8Array()];
  for (let from = 0; from < writes.length; from += 100) {
    const removals = writes.slice(from, from + 100).map(({ key }) => ({ type: 'delete', key }) as const);
    await berth.replica.ctx.store.transact({ compares: [], writes: removals });
  }
  await caughtUp(berth.replica.ctx);
  expect(berth.replica.ctx.mirror.snapshot.tasks.size).toBe(0);
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) pieces.push(next.value);
  const state = JSON.parse(Buffer.concat(pieces).toString());
  expect([pieces.length > 1, state.frameworks[0].tasks.length]).toEqual([true, 300]);
});
