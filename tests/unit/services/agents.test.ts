import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitStatuses, heartbeat, registerNode } from '../../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../../control-plane/services/assignments.ts';
import { submitJob, updateJob } from '../../../control-plane/services/jobs.ts';
import { drainNode, getNode, setEligibility } from '../../../control-plane/services/nodes.ts';
import type { NodeSession } from '../../../control-plane/services/session-check.ts';
import { stopTask } from '../../../control-plane/services/tasks.ts';
import { taskView } from '../../../control-plane/services/views.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { TaskHealth } from '../../../shared/domain/task.ts';
import type { TaskStatus } from '../../../shared/protocol/agent.ts';
import { present } from '../../../shared/util/assert.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  JOINER,
  nodeOf,
  nodePrincipal,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

let replica: TestReplica;

beforeEach(async () => {
  replica = await startReplica();
});
afterEach(() => replica.stop());

function register(principal = JOINER, id = 'edge-1', change = {}) {
  return registerNode(replica.ctx, principal, { node: nodeOf(id, change), seen: null, tasks: [] });
}

async function session(id = 'edge-1') {
  return { node: id, epoch: (await register(JOINER, id)).epoch };
}

function status(task: string, state: TaskStatus['state'], change: Partial<TaskStatus> = {}): TaskStatus {
  return { task, run: 0, state, atMs: 1, reason: 'started', message: state, exitCode: null, ...change };
}

async function placedTask(): Promise<string> {
  await submitJob(replica.ctx, callOf(), specOf());
  await replica.settle();
  const [task] = replica.ctx.mirror.snapshot.tasks.values();
  return task?.id ?? '';
}

function nothingYet(waitMs = 0, signal = new AbortController().signal) {
  return { position: null, streamsVersion: '', waitMs, signal };
}

