/**
 * Guarantees of roles whose frameworks wait for offers. What a framework would run isn't known, so room is made in amounts, on any
 * nodes, up to what the role is short of and no room is kept for yet. What comes free is kept for the role like all that is
 * guaranteed, and is offered to it.
 *
 * A framework that holds offers of what its role is short of, or has refused some for a while, has a choice already: nobody has to go
 * for it.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import { type FrameworkId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { isInForce } from '../../shared/domain/offer-filters.ts';
import {
  NO_SCALARS,
  type Resources,
  type Scalars,
  scalarNames,
  scalarOf,
  toMilli,
} from '../../shared/domain/resources.ts';
import { byText } from '../../shared/util/order.ts';
import { type ClaimInput, levelsOf, sparesGuarantees } from './claims.ts';
import { clientKey } from './ledger-sums.ts';
import type { Departure, Holder, Outlook } from './outlook.ts';
import type { PlannedOffer } from './plan.ts';
import type { Survey } from './survey.ts';
import { takesOffers } from './sweeps.ts';

/** A role that is below its guarantee, with a framework that would take offers. */
export interface ShortRole {
  readonly role: RolePath;
  /** What has to be made free for it, by scalar. */
  readonly lacks: ReadonlyMap<string, number>;
}

/** Whether more is guaranteed than could be given now: without that, no framework can lack anything. */
export function isAnyShort({ roles }: Survey): boolean {
  return roles.hasGuarantees && roles.root.need.some((need, place) => need > (roles.headroom[place] ?? 0));
}

/** In the order of their frameworks' ids. One at a time, since what is made free for it changes what the next one lacks. */
export function* shortRoles(survey: Survey, outlook: Outlook, planned: readonly PlannedOffer[]): Generator<ShortRole> {
  const { cluster } = survey;
  const choices = choicesOf(survey, planned);
  const frameworks = [...cluster.frameworks.values()].sort((a, b) => byText(a.id, b.id));
  for (const framework of frameworks) {
    for (const own of [...framework.roles].sort(byText)) {
      if (!waitsForOffers(cluster, framework, own)) continue;
      const chosen = choices.get(clientKey(own, framework.id)) ?? NOTHING;
      for (const role of levelsOf(own)) {
        const lacks = lacksOf(cluster, outlook, role);
        if (lacks.size > 0 && ![...lacks.keys()].some((name) => chosen.has(name))) yield { role, lacks };
      }
    }
  }
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

/** No more than is missing in all: what is free already beside the needs of others is kept for it. */
function lacksOf(cluster: ClusterView, outlook: Outlook, role: RolePath): Map<string, number> {
  const guarantee = cluster.roles.get(role)?.guarantee ?? {};
  const lacks = Object.entries(guarantee).map(([name, amount]) => {
    return [name, toMilli(Math.min(amount - outlook.held(role, name), outlook.needed(name)))] as const;
  });
  return new Map(lacks.filter(([, lack]) => lack > 0));
}

/** Who goes for it, by node: those that come first, on any node, and of those none without which it would do as well. */
export function departuresFor(input: ClaimInput, { role, lacks }: ShortRole): Departure[] {
  const { outlook } = input;
  const nodes = [...outlook.nodes()].flatMap((node) => outlook.holders(node).map((holder) => ({ node, holder })));
  const pool = nodes
    .filter(({ holder }) => !roleWithin(holder.role, role) && givesAny(holder, lacks))
    .sort((a, b) => outlook.compare(a.holder, b.holder));
  const heir = { role, scalars: scalarsOf(lacks) };
  let gone: typeof pool = [];
  for (const one of pool) {
    if (covers(gone, lacks)) break;
    const more = [...gone, one];
    const holders = more.map(({ holder }) => holder);
    if (sparesGuarantees(input, heir, holders)) gone = more;
  }
  const enough = covers(gone, lacks)
    ? gone.toReversed().reduce((left, one) => withoutIfEnough(left, one, lacks), gone)
    : gone;
  return [...Map.groupBy(enough, ({ node }) => node)].map(([node, some]) => ({
    node,
    holders: some.map(({ holder }) => holder),
  }));
}

type Leaving = readonly { readonly holder: Holder }[];

function givesAny({ frees }: Holder, lacks: ShortRole['lacks']): boolean {
  return [...lacks.keys()].some((name) => scalarOf(frees, name) > 0);
}

function covers(leaving: Leaving, lacks: ShortRole['lacks']): boolean {
  return [...lacks].every(
    ([name, lack]) => toMilli(leaving.reduce((sum, { holder }) => sum + scalarOf(holder.frees, name), 0)) >= lack,
  );
}

function withoutIfEnough<L extends Leaving[number]>(leaving: L[], one: L, lacks: ShortRole['lacks']): L[] {
  const rest = leaving.filter((other) => other !== one);
  return covers(rest, lacks) ? rest : leaving;
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
