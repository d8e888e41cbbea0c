/** Messages between frameworks and executors, over two replicas: what waits, who gets it once, and what is refused. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../../control-plane/services/assignments.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { sendMessage, takeMessages } from '../../../control-plane/services/messages.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import type { Task, TaskState } from '../../../shared/domain/task.ts';
import type { MessagesRequest } from '../../../shared/protocol/agent.ts';
import { messagesRequestSchema } from '../../../shared/protocol/agent-schemas.ts';
import { present } from '../../../shared/util/assert.ts';
import { aGroup } from '../../support/builders.ts';
import { FrameworkReader, overtaken, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { eventually } from '../../support/processes.ts';
import { ADMIN, callOf, caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

let a: Side;
let b: Side;
let framework: string;

beforeEach(async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  a = await startSide(store, 'a');
  b = await startSide(store, 'b');
  for (const id of ['edge-1', 'edge-2']) {
    await registerNode(a.replica.ctx, JOINER, { node: nodeOf(id), seen: null, tasks: [] });
  }
  framework = (await subscribe(a.replica.ctx, callOf(), subscriptionOf())).body.id;
  await bothCaughtUp();
});
afterEach(() => {
  for (const side of [a, b]) side.stop();
});

async function bothCaughtUp(): Promise<void> {
  for (const { replica } of [a, b]) await caughtUp(replica.ctx);
}

/** An executor, unless the group says otherwise. */
async function launched(
  name: string,
  { group = {}, state = 'running' }: { group?: object; state?: TaskState } = {},
): Promise<Task> {
  const template = {
    group: { ...aGroup(), isExecutor: true as const, ...group },
    priority: 50,
    replaceAfterSeconds: 60,
  };
  const task = await a.hand.launch(framework, name, { state, template });
  await bothCaughtUp();
  return task;
}

function say(name: string, data = 'hello', side = a) {
  return sendMessage(side.replica.ctx, ADMIN, { id: framework, session: 1, name, data });
}

async function assigned(side: Side, node = 'edge-1') {
  await caughtUp(side.replica.ctx);
  const epoch = side.replica.ctx.mirror.snapshot.epochOf(node);
  const query = { position: null, streamsVersion: '', waitMs: 0, signal: new AbortController().signal };
  return present(await waitForAssignment(side.replica.ctx, { node, epoch }, query), 'an assignment');
}

async function tell(request: Partial<MessagesRequest>, { side = a, node = 'edge-1' } = {}) {
  const epoch = side.replica.ctx.mirror.snapshot.epochOf(node);
  const answer = await takeMessages(side.replica.ctx, { node, epoch }, { taken: [], said: [], ...request });
  await bothCaughtUp();
  return answer.results;
}

/** Updates of the tasks come as well. */
async function nextMessage(reader: FrameworkReader) {
  for (;;) {
    const event = await reader.next();
    if (event?.type !== 'update') return event;
  }
}

const idOf = (n: number) => `said${String(n).padStart(12, '0')}`;

function waiting(side: Side): string[] {
  return [...side.replica.ctx.mirror.snapshot.messages.values()].map(({ data }) => data);
}

describe('a message for an executor', () => {
  it('is listed for its node, on any replica, until the agent has taken it', async () => {
    const task = await launched('runner');
    const before = await assigned(b);
    expect(before.messages).toBeUndefined();
    const { id } = await say('runner');
    const during = await assigned(b);
    expect(during.messages).toEqual([{ id, task: task.id, data: 'hello' }]);
    expect(during.streamsVersion).not.toBe(before.streamsVersion);
    expect(during.position.generation).toBe(before.position.generation);
    expect((await assigned(b, 'edge-2')).messages).toBeUndefined();
    // Another node's agent can't take it away.
    await tell({ taken: [id] }, { node: 'edge-2' });
    expect((await assigned(b)).messages).toHaveLength(1);
    await tell({ taken: [id] }, { side: b });
    const after = await assigned(b);
    expect(after.messages).toBeUndefined();
    expect(after.streamsVersion).toBe(before.streamsVersion);
    expect(await tell({ taken: [id] })).toEqual([]);
  });

  it('wakes an agent that waits', async () => {
    const { streamsVersion, position } = await assigned(b);
    await launched('runner');
    const present = await assigned(b);
    const { ctx } = b.replica;
    const session = { node: 'edge-1', epoch: ctx.mirror.snapshot.epochOf('edge-1') };
    const signal = AbortSignal.timeout(20_000);
    expect(position.generation).toBeLessThanOrEqual(present.position.generation);
    const query = { position: present.position, streamsVersion, waitMs: 20_000, signal };
    const next = waitForAssignment(ctx, session, query);
    await say('runner');
    expect((await next)?.messages).toHaveLength(1);
  });

  it('may also be for what it runs, and for nobody else', async () => {
    await launched('runner');
    await launched('hosted', { group: { isExecutor: undefined, runtime: 'executor', executor: 'runner', image: '' } });
    await launched('plain', { group: { isExecutor: undefined } });
    await launched('over', { state: 'failed' });
    expect(await say('hosted')).toMatchObject({ id: expect.any(String) });
    await expect(say('plain')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('no executor'),
    });
    await expect(say('over')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('has ended'),
    });
    await expect(say('nobody')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('is not put where the framework subscribes anew just before', async () => {
    await launched('runner');
    const late = overtaken(a.replica.ctx, framework, (key) => key.startsWith(keys.messageForTask('edge-1', '')));
    const said = sendMessage(late, ADMIN, { id: framework, session: 1, name: 'runner', data: 'stop' });
    await expect(said).rejects.toMatchObject({ code: 'session-moved' });
    await bothCaughtUp();
    expect(a.replica.ctx.mirror.snapshot.messages.size).toBe(0);
  });

  it('is refused for a session that is over, and for a node that is away', async () => {
    await launched('runner');
    const old = sendMessage(a.replica.ctx, ADMIN, { id: framework, session: 1, name: 'runner', data: '' });
    await old;
    await subscribe(b.replica.ctx, callOf(), subscriptionOf({ id: framework }));
    await bothCaughtUp();
    await expect(say('runner')).rejects.toMatchObject({ code: 'session-moved' });
    await a.replica.ctx.store.transact({ compares: [], writes: [{ type: 'delete', key: keys.alive('edge-1') }] });
    await bothCaughtUp();
    const later = sendMessage(a.replica.ctx, ADMIN, { id: framework, session: 2, name: 'runner', data: '' });
    await expect(later).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('unreachable') });
  });

  it('is refused where too many wait for the task', async () => {
    await launched('runner');
    await launched('other');
    for (let n = 0; n < 16; n += 1) {
      await say('runner', String(n));
      await bothCaughtUp();
    }
    await expect(say('runner')).rejects.toMatchObject({ code: 'limit-exceeded' });
    await say('other', 'still');
    await bothCaughtUp();
    expect((await assigned(a)).messages?.map(({ data }) => data)).toEqual([...Array(16).keys(), 'still'].map(String));
  });
});

