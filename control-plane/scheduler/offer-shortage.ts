/**
 * Guarantees of roles whose frameworks wait for offers. What a framework would run isn't known, so room is made in amounts, node by
 * node up to what an offer to it has to hold at least, and up to what the role is short of and no room is kept for yet. What comes free is kept for the role like all that is
 * guaranteed, and is offered to it.
 *
 * A framework that holds offers of what its role is short of, or has refused some for a while, has a choice already: nobody has to go
 * for it.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import { type FrameworkId, type NodeId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { isInForce } from '../../shared/domain/offer-filters.ts';
import {
  NO_SCALARS,
  type Resources,
  type Scalars,
  scalarNames,
  scalarOf,
  toMilli,
} from '../../shared/domain/resources.ts';
import type { ScalarAmounts } from '../../shared/domain/role.ts';
import { byText } from '../../shared/util/order.ts';
import { type ClaimInput, levelsOf, sparesGuarantees } from './claims.ts';
import type { Holder } from './holder.ts';
import { clientKey } from './ledger-sums.ts';
import type { Departure, Outlook } from './outlook.ts';
import type { PlannedOffer } from './plan.ts';
import type { Survey } from './survey.ts';
import { takesOffers } from './sweeps.ts';
import { unofferableNodes } from './unofferable.ts';

/** A role that is below its guarantee, with a framework that would take offers. */
export interface ShortRole {
  readonly role: RolePath;
  /** What has to be made free for it, by scalar. */
  readonly lacks: ReadonlyMap<string, number>;
  /** Of the framework, in the role in which it waits. */
  readonly wish: Wish;
}

/** What of a node can be offered to a framework at all. */
interface Wish {
  /** An offer holds at least one of these; empty: anything will do. */
  readonly minimums: readonly ScalarAmounts[];
  isUnofferable(node: NodeId): boolean;
  /** The same for those that the same is of use to. */
  readonly key: string;
}

interface Waiting {
  readonly framework: Framework;
  readonly role: RolePath;
  /** The scalars of which it has a choice already. */
  readonly chosen: ReadonlySet<string>;
}

/** Whether a role may lack anything: a framework waits, and the role holds less than it is guaranteed. */
export function isAnyShort(survey: Survey, planned: readonly PlannedOffer[]): boolean {
  const { roles } = survey;
  if (!(roles.hasGuarantees && roles.root.need.some((need) => need > 0))) return false;
  return waitingIn(survey, planned).some(({ role }) =>
    levelsOf(role).some((level) => roles.shortageOf(roles.role(level)).some((amount) => amount > 0)),
  );
}

interface Turns {
  readonly planned: readonly PlannedOffer[];
  /** Which of so many is the first. */
  firstOf(count: number): number;
}

/** In the order of their frameworks' ids. One at a time, since what is made free for it changes what the next one lacks. */
export function* shortRoles(survey: Survey, outlook: Outlook, { planned, firstOf }: Turns): Generator<ShortRole> {
  const { cluster } = survey;
  const waiting = waitingIn(survey, planned);
  const first = firstOf(waiting.length);
  const useless = new Map<string, readonly NodeId[]>();
  for (const { framework, role: own, chosen } of [...waiting.slice(first), ...waiting.slice(0, first)]) {
    const wish = wishOf(survey, framework, own);
    for (const role of levelsOf(own)) {
      const short = shortOf(cluster, outlook, role);
      if (short.every(([name]) => chosen.has(name))) continue;
      const crumbs = useless.get(wish.key) ?? uselessNodes(outlook, wish);
      useless.set(wish.key, crumbs);
      const lacks = lacksOf(outlook, short, crumbs);
      if (lacks.size === 0 || [...lacks.keys()].some((name) => chosen.has(name))) continue;
      yield { role, lacks, wish };
      useless.clear();
    }
  }
}

function waitingIn(survey: Survey, planned: readonly PlannedOffer[]): Waiting[] {
  const { cluster } = survey;
  const choices = choicesOf(survey, planned);
  const frameworks = [...cluster.frameworks.values()].sort((a, b) => byText(a.id, b.id));
  return frameworks.flatMap((framework) =>
    [...framework.roles]
      .sort(byText)
      .filter((role) => waitsForOffers(cluster, framework, role))
      .map((role) => ({ framework, role, chosen: choices.get(clientKey(role, framework.id)) ?? NOTHING })),
  );
}

function wishOf(survey: Survey, framework: Framework, role: RolePath): Wish {
  const { cluster } = survey;
  const own = Object.hasOwn(framework.minAllocatable, role) ? framework.minAllocatable[role] : undefined;
  const wish = survey.nodeWish(framework, role);
  const isUnofferable = unofferableNodes(cluster, [{ framework, wish }]);
  const minimums = own ?? cluster.settings.minAllocatable;
  return {
    minimums,
    key: JSON.stringify([framework.capabilities, minimums, wish?.key ?? null]),
    isUnofferable: (id) => {
      const node = cluster.nodes.get(id);
      if (node === undefined || isUnofferable === null) return false;
      return isUnofferable(node, (cluster.ledgers.get(id)?.total.gpus ?? 0) > 0);
    },
  };
}

