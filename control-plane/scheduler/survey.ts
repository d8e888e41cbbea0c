/**
 * The state that a round gives away from: the nodes with what is left of each once the sweeps are done, and the tree of those who
 * hold the rest. Whatever takes a place in a room is charged to its role in the tree at once.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { NodeId, RolePath } from '../../shared/domain/ids.ts';
import type { Node } from '../../shared/domain/node.ts';
import { type Amounts, accumulate, atLeastNone } from './amounts.ts';
import { openRooms } from './filters/all.ts';
import { type Charge, type LedgerSums, sumLedger } from './ledger-sums.ts';
import type { NodeWish } from './node-wishes.ts';
import { Peers } from './peers.ts';
import type { Sweep } from './plan.ts';
import type { Client, RoleTree } from './role-tree.ts';
import { type Room, roomOf, sweptLedger } from './room.ts';
import { listWith, RoundMemory, type RowLists, type Usage } from './round-memory.ts';
import { type EndedOfferOn, joinSweeps } from './sweeps.ts';

interface Offered {
  readonly unreserved: Amounts;
  readonly whole: Amounts;
  holdings: number;
  offers: number;
}

interface SweptRow {
  readonly before: LedgerSums;
  readonly row: LedgerSums;
  readonly isOpen: boolean;
}

export class Survey {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  readonly roles: RoleTree;
  readonly sweeps: readonly Sweep[];
  readonly peers: Peers;
  readonly #usage: Usage;
  readonly #rooms = new Map<NodeId, Room | null>();
  readonly #lists = new Map<keyof RowLists, readonly LedgerSums[]>();
  readonly #swept: ReadonlyMap<NodeId, SweptRow>;

  constructor(cluster: ClusterView, usage: Usage, { sweeps, nowMs }: { sweeps: readonly Sweep[]; nowMs: number }) {
    this.cluster = cluster;
    this.nowMs = nowMs;
    this.sweeps = sweeps;
    this.peers = new Peers({ cluster, openNodes: () => this.openNodes() });
    this.#usage = usage;
    this.roles = usage.tree();
    accumulate(this.roles.headroom, usage.headroom);
    this.#swept = new Map(sweeps.flatMap((sweep) => this.#sweep(sweep)).map((swept) => [swept.row.ledger.node, swept]));
  }

  /** Rows after the sweeps, in the order of the nodes' ids. */
  list(name: keyof RowLists): readonly LedgerSums[] {
    const known = this.#lists.get(name);
    if (known !== undefined) return known;
    const list = listWith(this.#usage.lists, name, [...this.#swept.values()]);
    this.#lists.set(name, list);
    return list;
  }

  /** That of the node, after the sweeps; undefined where it has no ledger. */
  row(node: NodeId): LedgerSums | undefined {
    return this.#swept.get(node)?.row ?? this.#usage.standing(node)?.row;
  }

  /** When the first offer expires that stands after the sweeps; infinite where there is none. */
  get firstExpiryMs(): number {
    if (this.#swept.size === 0) return this.#usage.firstExpiryMs;
    return this.list('offering').reduce((first, row) => Math.min(first, row.firstExpiryMs), Number.POSITIVE_INFINITY);
  }

  /** When a maintenance window begins or ends next; infinite where none does. */
  get nextTurnMs(): number {
    return this.#usage.nextTurnMs;
  }

  /** How many nodes have both joined and a ledger. */
  get joined(): number {
    return this.#usage.joined;
  }

  /** As it was before anything was given, with these offers gone as well. */
  again(more: readonly EndedOfferOn[] = []): Survey {
    const sweeps = joinSweeps(this.sweeps, more);
    return new Survey(this.cluster, this.#usage, { sweeps, nowMs: this.nowMs });
  }

  /** Which nodes the framework wants to be offered in the role. Null: any. */
  nodeWish(framework: Framework, role: RolePath): NodeWish | null {
    return this.#usage.wishes.of(framework, role);
  }

  /** Null for a node that hasn't joined. */
  room(row: LedgerSums): Room | null {
    const { node } = row.ledger;
    const known = this.#rooms.get(node);
    if (known !== undefined) return known;
    const room = roomOf(this.cluster, { sums: row, nowMs: this.nowMs }, this);
    this.#rooms.set(node, room);
    return room;
  }

  /** Null for a node that no room has been asked of. */
  roomById(node: NodeId): Room | null {
    return this.#rooms.get(node) ?? null;
  }

  /** What each client holds in offers. */
  offeredByClient(): Map<Client, Offered> {
    const sums = new Map<Client, Offered>();
    const count = ({ role, client, offers, offered }: Charge, sign: 1 | -1) => {
      if (offers === 0) return;
      const key = this.roles.client(role, client);
      const sum = sums.get(key) ?? { unreserved: [], whole: [], holdings: 0, offers: 0 };
      sums.set(key, sum);
      accumulate(sum.unreserved, offered.unreserved, sign);
      accumulate(sum.whole, offered.whole, sign);
      sum.holdings += sign * offers;
      sum.offers += sign * offers;
    };
    for (const charge of this.#usage.charges.values()) count(charge, 1);
    for (const { before, row } of this.#swept.values()) {
      for (const charge of before.charges) count(charge, -1);
      for (const charge of row.charges) count(charge, 1);
    }
    return sums;
  }

  /** Every node that has both joined and a ledger, in the order of their ids. */
  rooms(): Room[] {
    return this.list('all').flatMap((row) => this.room(row) ?? []);
  }

  /** Those that take new tasks, and have anything left to give. */
  givingRooms(): Room[] {
    return openRooms(this.list('giving').flatMap((row) => this.room(row) ?? []));
  }

  /** Those that take new tasks, whatever is left of them. */
  openNodes(): Node[] {
    return this.list('open').flatMap(({ ledger }) => this.cluster.nodes.get(ledger.node) ?? []);
  }

  /** That of the node, if it takes new tasks. */
  openRoomsOn(node: NodeId): Room[] {
    const row = this.row(node);
    const room = row === undefined ? null : this.room(row);
    return room === null ? [] : openRooms([room]);
  }

  /** Takes what goes out of the tree. */
  #sweep(sweep: Sweep): SweptRow | [] {
    const standing = this.#usage.standing(sweep.node);
    if (standing === undefined) return [];
    const { row: before, isOpen } = standing;
    const row = sumLedger(sweptLedger(before.ledger, sweep), this.roles.names);
    for (const charge of before.charges) this.roles.charge(this.roles.client(charge.role, charge.client), charge, -1);
    for (const charge of row.charges) this.roles.charge(this.roles.client(charge.role, charge.client), charge);
    if (isOpen) {
      accumulate(this.roles.headroom, atLeastNone(before.freeAmounts), -1);
      accumulate(this.roles.headroom, atLeastNone(row.freeAmounts));
    }
    return { before, row, isOpen };
  }
}

/** Every node that has both joined and a ledger, in the order of their ids, with what is swept gone. */
export function roomsOf(cluster: ClusterView, sweeps: readonly Sweep[], nowMs = 0): Room[] {
  return new Survey(cluster, new RoundMemory().usageOf(cluster, nowMs), { sweeps, nowMs }).rooms();
}
