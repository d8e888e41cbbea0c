/**
 * Envy, after progressive filling (Ghodsi et al., "Dominant Resource Fairness", 2011): whoever holds least by weight is served next,
 * with a task or a slice of a node, and whoever can't use anything any more drops out. So of two that compete, the one that was
 * served last had no more than the other at that moment.
 *
 * The law. Let `a` and `b` be siblings of the tree: two roles under one parent, a role's own clients as a group beside its child
 * roles, or two clients of one role, of which one may be Berth's own scheduler with the tasks of jobs and the others are
 * frameworks. After a round in which no limit, guarantee, reservation or filter binds, and for anything that `a` still wants,
 *
 *     share(a) / weight(a)  >=  share(H + U - x) / weight(b)
 *
 * where `H` is what `b` held before the round, `U` is what of that which it was given could have been given to `a` for this, and
 * `x` is the largest item of `U`: a task, or the offer of a node. When `b` was given the last of `U`, `a` still took turns.
 *
 * An offer may grow, in the end by a rest that `a` had no use for any more. Such a rest holds too little of something that `a`
 * needs; so of an offer that counts which is left without that little, of the scalar of which it leaves least.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explainTask } from '../../../control-plane/scheduler/explain.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import type { RolePath } from '../../../shared/domain/ids.ts';
import { freeResources } from '../../../shared/domain/ledger.ts';
import { type Resources, sumResources } from '../../../shared/domain/resources.ts';
import { present } from '../../../shared/util/assert.ts';
import { applyRound } from '../../support/apply-plan.ts';
import { clusterOf, T0 } from '../../support/builders.ts';
import { arbitraryRivals, type Rivals } from './arbitrary-rivals.ts';
import { type Member, type Owner, siblingsOf } from './role-members.ts';

interface Holding extends Owner {
  readonly id: string;
  readonly isOffer: boolean;
  readonly resources: Resources;
}

/** Something that somebody would still take. */
interface Wish extends Owner {
  /** Of each scalar that it can't do without, how much. None: anything will do. */
  readonly needs: ReadonlyMap<Scalar, number>;
}

const SCALARS = ['cpus', 'memMiB'] as const;
type Scalar = (typeof SCALARS)[number];

function holdingsOf({ ledgers }: ClusterView): Holding[] {
  const all = [...ledgers.values()];
  const tasks = all.flatMap(({ entries }) => Object.values(entries));
  const offers = all.flatMap((ledger) => Object.values(ledger.offers));
  return [
    ...tasks.map(({ task: id, framework: client, ...rest }) => ({ ...rest, id, client, isOffer: false })),
    ...offers.map(({ framework: client, ...rest }) => ({ ...rest, client, isOffer: true })),
  ];
}

function wishesOf(cluster: ClusterView): Wish[] {
  const needsOf = (amounts: Partial<Record<string, number>>) =>
    new Map(SCALARS.map((name) => [name, amounts[name] ?? 0] as const).filter(([, amount]) => amount > 0));
  const tasks = [...cluster.pendingTasks()].map(({ role, jobUid }): Wish => {
    const [group] = present(cluster.jobs.get(jobUid), jobUid).spec.groups;
    const { cpus, memMiB } = present(group, 'group').resources;
    return { role, client: null, needs: needsOf({ cpus, memMiB }) };
  });
  const frameworks = [...cluster.frameworks.values()].flatMap(({ id, roles, minAllocatable }) =>
    roles.flatMap((role) => {
      const least = minAllocatable[role] ?? cluster.settings.minAllocatable;
      return (least.length === 0 ? [{}] : least).map((one): Wish => ({ role, client: id, needs: needsOf(one) }));
    }),
  );
  return [...tasks, ...frameworks];
}

function fitsInto({ needs }: Wish, resources: Resources): boolean {
  if (needs.size === 0) return SCALARS.some((name) => resources[name] > 0);
  return [...needs].every(([name, amount]) => amount <= resources[name]);
}

type Parts = Readonly<Record<Scalar, number>>;

/** What something comes to of all that the cluster has, by scalar. */
function partsIn({ ledgers }: ClusterView) {
  const total = sumResources([...ledgers.values()].map((ledger) => ledger.total));
  return ({ cpus, memMiB }: Record<Scalar, number>): Parts => ({
    cpus: cpus / total.cpus,
    memMiB: memMiB / total.memMiB,
  });
}

