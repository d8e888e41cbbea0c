/**
 * Whose turn it is: from the root of the tree down, at every level the member with the lowest share; of equals the one that holds
 * the fewest tasks and offers, then the first by name. Only what still wants something takes part. A share only grows while it
 * has its turn, so whoever has been served sinks in the heaps along its path, and nobody else moves.
 */
import { byText } from '../../shared/util/order.ts';
import type { Client, Member, RoleNode } from './role-tree.ts';

/** A member of the tree that takes part. */
export interface Contender {
  readonly member: Member;
  readonly parent: Contender | null;
  /** A heap by {@link byShare}; empty for a client. */
  readonly below: Contender[];
  readonly client: Client | null;
  /** The part of a pool that it can use at the most, from 0 to 1; see `levels.ts`. */
  partMax: number;
}

export class Turns {
  readonly root: Contender;

  constructor(root: RoleNode, clients: Iterable<Client>) {
    this.root = contendersOf(root, clients);
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
    for (let one = this.#first().parent; one !== null; one = one.parent) {
      removeTop(one.below);
      if (one.below.length > 0) return;
    }
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
  const top: Contender = { member: root, parent: null, below: [], client: null, partMax: 0 };
  const known = new Map<Member, Contender>([[root, top]]);
  const add = (member: Member, parent: Contender, client: Client | null) => {
    const contender: Contender = { member, parent, below: [], client, partMax: 0 };
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
