/** Which nodes would take a task, and where it is of any use to look for tasks that could make room for it. */
import type { NodeId } from '../../shared/domain/ids.ts';
import { scalarOf, toMilli } from '../../shared/domain/resources.ts';
import { byText } from '../../shared/util/order.ts';
import type { Claim } from './claims.ts';
import type { Demand } from './demand.ts';
import { type Holder, type HolderKind, kindsOf } from './holder.ts';
import type { Alike, Inquiry } from './node-facts.ts';
import type { Outlook } from './outlook.ts';
import type { Fit, Lack, OfferedPart, Prospect, Space, WaitMemory } from './wait-memory.ts';

/** The nodes that would take such a task if enough came free there. */
export function fitsFor(outlook: Outlook, memory: WaitMemory, demand: Demand): readonly Alike<Fit>[] {
  const factOf = (node: NodeId): Fit | null => {
    if (!outlook.isOpen(node) || !outlook.mayAdmit(node, demand)) return null;
    const spaceOf = (offered: OfferedPart): Space => {
      if (!outlook.hasRoom(node, demand, offered)) return 'none';
      return outlook.isAnyReserved(node, demand.role) ? 'reserved' : 'unreserved';
    };
    const held = spaceOf('held');
    const space = { held, free: outlook.hasOffers(node) ? spaceOf('free') : held };
    return { key: `${space.held} ${space.free}`, space };
  };
  return memory.fits.of(inquiryOf(outlook, demand.key, factOf));
}

function inquiryOf<Fact>(outlook: Outlook, question: string, factOf: (node: NodeId) => Fact | null): Inquiry<Fact> {
  const { nodesTotal, passing } = outlook;
  return { question, nodes: () => outlook.nodes(), nodesTotal, passing, factOf };
}

interface Search {
  readonly fits: readonly Alike<Fit>[];
  readonly demand: Demand;
  readonly offered: OfferedPart;
}

/** The first node that admits the task as things will be. */
export function firstAdmitting(outlook: Outlook, { fits, demand, offered }: Search): NodeId | null {
  return firstOf(
    fits.map(({ fact, nodes }) => {
      // Where its role may be given no more, it may be given no more on any node alike, unless something is reserved there. Where the
      // others of its group are is another matter on each of them.
      const unreserved = demand.peers.length === 0 ? nodes.slice(0, 1) : nodes;
      const asked = { none: [], unreserved, reserved: nodes }[fact.space[offered]];
      return asked.find((node) => outlook.admits(node, demand, { offered }));
    }),
  );
}

/** The first node that has room, whatever the role may be given. */
export function firstWithRoom(outlook: Outlook, { fits, demand, offered }: Search): NodeId | null {
  const mayBe = (node: NodeId) => demand.peers.length === 0 || outlook.hasFittingPeers(node, demand);
  return firstOf(fits.map(({ fact, nodes }) => (fact.space[offered] === 'none' ? undefined : nodes.find(mayBe))));
}

function firstOf(nodes: readonly (NodeId | undefined)[]): NodeId | null {
  return nodes.filter((node) => node !== undefined).sort(byText)[0] ?? null;
}

/** Whom the claim is for, and what of. */
export interface Aim {
  readonly demand: Demand;
  readonly claim: Claim;
  /** Where there is room for the task, so that only what its role may be given is in its way; null: nowhere. */
  readonly room: NodeId | null;
}

/** The nodes where those who may go could be enough, judged by amounts; in the order of their ids. Elsewhere nobody has to be looked at. */
export function hopefulNodes(outlook: Outlook, memory: WaitMemory, aim: Aim): NodeId[] {
  const { claim, room } = aim;
  if (room !== null && outlook.admits(room, claim.asked, { offered: claim.offered })) return [];
  const hope = new Hope(outlook, aim);
  const hopeful = prospectsFor(outlook, memory, aim).filter(({ fact }) => hope.isIn(fact));
  const nodes = hopeful.flatMap((alike) => alike.nodes);
  return hopeful.length < 2 ? nodes : nodes.sort(byText);
}

function prospectsFor(outlook: Outlook, memory: WaitMemory, aim: Aim): readonly Alike<Prospect>[] {
  const { demand, claim, room } = aim;
  const question = [room === null ? 'here' : 'elsewhere', demand.key, claim.because, claim.role];
  const factOf = (node: NodeId) => (outlook.isOpen(node) ? prospectOn(node, outlook, aim) : null);
  return memory.prospects.of(inquiryOf(outlook, [...question, ...claim.asked.scalarNames].join(' '), factOf));
}

