/**
 * What a reservation that an operator asks for would take from others. It is judged as a round judges what it gives, on the tree of
 * roles as it would be: offers that a limit or a guarantee has no room for beside it go first, and what guarantees of other roles are
 * short of then has to stay unallocated. Its node counts as one that takes tasks, since the reservation lasts until it does.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { freeResources, type Ledger } from '../../shared/domain/ledger.ts';
import { type Scalars, scalarNames, scalarOf, toMilli } from '../../shared/domain/resources.ts';
import { accumulate, amountAt, atLeastNone } from './amounts.ts';
import { boundWithdrawals } from './bound-withdrawals.ts';
import { isNodeOpen } from './node-standing.ts';
import type { RoleNode, RoleTree } from './role-tree.ts';
import { type FollowedView, RoundMemory } from './round-memory.ts';
import { Survey } from './survey.ts';
import type { EndedOfferOn } from './sweeps.ts';

export interface Reserving {
  /** Of its node, without the offers that have to go there so that there is room. */
  readonly ledger: Ledger;
  readonly role: RolePath;
  readonly scalars: Scalars;
  readonly nowMs: number;
}

export interface ReservingPlan {
  /** Further offers, to be taken back before it is made. */
  readonly withdrawn: readonly EndedOfferOn[];
  /** Scalars of which it would take what is kept for others. */
  readonly kept: readonly KeptForOthers[];
}

export interface KeptForOthers {
  readonly name: string;
  /** How much of it the role may still take. */
  readonly left: number;
  readonly unallocated: number;
  readonly short: readonly { readonly role: RolePath; readonly amount: number }[];
}

export function planReserving(cluster: ClusterView, { ledger, role, scalars, nowMs }: Reserving): ReservingPlan {
  const usage = new RoundMemory().usageOf(viewWith(cluster, ledger), nowMs);
  const survey = new Survey(cluster, usage, { sweeps: [], nowMs });
  const { roles } = survey;
  if (!isNodeOpen(cluster, ledger, nowMs)) {
    accumulate(roles.headroom, atLeastNone(roles.names.amountsOf(freeResources(ledger))));
  }
  const unreserved = roles.names.amountsOf(scalars);
  const take = (sign: 1 | -1) => {
    roles.charge(roles.client(role, null), { unreserved, whole: [], holdings: 0, offers: 0 }, sign);
    accumulate(roles.headroom, unreserved, sign === 1 ? -1 : 1);
  };
  take(1);
  const withdrawn = boundWithdrawals(survey);
  take(-1);
  return { withdrawn, kept: roles.hasGuarantees ? keptForOthers(roles, role, scalars) : [] };
}

/** The cluster with this ledger in the place of the node's own. */
function viewWith(cluster: ClusterView, ledger: Ledger): FollowedView {
  const { nodes, epochs, maintenance, tasks, roles, settings } = cluster;
  const ledgers = new Map(cluster.ledgers).set(ledger.node, ledger);
  return { nodes, epochs, maintenance, tasks, roles, settings, ledgers, isAlive: (node) => cluster.isAlive(node) };
}

function keptForOthers(roles: RoleTree, role: RolePath, scalars: Scalars): KeptForOthers[] {
  return scalarNames(scalars).flatMap((name) => {
    const left = roles.guaranteeLeftOf(role, name);
    if (toMilli(scalarOf(scalars, name)) <= toMilli(left)) return [];
    return [{ name, left, unallocated: roles.amountOf(roles.headroom, name), short: othersShortOf(roles, role, name) }];
  });
}

/** Those whose own guarantee makes out what is kept for them and all below them. */
function othersShortOf(roles: RoleTree, role: RolePath, name: string): KeptForOthers['short'] {
  const place = roles.names.placeOf(name);
  const decides = (node: RoleNode) => {
    const lack = amountAt(node.guarantee, place) - amountAt(node.charged, place);
    return lack > 0 && lack >= amountAt(node.childNeed, place);
  };
  const isCovered = ({ parent }: RoleNode): boolean => parent !== null && (decides(parent) || isCovered(parent));
  return [...roles.roles]
    .filter((node) => decides(node) && !isCovered(node) && !roleWithin(role, node.path))
    .map((node) => ({ role: node.path, amount: roles.amountOf(node.need, name) }));
}