const add = (a: Parts, b: Parts): Parts => ({ cpus: a.cpus + b.cpus, memMiB: a.memMiB + b.memMiB });
const NO_PARTS: Parts = { cpus: 0, memMiB: 0 };
const shareOf = ({ cpus, memMiB }: Parts) => Math.max(cpus, memMiB);

/** What counts of something that was given to `b`, whichever was the scalar that the rest was short of. */
function countedOf({ isOffer, resources }: Holding, { needs }: Wish): Record<Scalar, number>[] {
  if (!isOffer || needs.size === 0) return [resources];
  return [...needs].map(([name, amount]) => ({ cpus: 0, memMiB: 0, [name]: resources[name] - amount }));
}

/** The least that `b` can have held when it was given the last of `U`. */
function leastShare(held: Parts, useful: readonly (readonly Parts[])[]): number {
  const sums = (left: readonly (readonly Parts[])[]) =>
    left.reduce<readonly Parts[]>(
      (some, choices) => withoutLarger(some.flatMap((sum) => choices.map((one) => add(sum, one)))),
      [held],
    );
  const without = useful.flatMap((x) => sums(useful.filter((one) => one !== x)));
  return Math.min(...without.map(shareOf));
}

function withoutLarger(sums: readonly Parts[]): Parts[] {
  const kept: Parts[] = [];
  for (const one of sums.toSorted((a, b) => a.cpus - b.cpus || a.memMiB - b.memMiB)) {
    if (one.memMiB < (kept.at(-1)?.memMiB ?? Number.POSITIVE_INFINITY)) kept.push(one);
  }
  return kept;
}

interface Outcome {
  readonly after: ClusterView;
  /** What was given in the round. */
  readonly given: ReadonlySet<string>;
}

function outcomeOf(literal: Rivals): Outcome {
  const before = clusterOf(literal);
  const plan = planRound({ cluster: before, nowMs: T0 });
  const given = [...plan.placements.map(({ task }) => task), ...plan.offers.map(({ offer }) => offer.id)];
  return { after: applyRound(before, plan, T0), given: new Set(given) };
}

/** Sentences, one for each of whom somebody has reason to be envious. */
function envy({ after, given }: Outcome): string[] {
  const holdings = holdingsOf(after);
  const wishes = wishesOf(after);
  const partsOf = partsIn(after);
  const sum = (some: readonly Holding[]) => some.map(({ resources }) => partsOf(resources)).reduce(add, NO_PARTS);
  const owned = ({ has }: Member) => holdings.filter(has);
  const weightOf = (path: RolePath) => after.roles.get(path)?.weight ?? 1;
  return siblingsOf([...wishes, ...holdings], weightOf).flatMap((siblings) =>
    siblings.flatMap((a) => {
      const own = shareOf(sum(owned(a))) / a.weight;
      const wanted = wishes.filter(a.has);
      const others = siblings.filter((b) => b !== a);
      return others.flatMap((b) => {
        const before = sum(owned(b).filter(({ id }) => !given.has(id)));
        const got = owned(b).filter(({ id }) => given.has(id));
        return wanted.flatMap((wish) => {
          const useful = got.filter(({ resources }) => fitsInto(wish, resources));
          const counted = useful.map((holding) => countedOf(holding, wish).map(partsOf));
          const least = useful.length === 0 ? 0 : leastShare(before, counted) / b.weight;
          return own >= least - EXACTNESS ? [] : [`${a.name} has ${own}, ${b.name} had ${least}`];
        });
      });
    }),
  );
}

const EXACTNESS = 1e-6;

describe('whoever competes, after a round', () => {
  it('nobody envies another more than one task or one offer', () => {
    fc.assert(
      fc.property(arbitraryRivals, (literal) => {
        expect(envy(outcomeOf(literal))).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it('nothing lies idle that somebody still wants', () => {
    fc.assert(
      fc.property(arbitraryRivals, (literal) => {
        const { after } = outcomeOf(literal);
        const placeable = [...after.pendingTasks()].filter(
          (task) => explainTask({ cluster: after, nowMs: T0, task }).placeable,
        );
        expect(placeable.map(({ id }) => id)).toEqual([]);
        const frameworks = wishesOf(after).filter(({ client }) => client !== null);
        const idle = [...after.ledgers.values()].filter((ledger) =>
          frameworks.some((wish) => fitsInto(wish, freeResources(ledger))),
        );
        expect(idle.map(({ node }) => node)).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});