describe('a message of an executor', () => {
  it('comes on the stream of its framework, on any replica, once', async () => {
    const { id: task } = await launched('runner');
    const reader = await FrameworkReader.open(b, framework, 1);
    expect(await reader.next()).toMatchObject({ type: 'subscribed' });
    expect(await tell({ said: [{ id: idOf(1), task, data: 'ready' }] })).toEqual(['relayed']);
    const message = { id: idOf(1), task: 'runner', node: 'edge-1', data: 'ready' };
    expect(await nextMessage(reader)).toMatchObject({ type: 'message', message });
    const next = nextMessage(reader);
    await eventually('it to be off record', async () => waiting(a).length === 0);
    await tell({ said: [{ id: idOf(2), task, data: 'again' }] });
    expect(await next).toMatchObject({ type: 'message', message: { data: 'again' } });
    await reader.close();
  });

  it('waits for the framework to come back', async () => {
    const { id: task } = await launched('runner');
    await tell({
      said: [
        { id: idOf(1), task, data: 'one' },
        { id: idOf(2), task, data: 'two' },
      ],
    });
    // Sent again since the answer was lost, it waits once.
    await tell({ said: [{ id: idOf(2), task, data: 'two' }] });
    const reader = await FrameworkReader.open(a, framework, 1);
    const events = [await reader.next(), await reader.next(), await reader.next()];
    expect(events).toMatchObject([{ type: 'subscribed' }, { message: { data: 'one' } }, { message: { data: 'two' } }]);
    await reader.close();
  });

  it('is told off where it is of no task of a framework there, or too many wait', async () => {
    const { id: task } = await launched('runner');
    expect(await tell({ said: [{ id: idOf(1), task, data: '' }] }, { node: 'edge-2' })).toEqual(['unknown']);
    expect(await tell({ said: [{ id: idOf(1), task: 'nobody', data: '' }] })).toEqual(['unknown']);
    for (let n = 0; n < 64; n += 8) {
      const said = Array.from({ length: 8 }, (_, index) => ({ id: idOf(n + index), task, data: '' }));
      expect(new Set(await tell({ said }))).toEqual(new Set(['relayed']));
    }
    expect(await tell({ said: [{ id: idOf(99), task, data: '' }] })).toEqual(['crowded']);
  });

  it('is not taken from an agent whose session is over', async () => {
    const { id: task } = await launched('runner');
    const session = { node: 'edge-1', epoch: 0 };
    const late = takeMessages(a.replica.ctx, session, { taken: [], said: [{ id: idOf(1), task, data: '' }] });
    await expect(late).rejects.toMatchObject({ code: 'stale-epoch' });
    expect(waiting(a)).toEqual([]);
  });

  it.each([
    ['too long', { taken: [], said: [{ id: idOf(1), task: 't', data: 'é'.repeat(32_769) }] }, 'said.0.data'],
    ['without an id of its own', { taken: [], said: [{ id: '../x', task: 't', data: '' }] }, 'said.0.id'],
    ['one of too many', { taken: Array.from({ length: 17 }, (_, n) => idOf(n)), said: [] }, 'taken'],
  ])('is refused where it is %s', (_, request, path) => {
    const issues = messagesRequestSchema.safeParse(request).error?.issues ?? [];
    expect(issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  });
});
