/**
 * The sessions that agents hold. A session is an epoch of its node: registering starts one, everything else names it, and
 * whoever names an older one is sent back to register. Any replica can serve any call of any session.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import { emptyLedger, type Ledger, removeEntries } from '../../shared/domain/ledger.ts';
import { removeVolume } from '../../shared/domain/ledger-reservations.ts';
import { type Epoch, FIRST_INCARNATION } from '../../shared/domain/node.ts';
import { withStaticReservations } from '../../shared/domain/static-reservations.ts';
import {
  advance,
  begunRun,
  isNewer,
  isTerminal,
  mayFollow,
  restarted,
  standingOf,
  type Task,
} from '../../shared/domain/task.ts';
import type {
  HealthReport,
  ImageReport,
  RegisterRequest,
  StatusesRequest,
  StatusesResponse,
  TaskStatus,
} from '../../shared/protocol/agent.ts';
import { present } from '../../shared/util/assert.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import type { Principal } from '../auth/principal.ts';
import type { Compare, LeaseId, TransactionResult, Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { ledgerUnit, putTask } from '../store/units.ts';
import { auditWrites } from './audit.ts';
import type { ServiceContext } from './context.ts';
import { admit, answerCall } from './holders.ts';
import { imagesDraft } from './image-reports.ts';
import { nextEpoch } from './node-session.ts';
import type { Origin } from './origin.ts';
import { catchUp, checkEpoch, currentSession, type NodeSession, staleEpoch } from './session-check.ts';

/** How often a write that lost its compare is drafted again. */
const TRIES_MAX = 16;
const CATCH_UP_MS = 2000;

export interface RegisteredNode {
  readonly epoch: number;
  readonly incarnation: number;
  readonly heartbeatIntervalMs: number;
  readonly leaseTtlMs: number;
}

/**
 * Starts a session: the node's record, total and lease are put, and its epoch rises. A join token may not take over a node
 * that is connected. `origin`: where the request came from, for the record; null: nobody has asked.
 */
export async function registerNode(
  ctx: ServiceContext,
  principal: Principal,
  request: RegisterRequest,
  origin: Origin | null = null,
): Promise<RegisteredNode> {
  const { id } = request.node;
  checkMayRegister(ctx, principal, id);
  // That an agent has seen more than the state holds can only be told by a mirror of the present.
  if (sessionOf(ctx, request).ahead !== undefined) await catchUp(ctx, id);
  const lease = await ctx.store.grantLease(Math.ceil(ctx.config.leaseTtlMs / 1000));
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    checkMayRegister(ctx, principal, id);
    const holder = await admit(ctx, principal, request);
    const session = { ...sessionOf(ctx, request), ...holder };
    const change = registration(ctx, request, session, lease);
    const audit = origin === null ? [] : auditWrites(ctx, { principal, origin }, change, `${id} ${session.epoch}`);
    const result = await ctx.store.transact({ ...change, writes: [...change.writes, ...audit] });
    if (result.committed) {
      await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
      if (session.ahead !== undefined) tellAhead(ctx, id, session.ahead);
      const { epoch, incarnation = FIRST_INCARNATION } = session;
      const { heartbeatIntervalMs, leaseTtlMs } = ctx.config;
      return { epoch, incarnation, heartbeatIntervalMs, leaseTtlMs };
    }
    await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
  }
  throw new Refusal('conflict', `node "${id}" kept changing while it registered; try again`, { retryAfterSeconds: 1 });
}

function checkMayRegister(ctx: ServiceContext, principal: Principal, id: NodeId): void {
  if (principal.kind === 'node') {
    if (principal.node === id) return;
    throw new Refusal('forbidden', `this token is node "${principal.node}"'s and can't register node "${id}"`);
  }
  if (principal.kind !== 'join') {
    throw new Refusal(
      'forbidden',
      'a node registers with a join token; make one with `berth token create NAME --join`',
    );
  }
  if (ctx.mirror.snapshot.isAlive(id)) {
    throw new Refusal(
      'conflict',
      `node "${id}" is connected already; stop the other agent, give this one another --node-id, or wait until the other's lease has ended`,
      { retryAfterSeconds: Math.ceil(ctx.config.leaseTtlMs / 1000) },
    );
  }
}

function sessionOf({ mirror }: ServiceContext, { node, seen, tasks, ended = [] }: RegisterRequest): Epoch {
  const { snapshot } = mirror;
  const { incarnation, revision } = snapshot;
  const isUnbegun = (task: TaskId) => (snapshot.tasks.get(task)?.state ?? 'pending') === 'pending';
  const state = { incarnation, revision, before: snapshot.epochs.get(node.id), ledger: snapshot.ledgers.get(node.id) };
  return nextEpoch({ ...state, isUnbegun }, { seen, tasks, ended });
}

function tellAhead({ log }: ServiceContext, node: NodeId, seen: Epoch['ahead']): void {
  log.error(
    { node, seen },
    "a node's agent has seen a later state than this one; if the store was restored from an older snapshot, run `berth cluster recover`; if not, its state folder comes from another cluster",
  );
}

