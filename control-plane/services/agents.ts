/**
 * The sessions that agents hold. A session is an epoch of its node: registering starts one, everything else names it, and
 * whoever names an older one is sent back to register. Any replica can serve any call of any session.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import { type Ledger, removeEntries } from '../../shared/domain/ledger.ts';
import { advance, isNewer, mayFollow, restarted, type Task } from '../../shared/domain/task.ts';
import type {
  AssignedTask,
  AssignmentPosition,
  AssignmentResponse,
  RegisterRequest,
  StatusesRequest,
  StatusesResponse,
  TaskStatus,
} from '../../shared/protocol/agent.ts';
import { present } from '../../shared/util/assert.ts';
import { canonicalJson, hexEncode, utf8Encode } from '../../shared/util/codec.ts';
import type { Principal } from '../auth/principal.ts';
import type { Compare, TransactionResult, Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { ledgerUnit, putTask } from '../store/units.ts';
import type { ServiceContext } from './context.ts';

/** How often a write that lost its compare is drafted again. */
const TRIES_MAX = 16;
const CATCH_UP_MS = 2000;

export interface NodeSession {
  readonly node: NodeId;
  readonly epoch: number;
}

export interface RegisteredNode {
  readonly epoch: number;
  readonly incarnation: number;
  readonly heartbeatIntervalMs: number;
  readonly leaseTtlMs: number;
}

/**
 * Starts a session: the node's record, total and lease are put, and its epoch rises. A join token may not take over a node
 * that is connected.
 */
