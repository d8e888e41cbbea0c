/** A replica whose mirror is behind: what it doesn't see yet isn't thereby untrue. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { acknowledgeUpdates, killTask, reconcile } from '../../../control-plane/services/framework-calls.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import type { TaskStatus } from '../../../shared/protocol/agent.ts';
import { Hand, subscriptionOf } from '../../support/frameworks.ts';
import { HeldUpStore } from '../../support/held-up-store.ts';
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

/** By which the second replica is held up. */
let held: HeldUpStore;
let current: TestReplica;
let lagging: TestReplica;

beforeEach(async () => {
  const store = new MemoryStore({ clock });
  current = await startReplica({ store, clock, id: 'current' });
  held = new HeldUpStore(store);
  lagging = await startReplica({ store: held.store, clock, id: 'lagging' });
});
afterEach(() => {
  held.release();
  current.stop();
  lagging.stop();
});

async function placedBehindItsBack(): Promise<{ epoch: number; task: string }> {
  const { epoch } = await registerNode(current.ctx, JOINER, { node: nodeOf(NODE), seen: null, tasks: [] });
  await caughtUp(lagging.ctx);
  held.holdUp();
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
  held.release();
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
  held.holdUp();
  const task = await new Hand(current.ctx).launch(id, 'one', { state: 'running' });
  const of = { id, session: 1 };
  const asked = [
    reconcile(lagging.ctx, ADMIN, { ...of, names: ['one'] }),
    killTask(lagging.ctx, callOf(), { ...of, name: 'one', graceSeconds: null }),
    acknowledgeUpdates(lagging.ctx, ADMIN, { ...of, updates: [`${task.id}:1`] }),
  ] as const;
  held.release();
  const [{ updates }, { body }, { results }] = await Promise.all(asked);
  expect([updates[0]?.state, body.state, results]).toEqual(['running', 'running', ['acknowledged']]);
});

it('refuses no session that it has not heard of yet', async () => {
  const { id } = (await subscribe(current.ctx, callOf(), subscriptionOf())).body;
  await caughtUp(lagging.ctx);
  held.holdUp();
  await subscribe(current.ctx, callOf(), subscriptionOf({ id }));
  const asked = reconcile(lagging.ctx, ADMIN, { id, session: 2, names: null });
  held.release();
  expect((await asked).updates).toEqual([]);
});
