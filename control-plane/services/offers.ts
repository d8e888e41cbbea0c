/**
 * Accepting offers. An answer is one change of the node's ledger, under a compare of what it was decided from and of the
 * framework's record, so that of two answers to one offer only one counts, and none of a session that is over.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, NodeId, OfferId } from '../../shared/domain/ids.ts';
import { isOpen, type Ledger } from '../../shared/domain/ledger.ts';
import { isRunning } from '../../shared/domain/maintenance.ts';
import type { Offer, OfferFilter } from '../../shared/domain/offer.ts';
import type { OfferOperation } from '../../shared/domain/offer-operation.ts';
import type { Task } from '../../shared/domain/task.ts';
import { type AcceptedView, type AcceptRequest, operationOf } from '../../shared/protocol/offers.ts';
import { invariant } from '../../shared/util/assert.ts';
import { randomId } from '../../shared/util/random.ts';
import type { Principal } from '../auth/principal.ts';
import { acceptOffers as carryOut } from '../scheduler/accept-offers.ts';
import { coordinatesOf } from '../scheduler/launch.ts';
import { areGpuNodesKept } from '../scheduler/unofferable.ts';
import { keys } from '../store/keys.ts';
import { writeBytes } from '../store/limits.ts';
import { putRecord } from '../store/records.ts';
import { fitsTransaction } from '../store/transact.ts';
import { frameworkResource } from './access.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { actingFramework, reachSession, sessionFence } from './framework-access.ts';
import { type Draft, mutate } from './mutation.ts';
import { demandOperations } from './operation-rights.ts';
import { namedOperations } from './operations.ts';
import { mountedOn } from './reservation-views.ts';
import { findOffers, type GoneOffer, reachOffers } from './standing-offers.ts';
import { resourcesView, timeView } from './views.ts';

/** What the records of the tasks of one call may take: they are put in one transaction, beside the node's ledger. */
const TASKS_BYTES_MAX = 400_000;

const RESERVATION_ID_LENGTH = 10;

/** Uses offers of one node: carries the operations out, and gives back what they leave over. */
export async function acceptOffers(
  ctx: ServiceContext,
  call: Call,
  id: FrameworkId,
  request: AcceptRequest,
): Promise<Answer<AcceptedView>> {
  const acting = { id, session: request.session };
  await reachSession(ctx, acting);
  await reachOffers(ctx, id, request.offers);
  const newId = () => `r${randomId(ctx.random, RESERVATION_ID_LENGTH)}`;
  const operations = request.operations.map((operation) => operationOf(operation, newId));
  return mutate(ctx, call, () => {
    const framework = actingFramework(ctx, call.principal, acting);
    return draftAccept(ctx, call.principal, framework, { ...request, operations });
  });
}

interface AcceptWish {
  readonly offers: readonly OfferId[];
  readonly operations: readonly OfferOperation[];
  readonly refuseSeconds: number;
}

function draftAccept(
  ctx: ServiceContext,
  principal: Principal,
  framework: Framework,
  { offers, operations, refuseSeconds }: AcceptWish,
): Draft<AcceptedView> {
  const { snapshot } = ctx.mirror;
  const { node, together } = offersOfOneNode(ctx, framework, offers);
  const ledger = openLedger(ctx, node, { framework, offers: together });
  demandOperations(ctx, principal, operations, {
    role: together[0].role,
    framework: frameworkResource(framework),
    ledger,
  });
  demandNewNames(ctx, framework, operations);
  const described = snapshot.nodes.get(node);
  invariant(described !== undefined, `node ${node} has a ledger and no record`);
  const accepted = carryOut({
    ledger,
    node: described,
    framework,
    offers: together,
    operations,
    refuseSeconds,
    mounted: new Set(mountedOn(snapshot, ledger).keys()),
    by: principal.subject,
    nowMs: ctx.clock.now(),
  });
  if (!accepted.ok) throw invalidAnswer(accepted.faults);
  const named = namedOperations(ctx, framework, { node, operations });
  const draft = {
    status: 200 as const,
    body: acceptedView(node, together[0].role, accepted),
    compares: [
      { key: keys.ledger(node), modRevision: snapshot.modRevision(keys.ledger(node)) },
      sessionFence(snapshot, framework.id),
      // They say for whom nodes with GPUs are.
      { key: keys.settings, modRevision: snapshot.modRevision(keys.settings) },
      ...accepted.tasks.map((task) => ({ key: keys.task(task.id), modRevision: 0 })),
      ...named.compares,
    ],
    writes: [
      putRecord('ledger', keys.ledger(node), accepted.ledger),
      ...accepted.tasks.map((task) => putRecord('tasks', keys.task(task.id), task)),
      ...named.writes,
    ],
  };
  demandSize(draft);
  return draft;
}

function offersOfOneNode(
  ctx: ServiceContext,
  framework: Framework,
  ids: readonly OfferId[],
): { node: NodeId; together: readonly [Offer, ...Offer[]] } {
  const { standing, gone } = findOffers(ctx.mirror.snapshot, framework, ids);
  const left = standing.flatMap(({ offer: { id, role } }): GoneOffer[] => {
    if (framework.roles.includes(role)) return [];
    return [{ id, why: `the framework has left its role "${role}", so it is being withdrawn` }];
  });
  if (gone.length + left.length > 0) throw offersGone([...gone, ...left]);
  const [first, ...others] = standing;
  invariant(first !== undefined, 'an accept names at least one offer');
  const faults = others.flatMap((other): Fault[] => {
    const path = `/offers/${ids.indexOf(other.offer.id)}`;
    if (other.node !== first.node) {
      const message = `is of node "${other.node}", and "${first.offer.id}" of "${first.node}": accept the offers of each node by themselves`;
      return [{ path, message }];
    }
    if (other.offer.role === first.offer.role) return [];
    const message = `is for the role "${other.offer.role}", and "${first.offer.id}" for "${first.offer.role}": accept those of each role by themselves`;
    return [{ path, message }];
  });
  if (faults.length > 0) throw invalidAnswer(faults);
  return { node: first.node, together: [first.offer, ...others.map(({ offer }) => offer)] };
}

