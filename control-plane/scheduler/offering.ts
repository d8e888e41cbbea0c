/**
 * Gives frameworks parts of nodes when their turn comes. Whole nodes as long as they take nobody beyond its level; then slices, of
 * nodes that have been cut already before others are. A node of which a client has refused as much as it would get now is given
 * to it whole, if that is more: whoever waits for something larger gets to see it.
 */
import type { FrameworkId, NodeId } from '../../shared/domain/ids.ts';
import { LEDGER_BYTES_MAX, LEDGER_ENTRIES_MAX } from '../../shared/domain/ledger.ts';
import { isCovered, LEDGER_OFFERS_MAX } from '../../shared/domain/offer.ts';
import { addResources, countPorts, type Resources, scalarNames, scalarOf } from '../../shared/domain/resources.ts';
import { type Amounts, amountAt, sameAmounts } from './amounts.ts';
import type { HungryClient } from './hungry.ts';
import { besideReserved, type ReservedPart, reservedPart, withReserved } from './reserved.ts';
import type { Client, Member, RoleNode, RoleTree } from './role-tree.ts';
import { OFFER_BYTES_MAX, type Part, type Room } from './room.ts';
import type { Shelf, ShelfNode } from './shelf.ts';
import { isEnough, portsOfPart, restOf, sliceOf } from './slice.ts';

/** What one client gets of one node in this round. */
export interface DraftedOffer {
  readonly client: Client;
  readonly framework: FrameworkId;
  readonly room: Room;
  part: Part;
}

/** How far a client has looked through a shelf. What it couldn't use then it can't use later in the round. */
interface Cursor {
  whole: number;
  opened: number;
  back: number;
  /** Nodes of which it has refused a slice, but not all that is left. */
  readonly refused: ShelfNode[];
}

interface Wish {
  /** How much of the node, from 0 to 1. */
  readonly part: number;
  readonly wanted?: Amounts;
}

export class Offering {
  /** In the order in which they were decided. */
  readonly drafts: DraftedOffer[] = [];
  readonly #roles: RoleTree;
  readonly #plain: Shelf;
  readonly #withGpus: Shelf;
  readonly #gpuNodes: Room['gpuNodes'];
  readonly #usualMinimums: readonly Amounts[];
  readonly #cursors = new Map<HungryClient, { readonly plain: Cursor; readonly withGpus: Cursor }>();
  readonly #shelfOf = new Map<NodeId, { readonly shelf: Shelf; readonly node: ShelfNode }>();
  readonly #draftsOn = new Map<ShelfNode, Map<HungryClient, DraftedOffer>>();
  /** Nodes that take no more offers, by those whose offer there can still grow. */
  readonly #growing = new Map<HungryClient, ShelfNode[]>();

