/**
 * Where the other tasks of a group are, while a round is planned: as the state has them, and with each that the round gives a place.
 *
 * A task counts that holds a place, made from the very same template as the one that is to be placed: so a new version may come up beside
 * the old one. On a node that can't be reached it counts until it is given up, since it probably runs; from then on it doesn't, so
 * that nothing bars its replacement. On a node that is being drained it doesn't count: it is about to leave for another place.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { TaskEntry } from '../../shared/domain/ledger.ts';
import type { Node } from '../../shared/domain/node.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';
import type { Demand } from './demand.ts';
import type { PeerCounts } from './peer-rules.ts';

type PeersView = Pick<ClusterView, 'nodes' | 'ledgers' | 'tasksOfJob'>;

interface Added {
  readonly entry: TaskEntry;
  readonly node: Node;
}

export interface PeersInput {
  readonly cluster: PeersView;
  /** Those that take new tasks. */
  openNodes(): Iterable<Node>;
  /** Tasks that don't count any more, though they hold places. */
  readonly isGone?: (task: Task) => boolean;
}

export class Peers {
  readonly #input: PeersInput;
  readonly #added: Added[] = [];
  readonly #groups = new Map<string, GroupPeers>();

  constructor(input: PeersInput) {
    this.#input = input;
  }

  add(entry: TaskEntry, node: Node): void {
    this.#added.push({ entry, node });
  }

  of(demand: Demand): GroupPeers {
    const group = this.#groups.get(demand.template.key) ?? new GroupPeers(this.#input, demand, this.#added);
    this.#groups.set(demand.template.key, group);
    return group;
  }
}

/** Of one group, made from one version of its template. */
export class GroupPeers {
  readonly #demand: Demand;
  readonly #added: readonly Added[];
  readonly #input: PeersInput;
  readonly #nodes: Node[] = [];
  readonly #counts = new Map<string, Counts>();
  /** Of the job's tasks in the group, those that live: what a job counts that has one on every node. */
  readonly #live: number;
  #addedSeen = 0;

  constructor(input: PeersInput, demand: Demand, added: readonly Added[]) {
    this.#input = input;
    this.#demand = demand;
    this.#added = added;
    const live = [...input.cluster.tasksOfJob(demand.jobUid)].filter(
      (task) =>
        task.group === demand.group.name &&
        task.jobVersion === demand.jobVersion &&
        !isTerminal(task.state) &&
        input.isGone?.(task) !== true,
    );
    this.#live = live.length;
    for (const task of live.sort((a, b) => a.index - b.index || byText(a.id, b.id))) {
      const node = placeOf(input.cluster, task);
      if (node !== undefined) this.#nodes.push(node);
    }
  }

  /** Rises with each task that has come to count. */
  get version(): number {
    this.#follow();
    return this.#nodes.length;
  }

  /** By the values of an attribute. */
  by(attribute: string): PeerCounts {
    this.#follow();
    const known = this.#counts.get(attribute);
    if (known !== undefined) return known;
    const counts = new Counts(attribute, this.#demand.wanted ?? this.#live, () => this.#possibleValues(attribute));
    for (const node of this.#nodes) counts.add(node);
    this.#counts.set(attribute, counts);
    return counts;
  }

  #follow(): void {
    for (; this.#addedSeen < this.#added.length; this.#addedSeen += 1) {
      const one = this.#added[this.#addedSeen];
      if (one === undefined || !isOfGroup(one.entry, this.#demand)) continue;
      this.#nodes.push(one.node);
      for (const counts of this.#counts.values()) counts.add(one.node);
    }
  }

  #possibleValues(attribute: string): Set<string> {
    const values = new Set<string>();
    for (const { attributes } of this.#input.openNodes()) {
      const value = attributeOf(attributes, attribute);
      if (value === undefined || values.has(value)) continue;
      if (this.#demand.constraints.every((condition) => condition.holds(attributes))) values.add(value);
    }
    return values;
  }
}

function placeOf(cluster: PeersView, { node, state }: Task): Node | undefined {
  if (node === null || state === 'pending') return undefined;
  const isDraining = (cluster.ledgers.get(node)?.drain ?? null) !== null;
  return isDraining ? undefined : cluster.nodes.get(node);
}

function isOfGroup({ jobUid, jobVersion, group }: TaskEntry, demand: Demand): boolean {
  return jobUid === demand.jobUid && jobVersion === demand.jobVersion && group === demand.group.name;
}

export function attributeOf(attributes: Node['attributes'], attribute: string): string | undefined {
  return Object.hasOwn(attributes, attribute) ? attributes[attribute] : undefined;
}

class Counts implements PeerCounts {
  readonly wanted: number;
  readonly byValue = new Map<string, number>();
  readonly #attribute: string;
  readonly #findPossible: () => ReadonlySet<string>;
  first: string | null = null;
  #possible: ReadonlySet<string> | null = null;
  /** Worked out when they are asked for, until the next one is added. */
  #least: number | null = null;
  #leastPossible: number | null = null;

  constructor(attribute: string, wanted: number, possible: () => ReadonlySet<string>) {
    this.#attribute = attribute;
    this.wanted = wanted;
    this.#findPossible = possible;
  }

  of(value: string): number {
    return this.byValue.get(value) ?? 0;
  }

  get least(): number {
    this.#least ??= leastOf(this.byValue.values());
    return this.#least;
  }

  get possible(): ReadonlySet<string> {
    this.#possible ??= this.#findPossible();
    return this.#possible;
  }

  get leastPossible(): number {
    this.#leastPossible ??= leastOf([...this.possible].map((value) => this.of(value)));
    return this.#leastPossible;
  }

  add({ attributes }: Node): void {
    const value = attributeOf(attributes, this.#attribute);
    if (value === undefined) return;
    this.byValue.set(value, this.of(value) + 1);
    this.first ??= value;
    this.#least = null;
    this.#leastPossible = null;
  }
}

function leastOf(counts: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const count of counts) least = Math.min(least, count);
  return least === Number.POSITIVE_INFINITY ? 0 : least;
}
