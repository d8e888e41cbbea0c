import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RoundPlan } from '../../../control-plane/scheduler/plan.ts';
import { sweptLedger } from '../../../control-plane/scheduler/room.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import { RoundMemory } from '../../../control-plane/scheduler/round-memory.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { nodesWanted } from '../../../shared/domain/framework.ts';
import { roleWithin } from '../../../shared/domain/ids.ts';
import { freeReserved, freeResources, unreservedPart } from '../../../shared/domain/ledger.ts';
import { isCovered } from '../../../shared/domain/offer.ts';
import { isInForce } from '../../../shared/domain/offer-filters.ts';
import {
  countPorts,
  NO_SCALARS,
  type Scalars,
  scalarNames,
  scalarOf,
  sumResources,
  toMilli,
} from '../../../shared/domain/resources.ts';
import { ancestorsOf, missingAmounts } from '../../../shared/domain/role.ts';
import { present } from '../../../shared/util/assert.ts';
import { applyRound } from '../../support/apply-plan.ts';
import { type ClusterLiteral, clusterOf, T0 } from '../../support/builders.ts';
import { arbitraryMarket, evenMarket } from './arbitrary-market.ts';

const later = (cluster: ClusterView, plan: RoundPlan) => applyRound(cluster, plan, T0);

/** The scalars of which more is taken than there is. */
const tooMuch = (taken: Scalars, there: Scalars) =>
  scalarNames(taken).filter((name) => scalarOf(taken, name) > Math.max(0, scalarOf(there, name)));

/** What the role and those below it are charged for. */
function chargedTo({ ledgers }: ClusterView, path: string, name: string): number {
  const parts = [...ledgers.values()].flatMap(({ entries, offers, reservations }) => [
    ...[...Object.values(entries), ...Object.values(offers)].map((one) => ({
      role: one.role,
      held: unreservedPart(one),
    })),
    ...Object.values(reservations).map(({ role, scalars }) => ({ role, held: scalars })),
  ]);
  const own = parts.filter(({ role }) => roleWithin(role, path));
  return own.reduce((sum, { held }) => toMilli(sum + scalarOf(held, name)), 0);
}

/** By how much what is unallocated falls short of what is guaranteed and not held yet. */
function shortOfGuarantees(cluster: ClusterView, name: string): number {
  const paths = new Set([...cluster.roles.keys()].flatMap((path) => [path, ...ancestorsOf(path)]));
  const needOf = (path: string): number => {
    const own = (cluster.roles.get(path)?.guarantee[name] ?? 0) - chargedTo(cluster, path, name);
    return Math.max(0, own, needOfAll([...paths].filter((below) => ancestorsOf(below)[0] === path)));
  };
  const needOfAll = (some: readonly string[]): number => some.reduce((sum, path) => sum + needOf(path), 0);
  const open = [...cluster.ledgers.values()].filter(({ eligible, node }) => eligible && cluster.isAlive(node));
  const free = open.reduce((sum, ledger) => sum + Math.max(0, scalarOf(freeResources(ledger), name)), 0);
  return Math.max(0, needOfAll([...paths].filter((path) => !path.includes('/'))) - free);
}

function shareOf({ ledgers }: ClusterView, held: Scalars): number {
  const part = (name: string) => {
    const total = [...ledgers.values()].reduce((sum, ledger) => sum + scalarOf(ledger.total, name), 0);
    return total === 0 ? 0 : scalarOf(held, name) / total;
  };
  return Math.max(part('cpus'), part('memMiB'));
}

function shareOfRole(cluster: ClusterView, path: string): number {
  return shareOf(cluster, {
    ...NO_SCALARS,
    cpus: chargedTo(cluster, path, 'cpus'),
    memMiB: chargedTo(cluster, path, 'memMiB'),
  });
}