  constructor(
    roles: RoleTree,
    options: {
      readonly plain: Shelf;
      readonly withGpus: Shelf;
      readonly gpuNodes: Room['gpuNodes'];
      readonly usualMinimums: readonly Amounts[];
    },
  ) {
    this.#roles = roles;
    this.#plain = options.plain;
    this.#withGpus = options.withGpus;
    this.#gpuNodes = options.gpuNodes;
    this.#usualMinimums = options.usualMinimums;
    for (const shelf of [this.#plain, this.#withGpus]) {
      for (const node of shelf.nodes) this.#shelfOf.set(node.room.id, { shelf, node });
    }
  }

  /** Levels have risen, or other things are looked for: what was passed over may be of use now. */
  startOver(): void {
    this.#cursors.clear();
  }

  /** Nothing is left for anybody. */
  get isEmpty(): boolean {
    return this.#plain.isEmpty && this.#withGpus.isEmpty && this.#growing.size === 0;
  }

  /** Something has been given of the room. */
  touched(room: Room): void {
    const known = this.#shelfOf.get(room.id);
    known?.shelf.open(known.node.place);
  }

  /** Up to its level. False: it is at it, or nothing is left for it. */
  giveFair(hungry: HungryClient): boolean {
    const gap = this.#gapOf(hungry.client);
    if (gap <= 0 || hungry.allowance.offers <= 0) return false;
    const spare = this.#roles.spareOf(hungry.client.role);
    return (
      this.#giveWhole(hungry, gap, spare) ||
      this.#giveSlice(hungry, spare, (node) => ({ part: this.#partToLevel(hungry.client, node.free) }))
    );
  }

  /** Of what is guaranteed to its role and isn't held yet, and of the rest of the node as much as goes with it. */
  giveGuaranteed(hungry: HungryClient): boolean {
    const { role } = hungry.client;
    const short = this.#roles.shortageOf(role);
    const wanted = short.map((amount) => (amount > 0 ? amount : Number.POSITIVE_INFINITY));
    return this.#giveSlice(hungry, this.#roles.spareOf(role), ({ free }) => {
      let part = 0;
      for (let place = 0; place < short.length; place += 1) {
        const amount = amountAt(free, place);
        const lacks = amountAt(short, place);
        if (lacks > 0 && amount > 0) part = Math.max(part, Math.min(1, lacks / amount));
      }
      return part === 0 ? null : { part, wanted };
    });
  }

  /** What is reserved for its role on this node. */
  giveReserved(hungry: HungryClient, node: ShelfNode): boolean {
    const part = isWanted(node, hungry) ? this.#reservedOn(node, hungry) : null;
    if (part === null || !isEnough(part.amounts, hungry.minimums)) return false;
    if (isRefused(node, hungry, part.resources)) return false;
    return this.#give(hungry, node, part);
  }

  /** Goes along with what it gets of the rest, where it was too little by itself, or was refused. */
  #reservedOn({ room }: ShelfNode, { client }: HungryClient): ReservedPart | null {
    return reservedPart(room.reserved, client.role.path, this.#roles.names);
  }

  /** How much its share may grow, in parts of the cluster, until it or something above it is at its level. */
  #gapOf(client: Client): number {
    let gap = Number.POSITIVE_INFINITY;
    for (const { level, share, weight } of membersAbove(client)) gap = Math.min(gap, (level - share) * weight);
    return gap;
  }

  #partToLevel(client: Client, free: Amounts): number {
    const { counted, total } = this.#roles;
    let part = 1;
    for (const { level, weight, charged } of membersAbove(client)) {
      if (level === Number.POSITIVE_INFINITY) continue;
      for (const place of counted) {
        const amount = amountAt(free, place);
        if (amount <= 0) continue;
        part = Math.min(part, (level * weight * amountAt(total, place) - amountAt(charged, place)) / amount);
      }
    }
    return Math.max(0, part);
  }

  #giveWhole(hungry: HungryClient, gap: number, spare: Amounts): boolean {
    for (const shelf of this.#shelvesFor(hungry)) {
      const cursor = this.#cursorOf(hungry, shelf);
      let place = shelf.nextWhole(Math.max(cursor.whole, shelf.placeOfSize(gap)));
      for (; place < shelf.nodes.length; place = shelf.nextWhole(place + 1)) {
        const node = shelf.nodes[place];
        if (node === undefined || !isWithin(node.free, spare) || !isWanted(node, hungry)) continue;
        const beside = this.#reservedOn(node, hungry);
        if (!isEnough(node.free, besideReserved(hungry.minimums, beside))) continue;
        const part = withReserved(positive(node.room.free), beside);
        if (isRefused(node, hungry, part.resources)) continue;
        cursor.whole = place;
        if (this.#give(hungry, node, part)) return true;
      }
      cursor.whole = place;
    }
    return false;
  }

  #giveSlice(hungry: HungryClient, spare: Amounts, wishOf: (node: ShelfNode) => Wish | null): boolean {
    const shelves = this.#shelvesFor(hungry);
    return (
      shelves.some((shelf) => this.#growOffers(hungry, { shelf, spare, wishOf })) ||
      shelves.some((shelf) => this.#cutOpened(hungry, { shelf, spare, wishOf })) ||
      shelves.some((shelf) => this.#cutWhole(hungry, { shelf, spare, wishOf })) ||
      shelves.some((shelf) => this.#giveRefused(hungry, shelf, spare))
    );
  }

  /** Nodes that take no more offers are passed over by everybody else. */
  #growOffers(hungry: HungryClient, search: Search): boolean {
    const { shelf } = search;
    const cursor = this.#cursorOf(hungry, shelf);
    const nodes = this.#growing.get(hungry) ?? [];
    return nodes.some(
      (node) => shelf.nodes[node.place] === node && !node.isEmpty && this.#cut(hungry, node, { search, cursor }),
    );
  }

  #cutOpened(hungry: HungryClient, search: Search): boolean {
    const { shelf } = search;
    const cursor = this.#cursorOf(hungry, shelf);
    for (let place = shelf.nextOpened(cursor.opened); ; place = shelf.nextOpened(place + 1)) {
      cursor.opened = place;
      const node = shelf.opened[place];
      if (node === undefined) return false;
      if (this.#cut(hungry, node, { search, cursor })) return true;
    }
  }

  /** The smallest that it can use, so that large nodes stay whole for those that are due more. */
  #cutWhole(hungry: HungryClient, search: Search): boolean {
    const { shelf } = search;
    const cursor = this.#cursorOf(hungry, shelf);
    let place = shelf.previousWhole(Math.min(cursor.back, shelf.nodes.length - 1));
    for (; place >= 0; place = shelf.previousWhole(place - 1)) {
      const node = shelf.nodes[place];
      cursor.back = place;
      if (node !== undefined && this.#cut(hungry, node, { search, cursor })) return true;
    }
    cursor.back = -1;
    return false;
  }

  #cut(hungry: HungryClient, node: ShelfNode, { search, cursor }: { search: Search; cursor: Cursor }): boolean {
    const { spare, wishOf } = search;
    const { free, total } = node;
    const wish = isWanted(node, hungry) ? wishOf(node) : null;
    if (wish === null) return false;
    const beside = this.#reservedOn(node, hungry);
    const minimums = besideReserved(hungry.minimums, beside);
    const slice = sliceOf({ free, total, spare, minimums, beside: beside?.amounts, ...wish });
    if (slice === null) return false;
    const part = withReserved(this.#partOf(node, this.#withoutScraps(node, { slice, spare })), beside);
    if (!isRefused(node, hungry, part.resources)) return this.#give(hungry, node, part);
    cursor.refused.push(node);
    return false;
  }

  /** All that is left, where what would be left is too little for anybody. */
  #withoutScraps({ free }: ShelfNode, { slice, spare }: { slice: Amounts; spare: Amounts }): Amounts {
    const left = free.map((amount, place) => amount - amountAt(slice, place));
    if (isEnough(left, this.#usualMinimums) || !isWithin(free, spare)) return slice;
    return free;
  }

  #giveRefused(hungry: HungryClient, shelf: Shelf, spare: Amounts): boolean {
    const { refused } = this.#cursorOf(hungry, shelf);
    for (let node = refused.pop(); node !== undefined; node = refused.pop()) {
      const { free, total } = node;
      const beside = this.#reservedOn(node, hungry);
      const minimums = besideReserved(hungry.minimums, beside);
      const rest = restOf({ free, total, spare, minimums, beside: beside?.amounts });
      if (rest === null) continue;
      const part = withReserved(this.#partOf(node, rest), beside);
      if (isRefused(node, hungry, part.resources)) continue;
      if (this.#give(hungry, node, part)) return true;
    }
    return false;
  }

  #partOf({ room, free }: ShelfNode, slice: Amounts): Resources {
    const { names } = this.#roles;
    if (sameAmounts(slice, free)) return positive(room.free);
    let part = 0;
    for (let place = 0; place < 2; place += 1) {
      const amount = amountAt(free, place);
      if (amount > 0) part = Math.max(part, amountAt(slice, place) / amount);
    }
    const ports = portsOfPart(room.free.ports, Math.floor(part * countPorts(room.free.ports)));
    return { ...names.scalarsOf(slice), ports };
  }

  #give(hungry: HungryClient, node: ShelfNode, part: Part): boolean {
    const { client, framework, allowance } = hungry;
    const { room } = node;
    const drafts = this.#draftsOn.get(node) ?? new Map<HungryClient, DraftedOffer>();
    const draft = drafts.get(hungry);
    if (draft === undefined && allowance.offers <= 0) return false;
    if (draft === undefined && !hasRoomForOffer(room)) {
      if (!node.isFull) this.#fill(node, drafts.keys());
      return false;
    }
    room.hold(client, part, draft === undefined);
    this.touched(room);
    if (draft === undefined) {
      const made = { client, framework: framework.id, room, part };
      this.drafts.push(made);
      this.#draftsOn.set(node, drafts.set(hungry, made));
      allowance.offers -= 1;
      if (!hasRoomForOffer(room)) this.#fill(node, drafts.keys());
      return true;
    }
    draft.part = {
      resources: addResources(draft.part.resources, part.resources),
      reserved: { ...draft.part.reserved, ...part.reserved },
    };
    return true;
  }

  /** It takes no more offers, but these can still grow. */
  #fill(node: ShelfNode, holders: Iterable<HungryClient>): void {
    node.isFull = true;
    for (const hungry of holders) {
      const nodes = this.#growing.get(hungry) ?? [];
      this.#growing.set(hungry, nodes);
      nodes.push(node);
    }
  }

  /** Those that ask for GPUs get nodes that have some first, and leave the others to everybody else. */
  #shelvesFor({ framework }: HungryClient): readonly Shelf[] {
    if (this.#gpuNodes === 'unrestricted') return [this.#plain];
    if (framework.capabilities.includes('gpus')) return [this.#withGpus, this.#plain];
    return this.#gpuNodes === 'restricted' ? [this.#plain] : [this.#plain, this.#withGpus];
  }

  #cursorOf(hungry: HungryClient, shelf: Shelf): Cursor {
    const known = this.#cursors.get(hungry);
    const cursors = known ?? { plain: newCursor(), withGpus: newCursor() };
    if (known === undefined) this.#cursors.set(hungry, cursors);
    return shelf === this.#plain ? cursors.plain : cursors.withGpus;
  }
}

