/** ACCEPTs that can't be carried out as they are: each gets Mesos's answer, and the pool is whole afterwards. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AGENT, TASK } from './conversations/messages.ts';
import { launching, named, Painter } from './conversations/painter.ts';
import { WHOLE, World } from './conversations/world.ts';

let world: World;

beforeEach(async () => {
  world = await World.start();
});
afterEach(() => world.stop());

/** Tasks that are no messages of Mesos. */
const UNREADABLE: readonly [string, object, string][] = [
  [
    'an agent that is no text',
    { agent_id: { value: 5 } },
    "for field 'accept.operations.0.launch.task_infos.0.agent_id.value'",
  ],
  [
    'a number as a text that is none',
    { resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: '1x' } }] },
    "Failed to parse '1x'",
  ],
  ['a kind of resource that nobody knows', { resources: [{ name: 'cpus', type: 'VECTOR' }] }, "resources.0.type'"],
  [
    'a port that is no whole number',
    { resources: [{ name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 1.5, end: 2 }] } }] },
    'whole number',
  ],
];

/** Those that are, and ask for what can't be. */
const INVALID: readonly [string, object][] = [
  [
    'less than nothing',
    {
      resources: [
        { name: 'cpus', type: 'SCALAR', scalar: { value: -1 } },
        { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
      ],
    },
  ],
  [
    'without end',
    {
      resources: [
        { name: 'cpus', type: 'SCALAR', scalar: { value: 'Infinity' } },
        { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
      ],
    },
  ],
  [
    'no number',
    {
      resources: [
        { name: 'cpus', type: 'SCALAR', scalar: { value: 'NaN' } },
        { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
      ],
    },
  ],
  [
    'a scalar without a value',
    {
      resources: [
        { name: 'cpus', type: 'SCALAR' },
        { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
      ],
    },
  ],
  [
    'ports backwards',
    {
      resources: [
        ...TASK.resources,
        { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 20_005, end: 20_001 }] } },
      ],
    },
  ],
  [
    'more ports than there are',
    {
      resources: [...TASK.resources, { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 0, end: 1e15 }] } }],
    },
  ],
  ['an empty id', { task_id: { value: '' } }],
  ['an id of 300 characters', { task_id: { value: 'x'.repeat(300) } }],
  ['no command', { command: null }],
  ['a kind of network that nobody knows', { container: { type: 'DOCKER', docker: { image: 'x', network: 'WARP' } } }],
];

describe('an ACCEPT', () => {
  it('of a task that was launched before is TASK_ERROR, over two offers', async () => {
    const painter = await Painter.subscribe(world);
    await painter.call(launching(await painter.offer(), [TASK]));
    await painter.call({ type: 'REVIVE' });
    await painter.call(launching(await painter.offer(), [TASK, named('door')]));
    expect(await painter.status()).toMatchObject({
      ...{ task_id: { value: 'wall' }, state: 'TASK_ERROR', reason: 'REASON_TASK_INVALID' },
      message: expect.stringContaining('Task has duplicate ID: wall'),
    });
    expect(await world.pool()).toMatchObject({ tasks: 2, offers: 0 });
  });

  it('of an offer that has expired loses its tasks', async () => {
    const painter = await Painter.subscribe(world);
    const offer = await painter.offer();
    await world.happens('a window is set', painter.id);
    await painter.call(launching(offer, [TASK]));
    expect(await painter.status()).toMatchObject({ state: 'TASK_LOST', reason: 'REASON_INVALID_OFFERS' });
    expect(await painter.call({ type: 'TEARDOWN' })).toMatchObject({ status: 202 });
    await world.happens('offers are made', painter.id);
    expect(await world.pool()).toEqual(WHOLE);
  });

  it('of more tasks than there may be values is refused as a whole, and the offer stands', async () => {
    const painter = await Painter.subscribe(world);
    const offer = await painter.offer();
    const tasks = Array.from({ length: 10_000 }, (_, index) => named(`t${index}`));
    const { status, text } = await painter.call(launching(offer, tasks));
    expect([status, text]).toEqual([400, expect.stringContaining('send fewer at a time')]);
    expect(await world.pool()).toMatchObject({ tasks: 0, offers: 1 });
    await painter.call({ type: 'DECLINE', decline: { offer_ids: [{ value: offer }] } });
    expect(await world.pool()).toEqual(WHOLE);
  });

  it('of ten thousand tasks that ask for nothing tells of them', async () => {
    const painter = await Painter.subscribe(world);
    const offer = await painter.offer();
    const tasks = Array.from({ length: 10_000 }, (_, index) => ({
      ...{ name: 't', task_id: { value: `t${index}` }, agent_id: AGENT },
    }));
    expect(await painter.call(launching(offer, tasks))).toEqual({ status: 202, text: '' });
    const told = new Map<string, string>();
    while (told.size < tasks.length) {
      const { task_id: id, state, reason } = await painter.status();
      told.set(id.value, `${state} ${reason}`);
    }
    // As many as a stream takes at once; of the others it is said that nobody knows them.
    expect([...new Set(told.values())].sort()).toEqual([
      'TASK_ERROR REASON_TASK_INVALID',
      'TASK_LOST REASON_RECONCILIATION',
    ]);
    expect(await world.pool()).toEqual(WHOLE);
  });

  it.each(UNREADABLE)('of a task with %s is refused as a whole, and the offer stands', async (_what, change, text) => {
    const painter = await Painter.subscribe(world);
    const offer = await painter.offer();
    const answer = await painter.call(launching(offer, [named('door', change)]));
    expect(answer).toEqual({ status: 400, text: expect.stringContaining(text) });
    expect(await world.pool()).toMatchObject({ tasks: 0, offers: 1 });
    await painter.call({ type: 'DECLINE', decline: { offer_ids: [{ value: offer }] } });
    expect(await world.pool()).toEqual(WHOLE);
  });

  it.each(INVALID)('of a task with %s is TASK_ERROR, and the others are launched', async (_what, change) => {
    const painter = await Painter.subscribe(world);
    const offer = await painter.offer();
    expect(await painter.call(launching(offer, [named('door', change), TASK]))).toEqual({ status: 202, text: '' });
    expect(await painter.status()).toMatchObject({ state: 'TASK_ERROR', reason: 'REASON_TASK_INVALID' });
    expect(await world.pool()).toMatchObject({ tasks: 1, offers: 0 });
  });

  it.each(['WARP', undefined])('of an operation of the type %s is a decline', async (type) => {
    const painter = await Painter.subscribe(world);
    const offer = await painter.offer();
    const accept = { offer_ids: [{ value: offer }], operations: [{ type, launch: { task_infos: [TASK] } }] };
    expect((await painter.call({ type: 'ACCEPT', accept })).status).toBe(202);
    expect(await world.pool()).toEqual(WHOLE);
  });
});

describe('a RECONCILE', () => {
  it('of more unknown tasks than can be told at once is answered for each', async () => {
    const painter = await Painter.subscribe(world);
    const tasks = Array.from({ length: 12_000 }, (_, index) => ({ task_id: { value: `t${index}` } }));
    expect((await painter.call({ type: 'RECONCILE', reconcile: { tasks } })).status).toBe(202);
    const told = new Set<string>();
    while (told.size < tasks.length) told.add((await painter.status()).task_id.value);
  });
});
