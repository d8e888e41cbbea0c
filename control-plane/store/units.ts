/**
 * Turns what was decided into writes under compares. A unit is the smallest thing that is committed whole: it compares the
 * revisions, in the snapshot that the decision was made from, of every record that the decision rests on.
 */
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, NodeId, OfferId, TaskId } from '../../shared/domain/ids.ts';
import type { Job, StopRequest } from '../../shared/domain/job.ts';
import {
  addEntries,
  addOffers,
  endOffers,
  type Ledger,
  type LedgerEntry,
  markStop,
  removeEntries,
} from '../../shared/domain/ledger.ts';
import type { MaintenanceWindow } from '../../shared/domain/maintenance.ts';
import type { Epoch, Gone } from '../../shared/domain/node.ts';
import type { Offer, OfferFilter } from '../../shared/domain/offer.ts';
import { rememberedFilters } from '../../shared/domain/offer-filters.ts';
import { ancestorsOf } from '../../shared/domain/role.ts';
import { withStaticReservations } from '../../shared/domain/static-reservations.ts';
import { advance, isTerminal, mayFollow, type Task } from '../../shared/domain/task.ts';
import { invariant } from '../../shared/util/assert.ts';
import type { Compare, Write } from './contract.ts';
import { keys } from './keys.ts';
import { writeBytes } from './limits.ts';
import { putRecord } from './records.ts';
import type { Snapshot } from './snapshot.ts';
import { boundedMark, markOf } from './stop-marks.ts';

