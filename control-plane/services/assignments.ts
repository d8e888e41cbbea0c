/** What each node is to run, as its agent is told: followed by position, so that nothing is sent twice and nothing goes back. */
import { sha256 } from '@noble/hashes/sha2.js';
import { templateOf } from '../../shared/domain/cluster.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import { standingOf, type TaskTemplate } from '../../shared/domain/task.ts';
import type {
  AssignedTask,
  AssignmentPosition,
  AssignmentResponse,
  MessageForTask,
} from '../../shared/protocol/agent.ts';
import { present } from '../../shared/util/assert.ts';
import { hexEncode, utf8Encode } from '../../shared/util/codec.ts';
import type { Snapshot } from '../store/snapshot.ts';
import type { ServiceContext } from './context.ts';
import { answerCall, isCalled } from './holders.ts';
import { wantedImages } from './image-reports.ts';
import { waitingMessages } from './messages.ts';
import { catchUp, checkEpoch, currentSession, type NodeSession, staleEpoch } from './session-check.ts';
import { Peers } from './task-peers.ts';

/** What the agent already has; null and empty where it has nothing. */
export interface AssignmentQuery {
  readonly position: AssignmentPosition | null;
  readonly streamsVersion: string;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * What the node is to run, as soon as it differs from what the agent has; null after `waitMs` without a difference. An agent
 * that has seen a later state than this one gets nothing at all: whatever is decided here wouldn't fit what it knows. Throws
 * `stale-epoch` when that is found out, for a new session puts it on record.
 */
export async function waitForAssignment(
  ctx: ServiceContext,
  session: NodeSession,
  query: AssignmentQuery,
): Promise<AssignmentResponse | null> {
  await currentSession(ctx, session);
  await answerCall(ctx, session);
  const deadlineMs = ctx.clock.monotonicMs() + query.waitMs;
  while (!query.signal.aborted) {
    checkEpoch(ctx, session);
    await checkNotBehind(ctx, session, query.position);
    // It asks again at once if it lives.
    if (isCalled(ctx, session.node)) return null;
    const assignment = assignmentOf(ctx, session.node);
    if (!isWithheld(ctx, session.node) && isNews(assignment, query)) return assignment;
    const leftMs = deadlineMs - ctx.clock.monotonicMs();
    if (leftMs <= 0) return null;
    await nextSignal(ctx, session.node, { timeoutMs: leftMs, signal: query.signal });
  }
  return null;
}

function isWithheld({ mirror }: ServiceContext, node: NodeId): boolean {
  return mirror.snapshot.epochs.get(node)?.ahead !== undefined;
}

/** A position that this mirror doesn't know may only mean that the mirror is behind: it takes one of the present to tell. */
async function checkNotBehind(
  ctx: ServiceContext,
  session: NodeSession,
  has: AssignmentPosition | null,
): Promise<void> {
  const isBehind = () => has !== null && isPast(has, positionOf(ctx, session.node));
  if (isWithheld(ctx, session.node) || !isBehind()) return;
  await catchUp(ctx, session.node);
  checkEpoch(ctx, session);
  if (isBehind()) throw staleEpoch(session, 'its agent has seen a later state than this one');
}

function isPast(a: AssignmentPosition, b: AssignmentPosition): boolean {
  return a.incarnation === b.incarnation ? a.generation > b.generation : a.incarnation > b.incarnation;
}

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
  const ledger = ledgerOf(snapshot, node);
  const streams = [...snapshot.streams.values()].filter((stream) => stream.node === node).sort(byId);
  const messages = messagesFor(snapshot, node);
  const images = wantedImages(snapshot, node);
  const peers = new Peers(snapshot);
  return {
    position: { ...positionOf(ctx, node), revision: snapshot.revision },
    tasks: Object.keys(ledger.entries)
      .sort()
      .flatMap((id) => assignedTask(ctx, ledger, { id, peers })),
    streamsVersion: versionOf([...streams, ...messages, ...images.map((id) => ({ id }))]),
    streams: streams.map(({ id, task, follow, tail, since }) => ({ id, task, follow, tail, since })),
    ...(messages.length > 0 && { messages }),
    ...removingVolumes(ledger),
    ...(images.length > 0 && { images }),
    keptAsideStops: (snapshot.epochs.get(node)?.keptAside ?? []).flatMap(({ task, stop }) =>
      stop === null ? [] : [{ task, reason: stop.reason }],
    ),
  };
}

/** Oldest first: they are handed over in this order. */
function messagesFor(snapshot: Snapshot, node: NodeId): MessageForTask[] {
  return waitingMessages(snapshot, (message) => message.to === 'task' && message.node === node).map(
    ([path, { task, data }]) => ({ id: path.slice(path.lastIndexOf('/') + 1), task, data }),
  );
}

function removingVolumes({ volumes }: Ledger): Pick<AssignmentResponse, 'removingVolumes'> {
  const ids = Object.values(volumes).flatMap(({ id, removing }) => (removing ? [id] : []));
  return ids.length === 0 ? {} : { removingVolumes: ids.sort() };
}

function positionOf({ mirror: { snapshot } }: ServiceContext, node: NodeId): AssignmentPosition {
  return { incarnation: snapshot.incarnation, generation: ledgerOf(snapshot, node).assignmentGeneration };
}

function ledgerOf(snapshot: Snapshot, node: NodeId): Ledger {
  return present(snapshot.ledgers.get(node), `the ledger of node ${node}`);
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

function assignedTask(
  ctx: ServiceContext,
  ledger: Ledger,
  { id, peers }: { readonly id: string; readonly peers: Peers },
): AssignedTask[] {
  const { snapshot } = ctx.mirror;
  const entry = ledger.entries[id];
  const task = snapshot.tasks.get(id);
  const template = task === undefined ? undefined : templateOf(snapshot, task);
  if (entry === undefined || task === undefined || template === undefined) return [];
  const beside = peers.of(task);
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
      ...standingOf(task),
      ...(task.framework !== null && { name: task.framework.name }),
      group: template.group,
      ...(beside.length > 0 && { peers: beside }),
      stopAfterDisconnectMs: stopAfterDisconnectMs(template),
      ports: entry.ports,
      ...(entry.devices.length > 0 && { devices: entry.devices }),
      stop: entry.stop,
      disowned: entry.disowned,
    },
  ];
}

/** As what the task was made from says: what that promises stands for as long as the task lives. */
function stopAfterDisconnectMs({ stopAfterDisconnectSeconds: seconds }: TaskTemplate): number | null {
  return seconds === undefined ? null : Math.round(seconds * 1000);
}
