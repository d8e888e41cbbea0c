import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { acknowledgeUpdates, killTask, reconcile } from '../../../control-plane/services/framework-calls.ts';
import { subscribe, tearDown } from '../../../control-plane/services/frameworks.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { FrameworkReader, overtaken, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { ADMIN, callOf, caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

let store: Store;
let a: Side;
let b: Side;
let id: string;
let epoch: number;

beforeEach(async () => {
  store = new MemoryStore({ clock: new SystemClock() });
  a = await startSide(store, 'a');
  b = await startSide(store, 'b');
  ({ epoch } = await registerNode(a.replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] }));
  id = (await subscribe(a.replica.ctx, callOf(), subscriptionOf())).body.id;
  await caughtUp(a.replica.ctx);
});
afterEach(() => {
  for (const side of [a, b]) side.stop();
});

function acknowledging(updates: readonly string[], { session = 1, side = a } = {}) {
  return acknowledgeUpdates(side.replica.ctx, ADMIN, { id, session, updates });
}

describe('a kill', () => {
  const kill = (name: string, graceSeconds: number | null = null) =>
    killTask(a.replica.ctx, callOf(), { id, session: 1, name, graceSeconds });

  it('marks the task, with the grace that it names, or the task`s own', async () => {
    const [one, two] = [await a.hand.launch(id, 'one'), await a.hand.launch(id, 'two')];
    const onItsWay = expect.stringMatching(/its end has been asked for.*until then it is staging/);
    expect(await kill('one', 2.5)).toMatchObject({
      body: { task: 'one', state: 'staging', reconciliation: true, message: onItsWay },
    });
    await kill('two');
    await caughtUp(a.replica.ctx);
    const { snapshot } = a.replica.ctx.mirror;
    const entries = snapshot.ledgers.get('edge-1')?.entries;
    expect(entries?.[one.id]?.stop).toMatchObject({ graceMs: 2500 });
    expect(entries?.[two.id]?.stop).toMatchObject({ graceMs: 10_000 });
    expect(snapshot.tasks.get(one.id)?.stop).toMatchObject({ by: 'admin' });
  });

  it('leaves what has ended alone, and says so of what it does not know', async () => {
    await a.hand.launch(id, 'one', { state: 'finished' });
    expect(await kill('one')).toMatchObject({ body: { state: 'finished', message: 'finished' } });
    expect(await kill('never')).toMatchObject({ body: { task: 'never', state: 'unknown', id: null } });
  });
});

describe('a call of a session that moves on as it commits', () => {
  let task: string;
  const late = () => overtaken(a.replica.ctx, id, (key) => key === keys.task(task));

  beforeEach(async () => {
    task = (await a.hand.launch(id, 'one', { state: 'running' })).id;
    await caughtUp(a.replica.ctx);
  });

  it('kills nothing', async () => {
    const kill = killTask(late(), callOf(), { id, session: 1, name: 'one', graceSeconds: null });
    await expect(kill).rejects.toMatchObject({ code: 'session-moved' });
    await caughtUp(a.replica.ctx);
    expect(a.replica.ctx.mirror.snapshot.tasks.get(task)).toMatchObject({ stop: null });
    expect(a.replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.entries[task]?.stop).toBeNull();
  });

  it('acknowledges nothing', async () => {
    const call = acknowledgeUpdates(late(), ADMIN, { id, session: 1, updates: [`${task}:1`] });
    await expect(call).rejects.toMatchObject({ code: 'session-moved' });
    await caughtUp(a.replica.ctx);
    expect(a.replica.ctx.mirror.snapshot.tasks.get(task)?.framework?.acknowledged).toBe(1);
  });
});

