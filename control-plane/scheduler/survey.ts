/**
 * The state that a round gives away from: the nodes with what is left of each once the sweeps are done, and the tree of those who
 * hold the rest. Whatever takes a place in a room is charged to its role in the tree at once.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import { accumulate, atLeastNone } from './amounts.ts';
import { openRooms } from './filters/all.ts';
import { type LedgerSums, sumLedger } from './ledger-sums.ts';
import type { Sweep } from './plan.ts';
import { RoleTree } from './role-tree.ts';
import { type Room, roomOf, sweptLedger } from './room.ts';
import { RoundMemory, type Usage } from './round-memory.ts';
import { isNodeOpen } from './sweeps.ts';

export class Survey {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  readonly roles: RoleTree;
  /** After the sweeps, in the order of the nodes' ids. */
  readonly rows: readonly LedgerSums[];
  readonly #rooms = new Map<NodeId, Room | null>();

  constructor(cluster: ClusterView, usage: Usage, { sweeps, nowMs }: { sweeps: readonly Sweep[]; nowMs: number }) {
    this.cluster = cluster;
    this.nowMs = nowMs;
    this.roles = new RoleTree(cluster, usage);
    this.rows = this.#sweep(usage, sweeps);
    if (this.roles.hasGuarantees) this.#measureHeadroom();
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
      return swept;
    });
  }

  #measureHeadroom(): void {
    for (const { ledger, freeAmounts } of this.rows) {
      if (isNodeOpen(this.cluster, ledger)) accumulate(this.roles.headroom, atLeastNone(freeAmounts));
    }
  }
}

/** Every node that has both joined and a ledger, in the order of their ids, with what is swept gone. */
export function roomsOf(cluster: ClusterView, sweeps: readonly Sweep[], nowMs = 0): Room[] {
  return new Survey(cluster, new RoundMemory().usageOf(cluster), { sweeps, nowMs }).rooms();
}
