/**
 * Whose turn it is: from the root of the tree down, at every level the member with the lowest share; of equals the one that holds
 * the fewest tasks and offers, then the first by name. Only what still wants something takes part. A share only grows while it
 * has its turn, so whoever has been served sinks in the heaps along its path, and nobody else moves.
 *
 * Whoever is at its level rests. Where all below a role rest, or want nothing more, while the role itself is below its level, they come back
 * with higher ones: those beside the role hold more already, and would else be served in its place.
 */
import { byText } from '../../shared/util/order.ts';
import type { Client, Member, RoleNode } from './role-tree.ts';

/** A member of the tree that takes part. */
export interface Contender {
  readonly member: Member;
  readonly parent: Contender | null;
  /** A heap by {@link byShare}; empty for a client. */
  readonly below: Contender[];
  /** Those at their level, taken out of the heap. */
  readonly resting: Contender[];
  /** How often the levels below it have been raised. */
  raises: number;
  readonly client: Client | null;
  /** The part of a pool that it can use at the most, from 0 to 1; see `levels.ts`. */
  partMax: number;
}

/** Gives those below a contender higher levels. `isLast`: it is asked for the last time, so they need none. */
export type RaiseBelow = (contender: Contender, isLast: boolean) => void;

/** Once by what is left for them; what they still leave then, being of other shapes than the pool, as it comes. */
const RAISES_MAX = 2;

export class Turns {
  readonly root: Contender;
  readonly #raiseBelow: RaiseBelow;

  constructor(root: RoleNode, clients: Iterable<Client>, raiseBelow: RaiseBelow = () => {}) {
    this.root = contendersOf(root, clients);
    this.#raiseBelow = raiseBelow;
    order(this.root);
  }

  /** Null: nobody is left. */
  first(): Client | null {
    return this.#first().client;
  }

  /** Whoever was first has been given something. */
  served(): void {
    for (let one = this.#first().parent; one !== null; one = one.parent) sink(one.below, 0);
  }

  /** Whoever is first wants nothing more. */
  drop(): void {
    this.#leave(false);
  }

  /** Whoever is first, or something above it, is at its level. */
  rest(): void {
    this.#leave(true);
  }

  #leave(rests: boolean): void {
    let isResting = rests;
    for (let one = this.#first(); one.parent !== null; one = one.parent) {
      const { parent } = one;
      removeTop(parent.below);
      if (isResting) parent.resting.push(one);
      if (parent.below.length > 0 || this.#raise(parent)) return;
      isResting = parent.resting.length > 0;
    }
  }

  /** False: nobody below it would get any further by it. */
  #raise(contender: Contender): boolean {
    if (contender.resting.length === 0 || contender.raises >= RAISES_MAX || !isBelowLevels(contender)) return false;
    contender.raises += 1;
    comeBack(contender);
    this.#raiseBelow(contender, contender.raises === RAISES_MAX);
    order(contender);
    return true;
  }

  #first(): Contender {
    let one = this.root;
    for (let next = one.below[0]; next !== undefined; next = one.below[0]) one = next;
    return one;
  }
}

export function byShare(a: Member, b: Member): number {
  return a.share - b.share || a.holdings - b.holdings || byText(a.name, b.name);
}

/** The part of the tree that leads to these clients, in no order yet. */
export function contendersOf(root: RoleNode, clients: Iterable<Client>): Contender {
  const top = newContender(root, null, null);
  const known = new Map<Member, Contender>([[root, top]]);
  const add = (member: Member, parent: Contender, client: Client | null) => {
    const contender = newContender(member, parent, client);
    parent.below.push(contender);
    known.set(member, contender);
    return contender;
  };
  const contenderOf = (role: RoleNode): Contender =>
    known.get(role) ?? (role.parent === null ? top : add(role, contenderOf(role.parent), null));
  for (const client of clients) {
    const { group } = client.role;
    add(client, known.get(group) ?? add(group, contenderOf(client.role), null), client);
  }
  return top;
}

function newContender(member: Member, parent: Contender | null, client: Client | null): Contender {
  return { member, parent, below: [], resting: [], raises: 0, client, partMax: 0 };
}

/** The cluster as a whole has no level. */
function isBelowLevels(contender: Contender): boolean {
  if (contender.parent === null) return false;
  for (let one = contender; one.parent !== null; one = one.parent) {
    if (one.member.share >= one.member.level) return false;
  }
  return true;
}

function comeBack({ below, resting }: Contender): void {
  below.push(...resting.splice(0));
  for (const one of below) {
    one.raises = 0;
    comeBack(one);
  }
}

function order(contender: Contender): void {
  for (const one of contender.below) order(one);
  contender.below.sort((a, b) => byShare(a.member, b.member));
}

function sink(heap: Contender[], from: number): void {
  const moved = heap[from];
  if (moved === undefined) return;
  let place = from;
  for (;;) {
    const left = heap[2 * place + 1];
    const right = heap[2 * place + 2];
    if (left === undefined) break;
    const isRight = right !== undefined && byShare(right.member, left.member) < 0;
    const least = isRight ? right : left;
    if (byShare(moved.member, least.member) <= 0) break;
    heap[place] = least;
    place = 2 * place + (isRight ? 2 : 1);
  }
  heap[place] = moved;
}

function removeTop(heap: Contender[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  heap[0] = last;
  sink(heap, 0);
}