describe('an acknowledgement', () => {
  it('comes to what its place in the history says, whatever is repeated or comes too early', async () => {
    const { id: task } = await a.hand.launch(id, 'one', { state: 'starting' });
    await a.hand.report(task, 'running');
    await a.hand.report(task, 'finished');
    const all = [`${task}:0`, `${task}:2`, `${task}:1`, `${task}:3`, `${task}:4`, 'none-of-it:1'];
    expect((await acknowledging(all)).results).toEqual([
      'known',
      'early',
      'acknowledged',
      'early',
      'unknown',
      'unknown',
    ]);
    expect((await acknowledging([`${task}:1`, `${task}:2`, `${task}:3`, `${task}:3`])).results).toEqual([
      'known',
      'acknowledged',
      'acknowledged',
      'acknowledged',
    ]);
    await caughtUp(a.replica.ctx);
    expect(a.replica.ctx.mirror.snapshot.tasks.get(task)?.framework?.acknowledged).toBe(4);
  });

  it('does not touch the tasks of others', async () => {
    const other = (await subscribe(a.replica.ctx, callOf(), subscriptionOf())).body.id;
    const { id: task } = await a.hand.launch(other, 'one', { state: 'running' });
    expect((await acknowledging([`${task}:1`])).results).toEqual(['unknown']);
    await caughtUp(a.replica.ctx);
    expect(a.replica.ctx.mirror.snapshot.tasks.get(task)?.framework?.acknowledged).toBe(1);
  });

  it('is not lost, and loses nothing, when the agent reports at the same time', async () => {
    const tasks = await Promise.all(
      ['one', 'two', 'three'].map(async (name) => {
        const task = await a.hand.launch(id, name);
        await a.hand.report(task.id, 'starting');
        return task.id;
      }),
    );
    await caughtUp(b.replica.ctx);
    const report = (state: 'running' | 'finished') =>
      commitStatuses(
        b.replica.ctx,
        { node: 'edge-1', epoch },
        {
          statuses: tasks.map((task) => ({
            ...{ task, run: 0, state, atMs: 5, reason: 'exited' as const, message: '', exitCode: 0 },
          })),
          released: [],
        },
      );
    await Promise.all([report('running'), acknowledging(tasks.map((task) => `${task}:1`)), report('finished')]);
    await caughtUp(a.replica.ctx);
    for (const task of tasks) {
      const record = a.replica.ctx.mirror.snapshot.tasks.get(task);
      expect(record).toMatchObject({ state: 'finished', framework: { acknowledged: 2 } });
    }
  });

  it('lets what follows be told, on whichever replica the stream is', async () => {
    const { id: task } = await a.hand.launch(id, 'one', { state: 'starting' });
    await a.hand.report(task, 'running');
    const reader = await FrameworkReader.open(a, id, 1);
    await reader.next();
    expect(await reader.next()).toMatchObject({ update: { id: `${task}:1`, state: 'starting' } });
    await reader.close();
    const next = await FrameworkReader.open(b, id, 1);
    await next.next();
    expect(await next.next()).toMatchObject({ update: { id: `${task}:1`, state: 'starting' } });
    await acknowledging([`${task}:1`]);
    expect(await next.next()).toMatchObject({ update: { id: `${task}:2`, state: 'running' } });
  });
});

describe('a reconciliation', () => {
  it('says how every task stands that is named, or every one that has not ended', async () => {
    await a.hand.launch(id, 'one', { state: 'running' });
    await a.hand.launch(id, 'two', { state: 'failed' });
    const ask = (names: string[] | null) => reconcile(a.replica.ctx, ADMIN, { id, session: 1, names });
    const short = ({ updates }: Awaited<ReturnType<typeof ask>>) =>
      updates.map(({ task, state }) => `${task} ${state}`);
    expect(short(await ask(['two', 'one', 'three', 'one']))).toEqual(['two failed', 'one running', 'three unknown']);
    expect(short(await ask(null))).toEqual(['one running']);
    expect((await ask(null)).updates[0]).toMatchObject({ id: null, reconciliation: true, node: 'edge-1' });
  });

  it('knows of a task that another replica has launched just now', async () => {
    const slow = await startSide(store, 'slow');
    await a.hand.launch(id, 'one', { state: 'running' });
    const { updates } = await reconcile(slow.replica.ctx, ADMIN, { id, session: 1, names: ['one'] });
    expect(updates).toMatchObject([{ state: 'running' }]);
    slow.stop();
  });
});

describe('every call', () => {
  const calls: [string, (session: number) => Promise<unknown>][] = [
    ['kill', (session) => killTask(b.replica.ctx, callOf(), { id, session, name: 'one', graceSeconds: null })],
    ['acknowledge', (session) => acknowledging(['one:1'], { session, side: b })],
    ['reconcile', (session) => reconcile(b.replica.ctx, ADMIN, { id, session, names: null })],
  ];

  it.each(calls)('%s is refused in an old session, in none, and after a teardown', async (_name, call) => {
    await subscribe(a.replica.ctx, callOf(), subscriptionOf({ id }));
    await expect(call(1)).rejects.toMatchObject({ code: 'session-moved' });
    await expect(call(3)).rejects.toMatchObject({
      code: 'session-moved',
      message: expect.stringContaining('has no session 3 yet: it is at session 2'),
    });
    await expect(call(2)).resolves.toBeDefined();
    await tearDown(a.replica.ctx, callOf(), id, { reason: 'enough' });
    await caughtUp(b.replica.ctx);
    await expect(call(2)).rejects.toMatchObject({ code: 'framework-gone' });
  });
});
