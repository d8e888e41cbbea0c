/**
 * What is said of nodes that is costly to work out and seldom changes, kept from round to round: for each question, the nodes by the
 * answer. Only nodes that have been touched since are looked at again, and whoever asks looks at each answer rather than at each node.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import { type RowChange, withChanges } from './row-list.ts';

export interface NodeFact {
  /** The same for the same that is said. */
  readonly key: string;
}

/** Nodes of which the same is to be said. */
export interface Alike<Fact> {
  readonly fact: Fact;
  /** In the order of their ids. */
  readonly nodes: readonly NodeId[];
}

export interface Inquiry<Fact> {
  /** What is asked, so that the answer depends on nothing but the node. */
  readonly question: string;
  /** All nodes of which there may be anything to say. */
  nodes(): readonly NodeId[];
  readonly nodesTotal: number;
  /** Nodes that are something else for the time of this round. What there is to say of them isn't kept. */
  readonly passing: ReadonlySet<NodeId>;
  /** Null: nothing. */
  factOf(node: NodeId): Fact | null;
}

/** So many nodes times so many questions are kept; the questions that were asked longest ago are forgotten first. */
const FACTS_MAX = 240_000;

export class NodeFacts<Fact extends NodeFact> {
  readonly #answers = new Map<string, Answer<Fact>>();

  forget(): void {
    this.#answers.clear();
  }

  /** The node may be another one. */
  touch(node: NodeId): void {
    for (const answer of this.#answers.values()) answer.touched.add(node);
  }

  of(inquiry: Inquiry<Fact>): readonly Alike<Fact>[] {
    const { question, passing, factOf } = inquiry;
    const answer = this.#answers.get(question) ?? new Answer<Fact>(inquiry.nodes());
    this.#keep(question, answer, inquiry.nodesTotal);
    answer.lookAgain(passing, factOf);
    return answer.with(passing, factOf);
  }

  #keep(question: string, answer: Answer<Fact>, nodesTotal: number): void {
    this.#answers.delete(question);
    this.#answers.set(question, answer);
    const questionsMax = Math.max(1, Math.floor(FACTS_MAX / Math.max(1, nodesTotal)));
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= questionsMax) return;
      this.#answers.delete(oldest);
    }
  }
}

type FactOf<Fact> = Inquiry<Fact>['factOf'];

class Answer<Fact extends NodeFact> {
  /** Nodes that have to be looked at. */
  readonly touched: Set<NodeId>;
  readonly #byKey = new Map<string, Alike<Fact>>();
  readonly #keys = new Map<NodeId, string>();

  constructor(nodes: readonly NodeId[]) {
    this.touched = new Set(nodes);
  }

  lookAgain(passing: ReadonlySet<NodeId>, factOf: FactOf<Fact>): void {
    for (const [node, fact] of this.#move(this.#byKey, this.touched.difference(passing), factOf)) {
      this.touched.delete(node);
      if (fact === null) this.#keys.delete(node);
      else this.#keys.set(node, this.#byKey.get(fact.key)?.fact.key ?? fact.key);
    }
  }

  /** As it is with these nodes looked at as well, for this time. */
  with(passing: ReadonlySet<NodeId>, factOf: FactOf<Fact>): readonly Alike<Fact>[] {
    if (passing.size === 0) return [...this.#byKey.values()];
    const byKey = new Map(this.#byKey);
    this.#move(byKey, passing, factOf);
    return [...byKey.values()];
  }

  #move(
    byKey: Map<string, Alike<Fact>>,
    nodes: ReadonlySet<NodeId>,
    factOf: FactOf<Fact>,
  ): readonly (readonly [NodeId, Fact | null])[] {
    const facts = Array.from(nodes, (node) => [node, factOf(node)] as const);
    const moved = facts.flatMap(([node, fact]): Move<Fact>[] => {
      const key = this.#keys.get(node) ?? null;
      if (key === (fact?.key ?? null)) return [];
      const left: Move<Fact>[] = key === null ? [] : [{ key, node, row: null, fact: null }];
      return fact === null ? left : [...left, { key: fact.key, node, row: node, fact }];
    });
    for (const [key, moves] of Map.groupBy(moved, (move) => move.key)) {
      const before = byKey.get(key);
      const fact = before?.fact ?? moves.flatMap((move) => move.fact ?? [])[0] ?? null;
      const left = withChanges(before?.nodes ?? [], moves, (node) => node);
      if (fact === null || left.length === 0) byKey.delete(key);
      else byKey.set(key, { fact, nodes: left });
    }
    return facts;
  }
}

interface Move<Fact> extends RowChange<NodeId> {
  readonly key: string;
  readonly fact: Fact | null;
}
