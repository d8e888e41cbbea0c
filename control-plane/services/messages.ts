/**
 * Messages between frameworks and their executors. Each is a record of its own, on a lease, until whoever it is for has it: for a
 * task, until the node's agent says that its executor has taken it; for a framework, until the replica that holds its stream has sent
 * it. Best effort and bounded: what isn't taken in its time goes, and what would be too much is refused to whoever says it.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { FrameworkId, NodeId } from '../../shared/domain/ids.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { MessagesRequest, MessagesResponse, SaidMessage } from '../../shared/protocol/agent.ts';
import type { SentMessage } from '../../shared/protocol/framework.ts';
import { randomId } from '../../shared/util/random.ts';
import type { Principal } from '../auth/principal.ts';
import { type Compare, LeaseGoneError, type LeaseId, type Write } from '../store/contract.ts';
import { keys, PREFIX } from '../store/keys.ts';
import type { MessageRecord } from '../store/record-types.ts';
import { putRecord } from '../store/records.ts';
import type { Snapshot } from '../store/snapshot.ts';
import type { ServiceContext } from './context.ts';
import { actingFramework, reachPresent, reachSession, sessionFence } from './framework-access.ts';
import type { SessionOf } from './framework-calls.ts';
import { tasksByName } from './framework-views.ts';
import { catchUp, checkEpoch, currentSession, type NodeSession } from './session-check.ts';
import { demandRoom } from './store-room.ts';

/** That wait for one task, for all tasks of one node, for one framework, and in the whole cluster. */
const WAITING_MAX = { task: 16, node: 64, framework: 64, all: 1000 } as const;
/** Tries when the lease or the session that a message was to be put under has ended meanwhile. */
const TRIES_MAX = 4;

const CROWDED = { retryAfterSeconds: 1 } as const;

/** Says something to a task of the framework: to an executor, or to what one runs. */
export async function sendMessage(
  ctx: ServiceContext,
  principal: Principal,
  { name, data, ...of }: SessionOf & { readonly name: string; readonly data: string },
): Promise<SentMessage> {
  await reachSession(ctx, of);
  if (!tasksByName(ctx.mirror.snapshot, of.id).has(name)) await reachPresent(ctx, of.id);
  const id = randomId(ctx.random);
  const draft = (lease: LeaseId): Draft => {
    const { id: framework } = actingFramework(ctx, principal, of);
    const { snapshot } = ctx.mirror;
    const { id: task, node } = listeningTask(snapshot, framework, name);
    demandRoom(ctx);
    demandPlace(snapshot, { node, task });
    const sentAtMs = ctx.clock.now();
    const record: MessageRecord = { to: 'task', framework, node, task, data, place: 0, sentAtMs };
    const fence = sessionFence(snapshot, framework);
    return { fence, writes: [putRecord('messages', keys.messageForTask(node, id), record, lease)] };
  };
  await putUnderLease(ctx, draft, () => reachPresent(ctx, of.id));
  return { id };
}

/** The task of that name, where somebody hears what is said to it. */
function listeningTask(snapshot: Snapshot, framework: FrameworkId, name: string): Task & { readonly node: NodeId } {
  const task = tasksByName(snapshot, framework).get(name);
  if (task === undefined) throw new Refusal('not-found', `framework "${framework}" has no task "${name}" on record`);
  if (isTerminal(task.state)) throw new Refusal('conflict', `task "${name}" has ended as ${task.state}`);
  const group = task.template?.group;
  if (!group?.isExecutor && group?.executor === undefined) {
    const why = `task "${name}" is no executor, and none runs it: nobody would hear what is said to it`;
    throw new Refusal('conflict', why);
  }
  const { node } = task;
  if (node !== null && snapshot.isAlive(node)) return { ...task, node };
  const why = `task "${name}" is on node "${node}", which is unreachable; try again when it is back`;
  throw new Refusal('conflict', why, CROWDED);
}

function demandPlace({ messages }: Snapshot, { node, task }: { readonly node: NodeId; readonly task: string }): void {
  const forNode = [...messages.values()].filter((message) => message.to === 'task' && message.node === node);
  const forTask = forNode.filter((message) => message.task === task).length;
  if (forTask >= WAITING_MAX.task) throw crowded(`${WAITING_MAX.task} messages wait for that task already`);
  if (forNode.length >= WAITING_MAX.node)
    throw crowded(`${WAITING_MAX.node} messages wait for tasks of its node already`);
  if (messages.size >= WAITING_MAX.all) throw crowded(`${WAITING_MAX.all} messages wait in the cluster already`);
}