export interface Unit {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

function seen(snapshot: Snapshot, key: string): Compare {
  return { key, modRevision: snapshot.modRevision(key) };
}

/** One node's part of a round: what is given back, and what is given. */
export interface NodeRound {
  readonly node: NodeId;
  readonly sweep: readonly TaskId[];
  readonly withdraw: readonly { readonly id: OfferId; readonly filter: OfferFilter | null }[];
  readonly place: readonly { readonly entry: LedgerEntry; readonly why: string }[];
  readonly offer: readonly Offer[];
  /** What has to make room for others. */
  readonly stop: readonly PlacedStop[];
}

type PlacedStop = Omit<TaskStop, 'task'> & { readonly task: TaskId };

/**
 * What the records of the tasks in one unit may take together: with a full ledger beside them, and the compares, they stay
 * below what a transaction takes. What is too much waits for the next round or pass.
 */
const UNIT_TASKS_BYTES_MAX = 600_000;

/** The first writes of the list, as many as go into one unit. */
function withinUnit(writes: readonly Write[]): readonly Write[] {
  let bytes = 0;
  const tooMuch = writes.findIndex((write) => {
    bytes += writeBytes(write);
    return bytes > UNIT_TASKS_BYTES_MAX;
  });
  return tooMuch < 0 ? writes : writes.slice(0, tooMuch);
}

export interface RoundUnit extends Unit {
  /** How many of the placements, from the first, it carries out. */
  readonly placed: number;
  /** How many tasks it asks to make room. */
  readonly displaced: number;
}

/**
 * Compares the ledger, of each placed task its record and its job, of each offer its framework, and the roles that are charged: a
 * stop, a drain, a teardown or a lower limit in between wins. Of what has to make room it compares the record, and that of the task
 * which is to have the place.
 */
export function roundUnit(snapshot: Snapshot, round: NodeRound, nowMs: number): RoundUnit {
  const { node, place, offer, stop } = round;
  const before = snapshot.ledgers.get(node);
  invariant(before !== undefined, `a round touches node ${node}, which has no ledger`);
  const all = place.map(({ entry, why }) => placedTask(snapshot, node, entry, why, nowMs));
  const stops = stop.flatMap((one) => displaced(snapshot, one) ?? []);
  const writes = withinUnit([...all, ...stops].map(putTask));
  const tasks = all.slice(0, writes.length);
  const ending = stops.slice(0, writes.length - tasks.length);
  const entries = place.slice(0, writes.length).map(({ entry }) => entry);
  const after = addOffers(addEntries(sweptLedger(before, round), entries), offer);
  const marked = ending.reduce((ledger, task) => markStop(ledger, task.id, markOf(snapshot, task, task.stop)), after);
  const kept = { ...marked, filters: rememberedFilters(marked.filters, snapshot.frameworks, nowMs) };
  const compared = new Set([
    ...tasks.map((task) => jobKeyOf(snapshot, task)),
    ...offer.map(({ framework }) => keys.framework(framework)),
    ...[...tasks, ...offer].flatMap(({ role }) => [role, ...ancestorsOf(role)]).map((role) => keys.role(role)),
  ]);
  return {
    placed: tasks.length,
    displaced: ending.length,
    compares: [
      seen(snapshot, keys.ledger(node)),
      ...[...new Set([...tasks, ...ending].flatMap(idsWithHeir))].map((id) => seen(snapshot, keys.task(id))),
      ...[...compared].map((key) => seen(snapshot, key)),
    ],
    writes: [putLedger(kept), ...writes],
  };
}

/** Undefined: it has ended, or is being stopped already. */
function displaced(
  snapshot: Snapshot,
  { task: id, stop }: PlacedStop,
): (Task & { readonly stop: StopRequest }) | undefined {
  const task = snapshot.tasks.get(id);
  return task === undefined || isTerminal(task.state) || task.stop !== null ? undefined : { ...task, stop };
}

function idsWithHeir({ id, stop }: Task): TaskId[] {
  const heir = stop?.displacedBy?.task;
  return heir === undefined || heir === null ? [id] : [id, heir];
}

function sweptLedger(ledger: Ledger, { sweep, withdraw }: NodeRound): Ledger {
  const left = removeEntries(ledger, sweep);
  if (withdraw.length === 0) return left;
  return endOffers(
    left,
    withdraw.map(({ id }) => id),
    withdraw.flatMap(({ filter }) => filter ?? []),
  );
}

function placedTask(snapshot: Snapshot, node: NodeId, entry: LedgerEntry, why: string, nowMs: number): Task {
  const task = snapshot.tasks.get(entry.task);
  invariant(task?.state === 'pending', `a round places task ${entry.task}, which is ${task?.state ?? 'absent'}`);
  const transition = { state: 'staging', atMs: nowMs, reason: 'placed', message: why } as const;
  return advance(task, transition, { node, ports: entry.ports });
}

function jobKeyOf(snapshot: Snapshot, task: Task): string {
  const job = snapshot.jobs.get(task.jobUid);
  invariant(job !== undefined, `task ${task.id} belongs to job ${task.jobUid}, which has no record`);
  return keys.job(job.spec);
}

/** New tasks of a job: none of them may exist yet, and the job must be as it was. */
export function createUnit(snapshot: Snapshot, job: Job, tasks: readonly Task[]): Unit {
  return {
    compares: [
      seen(snapshot, keys.job(job.spec)),
      ...tasks.map((task) => ({ key: keys.task(task.id), modRevision: 0 })),
    ],
    writes: tasks.map(putTask),
  };
}

/** One task's end, as it is asked for. */
export interface TaskStop {
  readonly task: Task;
  readonly stop: StopRequest;
  /** Between the polite signal and the kill, in milliseconds. Absent: as its template says. */
  readonly graceMs?: number;
  /** The most of it, and of the delay before the signal with it. Absent: there is no bound. */
  readonly graceMsMax?: number | undefined;
}

/**
 * Asks for the end of tasks that all have the same node, or none, from the first as many as go into one unit. Pending ones
 * are over at once; those that hold a place get a stop mark each, in one put of their node's ledger. Null when all have ended
 * or are being stopped already.
 */
export function stopUnit(snapshot: Snapshot, stops: readonly TaskStop[]): Unit | null {
  const wanted = stops.filter(({ task }) => !isTerminal(task.state) && task.stop === null);
  const [first] = wanted;
  if (first === undefined) return null;
  const { node } = first.task;
  invariant(
    wanted.every(({ task }) => task.node === node),
    `tasks ${wanted.map(({ task }) => task.id).join(', ')} are not all on node ${node}`,
  );
  const stopped = ({ task, stop }: TaskStop) => (node === null ? stoppedBeforePlaced(task, stop) : { ...task, stop });
  const writes = withinUnit(wanted.map((one) => putTask(stopped(one))));
  const due = wanted.slice(0, writes.length);
  const compares = due.map(({ task }) => seen(snapshot, keys.task(task.id)));
  if (node === null) return { compares, writes };
  const ledger = snapshot.ledgers.get(node);
  invariant(ledger !== undefined, `task ${first.task.id} is ${first.task.state} on node ${node}, which has no ledger`);
  const marked = due.reduce((marking, { task, stop, graceMs, graceMsMax }) => {
    const mark = markOf(snapshot, task, stop);
    return markStop(marking, task.id, boundedMark(graceMs === undefined ? mark : { ...mark, graceMs }, graceMsMax));
  }, ledger);
  return {
    compares: [...compares, seen(snapshot, keys.ledger(node))],
    writes: [...writes, ...(marked === ledger ? [] : [putLedger(marked)])],
  };
}

function stoppedBeforePlaced(task: Task, stop: StopRequest): Task {
  const message = `stopped by ${stop.by} before it was placed: ${stop.reason}`;
  return advance(task, { state: 'killed', atMs: stop.atMs, reason: 'stop-requested', message }, { stop });
}

export function jobUnit(snapshot: Snapshot, before: Job, after: Job): Unit {
  const key = keys.job(before.spec);
  return { compares: [seen(snapshot, key)], writes: [putRecord('jobs', key, after)] };
}

/** The record of a job goes, and what is under the keys of its history: versions and deployments. */
export function removeJobUnit(snapshot: Snapshot, job: Job, history: readonly string[]): Unit {
  const key = keys.job(job.spec);
  return {
    compares: [seen(snapshot, key)],
    writes: [{ type: 'delete', key }, ...history.map((gone) => ({ type: 'delete', key: gone }) as const)],
  };
}

/** The records under these keys go, if they are as they were seen, and the jobs that they belong to as well. */
export function forgetUnit(snapshot: Snapshot, forgotten: readonly string[], jobs: readonly Job[]): Unit {
  const compared = new Set([...forgotten, ...jobs.map((job) => keys.job(job.spec))]);
  return {
    compares: [...compared].map((key) => seen(snapshot, key)),
    writes: forgotten.map((key) => ({ type: 'delete', key })),
  };
}

/** Notes when a node was found gone, or (null) that it is back. The node's lease must still stand as it was seen. */
export function reachabilityUnit(snapshot: Snapshot, node: NodeId, unreachableSinceMs: number | null): Unit | null {
  const epoch = snapshot.epochs.get(node);
  if (epoch === undefined) return null;
  return {
    compares: [seen(snapshot, keys.epoch(node)), seen(snapshot, keys.alive(node))],
    writes: [putRecord('epochs', keys.epoch(node), { ...epoch, unreachableSinceMs })],
  };
}

/**
 * Gives tasks of a gone node up: the epoch rises, so that the old session can't write any more; the tasks end as lost; their
 * places stay held, marked as disowned, until the agent is back and confirms that nothing of them runs. From the first, as
 * many tasks as go into one unit.
 */
export function giveUpUnit(
  snapshot: Snapshot,
  { node, tasks, atMs, message }: { node: NodeId; tasks: readonly TaskId[]; atMs: number; message: string },
): Unit | null {
  const epoch = snapshot.epochs.get(node);
  const before = snapshot.ledgers.get(node);
  if (epoch === undefined || before === undefined) return null;
  const live = tasks.flatMap((id) => {
    const task = snapshot.tasks.get(id);
    return task !== undefined && mayFollow(task.state, 'lost') ? [task] : [];
  });
  if (live.length === 0) return null;
  const lost = withinUnit(
    live.map((task) => putTask(advance(task, { state: 'lost', atMs, reason: 'node-lost', message }))),
  );
  const given = live.slice(0, lost.length);
  const ledger = given.reduce<Ledger>(
    (marked, task) => markStop(marked, task.id, markOf(snapshot, task, { atMs, reason: message }), true),
    before,
  );
  return {
    compares: [
      seen(snapshot, keys.epoch(node)),
      seen(snapshot, keys.alive(node)),
      seen(snapshot, keys.ledger(node)),
      ...given.map((task) => seen(snapshot, keys.task(task.id))),
    ],
    writes: [
      putRecord('epochs', keys.epoch(node), { ...epoch, epoch: epoch.epoch + 1, lastGiveUpMs: atMs }),
      putLedger(ledger),
      ...lost,
    ],
  };
}

/**
 * An operator has said that the node is no more. Its epoch rises, so that no session of it can write, and stays on record: numbers
 * of sessions must not be used again, and its agent may still come and ask.
 */
export function goneUnit(snapshot: Snapshot, node: NodeId, gone: Gone): Unit {
  const before = snapshot.epochs.get(node);
  const removed = [keys.node(node), keys.alive(node)].filter((key) => snapshot.modRevision(key) > 0);
  const after: Epoch = {
    epoch: (before?.epoch ?? 0) + 1,
    unreachableSinceMs: null,
    incarnation: before?.incarnation,
    gone,
    scrapped: before?.scrapped,
  };
  return {
    compares: [keys.epoch(node), keys.alive(node), keys.node(node)].map((key) => seen(snapshot, key)),
    writes: [putRecord('epochs', keys.epoch(node), after), ...removed.map((key) => ({ type: 'delete', key }) as const)],
  };
}

/**
 * Gives back what a node held that was declared gone: the tasks end as lost, from the first as many as go into one unit, and their
 * entries go. Once nothing live is left the ledger goes, and with it the places that disowned tasks held.
 */
export function clearUnit(
  snapshot: Snapshot,
  { node, tasks, atMs, message }: { node: NodeId; tasks: readonly TaskId[]; atMs: number; message: string },
): Unit | null {
  const ledger = snapshot.ledgers.get(node);
  if (snapshot.epochs.get(node)?.gone === undefined || ledger === undefined) return null;
  const isLive = (id: TaskId) => mayFollow(snapshot.tasks.get(id)?.state ?? 'lost', 'lost');
  const ends = tasks.filter(isLive).flatMap((id) => snapshot.tasks.get(id) ?? []);
  const lost = withinUnit(
    ends.map((task) => putTask(advance(task, { state: 'lost', atMs, reason: 'node-lost', message }))),
  );
  const given = ends.slice(0, lost.length).map(({ id }) => id);
  const rest = removeEntries(ledger, given);
  const isDone = !Object.keys(rest.entries).some(isLive);
  return {
    compares: [
      seen(snapshot, keys.epoch(node)),
      seen(snapshot, keys.ledger(node)),
      ...given.map((id) => seen(snapshot, keys.task(id))),
    ],
    writes: [isDone ? { type: 'delete', key: keys.ledger(node) } : putLedger(rest), ...lost],
  };
}

/** Pending tasks of which the node says that it runs them end as lost. */
export function loseUnit(
  snapshot: Snapshot,
  { node, tasks, atMs, message }: { node: NodeId; tasks: readonly TaskId[]; atMs: number; message: string },
): Unit {
  const pending = tasks.flatMap((id) => {
    const task = snapshot.tasks.get(id);
    return task?.state === 'pending' ? [task] : [];
  });
  const transition = { state: 'lost', atMs, reason: 'state-restored', message } as const;
  return {
    compares: [seen(snapshot, keys.epoch(node)), ...pending.map((task) => seen(snapshot, keys.task(task.id)))],
    writes: pending.map((task) => putTask(advance(task, transition))),
  };
}

/** A ledger comes to hold what the node's agent keeps for roles. The node's record says what that is. */
export function reservationsUnit(snapshot: Snapshot, { node: id, atMs }: { node: NodeId; atMs: number }): Unit | null {
  const [node, before] = [snapshot.nodes.get(id), snapshot.ledgers.get(id)];
  if (node === undefined || before === undefined) return null;
  const unit = ledgerUnit(snapshot, before, withStaticReservations(before, node.reservations, { by: id, atMs }));
  return unit === null ? null : { ...unit, compares: [...unit.compares, seen(snapshot, keys.node(id))] };
}

/** A framework whose stream is open, or isn't, as it was seen to be. Null: it is no longer on record. */
export function presenceUnit(
  snapshot: Snapshot,
  id: FrameworkId,
  change: Pick<Framework, 'disconnectedSinceMs'> | Pick<Framework, 'teardown'>,
): Unit | null {
  const framework = snapshot.frameworks.get(id);
  if (framework === undefined) return null;
  const key = keys.framework(id);
  return {
    compares: [seen(snapshot, key), seen(snapshot, keys.connection(id))],
    writes: [putRecord('frameworks', key, { ...framework, ...change })],
  };
}

/**
 * What is said of a node's maintenance, or (null) that nothing is any more. The ledger is put again, without its offers: nothing that
 * was decided without knowing of it can be committed after it.
 */
export function maintenanceUnit(snapshot: Snapshot, node: NodeId, window: MaintenanceWindow | null): Unit {
  const key = keys.maintenance(node);
  const ledger = snapshot.ledgers.get(node);
  return {
    compares: [seen(snapshot, key), seen(snapshot, keys.ledger(node))],
    writes: [
      window === null ? { type: 'delete', key } : putRecord('maintenance', key, window),
      ...(ledger === undefined ? [] : [putLedger(endOffers(ledger, Object.keys(ledger.offers)))]),
    ],
  };
}

/** Notes that the window has begun, or takes it off. Null: it isn't the one that stands. */
export function maintenanceTurnUnit(
  snapshot: Snapshot,
  turn: { readonly node: NodeId; readonly window: string; readonly atMs?: number },
): Unit | null {
  const { node, atMs } = turn;
  const window = snapshot.maintenance.get(node);
  if (window?.id !== turn.window) return null;
  if (atMs !== undefined) return maintenanceUnit(snapshot, node, { ...window, begunAtMs: atMs });
  const key = keys.maintenance(node);
  return { compares: [seen(snapshot, key)], writes: [{ type: 'delete', key }] };
}

/** A ledger as it was seen becomes another one; null when they are the same. */
export function ledgerUnit(snapshot: Snapshot, before: Ledger, after: Ledger): Unit | null {
  if (before === after) return null;
  return { compares: [seen(snapshot, keys.ledger(before.node))], writes: [putLedger(after)] };
}

export function putTask(task: Task): Write {
  return putRecord('tasks', keys.task(task.id), task);
}

function putLedger(ledger: Ledger): Write {
  return putRecord('ledger', keys.ledger(ledger.node), ledger);
}
