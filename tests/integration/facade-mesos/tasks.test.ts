import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { WireOffer, WireTaskStatus } from '../../../control-plane/facade-mesos/wire/event.ts';
import { freeResources } from '../../../shared/domain/ledger.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { caughtUp } from '../../support/replica.ts';

let peers: Map<string, TestApi>;
let a: TestApi;
let b: TestApi;
let agent: ApiAgent;

beforeEach(async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  peers = new Map();
  a = await startApi({ store, id: 'a', peers });
  b = await startApi({ store, id: 'b', peers });
  agent = await ApiAgent.register(a);
  await caughtUp(b.replica.ctx);
});
afterEach(() => {
  for (const berth of peers.values()) berth.stop();
});

/** Subscribes and waits for the first offer. */
async function offered(
  info: object = {},
  options: { token?: string } = {},
): Promise<{ client: MesosClient; offer: WireOffer }> {
  const client = await MesosClient.subscribe(a, info, {}, options);
  await a.replica.settle();
  const [offer] = (await client.until('OFFERS')).offers.offers;
  if (offer === undefined) throw new Error('there is no offer');
  await caughtUp(b.replica.ctx);
  return { client, offer };
}

const scalar = (name: string, value: number) => ({ name, type: 'SCALAR', scalar: { value } });

function taskInfo(id: string, change: object = {}): object {
  return {
    name: id,
    task_id: { value: id },
    agent_id: { value: 'edge-1' },
    resources: [scalar('cpus', 0.1), scalar('mem', 32)],
    command: { value: 'sleep 60', shell: true },
    container: { type: 'DOCKER', docker: { image: 'busybox', network: 'BRIDGE' } },
    ...change,
  };
}

function accepting(offers: readonly unknown[], operations: readonly object[], filters: object | null = null): object {
  return { type: 'ACCEPT', accept: { offer_ids: offers, operations, filters } };
}

const launching = (...tasks: object[]) => ({ type: 'LAUNCH', launch: { task_infos: tasks } });

async function launched(info: object = {}, ...tasks: object[]): Promise<{ client: MesosClient; offer: WireOffer }> {
  const { client, offer } = await offered(info);
  await client.accepted(accepting([offer.id], [launching(...tasks)]));
  return { client, offer };
}

async function status(client: MesosClient): Promise<WireTaskStatus> {
  return (await client.until('UPDATE')).update.status;
}

/** What Berth calls the task. */
function taskOf(name: string): string {
  const task = [...a.replica.ctx.mirror.snapshot.tasks.values()].find(({ framework }) => framework?.name === name);
  if (task === undefined) throw new Error(`there is no task ${name}`);
  return task.id;
}

function tasks(): string[] {
  return [...a.replica.ctx.mirror.snapshot.tasks.values()].map(({ framework }) => framework?.name ?? '').sort();
}

/** Nothing is held by anybody but what is offered. */
async function expectWhole(): Promise<void> {
  await caughtUp(a.replica.ctx);
  const [ledger] = a.replica.ctx.mirror.snapshot.ledgers.values();
  if (ledger === undefined) throw new Error('there is no ledger');
  expect([Object.keys(ledger.entries), Object.keys(ledger.offers)]).toEqual([[], []]);
  expect(freeResources(ledger)).toMatchObject({ cpus: ledger.total.cpus, memMiB: ledger.total.memMiB });
}