export async function registerNode(
  ctx: ServiceContext,
  principal: Principal,
  request: RegisterRequest,
): Promise<RegisteredNode> {
  const { id } = request.node;
  checkMayRegister(ctx, principal, id);
  const lease = await ctx.store.grantLease(Math.ceil(ctx.config.leaseTtlMs / 1000));
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    checkMayRegister(ctx, principal, id);
    const epoch = ctx.mirror.snapshot.epochOf(id) + 1;
    const result = await ctx.store.transact(registration(ctx, request, { epoch, lease }));
    if (result.committed) {
      await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
      const { incarnation } = present(ctx.mirror.snapshot.cluster, 'the cluster record');
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
      'a node registers with a join token; make one with `berth token create --kind join`',
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

function registration(
  ctx: ServiceContext,
  { node }: RegisterRequest,
  { epoch, lease }: { epoch: number; lease: string },
): { compares: Compare[]; writes: Write[] } {
  const { snapshot } = ctx.mirror;
  const before = snapshot.ledgers.get(node.id);
  const ledger: Ledger = before ?? {
    node: node.id,
    total: node.resources,
    eligible: true,
    drain: null,
    entries: {},
    assignmentGeneration: 1,
  };
  const same = before !== undefined && canonicalJson(before.total) === canonicalJson(node.resources);
  const compared = [keys.epoch(node.id), ...(same ? [] : [keys.ledger(node.id)])];
  return {
    compares: compared.map((key) => ({ key, modRevision: snapshot.modRevision(key) })),
    writes: [
      putRecord('nodes', keys.node(node.id), { ...node, registeredAtMs: ctx.clock.now() }),
      putRecord('epochs', keys.epoch(node.id), { ...snapshot.epochs.get(node.id), epoch, unreachableSinceMs: null }),
      putRecord('alive', keys.alive(node.id), { epoch }, lease),
      ...(same ? [] : [putRecord('ledger', keys.ledger(node.id), { ...ledger, total: node.resources })]),
    ],
  };
}

/** Keeps the node's lease. Throws `stale-epoch` when the session has ended, so that the agent registers anew. */
export async function heartbeat(ctx: ServiceContext, session: NodeSession): Promise<void> {
  await currentSession(ctx, session);
  const lease = ctx.mirror.snapshot.lease(keys.alive(session.node));
  if (lease === null || !(await ctx.store.keepLeaseAlive(lease))) {
    throw staleEpoch(session, 'its lease has ended');
  }
}

/** What the agent already has; null and empty where it has nothing. */
export interface AssignmentQuery {
  readonly position: AssignmentPosition | null;
  readonly streamsVersion: string;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** What the node is to run, as soon as it differs from what the agent has; null after `waitMs` without a difference. */
export async function waitForAssignment(
  ctx: ServiceContext,
  session: NodeSession,
  query: AssignmentQuery,
): Promise<AssignmentResponse | null> {
  await currentSession(ctx, session);
  const deadlineMs = ctx.clock.monotonicMs() + query.waitMs;
  while (!query.signal.aborted) {
    checkEpoch(ctx, session);
    const assignment = assignmentOf(ctx, session.node);
    if (isNews(assignment, query)) return assignment;
    const leftMs = deadlineMs - ctx.clock.monotonicMs();
    if (leftMs <= 0) return null;
    await nextSignal(ctx, session.node, { timeoutMs: leftMs, signal: query.signal });
  }
  return null;
}

/** What is older than what the agent has only shows that this replica is behind: the agent waits for it to catch up. */
function isNews({ position, streamsVersion }: AssignmentResponse, query: AssignmentQuery): boolean {
  const has = query.position;
  if (has === null || has.incarnation !== position.incarnation) return true;
  if (has.generation !== position.generation) return has.generation < position.generation;
  return query.streamsVersion !== streamsVersion;
}

function nextSignal(
  ctx: ServiceContext,
  node: NodeId,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      stopListening();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = ctx.clock.setTimer(timeoutMs, done);
    const stopListening = ctx.signals.listen(node, done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function assignmentOf(ctx: ServiceContext, node: NodeId): AssignmentResponse {
  const { snapshot } = ctx.mirror;
  const ledger = present(snapshot.ledgers.get(node), `the ledger of node ${node}`);
  const { incarnation } = present(snapshot.cluster, 'the cluster record');
  const streams = [...snapshot.streams.values()].filter((stream) => stream.node === node).sort(byId);
  return {
    position: { incarnation, generation: ledger.assignmentGeneration },
    tasks: Object.keys(ledger.entries)
      .sort()
      .flatMap((id) => assignedTask(ctx, ledger, id)),
    streamsVersion: versionOf(streams),
    streams: streams.map(({ id, task, follow, tail, since }) => ({ id, task, follow, tail, since })),
  };
}

/** A digest of the ids, since it travels in a query; empty where there are none. */
function versionOf(streams: readonly { readonly id: string }[]): string {
  if (streams.length === 0) return '';
  const ids = streams.map(({ id }) => id).join(',');
  return hexEncode(sha256(utf8Encode(ids)).slice(0, STREAMS_VERSION_BYTES));
}

const STREAMS_VERSION_BYTES = 8;

function byId(a: { id: string }, b: { id: string }): number {
  return a.id < b.id ? -1 : 1;
}

function assignedTask(ctx: ServiceContext, ledger: Ledger, id: string): AssignedTask[] {
  const { snapshot } = ctx.mirror;
  const entry = ledger.entries[id];
  const task = snapshot.tasks.get(id);
  const version = entry === undefined ? undefined : snapshot.version(entry.jobUid, entry.jobVersion);
  const group = version?.spec.groups.find((candidate) => candidate.name === entry?.group);
  if (entry === undefined || task === undefined || group === undefined) return [];
  return [
    {
      id,
      jobUid: task.jobUid,
      jobName: task.jobName,
      jobVersion: task.jobVersion,
      role: task.role,
      groupName: task.group,
      index: task.index,
      attempt: task.attempt,
      run: task.run,
      state: task.state,
      group,
      ports: entry.ports,
      stop: entry.stop,
      disowned: entry.disowned,
    },
  ];
}

/**
 * Takes statuses in, each batch in one transaction that compares the epoch. States and runs never go back, so a repeated batch
 * changes nothing. Releases give back what disowned tasks held.
 */
export async function commitStatuses(
  ctx: ServiceContext,
  session: NodeSession,
  { statuses, released }: StatusesRequest,
): Promise<StatusesResponse> {
  await currentSession(ctx, session);
  if (!knowsAll(ctx, session.node, { statuses, released })) await catchUp(ctx, session);
  const results = await untilCommitted(ctx, session, () => statusDraft(ctx, session, statuses));
  if (released.length > 0) await untilCommitted(ctx, session, () => releaseDraft(ctx, session, released));
  return { results };
}

/**
 * An agent reports on what it was given, perhaps by another replica: a task or a place that this mirror doesn't show may have
 * come to be since. To answer "unknown", or to take a release for done, ends its retries, so it takes a mirror of the present.
 */
function knowsAll({ mirror }: ServiceContext, node: NodeId, { statuses, released }: StatusesRequest): boolean {
  const { tasks, ledgers } = mirror.snapshot;
  return (
    statuses.every((status) => tasks.get(status.task)?.node === node) &&
    released.every((id) => ledgers.get(node)?.entries[id]?.disowned)
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
    if (!isNewer(task, status)) return 'known';
    changed.set(task.id, withStatus(task, status));
    return 'committed';
  });
  const compared = [keys.epoch(node), ...[...changed.keys()].map(keys.task)];
  return {
    result: results,
    compares: compared.map((key) => ({ key, modRevision: snapshot.modRevision(key) })),
    writes: [...changed.values()].map(putTask),
  };
}

/** Agents' clocks differ from ours and each other's; a history that runs backwards would help nobody. */
function withStatus(before: Task, { state, run, atMs: toldAtMs, reason, message, exitCode }: TaskStatus): Task {
  const lastMs = Math.max(before.history.at(-1)?.atMs ?? 0, before.restarts.at(-1)?.atMs ?? 0);
  const atMs = Math.max(lastMs, toldAtMs);
  const isRestart = run > before.run && state === 'running';
  const task = isRestart ? restarted(before, { run, atMs, reason, message }) : { ...before, run };
  if (!mayFollow(task.state, state)) return task;
  return advance(task, { state, atMs, reason, message }, exitCode === null ? {} : { exitCode });
}

/** Only places of disowned tasks are given back here: all others are swept by rounds once their tasks have ended. */
function releaseDraft(ctx: ServiceContext, { node }: NodeSession, released: readonly string[]): StatusDraft<null> {
  const { snapshot } = ctx.mirror;
  const ledger = present(snapshot.ledgers.get(node), `the ledger of node ${node}`);
  const disowned = released.filter((id) => ledger.entries[id]?.disowned);
  const unit = ledgerUnit(snapshot, ledger, removeEntries(ledger, disowned));
  if (unit === null) return { result: null, compares: [], writes: [] };
  const epochKey = keys.epoch(node);
  return {
    result: null,
    compares: [...unit.compares, { key: epochKey, modRevision: snapshot.modRevision(epochKey) }],
    writes: unit.writes,
  };
}

/** This replica's mirror may be behind the one that the session was made on: it gets the time to catch up. */
async function currentSession(ctx: ServiceContext, session: NodeSession): Promise<void> {
  if (ctx.mirror.snapshot.epochOf(session.node) < session.epoch) await catchUp(ctx, session);
  checkEpoch(ctx, session);
}

/** Waits until the mirror shows everything that has happened by now. */
async function catchUp(ctx: ServiceContext, { node }: NodeSession): Promise<void> {
  const { revision } = await ctx.store.get(keys.epoch(node));
  if (await ctx.mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS })) return;
  throw new Refusal('unavailable', `replica "${ctx.replica.id}" is behind; ask again`, { retryAfterSeconds: 1 });
}

function checkEpoch(ctx: ServiceContext, session: NodeSession): void {
  const current = ctx.mirror.snapshot.epochOf(session.node);
  if (current !== session.epoch) throw staleEpoch(session, `it is at epoch ${current} now`);
}

function staleEpoch({ node, epoch }: NodeSession, why: string): Refusal {
  return new Refusal('stale-epoch', `the session of node "${node}" with epoch ${epoch} is over: ${why}; register anew`);
}
