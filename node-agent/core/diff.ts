/**
 * The agent's one decision: what is wanted, what is known and what runs, in; the next steps, out. It looks at each task by
 * itself, names at most one step for it, and is called again when that has been done; so every step starts from facts.
 *
 * The rules that everything else leans on:
 * - a task that the journal doesn't know is started only in a live session, and only while it is still `staging`;
 * - one that the journal knows, and the engine was never asked to start, is started without a session too;
 * - a task that has ended never runs again, whatever anybody says later;
 * - one whose run has ended by itself, or whose node went down under it, may run again as a further run, where its group asks for it;
 * - nothing is stopped for being unknown until the control plane itself has said that it isn't wanted.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import { againAtMs, asBefore, lastEnding, mayRunAgain } from './again.ts';
import { type AloneInput, aloneAtMs } from './alone.ts';
import {
  endingOf,
  executorOverEnding,
  fallenEnding,
  maybeRunEnding,
  neverStartedEnding,
  notFoundEnding,
  vanishedEnding,
} from './ending.ts';
import { hostOf } from './hosting.ts';
import { isUnassigned, keptAsideStop } from './kept-aside.ts';
import {
  type Assignment,
  type Boot,
  type Container,
  type Containers,
  type Ending,
  type LocalStop,
  type LocalTask,
  type LocalTasks,
  ORPHAN_GRACE_MS,
  type StopCause,
} from './model.ts';
import { endedWithMachine, isOfEarlierBoot, lastsAtMs, mayRestart, restartAtMs } from './restart.ts';
import { expiredContainers, type Retention } from './retention.ts';
import { delayOf, politeSignal, stopTurn } from './stopping.ts';

export interface DiffInput extends AloneInput {
  /** On the steady clock. */
  readonly nowMs: number;
  /** When the agent began, on the same. */
  readonly begunAtMs: number;
  /**
   * `live`: `assignment` is what the control plane said in the present session, and it can be reached. `refused`: it can be
   * reached, and doesn't take this node.
   */
  readonly session: 'live' | 'offline' | 'refused';
  /** The last one that was received; null: none since the agent started. */
  readonly assignment: Assignment | null;
  /** What the journal adds up to. */
  readonly journal: LocalTasks;
  /** Every container of this node, ended ones too. */
  readonly running: Containers;
  readonly boot: Boot;
  readonly retention: Retention;
  /** How long ago the last heartbeat was sent that the control plane confirmed; Infinity: none since the machine started. */
  readonly contactAgeMs: number;
  /** Containers that the dead-man has killed, by id. */
  readonly fenced: ReadonlySet<string>;
}

export type Step =
  | { readonly type: 'start'; readonly task: TaskId; readonly assigned: AssignedTask }
  /** What ran has ended with the machine: a further run begins. */
  | { readonly type: 'restart'; readonly task: TaskId; readonly run: number }
  /** What ran has ended by itself, as `ending` says, which isn't the task's end: a further run begins, after a pause. */
  | { readonly type: 'again'; readonly task: TaskId; readonly run: number; readonly ending: Ending }
  | { readonly type: 'lasted'; readonly task: TaskId }
  /** Something runs that should be on record as running. */
  | {
      readonly type: 'adopt';
      readonly task: TaskId;
      readonly assigned: AssignedTask | null;
      readonly container: Container;
    }
  /** It is over: put it on record and tell. */
  | { readonly type: 'report'; readonly task: TaskId; readonly ending: Ending; readonly endedAtMs: number | null }
  /** The polite signal. */
  | {
      readonly type: 'stop';
      readonly task: TaskId;
      readonly container: string;
      readonly signal: string;
      /** Until that; 0: it is sent at once. */
      readonly delayMs: number;
      readonly graceMs: number;
      readonly cause: StopCause;
      readonly message: string;
    }
  /** Its delay is over: the polite signal. */
  | { readonly type: 'signal'; readonly task: TaskId; readonly container: string; readonly signal: string }
  | { readonly type: 'kill'; readonly task: TaskId; readonly container: string }
  /** `isUnused`: it was seen never to have run, and its task may get another one. */
  | { readonly type: 'remove'; readonly task: TaskId; readonly container: string; readonly isUnused: boolean }
  | { readonly type: 'release'; readonly task: TaskId }
  | { readonly type: 'forget'; readonly task: TaskId };

type Report = Extract<Step, { readonly type: 'report' }>;

export interface Diff {
  readonly steps: readonly Step[];
  /** When to look again even if nothing changes, on the steady clock. */
  readonly wakeAtMs: number | null;
}

/** Everything about one task. */
interface Facts {
  readonly id: TaskId;
  readonly input: DiffInput;
  readonly assigned: AssignedTask | undefined;
  readonly local: LocalTask | undefined;
  readonly container: Container | undefined;
}