describe('a task', () => {
  it('is launched, told of until each update is acknowledged, and killed, over any replica', async () => {
    const { client, offer } = await launched({}, taskInfo('wall'));
    expect(tasks()).toEqual(['wall']);
    await agent.report(taskOf('wall'), 'starting');
    const starting = await status(client);
    expect(starting).toMatchObject({
      task_id: { value: 'wall' },
      state: 'TASK_STARTING',
      agent_id: offer.agent_id,
      executor_id: { value: 'wall' },
    });
    await agent.report(taskOf('wall'), 'running');
    const acknowledge = ({ agent_id, task_id, uuid }: WireTaskStatus) => ({
      type: 'ACKNOWLEDGE',
      acknowledge: { agent_id, task_id, uuid },
    });
    await caughtUp(b.replica.ctx);
    await client.accepted(acknowledge(starting), b);
    const running = await status(client);
    expect(running.state).toBe('TASK_RUNNING');
    expect(running.uuid).not.toBe(starting.uuid);
    await client.accepted(acknowledge(running), b);
    await client.accepted(acknowledge(running));
    await client.accepted({ type: 'KILL', kill: { task_id: { value: 'wall' }, agent_id: {} } }, b);
    await agent.report(taskOf('wall'), 'killed', { reason: 'stop-requested' });
    const killed = await status(client);
    expect(killed).toMatchObject({ state: 'TASK_KILLED', source: 'SOURCE_EXECUTOR' });
    await client.accepted(acknowledge(killed), b);
  });

  it('that is being killed is told as such to whoever knows the word', async () => {
    const { client } = await launched({ capabilities: [{ type: 'TASK_KILLING_STATE' }] }, taskInfo('wall'));
    await agent.report(taskOf('wall'), 'running');
    expect((await status(client)).state).toBe('TASK_RUNNING');
    await client.accepted({
      type: 'KILL',
      kill: { task_id: { value: 'wall' }, kill_policy: { grace_period: { nanoseconds: 2e9 } } },
    });
    const killing = await status(client);
    expect([killing.state, killing.uuid]).toEqual(['TASK_KILLING', undefined]);
    const [ledger] = a.replica.ctx.mirror.snapshot.ledgers.values();
    expect(Object.values(ledger?.entries ?? {})[0]?.stop).toMatchObject({ graceMs: 2000 });
  });

  it('ends by SHUTDOWN of its executor on its agent, and on no other', async () => {
    const { client } = await launched({}, taskInfo('wall'), taskInfo('door'));
    const shutdown = (executor: string, node: string) => ({
      type: 'SHUTDOWN',
      shutdown: { executor_id: { value: executor }, agent_id: { value: node } },
    });
    await client.accepted(shutdown('wall', 'edge-2'));
    await client.accepted(shutdown('wall', 'edge-1'));
    const stopped = [...a.replica.ctx.mirror.snapshot.tasks.values()].filter(({ stop }) => stop !== null);
    expect(stopped.map(({ framework }) => framework?.name)).toEqual(['wall']);
  });

  it.each<[string[], string]>([
    [[], 'TASK_LOST'],
    [['PARTITION_AWARE'], 'TASK_UNKNOWN'],
  ])('that nobody knows is said to be so (%j), by KILL and by RECONCILE', async (types, state) => {
    const client = await MesosClient.subscribe(a, { capabilities: types.map((type) => ({ type })) });
    const reconciled = { state, reason: 'REASON_RECONCILIATION', source: 'SOURCE_MASTER' };
    await client.accepted({ type: 'KILL', kill: { task_id: { value: 'what' } } }, b);
    expect(await status(client)).toMatchObject({ task_id: { value: 'what' }, ...reconciled });
    const asked = {
      tasks: [{ task_id: { value: 'that' } }, { task_id: { value: 'ctrl\u0001' }, agent_id: { value: '' } }],
    };
    await client.accepted({ type: 'RECONCILE', reconcile: asked }, b);
    const told = [await status(client), await status(client)];
    expect(told.map(({ task_id }) => task_id.value).sort()).toEqual(['ctrl\u0001', 'that']);
    for (const one of told) expect(one).toMatchObject(reconciled);
  });

  it('is reconciled by its name or with all others, and its answer is not to be acknowledged', async () => {
    const { client } = await launched({}, taskInfo('wall'), taskInfo('door'));
    await client.accepted({ type: 'RECONCILE', reconcile: { tasks: [{ task_id: { value: 'door' } }] } }, b);
    const door = await status(client);
    expect(door).toMatchObject({ task_id: { value: 'door' }, state: 'TASK_STAGING', reason: 'REASON_RECONCILIATION' });
    expect(door.uuid).toBeUndefined();
    await client.accepted({ type: 'RECONCILE', reconcile: {} }, b);
    const all = [await status(client), await status(client)];
    expect(all.map(({ task_id }) => task_id.value).sort()).toEqual(['door', 'wall']);
  });

  it('hears nothing that is said to it where no executor runs it, which is no fault of the call', async () => {
    const { client } = await launched({}, taskInfo('wall'));
    const message = (data: string) => ({
      type: 'MESSAGE',
      message: { agent_id: { value: 'edge-1' }, executor_id: { value: 'wall' }, data },
    });
    await client.accepted(message(btoa('hello')));
    const binary = await client.call(message(btoa('\xff\xfe')));
    expect([binary.status, await binary.text()]).toEqual([
      400,
      "'message.data' must be a text in UTF-8: nothing else reaches an executor here",
    ]);
  });
});