function newCursor(): Cursor {
  return { whole: 0, opened: 0, back: Number.MAX_SAFE_INTEGER, refused: [] };
}

interface Search {
  readonly shelf: Shelf;
  readonly spare: Amounts;
  readonly wishOf: (node: ShelfNode) => Wish | null;
}

/** The client, its group, its role and those above it, the cluster as a whole excepted. */
function* membersAbove(client: Client): Generator<Member> {
  yield client;
  yield client.role.group;
  for (let role: RoleNode = client.role; role.parent !== null; role = role.parent) yield role;
}

function isWanted({ room }: ShelfNode, { wish }: HungryClient): boolean {
  return wish === null || wish.wants(room.node);
}

function isRefused(node: ShelfNode, { key }: HungryClient, offered: Resources): boolean {
  const filters = node.filters.get(key);
  return filters?.some(({ refused }) => isCovered(offered, refused)) ?? false;
}

function hasRoomForOffer({ entries, offers, bytes }: Room): boolean {
  return entries < LEDGER_ENTRIES_MAX && offers < LEDGER_OFFERS_MAX && bytes + OFFER_BYTES_MAX <= LEDGER_BYTES_MAX;
}

function isWithin(amounts: Amounts, spare: Amounts): boolean {
  for (let place = 0; place < amounts.length; place += 1) {
    if (amountAt(amounts, place) > (spare[place] ?? Number.POSITIVE_INFINITY)) return false;
  }
  return true;
}

/** What is less than nothing isn't offered. */
function positive(resources: Resources): Resources {
  if (scalarNames(resources).every((name) => scalarOf(resources, name) >= 0)) return resources;
  const { cpus, memMiB, diskMiB, gpus, custom, ports } = resources;
  return {
    cpus: Math.max(0, cpus),
    memMiB: Math.max(0, memMiB),
    diskMiB: Math.max(0, diskMiB),
    gpus: Math.max(0, gpus),
    custom: Object.fromEntries(Object.entries(custom).filter(([, amount]) => amount > 0)),
    ports,
  };
}