interface Verdict {
  readonly step?: Step;
  readonly wakeAtMs?: number;
}

const NOTHING: Verdict = {};

export function diff(input: DiffInput): Diff {
  const steps: Step[] = [];
  let wakeAtMs = Number.POSITIVE_INFINITY;
  for (const id of everyTask(input)) {
    const verdict = decide({
      id,
      input,
      assigned: input.assignment?.tasks.get(id),
      local: input.journal.get(id),
      container: input.running.get(id),
    });
    if (verdict.step) steps.push(verdict.step);
    wakeAtMs = Math.min(wakeAtMs, verdict.wakeAtMs ?? wakeAtMs);
  }
  const expired = expiredContainers(input);
  for (const container of expired.containers) steps.push(removal(container));
  wakeAtMs = Math.min(wakeAtMs, expired.wakeAtMs ?? wakeAtMs);
  return { steps, wakeAtMs: Number.isFinite(wakeAtMs) ? wakeAtMs : null };
}

function everyTask(input: DiffInput): Set<TaskId> {
  return new Set([...(input.assignment?.tasks.keys() ?? []), ...input.journal.keys(), ...input.running.keys()]);
}

function decide(facts: Facts): Verdict {
  const { local } = facts;
  if (local === undefined) return facts.container === undefined ? untouched(facts) : stranger(facts, facts.container);
  if (local.phase === 'ended') return ended(facts, local);
  const { container } = facts;
  if (container !== undefined && container.run < local.run) return formerRun(facts, local, container);
  if (container?.state === 'running') {
    return local.phase === 'running' ? running(facts, local, container) : step(adopt(facts, container));
  }
  if (endedWithMachine(local, container, facts.input.boot)) return fallen(facts, local);
  if (container?.state === 'exited') return over(facts, local, reportEnd(facts, container));
  if (local.phase === 'running') return over(facts, local, reportAs(facts.id, vanishedEnding(local)));
  if (container === undefined) return interrupted(facts, local);
  // Whether it had begun to run when the power failed, the engine may have had no time to write down.
  return step(
    isOfEarlierBoot(local, facts.input.boot) ? { ...removal(container), isUnused: false } : removal(container),
  );
}

/** A task has one container: its next run begins when that of the one before is gone. Until then its output can be had. */
function formerRun(facts: Facts, local: LocalTask, container: Container): Verdict {
  if (container.state === 'running') return step({ type: 'kill', task: facts.id, container: container.id });
  const atMs = againAtMs(local);
  if (facts.input.nowMs < atMs && isStillWanted(facts)) return { wakeAtMs: atMs };
  return step({ ...removal(container), isUnused: false });
}

/** Its run has ended, and so has the task, unless a further run follows. */
function over(facts: Facts, local: LocalTask, end: Report): Verdict {
  const { id, input, assigned, container } = facts;
  const isFenced = container !== undefined && input.fenced.has(container.id);
  if (!isStillWanted(facts) || isFenced) return step(end);
  if (!mayRunAgain(local, end.ending, input.nowMs)) {
    return step({ ...end, ending: lastEnding(local, end.ending, input.nowMs) });
  }
  return step({ type: 'again', task: id, run: nextRun(local, assigned), ending: end.ending });
}

/** As far as anybody has said. */
function isStillWanted({ input, assigned }: Facts): boolean {
  if (assigned === undefined) return input.assignment === null;
  return assigned.stop === null && !assigned.disowned && !isTerminal(assigned.state);
}

function nextRun(local: LocalTask, assigned: AssignedTask | undefined): number {
  return Math.max(local.run, assigned?.run ?? 0) + 1;
}

/** Its node went down under it. */
function fallen(facts: Facts, local: LocalTask): Verdict {
  const { id, input, assigned, container } = facts;
  if (!isStillWanted(facts) || !mayRestart(local)) {
    // Where nothing is left of it, not even that it had begun is known for sure.
    if (container === undefined && local.phase === 'launched') return interrupted(facts, local);
    const endedAtMs = container?.endedAtMs ?? null;
    return step({ type: 'report', task: id, ending: fallenEnding(local, container), endedAtMs });
  }
  const askedAtMs = input.session === 'live' ? input.nowMs : aloneAtMs(local, input);
  if (askedAtMs === null) return NOTHING;
  const atMs = Math.max(askedAtMs, restartAtMs(local, input.boot));
  if (input.nowMs < atMs) return { wakeAtMs: atMs };
  return step({ type: 'restart', task: id, run: nextRun(local, assigned) });
}