/** Null: whoever left, there would be no room for the task. Where there is room elsewhere, anybody will do. */
function prospectOn(node: NodeId, outlook: Outlook, { demand, claim, room }: Aim): Prospect | null {
  const { asked, offered } = claim;
  const holders = outlook.holders(node).filter((holder) => claim.mayDisplace(holder));
  if (holders.length === 0) return null;
  const lacks = room === null ? lackingOn(node, { outlook, claim }) : [];
  if (!isEnough(holders, lacks)) return null;
  if (room === null && !outlook.hasRoomWithout({ node, holders }, demand, offered)) return null;
  const pool = kindsOf(holders);
  const isThere = room === null && lacks.length === 0 && outlook.hasRoom(node, asked, offered);
  const isReserved = outlook.isAnyReserved(node, demand.role);
  return { pool, lacks, isThere, isReserved, key: keyOf({ pool, lacks, isThere, isReserved }) };
}

function isEnough(holders: readonly Holder[], lacks: readonly Lack[]): boolean {
  return lacks.every(({ name, amount }) => {
    return toMilli(holders.reduce((sum, { entry }) => sum + scalarOf(entry.resources, name), 0)) >= amount;
  });
}

function keyOf({ pool, lacks, isThere, isReserved }: Omit<Prospect, 'key'>): string {
  const amounts = lacks.map(({ name, amount }) => `${name} ${amount}`);
  return [...pool.map(({ key }) => key), '', ...amounts, isThere, isReserved].join('\n');
}

/** What is missing on the node of what the claim asks for. */
export function lackingOn(node: NodeId, { outlook, claim }: { outlook: Outlook; claim: Claim }): Lack[] {
  const { asked, offered } = claim;
  return asked.scalarNames
    .map((name) => {
      const available = outlook.available(node, asked, { scalar: name, offered });
      return { name, amount: toMilli(scalarOf(asked.scalars, name) - available) };
    })
    .filter(({ amount }) => amount > 0);
}

/** What is true of every node that a search could end with. It is quickly asked: most tasks that wait in vain have none. */
class Hope {
  readonly #aim: Aim;
  /** What the role may not be given as things are, beside what it is given of reservations. */
  readonly #short: readonly Lack[];
  /** Whether its role may be given what others have to make room for. */
  readonly #isAllowed: boolean;
  readonly #spared = new Map<string, number>();

  constructor(outlook: Outlook, aim: Aim) {
    this.#aim = aim;
    const { demand, claim, room } = aim;
    const isReserved = room !== null && outlook.isAnyReserved(room, demand.role);
    this.#short = isReserved ? [] : shortOf(outlook, demand);
    this.#isAllowed = shortOf(outlook, claim.asked).length === 0;
  }

  isIn({ pool, lacks, isThere, isReserved }: Prospect): boolean {
    if (isThere && this.#isAllowed) return false;
    const going = pool.flatMap((kind) => this.#goingOf(kind));
    if (going.length === 0 || !isCovered(going, lacks)) return false;
    // Where something is reserved for the role, that may come free as well.
    return isReserved || this.#short.every(({ name, amount }) => freedBy(going, name) >= amount);
  }

  /** As many of them as may go at once. */
  #goingOf(kind: HolderKind): HolderKind | [] {
    const count = this.#spared.get(kind.key) ?? sparedOf(kind, this.#aim.claim);
    this.#spared.set(kind.key, count);
    if (count === kind.count) return kind;
    return count === 0 ? [] : { ...kind, count };
  }
}

function shortOf(outlook: Outlook, { role, scalars, scalarNames }: Demand): Lack[] {
  return scalarNames
    .map((name) => ({ name, amount: toMilli(scalarOf(scalars, name) - outlook.mayBeGiven(role, name)) }))
    .filter(({ amount }) => amount > 0);
}

/** The largest number of them that the claim spares: fewer of those it spares, it spares as well. */
function sparedOf({ one, count }: HolderKind, claim: Claim): number {
  const spares = (some: number) => claim.spares(Array.from({ length: some }, () => one));
  if (spares(count)) return count;
  let [least, most] = [0, count];
  while (most - least > 1) {
    const middle = (least + most) >> 1;
    if (spares(middle)) least = middle;
    else most = middle;
  }
  return least;
}

function isCovered(kinds: readonly HolderKind[], lacks: readonly Lack[]): boolean {
  return lacks.every(({ name, amount }) => {
    const freed = kinds.reduce((sum, { one, count }) => sum + count * scalarOf(one.entry.resources, name), 0);
    return toMilli(freed) >= amount;
  });
}

/** What their roles are charged for. */
function freedBy(kinds: readonly HolderKind[], name: string): number {
  return toMilli(kinds.reduce((sum, { one, count }) => sum + count * scalarOf(one.frees, name), 0));
}
