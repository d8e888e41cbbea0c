/**
 * Offers that a limit or a guarantee has no room for. Neither comes about by a round, which keeps to both, but by what an operator
 * sets, or by what a node loses.
 */
import { roleWithin } from '../../shared/domain/ids.ts';
import { amountAt } from './amounts.ts';
import type { RoleNode, RoleTree } from './role-tree.ts';
import { type StandingOffer, standingOffers, withdraw } from './standing-offers.ts';
import type { Survey } from './survey.ts';
import type { EndedOfferOn } from './sweeps.ts';

/** Changes the survey's tree as if they were withdrawn already. */
export function boundWithdrawals(survey: Survey): EndedOfferOn[] {
  const { roles } = survey;
  const isOver = roles.hasLimits && [...roles.roles].some((role) => placesOver(role).length > 0);
  if (!isOver && placesShort(roles).length === 0) return [];
  const standing = new Set(standingOffers(survey));
  return [...overLimits(survey, standing), ...shortOfGuarantees(survey, standing)];
}

/** Until every role is within its limit, or nothing is offered in it any more. */
function overLimits(survey: Survey, standing: Set<StandingOffer>): EndedOfferOn[] {
  const ended: EndedOfferOn[] = [];
  const over = [...survey.roles.roles].filter((role) => placesOver(role).length > 0);
  for (const role of over) {
    for (const one of standing) {
      const places = placesOver(role);
      if (places.length === 0) break;
      if (!roleWithin(one.offer.role, role.path)) continue;
      if (!places.some((place) => amountAt(one.unreserved, place) > 0)) continue;
      standing.delete(one);
      ended.push(withdraw(survey, one, 'limit'));
    }
  }
  return ended;
}

function placesOver({ limit, charged }: RoleNode): number[] {
  return limit.flatMap((most, place) => (amountAt(charged, place) > most ? [place] : []));
}

/** Until what is unallocated covers what is guaranteed and not held yet: each time from whoever has the largest share. */
function shortOfGuarantees(survey: Survey, standing: Set<StandingOffer>): EndedOfferOn[] {
  const { roles } = survey;
  const ended: EndedOfferOn[] = [];
  for (let places = placesShort(roles); places.length > 0; places = placesShort(roles)) {
    let richest: StandingOffer | null = null;
    for (const one of standing) {
      if (richest !== null && one.client.share <= richest.client.share) continue;
      if (places.some((place) => isSpare(one, place))) richest = one;
    }
    if (richest === null) break;
    standing.delete(richest);
    ended.push(withdraw(survey, richest, 'guarantee'));
  }
  return ended;
}

function placesShort({ hasGuarantees, root, headroom }: RoleTree): number[] {
  if (!hasGuarantees) return [];
  return root.need.flatMap((need, place) => (need > Math.max(0, amountAt(headroom, place)) ? [place] : []));
}

/** Whether it holds some of the scalar that is not guaranteed to its own role, nor to one above it. */
function isSpare({ client, unreserved }: StandingOffer, place: number): boolean {
  if (amountAt(unreserved, place) <= 0) return false;
  for (let role: RoleNode | null = client.role; role !== null; role = role.parent) {
    const guaranteed = amountAt(role.guarantee, place);
    if (guaranteed > 0 && amountAt(role.charged, place) <= guaranteed) return false;
  }
  return true;
}