/** Nothing here has ever heard of it. */
function untouched({ id, input, assigned }: Facts): Verdict {
  if (assigned === undefined || input.session !== 'live') return NOTHING;
  if (assigned.disowned) return step({ type: 'release', task: id });
  if (isTerminal(assigned.state)) return NOTHING;
  if (assigned.state !== 'staging') return step(reportAs(id, notFoundEnding()));
  if (assigned.stop !== null) return step(reportAs(id, neverStartedEnding(assigned)));
  return begun(input, assigned);
}

/** A container that the journal doesn't know: the journal was lost, or somebody copied our labels. */
function stranger(facts: Facts, container: Container): Verdict {
  const { assigned, input } = facts;
  if (input.assignment === null) return NOTHING;
  if (container.state === 'created') return step(removal(container));
  if (assigned !== undefined) {
    return step(container.state === 'running' ? adopt(facts, container) : reportEnd(facts, container));
  }
  if (input.session !== 'live') return NOTHING;
  if (container.state === 'exited') return step(removal(container));
  return step(stop(facts, container, { graceMs: ORPHAN_GRACE_MS, cause: 'unassigned', message: UNASSIGNED }));
}

/** It was being started when the agent went down or the engine failed, and there is no container. */
function interrupted(facts: Facts, local: LocalTask): Verdict {
  const { id, input, assigned } = facts;
  if (assigned === undefined) return input.assignment === null ? startedAlone(facts, local) : forgotten(facts, local);
  if (assigned.disowned) return step({ type: 'release', task: id });
  // Its end was told and answered, and the crash took the record of it.
  if (isTerminal(assigned.state)) return NOTHING;
  if (local.phase === 'launched') return input.session === 'live' ? step(reportAs(id, maybeRunEnding())) : NOTHING;
  if (assigned.stop !== null) return step(reportAs(id, neverStartedEnding(assigned)));
  if (input.session !== 'live') return startedAlone(facts, local);
  if (hasRun(assigned, local)) return step(reportAs(id, notFoundEnding()));
  return input.nowMs < againAtMs(local) ? { wakeAtMs: againAtMs(local) } : begun(input, asBefore(assigned, local));
}

/** A task that an executor is to run waits for it, though not for one that is over. */
function begun(input: DiffInput, assigned: AssignedTask): Verdict {
  const { id, group } = assigned;
  switch (group.executor === undefined ? 'ready' : hostOf(group.executor, input)) {
    case 'ready':
      return step({ type: 'start', task: id, assigned });
    case 'awaited':
      return NOTHING;
    case 'over':
      return step(reportAs(id, executorOverEnding(group.executor)));
  }
}

/** The control plane was told that this very run has begun, and the journal has lost it. */
function hasRun(assigned: AssignedTask, local: LocalTask): boolean {
  return assigned.state === 'running' && assigned.run >= local.run;
}

/** Nobody can be asked; the journal says that it was to be started, and that it never ran. */
function startedAlone({ input, assigned }: Facts, local: LocalTask): Verdict {
  // What the control plane has last heard of it is for the control plane to settle.
  if (local.phase !== 'starting' || local.stop !== null || (assigned && hasRun(assigned, local))) return NOTHING;
  const aloneMs = aloneAtMs(local, input);
  if (aloneMs === null || local.origin === null) return NOTHING;
  const atMs = Math.max(aloneMs, againAtMs(local));
  return input.nowMs < atMs ? { wakeAtMs: atMs } : begun(input, local.origin);
}

function running(facts: Facts, local: LocalTask, container: Container): Verdict {
  if (local.stop !== null) return stopping(facts, local, local.stop, container);
  const { assigned } = facts;
  if (assigned !== undefined && (assigned.stop !== null || assigned.disowned)) {
    const message = assigned.stop?.reason ?? 'given up while the node was away';
    const graceMs = assigned.stop?.graceMs ?? local.graceMs;
    return step(stop(facts, container, { delayMs: delayOf(assigned), graceMs, cause: 'stop-requested', message }));
  }
  const askedFor = keptAsideStop(local, facts.input.assignment);
  if (askedFor !== undefined) {
    return step(stop(facts, container, { graceMs: local.graceMs, cause: 'stop-requested', message: askedFor }));
  }
  if (isUnassigned(local, facts.input)) {
    return step(stop(facts, container, { graceMs: local.graceMs, cause: 'unassigned', message: UNASSIGNED }));
  }
  if (local.unhealthy !== null) {
    const { message } = local.unhealthy;
    return step(stop(facts, container, { graceMs: local.graceMs, cause: 'unhealthy', message }));
  }
  return sooner(cutOff(facts, local, container), lasting(facts, local, container));
}

/**
 * Ends a task politely before the dead-man does it the other way: its grace begins before the deadline, though not before half of
 * the time is over.
 */