function offersGone(gone: readonly GoneOffer[]): Refusal {
  const named = gone.map(({ id, why }) => `offer "${id}" does not stand any more: ${why}`);
  return new Refusal(
    'offer-gone',
    `${named.join('; ')}. Nothing was changed; leave out what is gone, or wait for new offers`,
  );
}

/** What takes no new tasks for anybody, or none of this framework, takes none on an offer either, even while that still stands. */
function openLedger(
  ctx: ServiceContext,
  node: NodeId,
  { framework, offers }: { readonly framework: Framework; readonly offers: readonly Offer[] },
): Ledger {
  const { snapshot } = ctx.mirror;
  const ledger = snapshot.ledgers.get(node);
  invariant(ledger !== undefined, `offers of node ${node} stand in no ledger`);
  const why = whyClosed(ctx, ledger, framework);
  if (why === null) return ledger;
  throw offersGone(offers.map(({ id }) => ({ id, why: `its node "${node}" ${why}` })));
}

function whyClosed(
  { mirror: { snapshot }, clock }: ServiceContext,
  ledger: Ledger,
  framework: Framework,
): string | null {
  const isAhead = snapshot.epochs.get(ledger.node)?.ahead !== undefined;
  if (!isOpen(ledger)) return 'takes no new tasks, so it is being withdrawn';
  if (!snapshot.isAlive(ledger.node) || isAhead) return 'has not been heard of, so it is being withdrawn';
  const isOutOfService = isRunning(snapshot.maintenance.get(ledger.node), clock.now());
  if (isOutOfService) return 'is out of service for maintenance, so it is being withdrawn';
  if (ledger.total.gpus === 0 || !areGpuNodesKept(snapshot, framework)) return null;
  return 'has GPUs and is kept for frameworks with the capability "gpus"';
}

/**
 * The id of a task follows from its name, so a name that is on record can't be used again until it is no more. It follows from the
 * framework's name as well, which may have been another one by then.
 */
function demandNewNames(ctx: ServiceContext, framework: Framework, operations: readonly OfferOperation[]): void {
  const faults: Fault[] = [];
  const ids = new Map<string, string>();
  const { snapshot } = ctx.mirror;
  const names = new Set([...snapshot.tasksOfFramework(framework.id)].map((task) => task.framework?.name));
  for (const [place, operation] of operations.entries()) {
    if (!('tasks' in operation)) continue;
    for (const [index, { name }] of operation.tasks.entries()) {
      const { id } = coordinatesOf(framework, { name });
      const other = ids.get(id) ?? (names.has(name) ? name : snapshot.tasks.get(id)?.framework?.name);
      ids.set(id, name);
      if (other === undefined) continue;
      const message = `"${name}" is taken by a task of this framework that is on record${other === name ? '' : ` as "${other}"`}; choose another name`;
      faults.push({ path: `/operations/${place}/tasks/${index}/task`, message });
    }
  }
  const [first] = faults;
  if (first === undefined) return;
  throw new Refusal('already-exists', `${first.path} ${first.message}; nothing was launched`, { faults });
}

function demandSize({ compares, writes }: Draft<AcceptedView>): void {
  const bytes = writes.slice(1).reduce((sum, write) => sum + writeBytes(write), 0);
  const fits = fitsTransaction({ compares, writes });
  if (bytes <= TASKS_BYTES_MAX && fits) return;
  if (bytes <= TASKS_BYTES_MAX) {
    const faults = [{ path: '/operations', message: 'are too many tasks and named operations for one call' }];
    const why = `the call would put ${writes.length} records, which is too many for one transaction; launch fewer tasks in it, or give fewer operations a name`;
    throw new Refusal('payload-too-large', why, { faults });
  }
  throw new Refusal(
    'payload-too-large',
    `the tasks take ${bytes} bytes with their defaults; at most ${TASKS_BYTES_MAX} can be launched in one call. Launch fewer at a time, or put large content into the image.`,
    { faults: [{ path: '/operations', message: `describe tasks of ${bytes} bytes; ${TASKS_BYTES_MAX} is the most` }] },
  );
}

function acceptedView(
  node: NodeId,
  role: string,
  { tasks, filter }: { readonly tasks: readonly Task[]; readonly filter: OfferFilter | null },
): AcceptedView {
  return {
    node,
    role,
    tasks: tasks.map(({ id, framework, state, history, ports }) => ({
      task: framework?.name ?? id,
      id,
      state: state === 'error' ? 'error' : 'staging',
      message: history.at(-1)?.message ?? '',
      ports: { ...ports },
    })),
    leftOver: filter === null ? null : { refused: resourcesView(filter.refused), until: timeView(filter.untilMs) },
  };
}

function invalidAnswer(faults: readonly Fault[]): Refusal {
  const [first] = faults;
  const more = faults.length > 1 ? `, and ${faults.length - 1} more` : '';
  const summary = first === undefined ? '' : `: ${first.path} ${first.message}${more}`;
  return new Refusal('invalid-request', `the offers can't be used so${summary}; nothing was changed`, { faults });
}
