/** Who holds what of which node without having used it yet, and for how long. */
import type { Framework } from '../../shared/domain/framework.ts';
import { type FrameworkId, type NodeId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import type { HeldOfferView } from '../../shared/protocol/offers.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { actsFor } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { frameworkResource, mayRead } from './access.ts';
import type { PageRequest, ServiceContext } from './context.ts';
import { offerView } from './framework-views.ts';
import { pageThrough } from './paging.ts';

export interface HeldOfferFilter {
  readonly framework: FrameworkId | null;
  readonly node: NodeId | null;
  /** This role and those below it. */
  readonly role: RolePath | null;
}

/** Offers that the principal may see, by node. */
export function listOffers(
  ctx: ServiceContext,
  principal: Principal,
  filter: HeldOfferFilter,
  page: PageRequest,
): Page<HeldOfferView> {
  const { snapshot } = ctx.mirror;
  const nowMs = ctx.clock.now();
  const held = [...snapshot.ledgers.values()].flatMap(({ node, offers }) =>
    filter.node === null || filter.node === node
      ? Object.values(offers)
          .filter(
            (offer) =>
              matches(offer, filter) && maySeeOffer(principal, offer, snapshot.frameworks.get(offer.framework)),
          )
          .map((offer) => ({ node, offer }))
      : [],
  );
  return pageThrough(held, page, {
    keyOf: ({ node, offer }) => `${node}:${offer.id}`,
    view: ({ node, offer }) => ({
      ...offerView(snapshot, node, offer),
      frameworkName: snapshot.frameworks.get(offer.framework)?.name ?? offer.framework,
      heldSeconds: Math.max(0, (nowMs - offer.madeAtMs) / 1000),
    }),
  });
}

function matches({ framework, role }: Offer, filter: HeldOfferFilter): boolean {
  if (filter.framework !== null && framework !== filter.framework) return false;
  return filter.role === null || roleWithin(role, filter.role);
}

/** Whoever may read frameworks of the offer's role, and the framework itself. */
export function maySeeOffer(principal: Principal, { role }: Offer, framework: Framework | undefined): boolean {
  const resource = framework === undefined ? null : frameworkResource(framework);
  if (mayRead(principal, 'framework:read', role, resource)) return true;
  if (framework === undefined || !actsFor(principal, framework.principal)) return false;
  return mayRead(principal, 'framework:run', role, resource);
}
