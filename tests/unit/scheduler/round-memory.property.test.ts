import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import { RoundMemory } from '../../../control-plane/scheduler/round-memory.ts';
import { SnapshotTouches } from '../../../control-plane/store/touch-log.ts';
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import { endOffers, markStop } from '../../../shared/domain/ledger.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import { applyRound, literalOf } from '../../support/apply-plan.ts';
import { aWindow, type ClusterLiteral, clusterOf, T0 } from '../../support/builders.ts';
import { arbitraryClaimants } from './arbitrary-claimants.ts';
import { arbitraryMarket, type Market } from './arbitrary-market.ts';

/** A state that moves along, and notes what has changed at each step, as a mirror's does. */
class Watched {
  readonly #touched: SnapshotTouches;
  #cluster: ClusterView;
  nowMs = T0;

  constructor(first: ClusterLiteral, touchesMax: number) {
    this.#touched = new SnapshotTouches(touchesMax);
    this.#cluster = clusterOf(first);
  }

  /** As somebody sees it that hears of changes, or (bare) that doesn't. */
  get view(): ClusterView {
    return { ...this.#cluster, touched: this.#touched };
  }

  get bare(): ClusterView {
    return this.#cluster;
  }

  move(next: ClusterView): void {
    const before = this.#cluster;
    // A record that stays the same stays the same object.
    const isSame = JSON.stringify(before.settings) === JSON.stringify(next.settings);
    this.#cluster = { ...next, settings: isSame ? before.settings : next.settings };
    const seen = [before, next].flatMap(({ nodes, ledgers, epochs, maintenance }) => [
      nodes,
      ledgers,
      epochs,
      maintenance,
    ]);
    for (const node of new Set(seen.flatMap((map) => [...map.keys()]))) {
      const facts = ({ nodes, ledgers, epochs, maintenance, isAlive }: ClusterView) =>
        [nodes.get(node), ledgers.get(node), epochs.get(node), maintenance.get(node), isAlive(node)] as const;
      const [old, present] = [facts(before), facts(next)];
      if (old.some((fact, at) => fact !== present[at])) this.#touched.node(node);
    }
    for (const task of new Set([...before.tasks.keys(), ...next.tasks.keys()])) {
      if (before.tasks.get(task) !== next.tasks.get(task)) this.#touched.task(task);
    }
  }
}

type Step =
  | { readonly kind: 'round' }
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'maintain'; readonly at: number; readonly inSeconds: number; readonly seconds: number | null }
  | { readonly kind: 'end' | 'clear' | 'refuse' | 'stop' | 'die' | 'exclude'; readonly at: number }
  | {
      readonly kind: 'market';
      readonly market: Market;
      readonly nodes: number;
      readonly others: 'none' | 'roles' | 'frameworks';
    };

const CHANGES = ['end', 'clear', 'refuse', 'stop', 'die', 'exclude'] as const;

const stepIn = (markets: fc.Arbitrary<Market>): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: 'round' } as const) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 40 }).map((seconds) => ({ kind: 'wait', seconds }) as const) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constantFrom(...CHANGES),
        at: fc.nat(20),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('maintain' as const),
        at: fc.nat(20),
        inSeconds: fc.integer({ min: -10, max: 60 }),
        seconds: fc.option(fc.integer({ min: 1, max: 60 })),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('market' as const),
        market: markets,
        nodes: fc.nat(31),
        others: fc.constantFrom('none' as const, 'none' as const, 'roles' as const, 'frameworks' as const),
      }),
    },
  );

/** Some nodes with their tasks, and perhaps all roles or frameworks, are those of another market from now on. */
function mixed(cluster: ClusterView, { market, nodes, others }: Extract<Step, { kind: 'market' }>): ClusterLiteral {
  const before = literalOf(cluster);
  const isOther = (id: string) => (nodes >> Number(id.slice(1))) % 2 === 1;
  const pick = <T>(mine: readonly T[], theirs: readonly T[], idOf: (one: T) => string) => [
    ...mine.filter((one) => !isOther(idOf(one))),
    ...theirs.filter((one) => isOther(idOf(one))),
  ];
  const tasks = [...market.tasks.filter(({ node }) => node !== null && isOther(node)), ...before.tasks];
  return {
    ...before,
    nodes: pick(before.nodes, market.nodes, ({ id }) => id),
    ledgers: pick(before.ledgers, market.ledgers, ({ node }) => node),
    dead: pick(before.dead, market.dead, (id) => id),
    epochs: {},
    tasks: [...new Map(tasks.map((task) => [task.id, task])).values()],
    ...(others === 'roles' ? { roles: market.roles } : {}),
    ...(others === 'frameworks' ? { frameworks: market.frameworks, disconnected: market.disconnected } : {}),
  };
}

