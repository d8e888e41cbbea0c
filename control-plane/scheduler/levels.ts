/**
 * Up to which share everybody can be served: weighted filling, as water finds its level. What is to be given away is taken as one
 * pool of which anybody may get a part, down the tree: at each level those that hold least are filled up first, by their weights,
 * until the part is used up that their parent got. Nodes aren't as even as a pool, so this is only where slices are cut: who is
 * served when follows from the shares themselves.
 */
import { type Amounts, amountAt } from './amounts.ts';
import { type Member, RoleNode, type RoleTree } from './role-tree.ts';
import type { Contender } from './turns.ts';

export interface Pool {
  readonly amounts: Amounts;
  /** How much of the pool a client can use at the most, from 0 to 1. */
  partMax(contender: Contender): number;
}

/** Sets the level of everybody below. Those that can use less than what they would get have none. */
export function setLevels(tree: RoleTree, root: Contender, pool: Pool): void {
  measure(root, pool);
  distribute(root, 1, fillingOf(tree, pool));
}

/** The same below one of those that have a level, by what it takes to get there. */
export function setLevelsBelow(tree: RoleTree, contender: Contender, pool: Pool): void {
  measure(contender, pool);
  const filling = fillingOf(tree, pool);
  distribute(contender, partTo(contender, filling), filling);
}

function fillingOf(tree: RoleTree, pool: Pool): Filling {
  const places = tree.counted.flatMap((place) => {
    const amount = amountAt(pool.amounts, place);
    return amount > 0 ? [{ place, amount, total: amountAt(tree.total, place) }] : [];
  });
  return { tree, pool, places };
}

interface PoolPlace {
  readonly place: number;
  /** In the pool, and in the whole cluster. */
  readonly amount: number;
  readonly total: number;
}

interface Filling {
  readonly tree: RoleTree;
  readonly pool: Pool;
  /** The scalars that count and of which there is any. */
  readonly places: readonly PoolPlace[];
}

/** The most that each can use: no more than those below it together, and no more than the role's own limit leaves. */
function measure(contender: Contender, pool: Pool): number {
  let part = 0;
  if (contender.client !== null) part = pool.partMax(contender);
  for (const one of contender.below) part += measure(one, pool);
  contender.partMax = Math.min(part, limitPart(contender.member, pool.amounts));
  return contender.partMax;
}

function limitPart(member: Member, pool: Amounts): number {
  if (!(member instanceof RoleNode)) return Number.POSITIVE_INFINITY;
  const { limit, charged } = member;
  if (limit.length === 0) return Number.POSITIVE_INFINITY;
  let part = Number.POSITIVE_INFINITY;
  for (let place = 0; place < limit.length; place += 1) {
    const amount = amountAt(pool, place);
    const most = limit[place] ?? Number.POSITIVE_INFINITY;
    if (amount > 0 && most < Number.POSITIVE_INFINITY) {
      part = Math.min(part, Math.max(0, most - amountAt(charged, place)) / amount);
    }
  }
  return part;
}

function distribute(contender: Contender, part: number, filling: Filling): void {
  const { below } = contender;
  const level = levelOf(below, part, filling);
  for (const one of below) {
    one.member.level = level;
    if (one.below.length === 0) continue;
    distribute(one, partTo(one, filling), filling);
  }
}

function levelOf(below: readonly Contender[], part: number, filling: Filling): number {
  const wanted = below.reduce((sum, { partMax }) => sum + partMax, 0);
  if (wanted <= part) return Number.POSITIVE_INFINITY;
  const [first] = below;
  if (first !== undefined && below.length === 1) return levelAt(first, part, filling);
  const whole = filling.tree.shareOf(filling.pool.amounts);
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const { member } of below) {
    low = Math.min(low, member.share);
    high = Math.max(high, member.share + whole / member.weight);
  }
  const slopes = slopesOf(below, filling);
  for (let step = 0; step < STEPS_MAX && high - low > high * EXACTNESS; step += 1) {
    const middle = (low + high) / 2;
    if (partsAt(slopes, middle) > part) high = middle;
    else low = middle;
  }
  return high;
}

/** Halvings of the span in which a level lies, at the most. */
const STEPS_MAX = 60;
/** Closer than a thousandth of a core in a million of them. */
const EXACTNESS = 1e-9;

/** Of one member after the other: the most that it can use, then for each scalar how its part grows with the level, and from where. */
interface Slopes {
  readonly values: Float64Array;
  readonly each: number;
}

function slopesOf(below: readonly Contender[], filling: Filling): Slopes {
  const { places } = filling;
  const each = 1 + 2 * places.length;
  const values = new Float64Array(below.length * each);
  let at = 0;
  for (const one of below) {
    values[at++] = one.partMax;
    for (const { place, amount, total } of places) {
      values[at++] = (one.member.weight * total) / amount;
      values[at++] = amountAt(one.member.charged, place) / amount;
    }
  }
  return { values, each };
}

/** Which part of the pool takes all of them to the level. */
function partsAt({ values, each }: Slopes, level: number): number {
  let sum = 0;
  for (let start = 0; start < values.length; start += each) {
    let part = values[start] ?? 0;
    for (let at = start + 1; at < start + each; at += 2) {
      const own = level * (values[at] ?? 0) - (values[at + 1] ?? 0);
      if (own < part) part = own;
    }
    if (part > 0) sum += part;
  }
  return sum;
}

/** Which part of the pool takes this one to its level. */
function partTo({ member, partMax }: Contender, { places }: Filling): number {
  const { level } = member;
  let part = partMax;
  if (level === Number.POSITIVE_INFINITY) return part;
  for (const { place, amount, total } of places) {
    part = Math.min(part, (level * member.weight * total - amountAt(member.charged, place)) / amount);
  }
  return Math.max(0, part);
}

/** The level that this one comes to by so large a part of the pool. */
function levelAt({ member }: Contender, part: number, { places }: Filling): number {
  let level = member.share;
  for (const { place, amount, total } of places) {
    level = Math.max(level, (part * amount + amountAt(member.charged, place)) / (member.weight * total));
  }
  return level;
}