function waitsForOffers(cluster: ClusterView, framework: Framework, role: RolePath): boolean {
  return !framework.suppressed.includes(role) && takesOffers(cluster, framework, role);
}

const NOTHING: ReadonlySet<string> = new Set();

/** By client: the scalars of which it holds offers, or doesn't want to be offered any for now. */
function choicesOf(survey: Survey, planned: readonly PlannedOffer[]): ReadonlyMap<string, ReadonlySet<string>> {
  const { cluster, nowMs } = survey;
  const choices = new Map<string, Set<string>>();
  const add = (role: RolePath, framework: FrameworkId, resources: Resources) => {
    const key = clientKey(role, framework);
    const names = choices.get(key) ?? new Set<string>();
    choices.set(key, names);
    for (const name of scalarNames(resources)) if (scalarOf(resources, name) > 0) names.add(name);
  };
  for (const { offers } of survey.list('offering')) {
    for (const { role, framework, resources } of offers) add(role, framework, resources);
  }
  for (const { ledger } of survey.list('filtered')) {
    for (const filter of ledger.filters) {
      const { framework, role, refused } = filter;
      if (isInForce(filter, cluster.frameworks.get(framework), nowMs)) add(role, framework, refused);
    }
  }
  for (const { offer } of planned) add(offer.role, offer.framework, offer.resources);
  return choices;
}

type Amount = readonly [name: string, amount: number];

function shortOf(cluster: ClusterView, outlook: Outlook, role: RolePath): Amount[] {
  return Object.entries(cluster.roles.get(role)?.guarantee ?? {})
    .map(([name, amount]): Amount => [name, toMilli(amount - outlook.held(role, name))])
    .filter(([, amount]) => amount > 0);
}

/** Those with less than can be offered, once nothing more has to go there. */
function uselessNodes(outlook: Outlook, wish: Wish): NodeId[] {
  return outlook.nodes().filter((node) => wish.isUnofferable(node) || !isOfUse(wish, freeOn(outlook, node)));
}

/** No more than is missing in all: what is free already beside the needs of others is kept for it. Crumbs are of no use to it. */
function lacksOf(outlook: Outlook, short: readonly Amount[], useless: readonly NodeId[]): Map<string, number> {
  const lacks = short.map(([name, amount]): Amount => {
    const crumbs = useless.reduce((sum, node) => sum + Math.max(0, outlook.free(node, name)), 0);
    return [name, toMilli(Math.min(amount, outlook.needed(name) + crumbs))];
  });
  return new Map(lacks.filter(([, lack]) => lack > 0));
}

type AmountOf = (name: string) => number;

function freeOn(outlook: Outlook, node: NodeId, gone: readonly Holder[] = []): AmountOf {
  return (name) => gone.reduce((sum, { frees }) => sum + scalarOf(frees, name), outlook.free(node, name));
}

/** Whether so much of one node can be offered. */
function isOfUse({ minimums }: Wish, amountOf: AmountOf): boolean {
  if (minimums.length === 0) return true;
  return minimums.some((minimum) =>
    Object.entries(minimum).every(([name, least]) => toMilli(amountOf(name)) >= toMilli(least)),
  );
}

/**
 * Who goes for it, by node: where the fewest have to go until the node has enough for an offer, and of those none without which it
 * would do as well. Nobody on a node that can't come to that.
 */
export function departuresFor(input: ClaimInput, short: ShortRole): Departure[] {
  const { outlook } = input;
  const gone = new Map<NodeId, readonly Holder[]>();
  const search = { ...input, short, gone };
  const steps = outlook
    .nodes()
    .flatMap((node) => stepOn(node, search) ?? [])
    .sort((a, b) => compareSteps(outlook, a, b));
  for (let first = steps.shift(); first !== undefined && !isCovered(search); first = steps.shift()) {
    // What has been taken elsewhere since may have changed it.
    const step = stepOn(first.node, search);
    if (step === null) continue;
    const isFirst = steps[0] === undefined || compareSteps(outlook, step, steps[0]) <= 0;
    if (isFirst) gone.set(step.node, [...(gone.get(step.node) ?? []), ...step.holders]);
    const next = isFirst ? stepOn(step.node, search) : step;
    if (next !== null) insertStep(outlook, steps, next);
  }
  if (isCovered(search)) dropSuperfluous(search);
  return [...gone].filter(([, holders]) => holders.length > 0).map(([node, holders]) => ({ node, holders }));
}

interface Search extends ClaimInput {
  readonly short: ShortRole;
  /** Who goes so far. */
  readonly gone: Map<NodeId, readonly Holder[]>;
}

