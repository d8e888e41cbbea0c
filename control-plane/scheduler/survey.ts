/**
 * The state that a round gives away from: the nodes with what is left of each once the sweeps are done, and the tree of those who
 * hold the rest. Whatever takes a place in a room is charged to its role in the tree at once.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import { type Amounts, accumulate, atLeastNone } from './amounts.ts';
import { openRooms } from './filters/all.ts';
import { type Charge, type LedgerSums, sumLedger } from './ledger-sums.ts';
import type { Sweep } from './plan.ts';
import { type Client, RoleTree } from './role-tree.ts';
import { type Room, roomOf, sweptLedger } from './room.ts';
import { RoundMemory, type Usage } from './round-memory.ts';
import { type EndedOfferOn, isNodeOpen, joinSweeps } from './sweeps.ts';

interface Offered {
  readonly unreserved: Amounts;
  readonly whole: Amounts;
  holdings: number;
  offers: number;
}

export class Survey {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  readonly roles: RoleTree;
  /** After the sweeps, in the order of the nodes' ids. */
  readonly rows: readonly LedgerSums[];
  readonly sweeps: readonly Sweep[];
  readonly #usage: Usage;
  readonly #rooms = new Map<NodeId, Room | null>();
  readonly #swept: { readonly before: LedgerSums; readonly after: LedgerSums }[] = [];

  constructor(cluster: ClusterView, usage: Usage, { sweeps, nowMs }: { sweeps: readonly Sweep[]; nowMs: number }) {
    this.cluster = cluster;
    this.nowMs = nowMs;
    this.sweeps = sweeps;
    this.#usage = usage;
    this.roles = new RoleTree(cluster, usage);
    this.rows = this.#sweep(usage, sweeps);
    if (this.roles.hasGuarantees) this.#measureHeadroom();
  }

  /** As it was before anything was given, with these offers gone as well. */
  again(more: readonly EndedOfferOn[] = []): Survey {
    const sweeps = joinSweeps(this.sweeps, more);
    return new Survey(this.cluster, this.#usage, { sweeps, nowMs: this.nowMs });
  }

  /** Null for a node that hasn't joined. */
  room(row: LedgerSums): Room | null {
    const { node } = row.ledger;
    const known = this.#rooms.get(node);
    if (known !== undefined) return known;
    const room = roomOf(this.cluster, row, this.roles);
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
    for (const { before, after } of this.#swept) {
      for (const charge of before.charges) count(charge, -1);
      for (const charge of after.charges) count(charge, 1);
    }
    return sums;
  }

  /** Every node that has both joined and a ledger, in the order of their ids. */
  rooms(): Room[] {
    return this.rows.flatMap((row) => this.room(row) ?? []);
  }

  /** Those that take new tasks. */
  openRooms(): Room[] {
    return openRooms(this.rooms());
  }

  #sweep({ rows, names }: Usage, sweeps: readonly Sweep[]): readonly LedgerSums[] {
    if (sweeps.length === 0) return rows;
    const byNode = new Map(sweeps.map((sweep) => [sweep.node, sweep]));
    return rows.map((row) => {
      const sweep = byNode.get(row.ledger.node);
      if (sweep === undefined) return row;
      const swept = sumLedger(sweptLedger(row.ledger, sweep), names);
      for (const charge of row.charges) this.roles.charge(this.roles.client(charge.role, charge.client), charge, -1);
      for (const charge of swept.charges) this.roles.charge(this.roles.client(charge.role, charge.client), charge);
      this.#swept.push({ before: row, after: swept });
      return swept;
    });
  }

  #measureHeadroom(): void {
    for (const { ledger, freeAmounts, hasFree } of this.rows) {
      if (hasFree && isNodeOpen(this.cluster, ledger)) accumulate(this.roles.headroom, atLeastNone(freeAmounts));
    }
  }
}

/** Every node that has both joined and a ledger, in the order of their ids, with what is swept gone. */
export function roomsOf(cluster: ClusterView, sweeps: readonly Sweep[], nowMs = 0): Room[] {
  return new Survey(cluster, new RoundMemory().usageOf(cluster), { sweeps, nowMs }).rooms();
}
