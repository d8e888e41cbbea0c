/**
 * Nodes of which something can be offered, from the largest to the smallest, so that what is wanted of a certain size is found
 * without looking at all of them. Nodes only ever become emptier while a round is planned: what has been given whole is skipped
 * from then on, and what has been given in part waits apart for further slices.
 */
import type { OfferFilter } from '../../shared/domain/offer.ts';
import { byText } from '../../shared/util/order.ts';
import { type Amounts, atLeastNone } from './amounts.ts';
import type { LedgerSums } from './ledger-sums.ts';
import type { RoleTree } from './role-tree.ts';
import type { Room } from './room.ts';

export class ShelfNode {
  readonly room: Room;
  readonly total: Amounts;
  /** Filters in force, by the client that they are for. */
  readonly filters: ReadonlyMap<string, readonly OfferFilter[]>;
  /** The largest part of any scalar of the cluster that was free at first. */
  readonly size: number;
  /** On its shelf. */
  place = 0;
  /** It takes no more offers. */
  isFull = false;
  readonly #roles: RoleTree;
  #free: Amounts;
  #versionSeen = 0;

  constructor(room: Room, row: LedgerSums, { filters, roles }: Pick<ShelfNode, 'filters'> & { roles: RoleTree }) {
    this.room = room;
    this.total = row.total;
    this.filters = filters;
    this.#roles = roles;
    this.#free = atLeastNone(row.freeAmounts);
    this.size = roles.shareOf(this.#free);
  }

  /** What isn't reserved. */
  get free(): Amounts {
    if (this.#versionSeen !== this.room.version) {
      this.#versionSeen = this.room.version;
      this.#free = atLeastNone(this.#roles.names.amountsOf(this.room.free));
    }
    return this.#free;
  }

  get isWhole(): boolean {
    return this.room.version === 0 && !this.isFull;
  }

  get isEmpty(): boolean {
    for (const amount of this.free) if (amount > 0) return false;
    return true;
  }
}

export class Shelf {
  readonly nodes: readonly ShelfNode[];
  /** Nodes of which a part has been given, in that order. */
  readonly opened: ShelfNode[] = [];
  readonly #openedNext: number[] = [0];
  readonly #next: Int32Array;
  readonly #previous: Int32Array;

  constructor(nodes: readonly ShelfNode[]) {
    this.nodes = [...nodes].sort((a, b) => b.size - a.size || byText(a.room.id, b.room.id));
    for (const [place, node] of this.nodes.entries()) node.place = place;
    this.#next = Int32Array.from({ length: nodes.length + 1 }, (_, place) => place);
    this.#previous = Int32Array.from({ length: nodes.length + 1 }, (_, place) => place);
  }

  /** The place of the first whole node from here on towards the smaller ones; the number of nodes if there is none. */
  nextWhole(from: number): number {
    let place = follow(this.#next, from);
    while (place < this.nodes.length && this.nodes[place]?.isWhole === false) {
      this.open(place);
      place = follow(this.#next, place);
    }
    return place;
  }

  /** The place of the first whole node from here on towards the larger ones; -1 if there is none. */
  previousWhole(from: number): number {
    let place = follow(this.#previous, from + 1) - 1;
    while (place >= 0 && this.nodes[place]?.isWhole === false) {
      this.open(place);
      place = follow(this.#previous, place + 1) - 1;
    }
    return place;
  }

  /** The place among the opened ones of the first, from here on, of which anything is left that can be offered. */
  nextOpened(from: number): number {
    let place = follow(this.#openedNext, Math.min(from, this.opened.length));
    for (let node = this.opened[place]; node !== undefined; node = this.opened[place]) {
      if (!node.isEmpty && !node.isFull) break;
      this.#openedNext[place] = place + 1;
      place = follow(this.#openedNext, place);
    }
    return place;
  }

  /** Nothing is left on any node, but where it takes no more offers. */
  get isEmpty(): boolean {
    return this.nextWhole(0) >= this.nodes.length && this.nextOpened(0) >= this.opened.length;
  }

  /** The place of the first node that is no larger than this. */
  placeOfSize(size: number): number {
    let low = 0;
    let high = this.nodes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.nodes[middle]?.size ?? 0) > size) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Something of the node at this place has been given. */
  open(place: number): void {
    const node = this.nodes[place];
    if (node === undefined || this.#next[place] !== place) return;
    this.#next[place] = place + 1;
    this.#previous[place + 1] = place;
    if (node.isEmpty) return;
    this.opened.push(node);
    this.#openedNext.push(this.opened.length);
  }
}

/** Follows the pointers to one that points to itself, and shortens the way for the next. */
function follow(pointers: Int32Array | number[], from: number): number {
  let end = from;
  for (let next = pointers[end] ?? end; next !== end; next = pointers[end] ?? end) end = next;
  for (let place = from; place !== end; ) {
    const next = pointers[place] ?? end;
    pointers[place] = end;
    place = next;
  }
  return end;
}
