/**
 * ACCEPT: the operations are planned, carried out as one accept of Berth, and planned again without what was found wrong with them,
 * until the rest is carried out. Berth's accept is all or nothing; with Mesos, an invalid task or operation keeps no other from
 * being carried out, and is told of on the stream.
 */
import type { Fault } from '../../../shared/domain/errors.ts';
import { Refusal } from '../../../shared/domain/errors.ts';
import { OFFER_ID_PATTERN } from '../../../shared/domain/ids.ts';
import { ACCEPTED_OFFERS_MAX } from '../../../shared/domain/offer-operation.ts';
import type { FrameworkEvent, OfferView } from '../../../shared/protocol/framework.ts';
import { acceptSchema } from '../../../shared/protocol/offers.ts';
import { launchedTask, nodeHoldings, ownOffers } from '../../services/framework-facts.ts';
import { declineOffers } from '../../services/offer-declines.ts';
import { acceptOffers } from '../../services/offers.ts';
import type { FacadeParts } from '../parts.ts';
import { refuseSecondsOf } from '../translate/filters.ts';
import { type PlannedAccept, planAccept, withoutFaulted } from '../translate/operations.ts';
import { type ToldTask, toldOperation, toldUpdate } from '../translate/told.ts';
import type { WireCall } from '../wire/call.ts';
import type { Acting } from './acting.ts';
import { tellEvents } from './telling.ts';

type AcceptBody = NonNullable<WireCall['accept']>;

export async function accept(parts: FacadeParts, acting: Acting, body: AcceptBody): Promise<void> {
  const { ctx } = parts;
  const { framework } = acting;
  const named = body.offer_ids.map(({ value }) => value);
  const known = named.filter((id) => OFFER_ID_PATTERN.test(id));
  const own = await ownOffers(ctx, framework.id, known);
  const fault = offersFault(named, own);
  const told =
    fault === null ? await carryOut(parts, acting, body, own) : await giveBack(parts, acting, body, { own, fault });
  await tellEvents(parts, framework.id, told);
}

/** Why they can't be accepted together, in Mesos's words. `own`: those that stand, in their order. */
function offersFault(named: readonly string[], own: readonly OfferView[]): string | null {
  if (named.length === 0) return 'No offers specified';
  if (named.length > ACCEPTED_OFFERS_MAX) return `More than ${ACCEPTED_OFFERS_MAX} offers specified`;
  const twice = named.find((id, index) => named.indexOf(id) < index);
  if (twice !== undefined) return `Duplicate offer ${twice} in offer list`;
  const gone = named.find((id) => !own.some((offer) => offer.id === id));
  if (gone !== undefined) return `Offer ${gone} is no longer valid`;
  const [first, ...others] = own;
  const stray = others.find(({ node, role }) => node !== first?.node || role !== first.role);
  if (first === undefined || stray === undefined) return null;
  if (stray.node !== first.node) {
    return `Aggregated offers must belong to one single agent. Offer ${stray.id} uses agent ${stray.node} and offer ${first.id} uses agent ${first.node}`;
  }
  return `Aggregated offers must be allocated to the same role. Offer ${stray.id} uses role ${stray.role} and offer ${first.id} uses role ${first.role}`;
}

/** The offers are invalid: what was to be done with them isn't, and those of them that stand go back at once. */
async function giveBack(
  { ctx }: FacadeParts,
  { call, framework, known }: Acting,
  { operations }: AcceptBody,
  { own, fault }: { readonly own: readonly OfferView[]; readonly fault: string },
): Promise<FrameworkEvent[]> {
  if (own.length > 0) {
    const wish = { session: framework.session, offers: own.map(({ id }) => id), refuseSeconds: 0 };
    await declineOffers(ctx, call, framework.id, wish);
  }
  const nowMs = ctx.clock.now();
  const state = known.capabilities.has('PARTITION_AWARE') ? 'TASK_DROPPED' : 'TASK_LOST';
  return operations.flatMap(({ id, launch, launch_group: group }) => {
    const tasks = [...(launch?.task_infos ?? []), ...(group?.task_group.tasks ?? [])];
    const updates = tasks.map(({ task_id, agent_id }) => {
      const message = `Task launched with invalid offers: ${fault}`;
      return toldUpdate(
        { task: task_id.value, node: agent_id.value, state, reason: 'REASON_INVALID_OFFERS', message },
        nowMs,
      );
    });
    if (id === undefined) return updates;
    const message = `Operation attempted with invalid offers: ${fault}`;
    return [...updates, toldOperation({ operation: id.value, state: 'dropped', message, node: null }, nowMs)];
  });
}