function registration(
  ctx: ServiceContext,
  { node }: RegisterRequest,
  session: Epoch,
  lease: LeaseId,
): { compares: Compare[]; writes: Write[] } {
  const { snapshot } = ctx.mirror;
  const nowMs = ctx.clock.now();
  const before = snapshot.ledgers.get(node.id);
  const ledger = registeredLedger(before, node, nowMs);
  const same = ledger === before;
  const compared = [keys.cluster, keys.epoch(node.id), ...(same ? [] : [keys.ledger(node.id)])];
  return {
    compares: compared.map((key) => ({ key, modRevision: snapshot.modRevision(key) })),
    writes: [
      putRecord('nodes', keys.node(node.id), { ...node, registeredAtMs: nowMs }),
      putRecord('epochs', keys.epoch(node.id), session),
      putRecord('alive', keys.alive(node.id), { epoch: session.epoch }, lease),
      ...(same ? [] : [putRecord('ledger', keys.ledger(node.id), ledger)]),
    ],
  };
}

/** With what the node has and what its agent keeps for roles; the same ledger where it is so already. */
function registeredLedger(
  before: Ledger | undefined,
  { id, resources, reservations }: RegisterRequest['node'],
  atMs: number,
): Ledger {
  const known = before ?? { ...emptyLedger(id, resources), assignmentGeneration: 1 };
  const isSame = canonicalJson(known.total) === canonicalJson(resources);
  return withStaticReservations(isSame ? known : { ...known, total: resources }, reservations, { by: id, atMs });
}

/** Keeps the node's lease. Throws `stale-epoch` when the session has ended, so that the agent registers anew. */
export async function heartbeat(ctx: ServiceContext, session: NodeSession): Promise<void> {
  await currentSession(ctx, session);
  await answerCall(ctx, session);
  const lease = ctx.mirror.snapshot.lease(keys.alive(session.node));
  if (lease === null || !(await ctx.store.keepLeaseAlive(lease))) {
    throw staleEpoch(session, 'its lease has ended');
  }
}

/**
 * Takes statuses in, each batch in one transaction that compares the epoch. States and runs never go back, so a repeated batch
 * changes nothing. Releases give back what disowned tasks held.
 */
export async function commitStatuses(
  ctx: ServiceContext,
  session: NodeSession,
  { statuses, released, removedVolumes = [], health = [], images = [] }: StatusesRequest,
): Promise<StatusesResponse> {
  await currentSession(ctx, session);
  if (!knowsAll(ctx, session.node, { statuses, released, removedVolumes })) await catchUp(ctx, session.node);
  const results = await untilCommitted(ctx, session, () => statusDraft(ctx, session, statuses));
  if (released.length > 0) await untilCommitted(ctx, session, () => releaseDraft(ctx, session, released));
  if (removedVolumes.length > 0) await untilCommitted(ctx, session, () => volumesDraft(ctx, session, removedVolumes));
  if (health.length > 0) await commitHealth(ctx, session, health);
  if (images.length > 0) await untilCommitted(ctx, session, () => reportedImages(ctx, session, images));
  return { results };
}

function reportedImages(ctx: ServiceContext, { node }: NodeSession, reports: readonly ImageReport[]) {
  return imagesDraft(ctx.mirror.snapshot, { node, reports, nowMs: ctx.clock.now() });
}

/**
 * Puts it on the tasks' records where it says something new of their present runs. To be passed over ends a report's retries too, so
 * it takes a mirror that shows the run: the status that began it may have been committed a moment ago.
 */
async function commitHealth(
  ctx: ServiceContext,
  session: NodeSession,
  reports: readonly HealthReport[],
): Promise<void> {
  const { tasks } = ctx.mirror.snapshot;
  const isShown = ({ task, health }: HealthReport) => (tasks.get(task)?.run ?? -1) >= health.run;
  if (!reports.every(isShown)) await catchUp(ctx, session.node);
  await untilCommitted(ctx, session, () => healthDraft(ctx, session, reports));
}

function healthDraft(
  { mirror: { snapshot } }: ServiceContext,
  { node }: NodeSession,
  reports: readonly HealthReport[],
): StatusDraft<null> {
  const changed = new Map<string, Task>();
  for (const { task: id, health } of reports) {
    const task = snapshot.tasks.get(id);
    if (task === undefined || task.node !== node || isTerminal(task.state) || task.run !== health.run) continue;
    if (canonicalJson(task.health) !== canonicalJson(health)) changed.set(id, { ...task, health });
  }
  const compared = [keys.epoch(node), ...[...changed.keys()].map(keys.task)];
  return {
    result: null,
    compares: compared.map((key) => ({ key, modRevision: snapshot.modRevision(key) })),
    writes: [...changed.values()].map(putTask),
  };
}

/**
 * An agent reports on what it was given, perhaps by another replica: a task or a place that this mirror doesn't show may have
 * come to be since. To answer "unknown", or to take a release for done, ends its retries, so it takes a mirror of the present.
 */