describe('an ACCEPT', () => {
  it.each<[string[], string]>([
    [[], 'TASK_LOST'],
    [['PARTITION_AWARE'], 'TASK_DROPPED'],
  ])('of offers that do not stand loses its tasks (%j) and says so', async (types, state) => {
    const { client, offer } = await offered({ capabilities: types.map((type) => ({ type })) });
    const invalid = { state, reason: 'REASON_INVALID_OFFERS', source: 'SOURCE_MASTER', agent_id: { value: 'edge-1' } };
    for (const [offers, why] of [
      [[{ value: '9-9-9' }], 'Offer 9-9-9 is no longer valid'],
      [[{ value: 'of another shape' }], 'Offer of another shape is no longer valid'],
      [[], 'No offers specified'],
      [[offer.id, offer.id], `Duplicate offer ${offer.id.value} in offer list`],
    ] as const) {
      await client.accepted(accepting(offers, [launching(taskInfo('wall'))]), b);
      const told = await status(client);
      expect(told).toMatchObject({ ...invalid, message: `Task launched with invalid offers: ${why}` });
      expect(told.uuid).toBeUndefined();
    }
    expect(tasks()).toEqual([]);
    await expectWhole();
  });

  it('of an offer of another framework is one of an offer that does not stand', async () => {
    const { offer } = await offered();
    const other = await MesosClient.subscribe(b, { name: 'other' });
    await other.accepted(accepting([offer.id], [launching(taskInfo('wall'))]), a);
    expect(await status(other)).toMatchObject({ state: 'TASK_LOST', reason: 'REASON_INVALID_OFFERS' });
    await caughtUp(a.replica.ctx);
    const [ledger] = a.replica.ctx.mirror.snapshot.ledgers.values();
    expect(Object.keys(ledger?.offers ?? {})).toEqual([offer.id.value]);
  });

  it('launches what can be launched, and says of each other task what is wrong with it', async () => {
    const { client, offer } = await offered();
    const wrong = [
      taskInfo('far', { agent_id: { value: 'edge-9' } }),
      taskInfo('empty', { resources: [] }),
      taskInfo('half', { resources: [scalar('cpus', 0.1), scalar('mem', 32), scalar('gpus', 0.5)] }),
      taskInfo('good'),
    ];
    await client.accepted(accepting([offer.id], [launching(taskInfo('good'), ...wrong)]), b);
    const told: Record<string, WireTaskStatus> = {};
    for (const _ of wrong) {
      const one = await status(client);
      told[one.task_id.value] = one;
    }
    for (const one of Object.values(told)) {
      expect(one).toMatchObject({ state: 'TASK_ERROR', reason: 'REASON_TASK_INVALID' });
      expect(one.uuid).toBeUndefined();
    }
    expect(Object.keys(told).sort()).toEqual(['empty', 'far', 'good', 'half']);
    expect(told['half']?.message).toContain("The 'gpus' resource must be an unsigned integer");
    expect(told['good']?.message).toContain('Task has duplicate ID: good');
    await caughtUp(a.replica.ctx);
    expect(tasks()).toEqual(['good']);
  });

  it('of more than the offer holds ends that task alone, as an update that is acknowledged', async () => {
    const { client, offer } = await offered();
    const large = taskInfo('large', { resources: [scalar('cpus', 64), scalar('mem', 32)] });
    await client.accepted(accepting([offer.id], [launching(large, taskInfo('wall'))]));
    const refused = await status(client);
    expect(refused).toMatchObject({ task_id: { value: 'large' }, state: 'TASK_ERROR', agent_id: { value: 'edge-1' } });
    expect(tasks()).toContain('wall');
  });

  it('of what the caller may not do ends that task alone', async () => {
    const token = await a.token({ subject: 'anna', actions: ['framework:run'], roles: ['*'] });
    const { client, offer } = await offered({}, { token });
    const privileged = {
      container: { type: 'DOCKER', docker: { image: 'busybox', network: 'BRIDGE', privileged: true } },
    };
    await client.accepted(accepting([offer.id], [launching(taskInfo('strong', privileged), taskInfo('wall'))]));
    expect(await status(client)).toMatchObject({
      task_id: { value: 'strong' },
      state: 'TASK_ERROR',
      reason: 'REASON_TASK_UNAUTHORIZED',
      message: expect.stringContaining("doesn't allow job:privileged"),
    });
    expect(tasks()).toEqual(['wall']);
  });

  it('of nothing, or of nothing that can be carried out, is a decline', async () => {
    for (const operations of [[], [launching()], [launching(taskInfo('empty', { resources: [] }))]]) {
      const { client, offer } = await offered({ name: `painter-${operations.length}` });
      await client.accepted(accepting([offer.id], operations, { refuse_seconds: 60 }));
      await caughtUp(a.replica.ctx);
      const [ledger] = a.replica.ctx.mirror.snapshot.ledgers.values();
      expect(Object.keys(ledger?.offers ?? {})).toEqual([]);
      const filter = ledger?.filters.find((one) => one.offer === offer.id.value);
      expect(((filter?.untilMs ?? 0) - (filter?.sinceMs ?? 0)) / 1000).toBe(60);
      await client.accepted({ type: 'TEARDOWN' });
    }
  });

  it('carries each operation out by itself, and says what became of those with an id', async () => {
    const { client, offer } = await offered({ role: 'eng', principal: 'admin' });
    const reserve = (id: string, resources: object[]) => ({
      type: 'RESERVE',
      id: { value: id },
      reserve: { resources },
    });
    const dynamic = { role: 'eng', reservation: { principal: 'admin' } };
    const operations = [
      reserve('good', [{ ...scalar('cpus', 0.5), ...dynamic }]),
      reserve('large', [{ ...scalar('cpus', 64), ...dynamic }]),
      launching(taskInfo('wall')),
    ];
    await client.accepted(accepting([offer.id], operations));
    const told = [await client.until('UPDATE_OPERATION_STATUS'), await client.until('UPDATE_OPERATION_STATUS')];
    const states = told.map(({ update_operation_status: { status: one } }) => [
      one.operation_id.value,
      one.state,
      one.uuid === undefined ? 'told once' : 'to be acknowledged',
    ]);
    expect(states.sort()).toEqual([
      ['good', 'OPERATION_FINISHED', 'to be acknowledged'],
      ['large', 'OPERATION_ERROR', 'told once'],
    ]);
    const [ledger] = a.replica.ctx.mirror.snapshot.ledgers.values();
    expect(Object.values(ledger?.reservations ?? {})).toMatchObject([{ role: 'eng', scalars: { cpus: 0.5 } }]);
    expect(tasks()).toEqual(['wall']);
  });

  it('with an operation on offers that do not stand says that it was dropped', async () => {
    const { client } = await offered();
    const reserve = { type: 'RESERVE', id: { value: 'op' }, reserve: { resources: [scalar('cpus', 0.5)] } };
    await client.accepted(accepting([{ value: '9-9-9' }], [reserve]));
    const { status: told } = (await client.until('UPDATE_OPERATION_STATUS')).update_operation_status;
    expect(told).toMatchObject({ operation_id: { value: 'op' }, state: 'OPERATION_DROPPED' });
  });

  it('of an offer that was accepted is answered like any other of one that does not stand', async () => {
    const { client, offer } = await launched({}, taskInfo('wall'));
    await client.accepted(accepting([offer.id], [launching(taskInfo('door'))]));
    expect(await status(client)).toMatchObject({ task_id: { value: 'door' }, state: 'TASK_LOST' });
    await client.accepted({ type: 'DECLINE', decline: { offer_ids: [offer.id] } });
    expect(tasks()).toEqual(['wall']);
  });
});