describe('whatever the market, a round', () => {
  it('gives away no more than there is, reserved or not, and no port twice', () => {
    fc.assert(
      fc.property(arbitraryMarket, (literal) => {
        const before = clusterOf(literal);
        const plan = planRound({ cluster: before, nowMs: T0 });
        for (const ledger of before.ledgers.values()) {
          const swept = sweptLedger(
            ledger,
            plan.sweeps.find(({ node }) => node === ledger.node),
          );
          const given = [
            ...plan.placements.filter(({ node }) => node === ledger.node).map(({ entry }) => entry),
            ...plan.offers.filter(({ node }) => node === ledger.node).map(({ offer }) => offer),
          ];
          const free = freeResources(swept);
          const sum = sumResources(given.map(unreservedPart));
          expect(tooMuch(sum, free)).toEqual([]);
          expect(countPorts(sum.ports)).toBe(
            given.reduce((all, { resources }) => all + countPorts(resources.ports), 0),
          );
          for (const reservation of Object.values(ledger.reservations)) {
            const drawn = given.flatMap(({ reserved, role }) => {
              const part = reserved[reservation.id];
              if (part !== undefined) expect(roleWithin(role, reservation.role)).toBe(true);
              return part === undefined ? [] : [{ ...part, ports: [] }];
            });
            expect(tooMuch(sumResources(drawn), freeReserved(swept, reservation))).toEqual([]);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keeps limits, and leaves what is guaranteed to others', () => {
    fc.assert(
      fc.property(arbitraryMarket, (literal) => {
        const before = clusterOf(literal);
        const plan = planRound({ cluster: before, nowMs: T0 });
        const after = later(before, plan);
        const swept = later(before, { ...plan, placements: [], offers: [] });
        for (const role of before.roles.values()) {
          for (const [name, limit] of Object.entries(role.limit)) {
            const [held, had] = [chargedTo(after, role.path, name), chargedTo(swept, role.path, name)];
            expect(held <= limit || held <= had).toBe(true);
          }
        }
        for (const name of ['cpus', 'memMiB']) {
          const [shortBefore, shortAfter] = [shortOfGuarantees(swept, name), shortOfGuarantees(after, name)];
          expect(shortAfter).toBeLessThanOrEqual(shortBefore + 1e-6);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('offers only to those that want it, where it may, what they have not refused, and enough of it', () => {
    fc.assert(
      fc.property(arbitraryMarket, (literal) => {
        const cluster = clusterOf(literal);
        const { offers } = planRound({ cluster, nowMs: T0 });
        for (const { node, offer } of offers) {
          const framework = present(cluster.frameworks.get(offer.framework), offer.framework);
          const ledger = present(cluster.ledgers.get(node), node);
          expect(framework.roles).toContain(offer.role);
          expect(framework.suppressed).not.toContain(offer.role);
          const { attributes } = present(cluster.nodes.get(node), node);
          expect(nodesWanted(framework, offer.role)?.(attributes) ?? true).toBe(true);
          expect(framework.teardown === null && cluster.isConnected(framework.id)).toBe(true);
          expect(ledger.eligible && ledger.drain === null && cluster.isAlive(node)).toBe(true);
          const own = ledger.filters.filter((one) => one.framework === framework.id && one.role === offer.role);
          const active = own.filter((one) => isInForce(one, framework, T0));
          expect(active.filter(({ refused }) => isCovered(offer.resources, refused))).toEqual([]);
          const least = framework.minAllocatable[offer.role] ?? cluster.settings.minAllocatable;
          expect(least.length === 0 || least.some((one) => missingAmounts(one, offer.resources).length === 0)).toBe(
            true,
          );
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is the same in whatever order the snapshot was filled, and whatever is remembered', () => {
    const memory = new RoundMemory();
    fc.assert(
      fc.property(arbitraryMarket, (literal) => {
        const back: ClusterLiteral = {
          ...literal,
          nodes: literal.nodes.toReversed(),
          ledgers: literal.ledgers.toReversed(),
          jobs: literal.jobs.toReversed(),
          tasks: literal.tasks.toReversed(),
          frameworks: literal.frameworks.toReversed(),
          roles: literal.roles.toReversed(),
        };
        const plan = planRound({ cluster: clusterOf(literal), nowMs: T0 });
        expect(planRound({ cluster: clusterOf(back), nowMs: T0 })).toEqual(plan);
        expect(planRound({ cluster: clusterOf(literal), nowMs: T0, memory })).toEqual(plan);
      }),
      { numRuns: 200 },
    );
  });

  it('comes to rest: the next one finds nothing to do', () => {
    fc.assert(
      fc.property(arbitraryMarket, (literal) => {
        let cluster = clusterOf(literal);
        let rounds = 0;
        for (; rounds < ROUNDS_TO_REST_MAX; rounds += 1) {
          const plan = planRound({ cluster, nowMs: T0 });
          if (plan.sweeps.length + plan.placements.length + plan.offers.length + plan.stops.length === 0) break;
          cluster = later(cluster, plan);
        }
        expect(rounds).toBeLessThan(ROUNDS_TO_REST_MAX);
      }),
      { numRuns: 1000 },
    );
  });
});

/** The first does nearly all; what it withdraws may make room for something else. Of 100,000 markets none has needed more than five. */
const ROUNDS_TO_REST_MAX = 8;

describe('envy', () => {
  it('is bounded by one offer: without its largest, nobody holds more than another by weight', () => {
    fc.assert(
      fc.property(evenMarket, (literal) => {
        const before = clusterOf(literal);
        const plan = planRound({ cluster: before, nowMs: T0 });
        const after = later(before, plan);
        const weightOf = (role: string) => before.roles.get(role)?.weight ?? 1;
        for (const one of before.frameworks.values()) {
          const [role = ''] = one.roles;
          const offers = plan.offers.filter(({ offer }) => offer.role === role).map(({ offer }) => offer.resources);
          if (offers.length === 0) continue;
          const largest = Math.max(...offers.map((resources) => shareOf(after, resources)));
          const without = (shareOfRole(after, role) - largest) / weightOf(role);
          for (const other of before.frameworks.values()) {
            const [otherRole = ''] = other.roles;
            expect(without).toBeLessThanOrEqual(shareOfRole(after, otherRole) / weightOf(otherRole) + 1e-6);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
