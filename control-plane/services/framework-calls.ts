/** What frameworks ask about tasks that they have launched: to end one, how they stand, and that updates were heard. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId } from '../../shared/domain/ids.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { type Acknowledgement, acknowledge, parseUpdateId } from '../../shared/domain/task-update.ts';
import type { Acknowledged, Reconciled, TaskUpdateView } from '../../shared/protocol/framework.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { packTransactions } from '../store/transact.ts';
import { putTask, stopUnit, type Unit } from '../store/units.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { actingFramework, reachPresent, reachSession, sessionFence } from './framework-access.ts';
import { reconciledView, tasksByName, unknownView } from './framework-views.ts';
import { mutate } from './mutation.ts';

const CATCH_UP_MS = 2000;

/** Tries of one acknowledgement when agents keep reporting on the same tasks. */
const TRIES_MAX = 16;

/** A framework, and the session that a call is of. */
export interface SessionOf {
  readonly id: FrameworkId;
  readonly session: number;
}

/**
 * Asks for the end of the task that the framework calls so. Answers how it stands: one that has ended is left alone, and one that
 * isn't known is `unknown`. `graceSeconds`: between the polite signal and the kill; null: the task's own.
 */
export async function killTask(
  ctx: ServiceContext,
  call: Call,
  { name, graceSeconds, ...of }: SessionOf & { readonly name: string; readonly graceSeconds: number | null },
): Promise<Answer<TaskUpdateView>> {
  await reachSession(ctx, of);
  if (!knows(ctx, of.id, [name])) await reachPresent(ctx, of.id);
  return mutate(ctx, call, () => {
    const { id } = actingFramework(ctx, call.principal, of);
    const { snapshot } = ctx.mirror;
    const nowMs = ctx.clock.now();
    const task = tasksByName(snapshot, id).get(name);
    if (task === undefined) return { status: 200, body: unknownView(name, nowMs), compares: [], writes: [] };
    const stop = { atMs: nowMs, by: call.principal.subject, reason: 'killed by its framework' };
    const graceMs = graceSeconds === null ? {} : { graceMs: Math.round(graceSeconds * 1000) };
    const unit = stopUnit(snapshot, [{ task, stop, ...graceMs }]);
    const standing = reconciledView(snapshot, task);
    const message = `its end has been asked for, and is told as an update once it has come; until then it is ${task.state}`;
    const body = isTerminal(task.state) ? standing : { ...standing, message };
    if (unit === null) return { status: 200, body, compares: [], writes: [] };
    const compares = [...unit.compares, sessionFence(snapshot, id)];
    return { status: 200, body, compares, writes: unit.writes };
  });
}

/**
 * Notes that updates were heard, so that what follows them is told. Harmless to repeat. Each that was outstanding is a
 * compare-and-set of its task's record, which its agent may be reporting on at the same time: whoever loses tries again.
 */
export async function acknowledgeUpdates(
  ctx: ServiceContext,
  principal: Principal,
  { updates, ...of }: SessionOf & { readonly updates: readonly string[] },
): Promise<Acknowledged> {
  await reachSession(ctx, of);
  if (!updates.every((id) => ctx.mirror.snapshot.tasks.has(parseUpdateId(id)?.task ?? '')))
    await reachPresent(ctx, of.id);
  const results = new Map<string, Acknowledgement>();
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const framework = actingFramework(ctx, principal, of);
    const drafted = draftAcknowledgements(ctx, framework, updates, results);
    if (await commitAcknowledgements(ctx, framework, drafted)) {
      return { results: updates.map((id) => results.get(id) ?? 'unknown') };
    }
  }
  throw new Refusal('conflict', 'the tasks kept changing; acknowledge again', { retryAfterSeconds: 1 });
}

/** The tasks that change. `results` keeps what an earlier try has acknowledged already. */
function draftAcknowledgements(
  { mirror }: ServiceContext,
  { id: framework }: Framework,
  updates: readonly string[],
  results: Map<string, Acknowledgement>,
): Task[] {
  const changed = new Map<string, Task>();
  for (const id of updates) {
    const update = parseUpdateId(id);
    const task = update === null ? undefined : (changed.get(update.task) ?? mirror.snapshot.tasks.get(update.task));
    if (update === null || task?.framework?.id !== framework) {
      if (!results.has(id)) results.set(id, 'unknown');
      continue;
    }
    const outcome = acknowledge(task, update.place);
    if (results.get(id) !== 'acknowledged') results.set(id, outcome.result);
    if (outcome.task !== task) changed.set(task.id, outcome.task);
  }
  return [...changed.values()];
}

/** False: a compare was lost, and the mirror has been given the time to see why. */
async function commitAcknowledgements(
  { store, mirror }: ServiceContext,
  { id }: Framework,
  tasks: readonly Task[],
): Promise<boolean> {
  const { snapshot } = mirror;
  const seen = (key: string) => ({ key, modRevision: snapshot.modRevision(key) });
  const units = tasks.map((task): Unit => ({ compares: [seen(keys.task(task.id))], writes: [putTask(task)] }));
  let isDone = true;
  for (const { compares, writes } of packTransactions(units, [sessionFence(snapshot, id)])) {
    const result = await store.transact({ compares, writes });
    await mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
    isDone &&= result.committed;
  }
  return isDone;
}

/** How the framework's tasks of these names stand, or (null) all of its tasks that have not ended. */
export async function reconcile(
  ctx: ServiceContext,
  principal: Principal,
  { names, ...of }: SessionOf & { readonly names: readonly string[] | null },
): Promise<Reconciled> {
  await reachSession(ctx, of);
  if (names !== null && !knows(ctx, of.id, names)) await reachPresent(ctx, of.id);
  const { id } = actingFramework(ctx, principal, of);
  const { snapshot } = ctx.mirror;
  const known = tasksByName(snapshot, id);
  const nowMs = ctx.clock.now();
  const wanted =
    names === null ? [...known].flatMap(([name, { state }]) => (isTerminal(state) ? [] : [name])) : [...new Set(names)];
  return {
    updates: wanted.map((name) => {
      const task = known.get(name);
      return task === undefined ? unknownView(name, nowMs) : reconciledView(snapshot, task);
    }),
  };
}

/**
 * To answer "unknown" ends a framework's questions, so it takes a mirror of the present: another replica may have launched the
 * task just now.
 */
function knows({ mirror }: ServiceContext, framework: FrameworkId, names: readonly string[]): boolean {
  const known = tasksByName(mirror.snapshot, framework);
  return names.every((name) => known.has(name));
}