/** The node's window is another one; twice the same node: it has none any more. */
function maintained(
  cluster: ClusterView,
  { at, inSeconds, seconds }: Extract<Step, { kind: 'maintain' }>,
  nowMs: number,
): ClusterView {
  const literal = literalOf(cluster);
  const node = literal.nodes[at % Math.max(1, literal.nodes.length)]?.id ?? '';
  const others = literal.maintenance.filter((window) => window.node !== node);
  const durationMs = seconds === null ? null : seconds * 1000;
  const window = aWindow({ node, startsAtMs: nowMs + inSeconds * 1000, durationMs });
  const isNew = others.length === literal.maintenance.length;
  return clusterOf({ ...literal, maintenance: isNew ? [...others, window] : others });
}

function after(cluster: ClusterView, one: Exclude<Step, { kind: 'wait' | 'round' }>, nowMs: number): ClusterView {
  if (one.kind === 'market') return clusterOf(mixed(cluster, one));
  if (one.kind === 'maintain') return maintained(cluster, one, nowMs);
  const literal = literalOf(cluster);
  if (one.kind === 'refuse') {
    const ledger = literal.ledgers[one.at % Math.max(1, literal.ledgers.length)];
    if (ledger === undefined) return cluster;
    const refused = endOffers(ledger, Object.keys(ledger.offers));
    return clusterOf({ ...literal, ledgers: literal.ledgers.map((other) => (other === ledger ? refused : other)) });
  }
  if (one.kind === 'exclude') {
    const excludedFromShares = one.at % 2 === 0 ? ['memMiB'] : ['gpus'];
    const gpuNodes = one.at % 3 === 0 ? ('unrestricted' as const) : ('restricted' as const);
    return clusterOf({ ...literal, settings: { ...literal.settings, excludedFromShares, gpuNodes } });
  }
  if (one.kind === 'die') {
    const id = literal.nodes[one.at % Math.max(1, literal.nodes.length)]?.id ?? '';
    const dead = literal.dead.includes(id) ? literal.dead.filter((other) => other !== id) : [...literal.dead, id];
    return clusterOf({ ...literal, dead });
  }
  if (one.kind === 'clear') {
    const tasks = literal.tasks.map((task) =>
      task.stop === null || isTerminal(task.state) ? task : { ...task, state: 'killed' as const },
    );
    return clusterOf({ ...literal, tasks });
  }
  const placed = literal.tasks.filter(({ node }) => node !== null);
  const task = placed[one.at % Math.max(1, placed.length)];
  if (task === undefined) return cluster;
  const stop = { atMs: T0, graceMs: 0, reason: 'enough' };
  const isEnd = one.kind === 'end';
  const changed = { ...task, state: isEnd ? ('finished' as const) : task.state };
  return clusterOf({
    ...literal,
    tasks: literal.tasks.map((other) => (other === task ? changed : other)),
    ledgers: isEnd ? literal.ledgers : literal.ledgers.map((ledger) => markStop(ledger, task.id, stop)),
  });
}

function makesNoDifference(markets: fc.Arbitrary<Market>): void {
  fc.assert(
    fc.property(
      markets,
      fc.array(stepIn(markets), { minLength: 1, maxLength: 25 }),
      fc.constantFrom(3, 1000),
      (market, steps, touchesMax) => {
        const watched = new Watched(market, touchesMax);
        const [hears, sees] = [new RoundMemory(), new RoundMemory()];
        for (const one of steps) {
          const at = { nowMs: watched.nowMs };
          const plan = planRound({ ...at, cluster: watched.bare });
          expect(planRound({ ...at, cluster: watched.view, memory: hears })).toEqual(plan);
          expect(planRound({ ...at, cluster: watched.bare, memory: sees })).toEqual(plan);
          if (one.kind === 'wait') watched.nowMs += one.seconds * 1000;
          else if (one.kind === 'round') watched.move(applyRound(watched.bare, plan, watched.nowMs));
          else watched.move(after(watched.bare, one, watched.nowMs));
        }
      },
    ),
    { numRuns: 150 },
  );
}

describe('what is remembered', () => {
  it('makes no difference to any plan, however long the history and whatever has been heard of it', () => {
    makesNoDifference(arbitraryMarket);
  });

  it('makes none to who has to make room either, nor to what waits in vain and later does not', () => {
    makesNoDifference(arbitraryClaimants);
  });
});