function knowsAll(
  { mirror }: ServiceContext,
  node: NodeId,
  { statuses, released, removedVolumes = [] }: StatusesRequest,
): boolean {
  const { tasks, ledgers } = mirror.snapshot;
  return (
    statuses.every((status) => tasks.get(status.task)?.node === node) &&
    released.every((id) => ledgers.get(node)?.entries[id]?.disowned) &&
    removedVolumes.every((id) => ledgers.get(node)?.volumes[id]?.removing)
  );
}

interface StatusDraft<T> {
  readonly result: T;
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

async function untilCommitted<T>(ctx: ServiceContext, session: NodeSession, draft: () => StatusDraft<T>): Promise<T> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    checkEpoch(ctx, session);
    const { result, compares, writes } = draft();
    if (writes.length === 0) return result;
    const outcome: TransactionResult = await ctx.store.transact({ compares, writes });
    if (outcome.committed) {
      ctx.nudge();
      return result;
    }
    await ctx.mirror.waitFor(outcome.revision, { timeoutMs: CATCH_UP_MS });
  }
  throw new Refusal('unavailable', `the tasks of node "${session.node}" kept changing; send the statuses again`, {
    retryAfterSeconds: 1,
  });
}

function statusDraft(
  ctx: ServiceContext,
  { node }: NodeSession,
  statuses: readonly TaskStatus[],
): StatusDraft<StatusesResponse['results']> {
  const { snapshot } = ctx.mirror;
  const changed = new Map<string, Task>();
  const results = statuses.map((status) => {
    const task = changed.get(status.task) ?? snapshot.tasks.get(status.task);
    if (task === undefined || task.node !== node) return 'unknown';
    if (!isNewer(standingOf(task), status)) return 'known';
    changed.set(task.id, withStatus(task, status));
    return 'committed';
  });
  const compared = [keys.epoch(node), ...[...changed.keys()].map(keys.task)];
  return {
    result: results,
    compares: compared.map((key) => ({ key, modRevision: snapshot.modRevision(key) })),
    writes: [...[...changed.values()].map(putTask), ...keptAsideEnds(snapshot, node, statuses)],
  };
}

/** What was kept aside and has ended is no longer shown. The state has no record of it that would take its end. */
function keptAsideEnds(snapshot: Snapshot, node: NodeId, statuses: readonly TaskStatus[]): Write[] {
  const ended = new Set(statuses.filter(({ state }) => isTerminal(state)).map(({ task }) => task));
  const epoch = snapshot.epochs.get(node);
  if (epoch?.keptAside === undefined || !epoch.keptAside.some(({ task }) => ended.has(task))) return [];
  const keptAside = epoch.keptAside.filter(({ task }) => !ended.has(task));
  return [putRecord('epochs', keys.epoch(node), { ...epoch, keptAside: keptAside.length > 0 ? keptAside : undefined })];
}

/** Agents' clocks differ from ours and each other's; a history that runs backwards would help nobody. */
function withStatus(before: Task, { state, run, atMs: toldAtMs, reason, message, exitCode }: TaskStatus): Task {
  const lastMs = Math.max(before.history.at(-1)?.atMs ?? 0, before.restarts.at(-1)?.atMs ?? 0);
  const atMs = Math.max(lastMs, toldAtMs);
  const isRestart = state === 'running' && run > begunRun(before);
  const task = isRestart ? restarted(before, { run, atMs, reason, message }) : { ...before, run };
  if (!mayFollow(task.state, state)) return task;
  return advance(task, { state, atMs, reason, message }, exitCode === null ? {} : { exitCode });
}

/** Only places of disowned tasks are given back here: all others are swept by rounds once their tasks have ended. */
function releaseDraft(ctx: ServiceContext, { node }: NodeSession, released: readonly string[]): StatusDraft<null> {
  const { snapshot } = ctx.mirror;
  const ledger = present(snapshot.ledgers.get(node), `the ledger of node ${node}`);
  const disowned = released.filter((id) => ledger.entries[id]?.disowned);
  return ledgerDraft(snapshot, ledger, removeEntries(ledger, disowned));
}

/** What was deleted is volumes no more, if their end was asked for; an entry that says otherwise stays as it is. */
function volumesDraft(ctx: ServiceContext, { node }: NodeSession, removed: readonly string[]): StatusDraft<null> {
  const { snapshot } = ctx.mirror;
  const ledger = present(snapshot.ledgers.get(node), `the ledger of node ${node}`);
  return ledgerDraft(snapshot, ledger, removed.reduce(removeVolume, ledger));
}

function ledgerDraft(snapshot: Snapshot, before: Ledger, after: Ledger): StatusDraft<null> {
  const unit = ledgerUnit(snapshot, before, after);
  if (unit === null) return { result: null, compares: [], writes: [] };
  const epochKey = keys.epoch(before.node);
  return {
    result: null,
    compares: [...unit.compares, { key: epochKey, modRevision: snapshot.modRevision(epochKey) }],
    writes: unit.writes,
  };
}