describe('registering a node', () => {
  it('starts a session with an epoch, a lease and a ledger', async () => {
    const answer = await register();
    expect(answer).toMatchObject({ epoch: 1, incarnation: 1, leaseTtlMs: 10_000 });
    expect(getNode(replica.ctx, ADMIN, 'edge-1')).toMatchObject({ state: 'ready', total: { cpus: 4 } });
  });

  it('raises the epoch each time, so that the session before is over', async () => {
    const first = await session();
    const second = await register(nodePrincipal('edge-1'));
    expect(second.epoch).toBe(first.epoch + 1);
    await expect(heartbeat(replica.ctx, first)).rejects.toMatchObject({ code: 'stale-epoch' });
    await expect(heartbeat(replica.ctx, { node: 'edge-1', epoch: second.epoch })).resolves.toBeUndefined();
  });

  it('does not let a join token or another node take a connected node over', async () => {
    await register();
    await expect(register()).rejects.toMatchObject({ code: 'conflict' });
    await expect(register(nodePrincipal('edge-2'))).rejects.toMatchObject({ code: 'forbidden' });
    await expect(register(ADMIN)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('takes over what the node has now, and keeps what is placed there', async () => {
    await register();
    const task = await placedTask();
    const resources = { ...nodeOf('edge-1').resources, cpus: 8 };
    await register(nodePrincipal('edge-1'), 'edge-1', { resources });
    const ledger = replica.ctx.mirror.snapshot.ledgers.get('edge-1');
    expect(ledger?.total.cpus).toBe(8);
    expect(Object.keys(ledger?.entries ?? {})).toEqual([task]);
  });
});

describe('the assignment', () => {
  it('carries what a task needs, once it differs from what the agent has', async () => {
    const held = await session();
    const task = await placedTask();
    const assignment = await waitForAssignment(replica.ctx, held, nothingYet());
    expect(assignment?.tasks).toMatchObject([{ id: task, state: 'staging', group: { image: 'berth/busybox:local' } }]);
    const position = assignment?.position ?? null;
    expect(await waitForAssignment(replica.ctx, held, { ...nothingYet(), position })).toBeNull();
  });

  it('says of each task what its own version says about being cut off', async () => {
    const held = await session();
    const spec = specOf({ stopAfterDisconnectSeconds: 12.5 });
    await submitJob(replica.ctx, callOf(), spec);
    await replica.settle();
    const told = async () => {
      const assignment = await waitForAssignment(replica.ctx, held, nothingYet());
      return assignment?.tasks.map((task) => [task.jobVersion, task.stopAfterDisconnectMs]);
    };
    expect(await told()).toEqual([[1, 12_500]]);
    const { stopAfterDisconnectSeconds: _, ...without } = spec;
    await updateJob(replica.ctx, callOf(), without, { ifVersion: null, onlyCreate: false });
    await replica.settle();
    expect(await told()).toEqual([[1, 12_500]]);
  });

  it('names what is to be streamed by a short version, however much it is', async () => {
    const held = await session();
    const stream = (id: string) => {
      const asked = { id, task: 't', follow: true, tail: null, since: null };
      const record = { ...asked, node: 'edge-1', replica: 'r', requestedAtMs: 0 };
      return putRecord('streams', keys.stream('edge-1', id), record);
    };
    const versionWith = async (...ids: readonly string[]) => {
      await replica.ctx.store.transact({ compares: [], writes: ids.map(stream) });
      await caughtUp(replica.ctx);
      return (await waitForAssignment(replica.ctx, held, nothingYet()))?.streamsVersion;
    };
    expect(await versionWith()).toBe('');
    const one = await versionWith('a');
    const many = await versionWith(...Array.from({ length: 100 }, (_, place) => `stream-${place}`));
    expect(one).toMatch(/^[0-9a-f]{16}$/);
    expect(many).toMatch(/^[0-9a-f]{16}$/);
    expect(many).not.toBe(one);
  });

  it('is given to one who waits as soon as something changes', async () => {
    const held = await session();
    const first = await waitForAssignment(replica.ctx, held, nothingYet());
    const waiting = waitForAssignment(replica.ctx, held, { ...nothingYet(60_000), position: first?.position ?? null });
    const task = await placedTask();
    expect((await waiting)?.tasks.map((assigned) => assigned.id)).toEqual([task]);
  });

  it('is never older than what the agent has: a session that has seen a later state is over', async () => {
    const held = await session();
    const first = await waitForAssignment(replica.ctx, held, nothingYet());
    const generation = (first?.position.generation ?? 0) + 1;
    const later = { ...nothingYet(), position: { incarnation: 1, generation } };
    await expect(waitForAssignment(replica.ctx, held, later)).rejects.toMatchObject({ code: 'stale-epoch' });
    const recovered = { ...nothingYet(), position: { incarnation: 2, generation: 1 } };
    await expect(waitForAssignment(replica.ctx, held, recovered)).rejects.toMatchObject({ code: 'stale-epoch' });
    const older = { ...nothingYet(), position: { incarnation: 0, generation } };
    expect(await waitForAssignment(replica.ctx, held, older)).not.toBeNull();
  });

  it('ends the wait of a session that is over', async () => {
    const held = await session();
    const first = await waitForAssignment(replica.ctx, held, nothingYet());
    const waiting = waitForAssignment(replica.ctx, held, { ...nothingYet(60_000), position: first?.position ?? null });
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'stale-epoch' });
    await register(nodePrincipal('edge-1'));
    await outcome;
  });

  it('ends the wait of a client that is gone', async () => {
    const held = await session();
    const first = await waitForAssignment(replica.ctx, held, nothingYet());
    const gone = new AbortController();
    const query = { ...nothingYet(60_000, gone.signal), position: first?.position ?? null };
    const waiting = waitForAssignment(replica.ctx, held, query);
    gone.abort();
    expect(await waiting).toBeNull();
  });
});

describe('statuses', () => {
  it('are committed once, in order, and never go back', async () => {
    const held = await session();
    const task = await placedTask();
    const request = { statuses: [status(task, 'starting'), status(task, 'running')], released: [] };
    expect((await commitStatuses(replica.ctx, held, request)).results).toEqual(['committed', 'committed']);
    await caughtUp(replica.ctx);
    expect((await commitStatuses(replica.ctx, held, request)).results).toEqual(['known', 'known']);
    const history = replica.ctx.mirror.snapshot.tasks.get(task)?.history.map((transition) => transition.state);
    expect(history).toEqual(['pending', 'staging', 'starting', 'running']);
  });

  it('end a task for good, and the next round sweeps its place', async () => {
    const held = await session();
    const task = await placedTask();
    const ended = status(task, 'finished', { reason: 'exited', exitCode: 0 });
    await commitStatuses(replica.ctx, held, { statuses: [ended], released: [] });
    await caughtUp(replica.ctx);
    await replica.settle();
    expect(replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.entries).toEqual({});
    const late = { statuses: [status(task, 'failed', { exitCode: 1 })], released: [] };
    expect((await commitStatuses(replica.ctx, held, late)).results).toEqual(['known']);
    expect(replica.ctx.mirror.snapshot.tasks.get(task)).toMatchObject({ state: 'finished', exitCode: 0 });
  });

  it('tell of further runs, each once, and nothing of earlier ones', async () => {
    const agent = await session();
    const task = await placedTask();
    const again = (run: number, change: Partial<TaskStatus> = {}) =>
      status(task, 'running', { run, reason: 'restarted-after-reboot', atMs: Date.now() + run, ...change });
    const statuses = [status(task, 'running'), again(1), again(1), again(2), again(1), status(task, 'failed')];
    const { results } = await commitStatuses(replica.ctx, agent, { statuses, released: [] });
    expect(results).toEqual(['committed', 'committed', 'known', 'committed', 'known', 'known']);
    await caughtUp(replica.ctx);
    expect(replica.ctx.mirror.snapshot.tasks.get(task)).toMatchObject({ state: 'running', run: 2 });
    const { snapshot } = replica.ctx.mirror;
    const view = taskView(snapshot, present(snapshot.tasks.get(task), 'the task'));
    expect(view).toMatchObject({ run: 2, reason: 'restarted-after-reboot', restarts: [{ run: 1 }, { run: 2 }] });
    expect(view.history.map((step) => step.state)).toEqual(['pending', 'staging', 'running']);
    const assignment = await waitForAssignment(replica.ctx, agent, nothingYet());
    expect(assignment?.tasks[0]).toMatchObject({ id: task, run: 2 });
    const end = status(task, 'finished', { run: 2, exitCode: 0 });
    await commitStatuses(replica.ctx, agent, { statuses: [end, again(3)], released: [] });
    await caughtUp(replica.ctx);
    expect(replica.ctx.mirror.snapshot.tasks.get(task)).toMatchObject({ state: 'finished', run: 2, exitCode: 0 });
  });

  it('tell that a run has ended before the next one begins, and that it has begun once', async () => {
    const held = await session();
    const task = await placedTask();
    const told = (state: TaskStatus['state'], run: number) =>
      status(task, state, { run, reason: 'restarted-in-place', message: `${state} ${run}` });
    const commit = async (...statuses: TaskStatus[]) => {
      const { results } = await commitStatuses(replica.ctx, held, { statuses, released: [] });
      await caughtUp(replica.ctx);
      return results;
    };
    expect(await commit(status(task, 'running'), told('starting', 1), told('starting', 1))).toEqual([
      'committed',
      'committed',
      'known',
    ]);
    const between = present(replica.ctx.mirror.snapshot.tasks.get(task), 'the task');
    expect(between).toMatchObject({ state: 'running', run: 1, restarts: [] });
    expect(taskView(replica.ctx.mirror.snapshot, between).message).toBe(
      'run 1 has ended, and the next one has not begun',
    );
    const assignment = await waitForAssignment(replica.ctx, held, nothingYet());
    expect(assignment?.tasks[0]).toMatchObject({ id: task, run: 1, state: 'starting' });
    expect(await commit(told('running', 1), told('running', 1), told('starting', 1))).toEqual([
      'committed',
      'known',
      'known',
    ]);
    expect(replica.ctx.mirror.snapshot.tasks.get(task)).toMatchObject({
      state: 'running',
      run: 1,
      restarts: [{ run: 1, reason: 'restarted-in-place', message: 'running 1' }],
    });
    await commit(told('starting', 2), told('killed', 2));
    expect(replica.ctx.mirror.snapshot.tasks.get(task)).toMatchObject({ state: 'killed', run: 2 });
  });

  it('take a further run as begun where that of the first was never told', async () => {
    const held = await session();
    const task = await placedTask();
    const statuses = (['starting', 'running'] as const).map((state) => status(task, state, { run: 1 }));
    await commitStatuses(replica.ctx, held, { statuses, released: [] });
    await caughtUp(replica.ctx);
    const record = present(replica.ctx.mirror.snapshot.tasks.get(task), 'the task');
    expect(record).toMatchObject({ state: 'running', run: 1, restarts: [{ run: 1 }] });
  });

  it('of an old session are refused', async () => {
    const held = await session();
    const task = await placedTask();
    await register(nodePrincipal('edge-1'));
    const request = { statuses: [status(task, 'running')], released: [] };
    await expect(commitStatuses(replica.ctx, held, request)).rejects.toMatchObject({ code: 'stale-epoch' });
    expect(replica.ctx.mirror.snapshot.tasks.get(task)?.state).toBe('staging');
  });

  it('for tasks of another node are unknown', async () => {
    await session('edge-1');
    const task = await placedTask();
    const other = await session('edge-2');
    const request = { statuses: [status(task, 'failed')], released: [] };
    expect((await commitStatuses(replica.ctx, other, request)).results).toEqual(['unknown']);
  });

  it('never date a transition before the one that it follows', async () => {
    const held = await session();
    const task = await placedTask();
    await commitStatuses(replica.ctx, held, { statuses: [status(task, 'running', { atMs: 5 })], released: [] });
    await caughtUp(replica.ctx);
    const times = replica.ctx.mirror.snapshot.tasks.get(task)?.history.map((transition) => transition.atMs) ?? [];
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });
});

describe('health', () => {
  const healthOf = (task: string) => replica.ctx.mirror.snapshot.tasks.get(task)?.health;
  const health = (change: Partial<TaskHealth> = {}): TaskHealth => ({
    ...{ run: 0, healthy: true, ready: true, sinceMs: 5 },
    checks: [{ name: 'web', passing: true, message: 'status 200', atMs: 5 }],
    ...change,
  });
  const tell = (held: NodeSession, task: string, told: TaskHealth, statuses: readonly TaskStatus[] = []) =>
    commitStatuses(replica.ctx, held, { statuses, released: [], health: [{ task, health: told }] });

  it('of the present run is put on record, also where the run was begun in the same breath', async () => {
    const held = await session();
    const task = await placedTask();
    await tell(held, task, health(), [status(task, 'running')]);
    await caughtUp(replica.ctx);
    expect(healthOf(task)).toEqual(health());
    const again = status(task, 'running', { run: 1, reason: 'restarted-in-place' });
    await tell(held, task, health({ run: 1, healthy: false }), [again]);
    await caughtUp(replica.ctx);
    expect(healthOf(task)).toEqual(health({ run: 1, healthy: false }));
    await tell(held, task, health({ run: 0 }));
    await tell(held, task, health({ run: 7 }));
    await caughtUp(replica.ctx);
    expect(healthOf(task)).toMatchObject({ run: 1 });
  });

  it('that says nothing new is no write', async () => {
    const held = await session();
    const task = await placedTask();
    await tell(held, task, health(), [status(task, 'running')]);
    await caughtUp(replica.ctx);
    const { revision } = replica.ctx.mirror;
    await tell(held, task, health());
    await caughtUp(replica.ctx);
    expect(replica.ctx.mirror.revision).toBe(revision);
  });

  it('of what has ended, is elsewhere or unknown, or from an old session changes nothing', async () => {
    const held = await session();
    const task = await placedTask();
    const other = await session('edge-2');
    await tell(other, task, health());
    await tell(held, 'no-such-task', health());
    await caughtUp(replica.ctx);
    expect(healthOf(task)).toBeNull();
    await register(nodePrincipal('edge-1'));
    await expect(tell(held, task, health())).rejects.toMatchObject({ code: 'stale-epoch' });
    const again = { ...held, epoch: held.epoch + 1 };
    await commitStatuses(replica.ctx, again, { statuses: [status(task, 'failed')], released: [] });
    await caughtUp(replica.ctx);
    await tell(again, task, health());
    await caughtUp(replica.ctx);
    expect(healthOf(task)).toBeNull();
  });
});

describe('keeping tasks away from a node', () => {
  it('gives a closed or draining node nothing, and opens it again', async () => {
    await session();
    await setEligibility(replica.ctx, callOf(), 'edge-1', { eligible: false });
    await caughtUp(replica.ctx);
    const task = await placedTask();
    expect(replica.ctx.mirror.snapshot.tasks.get(task)?.state).toBe('pending');
    await setEligibility(replica.ctx, callOf(), 'edge-1', { eligible: true });
    await drainNode(replica.ctx, callOf(), 'edge-1', { deadlineSeconds: null });
    await caughtUp(replica.ctx);
    await replica.settle();
    expect(replica.ctx.mirror.snapshot.tasks.get(task)?.state).toBe('pending');
    expect(getNode(replica.ctx, ADMIN, 'edge-1').state).toBe('drained');
  });

  it('stops what still runs when the deadline of a drain has passed', async () => {
    await session();
    const task = await placedTask();
    await drainNode(replica.ctx, callOf(), 'edge-1', { deadlineSeconds: 0 });
    await caughtUp(replica.ctx);
    await replica.settle();
    expect(replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.entries[task]?.stop).not.toBeNull();
  });
});

describe('a stop that races with a placement', () => {
  it('leaves a task that was stopped without a place', async () => {
    const task = await placedTask();
    await Promise.all([session(), stopTask(replica.ctx, callOf(), task, { reason: 'no' })]);
    await caughtUp(replica.ctx);
    await replica.settle();
    expect(replica.ctx.mirror.snapshot.tasks.get(task)).toMatchObject({ state: 'killed', node: null });
    expect(replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.entries).toEqual({});
  });
});