function crowded(why: string): Refusal {
  return new Refusal('limit-exceeded', `${why}; try again later`, CROWDED);
}

/** What a node's executors have taken goes, and what they say is kept for their frameworks. */
export async function takeMessages(
  ctx: ServiceContext,
  session: NodeSession,
  { taken, said }: MessagesRequest,
): Promise<MessagesResponse> {
  await currentSession(ctx, session);
  const isKnown = said.every(({ task }) => frameworkOf(ctx.mirror.snapshot, session.node, task) !== null);
  if (!isKnown) await catchUp(ctx, session.node);
  const removals = taken.map((id): Write => ({ type: 'delete', key: keys.messageForTask(session.node, id) }));
  let results: MessagesResponse['results'] = [];
  await putUnderLease(
    ctx,
    (lease) => {
      checkEpoch(ctx, session);
      const placed = placedMessages(ctx, session.node, said);
      results = placed.results;
      const puts = placed.records.map(({ id, record }) =>
        putRecord('messages', keys.messageForFramework(record.framework, id), record, lease),
      );
      const key = keys.epoch(session.node);
      const fence = { key, modRevision: ctx.mirror.snapshot.modRevision(key) };
      return { fence, writes: [...removals, ...puts] };
    },
    () => catchUp(ctx, session.node),
  );
  return { results };
}

function placedMessages(
  { mirror: { snapshot }, clock }: ServiceContext,
  node: NodeId,
  said: readonly SaidMessage[],
): { readonly results: MessagesResponse['results']; readonly records: { id: string; record: MessageRecord }[] } {
  const waiting = new Map<FrameworkId, number>();
  for (const { to, framework } of snapshot.messages.values()) {
    if (to === 'framework') waiting.set(framework, (waiting.get(framework) ?? 0) + 1);
  }
  let all = snapshot.messages.size;
  const records: { id: string; record: MessageRecord }[] = [];
  const results = said.map(({ id, task, data }, place) => {
    const framework = frameworkOf(snapshot, node, task);
    if (framework === null) return 'unknown';
    const count = waiting.get(framework) ?? 0;
    if (count >= WAITING_MAX.framework || all >= WAITING_MAX.all) return 'crowded';
    waiting.set(framework, count + 1);
    all += 1;
    records.push({ id, record: { to: 'framework', framework, node, task, data, place, sentAtMs: clock.now() } });
    return 'relayed';
  });
  return { results, records };
}

/** Null: the node has no such task of a framework. */
function frameworkOf(snapshot: Snapshot, node: NodeId, id: string): FrameworkId | null {
  const task = snapshot.tasks.get(id);
  return task?.node === node ? (task.framework?.id ?? null) : null;
}

interface Draft {
  /** Of a session's calls none counts any more once it is over. */
  readonly fence: Compare;
  readonly writes: readonly Write[];
}

/** Drafts again where the fence was lost, once the mirror shows why. Putting the same again does no harm. */
async function putUnderLease(
  { store, ops }: ServiceContext,
  draft: (lease: LeaseId) => Draft,
  seeWhy: () => Promise<void>,
): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const { fence, writes } = draft(await ops.opsLease());
    if (writes.length === 0) return;
    try {
      const { committed } = await store.transact({ compares: [fence], writes });
      if (committed) return;
      await seeWhy();
    } catch (error) {
      if (!(error instanceof LeaseGoneError)) throw error;
      await ops.renew([]);
    }
  }
  throw new Refusal('unavailable', 'the messages could not be put on record; send them again', CROWDED);
}

/** Those that wait and are wanted, by what follows `messages/` in their keys, in the order in which they were said. */
export function waitingMessages(
  snapshot: Snapshot,
  isWanted: (message: MessageRecord, id: string) => boolean,
): (readonly [string, MessageRecord])[] {
  return [...snapshot.messages]
    .filter(([id, message]) => isWanted(message, id))
    .map(([id, message]) => ({ id, message, revision: snapshot.modRevision(`${PREFIX}messages/${id}`) }))
    .sort((a, b) => a.revision - b.revision || a.message.place - b.message.place)
    .map(({ id, message }) => [id, message] as const);
}
