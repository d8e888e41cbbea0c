/** A replica whose mirror is behind: what it doesn't see yet isn't thereby untrue. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { acknowledgeUpdates, killTask, reconcile } from '../../../control-plane/services/framework-calls.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import type { Store, WatchRequest } from '../../../control-plane/store/contract.ts';
import type { TaskStatus } from '../../../shared/protocol/agent.ts';
import { Hand, subscriptionOf } from '../../support/frameworks.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  JOINER,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const clock = new SystemClock();
const NODE = 'edge-1';

/** Whether the second replica's watch is held up, and how to let it go on. */
let held: { readonly until: Promise<void>; readonly release: () => void } | null;
let current: TestReplica;
let lagging: TestReplica;

beforeEach(async () => {
  held = null;
  const store = new MemoryStore({ clock });
  current = await startReplica({ store, clock, id: 'current' });
  lagging = await startReplica({ store: heldUp(store), clock, id: 'lagging' });
});
afterEach(() => {
  held?.release();
  current.stop();
  lagging.stop();
});

function heldUp(store: MemoryStore): Store {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'watch') return (request: WatchRequest) => watchHeldUp(target, request);
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

async function* watchHeldUp(store: MemoryStore, request: WatchRequest) {
  for await (const batch of store.watch(request)) {
    await held?.until;
    yield batch;
  }
}

function holdUp(): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  held = { until: promise, release: resolve };
}

async function placedBehindItsBack(): Promise<{ epoch: number; task: string }> {
  const { epoch } = await registerNode(current.ctx, JOINER, { node: nodeOf(NODE), seen: null, tasks: [] });
  await caughtUp(lagging.ctx);
  holdUp();
  await submitJob(current.ctx, callOf(), specOf());
  await current.settle();
  const [task] = current.ctx.mirror.snapshot.tasks.keys();
  return { epoch, task: task ?? '' };
}

function running(task: string): TaskStatus {
  return { task, run: 0, state: 'running', atMs: 1, reason: 'started', message: 'started', exitCode: null };
}

it('takes in the status of a task that it has not seen yet', async () => {
  const { epoch, task } = await placedBehindItsBack();
  expect(lagging.ctx.mirror.snapshot.tasks.get(task)?.node ?? null).toBeNull();
  const answer = commitStatuses(lagging.ctx, { node: NODE, epoch }, { statuses: [running(task)], released: [] });
  held?.release();
  expect((await answer).results).toEqual(['committed']);
});

it('asks the agent to come again when it does not catch up', async () => {
  const { epoch, task } = await placedBehindItsBack();
  const request = { statuses: [running(task)], released: [] };
  await expect(commitStatuses(lagging.ctx, { node: NODE, epoch }, request)).rejects.toMatchObject({
    code: 'unavailable',
  });
});

it('says of no task that a framework does not have it before it has caught up', async () => {
  await registerNode(current.ctx, JOINER, { node: nodeOf(NODE), seen: null, tasks: [] });
  const { id } = (await subscribe(current.ctx, callOf(), subscriptionOf())).body;
  await caughtUp(lagging.ctx);
  holdUp();
  const task = await new Hand(current.ctx).launch(id, 'one', { state: 'running' });
  const of = { id, session: 1 };
  const asked = [
    reconcile(lagging.ctx, ADMIN, { ...of, names: ['one'] }),
    killTask(lagging.ctx, callOf(), { ...of, name: 'one', graceSeconds: null }),
    acknowledgeUpdates(lagging.ctx, ADMIN, { ...of, updates: [`${task.id}:1`] }),
  ] as const;
  held?.release();
  const [{ updates }, { body }, { results }] = await Promise.all(asked);
  expect([updates[0]?.state, body.state, results]).toEqual(['running', 'running', ['acknowledged']]);
});

it('refuses no session that it has not heard of yet', async () => {
  const { id } = (await subscribe(current.ctx, callOf(), subscriptionOf())).body;
  await caughtUp(lagging.ctx);
  holdUp();
  await subscribe(current.ctx, callOf(), subscriptionOf({ id }));
  const asked = reconcile(lagging.ctx, ADMIN, { id, session: 2, names: null });
  held?.release();
  expect((await asked).updates).toEqual([]);
});
