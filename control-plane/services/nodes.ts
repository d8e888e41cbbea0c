/** What can be done with nodes: look at them, keep tasks away, empty them, and say that they are no more. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Drain, Ledger } from '../../shared/domain/ledger.ts';
import type { Gone, Node } from '../../shared/domain/node.ts';
import type { Task } from '../../shared/domain/task.ts';
import type { GoneNodeView, NodeView, Page } from '../../shared/protocol/views.ts';
import type { Principal } from '../auth/principal.ts';
import { goneUnit, ledgerUnit } from '../store/units.ts';
import { demand, mayInAll, mayRead, taskResource } from './access.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { goneNodeView, type NodeReader, nodeState, nodeView } from './views.ts';

export function getNode(ctx: ServiceContext, principal: Principal, id: NodeId): NodeView {
  demand(principal, 'node:read', null);
  return nodeView(ctx.mirror.snapshot, knownNode(ctx, id), nodeReader(ctx, principal));
}

export function listNodes(
  ctx: ServiceContext,
  principal: Principal,
  { states }: { states: readonly NodeView['state'][] | null },
  page: PageRequest,
): Page<NodeView> {
  demand(principal, 'node:read', null);
  const { snapshot } = ctx.mirror;
  const nodes = [...snapshot.nodes.values()].flatMap((node) => {
    const ledger = snapshot.ledgers.get(node.id);
    if (ledger === undefined) return [];
    return states === null || states.includes(nodeState(snapshot, ledger)) ? [{ node, ledger }] : [];
  });
  return pageThrough(nodes, page, {
    keyOf: ({ node }) => node.id,
    view: (one) => nodeView(snapshot, one, nodeReader(ctx, principal)),
  });
}

export interface DrainWish {
  readonly deadlineSeconds: number | null;
  /** Null: each task gets what it asks for. */
  readonly graceSecondsMax?: number | null;
}

/**
 * Takes no new tasks from now on; what still runs `deadlineSeconds` from now is stopped, and null lets everything run to its
 * own end. Draining a node again sets a new deadline. What is stopped gets at most `graceSecondsMax` between signal and kill.
 */
export function drainNode(
  ctx: ServiceContext,
  call: Call,
  id: NodeId,
  { deadlineSeconds, graceSecondsMax = null }: DrainWish,
): Promise<Answer<NodeView>> {
  return changeLedger(ctx, call, id, (ledger) => {
    const startedAtMs = ledger.drain?.startedAtMs ?? ctx.clock.now();
    const deadlineMs = deadlineSeconds === null ? null : Math.round(ctx.clock.now() + deadlineSeconds * 1000);
    const bound = graceSecondsMax === null ? {} : { graceMsMax: Math.round(graceSecondsMax * 1000) };
    const drain: Drain = { startedAtMs, deadlineMs, ...bound, by: call.principal.subject };
    return { ...ledger, drain };
  });
}

/** Ends a drain. What it has stopped stays stopped. */
export function undrainNode(ctx: ServiceContext, call: Call, id: NodeId): Promise<Answer<NodeView>> {
  return changeLedger(ctx, call, id, (ledger) => (ledger.drain === null ? ledger : { ...ledger, drain: null }));
}

/** Opens the node to new tasks, or closes it; what runs there goes on. */
export function setEligibility(
  ctx: ServiceContext,
  call: Call,
  id: NodeId,
  { eligible }: { eligible: boolean },
): Promise<Answer<NodeView>> {
  return changeLedger(ctx, call, id, (ledger) => (ledger.eligible === eligible ? ledger : { ...ledger, eligible }));
}

/**
 * Says that nothing runs on the node any more, nor ever will: the machine was scrapped, or its disk replaced. From then on its
 * agent is refused, and it is no longer a node. What it held is given back by a pass. Once it has been said, saying it again
 * changes nothing. Throws `conflict` while the node is connected.
 */
export async function declareGone(ctx: ServiceContext, call: Call, id: NodeId): Promise<Answer<GoneNodeView>> {
  demand(call.principal, 'node:remove', null);
  return mutate(ctx, call, () => {
    const { snapshot } = ctx.mirror;
    const before = snapshot.epochs.get(id);
    if (before?.gone !== undefined) {
      return { status: 200, body: goneNodeView(snapshot, id, before.gone), compares: [], writes: [] };
    }
    checkDisconnected(ctx, id);
    const gone: Gone = { atMs: ctx.clock.now(), by: call.principal.subject, stamp: before?.holder?.stamp };
    const unit = goneUnit(snapshot, id, gone);
    return { status: 200, body: goneNodeView(snapshot, id, gone), ...unit };
  });
}

function checkDisconnected(ctx: ServiceContext, id: NodeId): void {
  knownNode(ctx, id);
  if (!ctx.mirror.snapshot.isAlive(id)) return;
  throw new Refusal(
    'conflict',
    `node "${id}" is connected, so it is not gone: stop its agent first (drain the node to end what runs there), and declare it gone once it counts as unreachable`,
    { retryAfterSeconds: Math.ceil(ctx.config.leaseTtlMs / 1000) },
  );
}

async function changeLedger(
  ctx: ServiceContext,
  call: Call,
  id: NodeId,
  change: (ledger: Ledger) => Ledger,
): Promise<Answer<NodeView>> {
  demand(call.principal, 'node:write', null);
  return mutate(ctx, call, () => {
    const { node, ledger } = knownNode(ctx, id);
    const next = change(ledger);
    const unit = ledgerUnit(ctx.mirror.snapshot, ledger, next);
    const body = nodeView(ctx.mirror.snapshot, { node, ledger: next }, nodeReader(ctx, call.principal));
    return { status: 200, body, compares: unit?.compares ?? [], writes: unit?.writes ?? [] };
  });
}

/** What somebody who may read nodes may know of the tasks there. */
export function nodeReader({ mirror }: ServiceContext, principal: Principal): NodeReader {
  const seesAll = mayInAll(principal, 'task:read');
  const { tasks } = mirror.snapshot;
  const maySee = (task: Task | undefined) =>
    task !== undefined && mayRead(principal, 'task:read', task.role, taskResource(task));
  return { seesAll, mayName: (id) => seesAll || maySee(tasks.get(id)) };
}

export function knownNode(ctx: ServiceContext, id: NodeId): { node: Node; ledger: Ledger } {
  const node = ctx.mirror.snapshot.nodes.get(id);
  const ledger = ctx.mirror.snapshot.ledgers.get(id);
  if (node === undefined || ledger === undefined) throw new Refusal('not-found', `there is no node "${id}"`);
  return { node, ledger };
}