async function carryOut(
  parts: FacadeParts,
  acting: Acting,
  body: AcceptBody,
  offers: readonly OfferView[],
): Promise<FrameworkEvent[]> {
  const { ctx } = parts;
  const node = offers[0]?.node ?? '';
  let plan = planAccept({
    operations: body.operations,
    offers,
    holdings: nodeHoldings(ctx, node),
    framework: acting.known,
    isTaken: (name) => launchedTask(ctx, acting.framework, name) !== null,
  });
  const unauthorized = new Set<string>();
  // Each try leaves something of the plan out, so they come to an end.
  for (;;) {
    const fault = await tryAccept(parts, acting, plan, { offers, refuseSeconds: refuseSecondsOf(body.filters) });
    if (fault === null) return toldOf(plan, { node, unauthorized, nowMs: ctx.clock.now() });
    if (fault.kind === 'offers') return giveBack(parts, acting, body, { own: [], fault: fault.message });
    const rest = withoutFaulted(plan, fault.faults) ?? withoutAll(plan, fault.message);
    if (fault.isForbidden) {
      for (const { task } of rest.refusedTasks.slice(plan.refusedTasks.length)) unauthorized.add(task.task_id.value);
    }
    plan = rest;
  }
}

type AcceptFault =
  | { readonly kind: 'offers'; readonly message: string }
  | {
      readonly kind: 'operations';
      readonly message: string;
      readonly faults: readonly Fault[];
      readonly isForbidden: boolean;
    };

/** Null: it was carried out. Throws what says nothing about the operations. */
async function tryAccept(
  { ctx }: FacadeParts,
  { call, framework }: Acting,
  { operations }: PlannedAccept,
  { offers, refuseSeconds }: { readonly offers: readonly OfferView[]; readonly refuseSeconds: number },
): Promise<AcceptFault | null> {
  const checked = acceptSchema.safeParse({
    session: framework.session,
    offers: offers.map(({ id }) => id),
    operations: operations.map(({ native }) => native),
    refuseSeconds,
  });
  if (!checked.success) {
    const faults = checked.error.issues.map(({ path, message }) => ({
      path: `/${path.map(String).join('/')}`,
      message,
    }));
    return { kind: 'operations', message: faults[0]?.message ?? '', faults, isForbidden: false };
  }
  try {
    await acceptOffers(ctx, call, framework.id, checked.data);
    return null;
  } catch (error) {
    const fault = error instanceof Refusal ? faultOf(error, operations.length > 0) : null;
    if (fault === null) throw error;
    return fault;
  }
}

/** Null: it is not about the offers, nor about what was to be done with them. */
function faultOf({ code, message, faults }: Refusal, hasOperations: boolean): AcceptFault | null {
  switch (code) {
    case 'offer-gone':
    case 'not-found':
      return { kind: 'offers', message };
    case 'invalid-request':
    case 'already-exists':
    case 'payload-too-large':
    case 'limit-exceeded':
    case 'conflict':
    case 'forbidden':
      return hasOperations ? { kind: 'operations', message, faults, isForbidden: code === 'forbidden' } : null;
    default:
      return null;
  }
}

/** What is wrong can't be told from what isn't. */
function withoutAll(plan: PlannedAccept, message: string): PlannedAccept {
  const faults = plan.operations.map((_, index) => ({ path: `/operations/${index}`, message }));
  return withoutFaulted(plan, faults) ?? { ...plan, operations: [] };
}

/** What was carried out is said of those that somebody wants to hear of, which are told of nowhere else. */
function toldOf(
  { refusedTasks, refusedOperations, operations: done }: PlannedAccept,
  {
    node,
    unauthorized,
    nowMs,
  }: { readonly node: string; readonly unauthorized: ReadonlySet<string>; readonly nowMs: number },
): FrameworkEvent[] {
  const updates = refusedTasks.map(({ task: { task_id, agent_id }, state, reason, message }) => {
    const isUnauthorized = unauthorized.has(task_id.value);
    const told: ToldTask = {
      task: task_id.value,
      node: agent_id.value,
      state,
      reason: isUnauthorized ? 'REASON_TASK_UNAUTHORIZED' : reason,
      message,
    };
    return toldUpdate(told, nowMs);
  });
  const failed = refusedOperations.map(({ operationId, message }) => ({
    operationId,
    state: 'error' as const,
    message,
  }));
  const places = new Set(refusedOperations.map(({ place }) => place));
  const finished = new Set(done.flatMap(({ place, operationId }) => (places.has(place) ? [] : (operationId ?? []))));
  const statuses = [
    ...failed,
    ...[...finished].map((operationId) => ({ operationId, state: 'finished' as const, message: '' })),
  ];
  const operations = statuses.flatMap(({ operationId, state, message }) =>
    operationId === null ? [] : [toldOperation({ operation: operationId, state, message, node }, nowMs)],
  );
  return [...updates, ...operations];
}