function cutOff(facts: Facts, { stopAfterMs, graceMs }: LocalTask, container: Container): Verdict {
  if (stopAfterMs === null) return NOTHING;
  const { nowMs, contactAgeMs } = facts.input;
  const leftMs = stopAfterMs - contactAgeMs;
  const neededMs = Math.min(graceMs, stopAfterMs / 2);
  if (leftMs > neededMs) return { wakeAtMs: nowMs + leftMs - neededMs };
  const message = `the node was cut off from the control plane, and its job allows no more than ${stopAfterMs / 1000} s of that`;
  return step(
    stop(facts, container, { graceMs: Math.max(0, Math.min(neededMs, leftMs)), cause: 'disconnected', message }),
  );
}

/** It is wanted, and runs within its time. */
function lasting(facts: Facts, local: LocalTask, container: Container): Verdict {
  const { nowMs } = facts.input;
  const { timeoutMs, startedAt } = local;
  const timeoutAtMs =
    timeoutMs === null || startedAt === null ? Number.POSITIVE_INFINITY : startedAt.steadyMs + timeoutMs;
  if (timeoutMs !== null && nowMs >= timeoutAtMs) {
    const message = `ran longer than its timeout of ${timeoutMs / 1000} s and was stopped`;
    return step(stop(facts, container, { graceMs: local.graceMs, cause: 'timed-out', message }));
  }
  const lastsMs = lastsAtMs(local) ?? Number.POSITIVE_INFINITY;
  return nowMs >= lastsMs ? step({ type: 'lasted', task: facts.id }) : { wakeAtMs: Math.min(timeoutAtMs, lastsMs) };
}

/** What asks for a step; where neither does, what has to be looked at again first. */
function sooner(a: Verdict, b: Verdict): Verdict {
  if (a.step !== undefined || b.step !== undefined) return a.step === undefined ? b : a;
  const wakeAtMs = Math.min(a.wakeAtMs ?? Number.POSITIVE_INFINITY, b.wakeAtMs ?? Number.POSITIVE_INFINITY);
  return Number.isFinite(wakeAtMs) ? { wakeAtMs } : NOTHING;
}

const UNASSIGNED = 'its place on this node is gone';

function stopping({ id, input, assigned }: Facts, local: LocalTask, begun: LocalStop, container: Container): Verdict {
  const turn = stopTurn(begun, assigned, input.nowMs);
  const of = { task: id, container: container.id };
  switch (turn.type) {
    case 'wait':
      return { wakeAtMs: turn.untilMs };
    case 'signal':
      return step({ type: 'signal', ...of, signal: politeSignal(local) });
    case 'kill':
      return step({ type: 'kill', ...of });
  }
}

function ended(facts: Facts, local: LocalTask): Verdict {
  const { id, assigned, container } = facts;
  // Somebody started it again by hand. An end is final.
  if (container?.state === 'running') return step({ type: 'kill', task: id, container: container.id });
  if (assigned?.disowned) {
    if (container !== undefined) return step(removal(container));
    return local.release === 'none' ? step({ type: 'release', task: id }) : NOTHING;
  }
  return container === undefined ? forgotten(facts, local) : NOTHING;
}

/** Nothing of it is left: its record goes once everything has been told and the control plane doesn't list it. */
function forgotten({ id, input, assigned }: Facts, local: LocalTask): Verdict {
  const isDone = local.unanswered.length === 0 && local.release !== 'pending';
  const isGone = input.session === 'live' && input.assignment !== null && assigned === undefined;
  return isDone && isGone ? step({ type: 'forget', task: id }) : NOTHING;
}

function step(next: Step): Verdict {
  return { step: next };
}

function adopt(facts: Facts, container: Container): Step {
  return { type: 'adopt', task: facts.id, assigned: facts.assigned ?? null, container };
}

function removal(container: Container): Extract<Step, { readonly type: 'remove' }> {
  return { type: 'remove', task: container.task, container: container.id, isUnused: container.state === 'created' };
}

function stop(
  { id, local }: Facts,
  container: Container,
  how: { delayMs?: number; graceMs: number; cause: StopCause; message: string },
): Step {
  return { type: 'stop', task: id, container: container.id, signal: politeSignal(local), delayMs: 0, ...how };
}

function reportEnd(facts: Facts, container: Container): Report {
  const endedAs = endingOf(facts.local, container, facts.input.fenced.has(container.id));
  return { type: 'report', task: facts.id, ending: endedAs, endedAtMs: container.endedAtMs };
}

function reportAs(task: TaskId, how: Ending): Report {
  return { type: 'report', task, ending: how, endedAtMs: null };
}