function compareSteps(outlook: Outlook, a: Departure, b: Departure): number {
  const [dearest, other] = [a, b].map(({ holders }) => holders.toSorted((x, y) => outlook.compare(x, y)).at(-1));
  const fewer = a.holders.length - b.holders.length;
  return fewer !== 0 || dearest === undefined || other === undefined ? fewer : outlook.compare(dearest, other);
}

function insertStep(outlook: Outlook, steps: Departure[], step: Departure): void {
  const place = steps.findIndex((other) => compareSteps(outlook, step, other) < 0);
  steps.splice(place === -1 ? steps.length : place, 0, step);
}

/** The fewest that have to go from the node, beside those that go already, until an offer can be made of it. */
function stepOn(node: NodeId, search: Search): Departure | null {
  const { outlook, short, gone } = search;
  if (short.wish.isUnofferable(node)) return null;
  const left = leftOf(search);
  const before = gone.get(node) ?? [];
  const pool = outlook
    .holders(node)
    .filter((holder) => !before.includes(holder) && !roleWithin(holder.role, short.role) && givesAny(holder, left));
  if (pool.length === 0 || !isOfUse(short.wish, freeOn(outlook, node, [...before, ...pool]))) return null;
  const first = leastOf(pool, node, search);
  if (first === null || first.length === 1) return first && { node, holders: first };
  const ceiling = Math.max(...first.map(({ priority }) => priority));
  const largestFirst = pool
    .filter(({ priority }) => priority <= ceiling)
    .map((holder) => ({ holder, gain: gainOf(holder, left) }))
    .sort((a, b) => b.gain - a.gain)
    .map(({ holder }) => holder);
  const other = leastOf(largestFirst, node, search);
  return { node, holders: other !== null && other.length < first.length ? other : first };
}

function leastOf(pool: readonly Holder[], node: NodeId, search: Search): readonly Holder[] | null {
  const { outlook, short, gone } = search;
  const heir = { role: short.role, scalars: scalarsOf(short.lacks) };
  const [before, all] = [gone.get(node) ?? [], [...gone.values()].flat()];
  const does = (some: readonly Holder[]) => isOfUse(short.wish, freeOn(outlook, node, [...before, ...some]));
  let some: readonly Holder[] = [];
  for (const holder of pool) {
    const more = [...some, holder];
    if (!sparesGuarantees(search, heir, [...all, ...more])) continue;
    some = more;
    if (!does(some)) continue;
    return some.toReversed().reduce((left, one) => {
      const rest = left.filter((other) => other !== one);
      return rest.length > 0 && does(rest) ? rest : left;
    }, some);
  }
  return null;
}

/** Those without whom there is as much as it takes, and each node still has enough for an offer, or loses nobody. */
function dropSuperfluous(search: Search): void {
  const { outlook, short, gone } = search;
  for (const [node, holders] of [...gone].toReversed()) {
    for (const one of holders.toReversed()) {
      const before = gone.get(node) ?? [];
      const rest = before.filter((other) => other !== one);
      gone.set(node, rest);
      const isEnough = rest.length === 0 || isOfUse(short.wish, freeOn(outlook, node, rest));
      if (!isEnough || !isCovered(search)) gone.set(node, before);
    }
  }
}

/** What is still to be made free. Of a node that comes to an offer by it, what was of no use before counts as well. */
function leftOf({ outlook, short, gone }: Search): ReadonlyMap<string, number> {
  if (gone.size === 0) return short.lacks;
  const made = [...gone].flatMap(([node, holders]): AmountOf[] => {
    if (holders.length === 0) return [];
    const wasOfUse = isOfUse(short.wish, freeOn(outlook, node));
    const freed: AmountOf = (name) => holders.reduce((sum, { frees }) => sum + scalarOf(frees, name), 0);
    return [wasOfUse ? freed : (name) => freed(name) + Math.max(0, outlook.free(node, name))];
  });
  const left = [...short.lacks].map(([name, lack]) => {
    return [name, toMilli(made.reduce((sum, amountOf) => sum - amountOf(name), lack))] as const;
  });
  return new Map(left.filter(([, lack]) => lack > 0));
}

function isCovered(search: Search): boolean {
  return leftOf(search).size === 0;
}

function givesAny({ frees }: Holder, lacks: ShortRole['lacks']): boolean {
  return [...lacks.keys()].some((name) => scalarOf(frees, name) > 0);
}

function gainOf({ frees }: Holder, lacks: ShortRole['lacks']): number {
  return [...lacks].reduce((sum, [name, lack]) => sum + Math.min(lack, scalarOf(frees, name)) / lack, 0);
}

function scalarsOf(lacks: ShortRole['lacks']): Scalars {
  const { cpus, memMiB, diskMiB, gpus, ...custom } = Object.fromEntries(lacks);
  return {
    cpus: cpus ?? NO_SCALARS.cpus,
    memMiB: memMiB ?? NO_SCALARS.memMiB,
    diskMiB: diskMiB ?? NO_SCALARS.diskMiB,
    gpus: gpus ?? NO_SCALARS.gpus,
    custom,
  };
}
