/** Declining offers, of any number of nodes: each goes, and a filter takes its place in the same put of its node's ledger. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, OfferId } from '../../shared/domain/ids.ts';
import { endOffers, type Ledger } from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import { filterFor, filterLengthMs } from '../../shared/domain/offer-filters.ts';
import type { DeclinedView } from '../../shared/protocol/offers.ts';
import { invariant } from '../../shared/util/assert.ts';
import { keys } from '../store/keys.ts';
import type { StandingOffer } from '../store/offer-index.ts';
import { putRecord } from '../store/records.ts';
import { packTransactions } from '../store/transact.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { actingFramework, reachSession } from './framework-access.ts';
import { type Draft, mutate } from './mutation.ts';
import { findOffers, type GoneOffer, reachOffers } from './standing-offers.ts';
import { timeView } from './views.ts';

/** Nodes whose offers are declined in one transaction: the more, the more likely somebody else changes one of them meanwhile. */
const NODES_MAX = 64;

/** An answer that names more is kept in a transaction of its own. */
const NAMED_BESIDE_MAX = 100;

export interface DeclineWish {
  readonly session: number;
  readonly offers: readonly OfferId[];
  readonly refuseSeconds: number;
}

/**
 * Gives offers back that aren't wanted. What doesn't stand any more is passed over, so the call can be repeated: offers of so
 * many nodes that one transaction doesn't take them are declined in several.
 */
export async function declineOffers(
  ctx: ServiceContext,
  call: Call,
  id: FrameworkId,
  wish: DeclineWish,
): Promise<Answer<DeclinedView>> {
  const acting = { id, session: wish.session };
  await reachSession(ctx, acting);
  await reachOffers(ctx, id, wish.offers);
  const framework = actingFramework(ctx, call.principal, acting);
  const { standing, gone } = findOffers(ctx.mirror.snapshot, framework, wish.offers);
  const declined: OfferId[] = [];
  const draftOf = (some: readonly OfferId[]) => () => {
    const present = actingFramework(ctx, call.principal, acting);
    return draftDecline(ctx, present, { ...wish, offers: some }, { declined, gone });
  };
  const groups = inTransactions(ctx, framework, standing, wish);
  const [only, ...others] = groups;
  if (only === undefined || only.length === 1 || (others.length === 0 && isKept(call, only))) {
    return mutate(ctx, call, draftOf(only ?? []));
  }
  const decline = async (some: readonly OfferId[]) => {
    const { body } = await mutate(ctx, { ...call, idempotency: null }, draftOf(some));
    declined.push(...body.declined.slice(declined.length));
  };
  for (const group of groups) await inHalves(group, decline);
  return mutate(ctx, call, draftOf([]));
}

/** Whether the answer is kept in the same transaction, so that the call can't be carried out in several. */
function isKept({ idempotency }: Call, offers: readonly OfferId[]): boolean {
  return idempotency !== null && offers.length <= NAMED_BESIDE_MAX;
}

/** Where others keep changing one of so many nodes, the fewer are declined together the sooner it is done. */
async function inHalves(
  offers: readonly OfferId[],
  decline: (some: readonly OfferId[]) => Promise<void>,
): Promise<void> {
  try {
    await decline(offers);
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== 'conflict' || offers.length < 2) throw error;
    const middle = Math.ceil(offers.length / 2);
    await inHalves(offers.slice(0, middle), decline);
    await inHalves(offers.slice(middle), decline);
  }
}

/** The offers, put together in few transactions. */
function inTransactions(
  ctx: ServiceContext,
  framework: Framework,
  standing: readonly StandingOffer[],
  wish: DeclineWish,
): OfferId[][] {
  const byNode = [...Map.groupBy(standing, ({ node }) => node).values()].map((some) =>
    some.map(({ offer }) => offer.id),
  );
  const groups: OfferId[][] = [];
  for (let from = 0; from < byNode.length; from += NODES_MAX) {
    const nodes = byNode.slice(from, from + NODES_MAX);
    const units = nodes.map((offers) => draftDecline(ctx, framework, { ...wish, offers }, NOTHING_YET));
    for (const { units: places } of packTransactions(units)) groups.push(places.flatMap((place) => nodes[place] ?? []));
  }
  return groups;
}

/** What was found before the draft is made. */
interface Before {
  readonly declined: readonly OfferId[];
  readonly gone: readonly GoneOffer[];
}

const NOTHING_YET: Before = { declined: [], gone: [] };

function draftDecline(
  ctx: ServiceContext,
  framework: Framework,
  { offers, refuseSeconds }: DeclineWish,
  before: Before,
): Draft<DeclinedView> {
  const { snapshot } = ctx.mirror;
  const { standing, gone } = findOffers(snapshot, framework, offers);
  const nowMs = ctx.clock.now();
  const changed = [...Map.groupBy(standing, ({ node }) => node)].map(([node, some]) => {
    const ledger = snapshot.ledgers.get(node);
    invariant(ledger !== undefined, `offers of node ${node} stand in no ledger`);
    const declined = some.map(({ offer }) => offer);
    return { key: keys.ledger(node), after: withDeclined(ledger, framework, declined, { refuseSeconds, nowMs }) };
  });
  const compared = changed.length === 0 ? [] : [keys.framework(framework.id), ...changed.map(({ key }) => key)];
  return {
    status: 200,
    body: {
      declined: [...before.declined, ...standing.map(({ offer }) => offer.id)],
      gone: [...before.gone, ...gone].map(({ id, why }) => ({ offer: id, message: why })),
      until: timeView(nowMs + filterLengthMs(refuseSeconds)),
    },
    compares: compared.map((key) => ({ key, modRevision: snapshot.modRevision(key) })),
    writes: changed.map(({ key, after }) => putRecord('ledger', key, after)),
  };
}

function withDeclined(
  ledger: Ledger,
  framework: Framework,
  offers: readonly Offer[],
  { refuseSeconds, nowMs }: { readonly refuseSeconds: number; readonly nowMs: number },
): Ledger {
  return offers.reduce((before, { id, role, resources }) => {
    const filter = filterFor(before.filters, {
      framework,
      role,
      offer: id,
      refused: resources,
      because: 'declined',
      seconds: refuseSeconds,
      nowMs,
    });
    return endOffers(before, [id], filter === null ? [] : [filter]);
  }, ledger);
}