const resources = (cpus: number, gpus = 0) => ({
  resources: [scalar('cpus', cpus), scalar('mem', 32), ...(gpus === 0 ? [] : [scalar('gpus', gpus)])],
});

/** By what is wrong, the operations, and how each of their tasks is told of. */
const WRONG: [string, object[], string[]][] = [
  ['a task larger than the offer', [launching(taskInfo('a', resources(64)))], ['TASK_ERROR']],
  [
    'more tasks than the offer has room for',
    [launching(taskInfo('a', resources(3)), taskInfo('b', resources(3)))],
    ['TASK_ERROR'],
  ],
  ['a part of a GPU', [launching(taskInfo('a', resources(0.1, 0.5)))], ['TASK_ERROR']],
  ['a GPU that nobody has', [launching(taskInfo('a', resources(0.1, 1)))], ['TASK_ERROR']],
  ['another agent', [launching(taskInfo('a', { agent_id: { value: 'edge-9' } }))], ['TASK_ERROR']],
  ['an id that is none', [launching(taskInfo('a/b'))], ['TASK_ERROR']],
  [
    'an id twice',
    [launching(taskInfo('a', resources(64)), taskInfo('a', resources(64)))],
    ['TASK_ERROR', 'TASK_ERROR'],
  ],
  [
    'a group of which one is too large',
    [
      {
        type: 'LAUNCH_GROUP',
        launch_group: {
          executor: {
            type: 'DEFAULT',
            executor_id: { value: 'e' },
            resources: [scalar('cpus', 0.1), scalar('mem', 32), scalar('disk', 1)],
          },
          task_group: {
            tasks: ['a', 'b'].map((id) => taskInfo(id, { container: undefined, ...resources(id === 'b' ? 64 : 0.1) })),
          },
        },
      },
    ],
    ['TASK_ERROR', 'TASK_ERROR'],
  ],
  [
    'more reserved than the offer holds',
    [{ type: 'RESERVE', reserve: { resources: [{ ...scalar('cpus', 64), role: 'eng', reservation: {} }] } }],
    [],
  ],
];

describe('whatever is wrong with an ACCEPT', () => {
  it.each(WRONG)('%s: it is told, and the pool is whole afterwards', async (_what, operations, states) => {
    const { client, offer } = await offered({ role: 'eng' });
    await client.accepted(accepting([offer.id], operations, { refuse_seconds: 0 }), b);
    for (const state of states) expect((await status(client)).state).toBe(state);
    await client.accepted({ type: 'TEARDOWN' }, b);
    await caughtUp(a.replica.ctx);
    for (const task of a.replica.ctx.mirror.snapshot.tasks.values()) {
      if (task.state === 'staging') await agent.report(task.id, 'killed', { reason: 'stop-requested' });
    }
    await a.replica.settle();
    await expectWhole();
  });
});

describe('an update', () => {
  it('that was not acknowledged is told again on the next stream, with the same uuid', async () => {
    const { client } = await launched({}, taskInfo('wall'));
    await agent.report(taskOf('wall'), 'running');
    const first = await status(client);
    await client.close();
    const next = await MesosClient.subscribe(b, { id: { value: client.id } });
    expect(await status(next)).toEqual(first);
  });
});
