/**
 * How a part of a node is cut: of everything that can be divided the same part, rounded to what can be held (thousandths of cores,
 * whole MiB, whole GPUs, whole ports), never less than what is of use, and never more than the role may be given.
 */
import type { PortRange } from '../../shared/domain/resources.ts';
import { type Amounts, amountAt, DIVISIBLE_PLACES, GPUS_PLACE } from './amounts.ts';

export interface Cut {
  /** What is there. */
  readonly free: Amounts;
  /** What the node has in all: what it has a whole number of is handed out in whole numbers. */
  readonly total: Amounts;
  /** How much of it, from 0 to 1. */
  readonly part: number;
  /** What the role may be given at the most. */
  readonly spare: Amounts;
  /** How much of some scalars is wanted at the most; the others go along as the part says. */
  readonly wanted?: Amounts;
  readonly minimums: readonly Amounts[];
  /** What goes along that is reserved. */
  readonly beside?: Amounts | undefined;
}

const MILLI = 1000;

/** Null: what is left, or what the role may be given, is of no use. */
export function sliceOf(cut: Cut): Amounts | null {
  const { free, spare } = cut;
  let bound = 1;
  for (let place = 0; place < DIVISIBLE_PLACES; place += 1) {
    const amount = amountAt(free, place);
    if (amount > 0) bound = Math.min(bound, (spare[place] ?? Number.POSITIVE_INFINITY) / amount);
  }
  const least = leastPart(cut);
  if (least > 1) return null;
  if (least <= bound) return useful(rounded(cut, Math.max(least, Math.min(cut.part, bound))), cut);
  // The role may be given less of one scalar than goes with what is of use of another: so as much of each as it may.
  const slice = rounded(cut, Math.max(least, cut.part));
  return isOneLacking(slice, cut) ? null : useful(slice, cut);
}

function useful(slice: Amounts, { minimums }: Cut): Amounts | null {
  return isEnough(slice, minimums) ? slice : null;
}

/** All of the node that the role may be given, each scalar by itself. Null where that is of no use. */
export function restOf(cut: Omit<Cut, 'part' | 'wanted'>): Amounts | null {
  const { free, spare, total, minimums } = cut;
  const rest = free.map((amount, place) => {
    const most = Math.max(0, Math.min(amount, spare[place] ?? Number.POSITIVE_INFINITY));
    return most === amount ? amount : floorTo(most, unitOf(place, total));
  });
  return !isOneLacking(rest, cut) && isEnough(rest, minimums) ? rest : null;
}

/** A task needs cores and memory: where a limit leaves none of one of them, the other is of no use. */
function isOneLacking(slice: Amounts, { free, beside = [] }: Pick<Cut, 'free' | 'beside'>): boolean {
  return [0, 1].some((place) => {
    return amountAt(slice, place) + amountAt(beside, place) === 0 && amountAt(free, place) > 0;
  });
}

/** Whether it holds one of the minimums; if there is none, anything at all. */
export function isEnough(amounts: Amounts, minimums: readonly Amounts[]): boolean {
  if (minimums.length === 0) return amounts.some((amount) => amount > 0);
  return minimums.some((minimum) => minimum.every((amount, place) => amount <= amountAt(amounts, place)));
}

/** The smallest part of it that holds one of the minimums; if there is none, the smallest that can be held. */
function leastPart({ free, total, minimums }: Cut): number {
  if (minimums.length === 0) return leastUnit(free, total);
  let least = Number.POSITIVE_INFINITY;
  for (const minimum of minimums) {
    let part = 0;
    for (let place = 0; place < minimum.length; place += 1) {
      const amount = amountAt(minimum, place);
      if (amount > 0)
        part = Math.max(part, amountAt(free, place) <= 0 ? Number.POSITIVE_INFINITY : amount / amountAt(free, place));
    }
    least = Math.min(least, part);
  }
  return least;
}

function leastUnit(free: Amounts, total: Amounts): number {
  let least = Number.POSITIVE_INFINITY;
  for (let place = 0; place < DIVISIBLE_PLACES; place += 1) {
    const [amount, unit] = [amountAt(free, place), unitOf(place, total)];
    if (amount >= unit) least = Math.min(least, unit / amount);
  }
  return least < Number.POSITIVE_INFINITY ? least : 0;
}

function rounded({ free, total, spare, wanted, minimums }: Cut, part: number): Amounts {
  return free.map((amount, place) => {
    if (amount <= 0) return 0;
    const unit = unitOf(place, total);
    const exact = Math.min(part * amount, wanted?.[place] ?? Number.POSITIVE_INFINITY);
    const isCounted = place >= DIVISIBLE_PLACES && unit === MILLI;
    const near = isCounted ? Math.round(exact / unit) * unit : floorTo(exact + EXACTNESS, unit);
    const needed = Math.max(near, leastOf(minimums, place, part * amount, unit));
    const most = Math.min(amount, spare[place] ?? Number.POSITIVE_INFINITY);
    return needed <= most ? needed : most === amount ? amount : floorTo(most, unit);
  });
}

/** Against a part that comes out a hair below what it stands for. */
const EXACTNESS = 1e-6;

/** The largest minimum that the part itself comes up to, but that rounding down would miss. */
function leastOf(minimums: readonly Amounts[], place: number, exact: number, unit: number): number {
  let least = 0;
  for (const minimum of minimums) {
    const amount = amountAt(minimum, place);
    if (amount > least && amount <= exact + EXACTNESS) least = Math.ceil(amount / unit) * unit;
  }
  return least;
}

/** Cores by the thousandth, memory and disk by the MiB, devices and what comes in whole numbers by the piece. */
function unitOf(place: number, total: Amounts): number {
  if (place === 0) return 1;
  if (place <= GPUS_PLACE) return MILLI;
  return amountAt(total, place) % MILLI === 0 ? MILLI : 1;
}

function floorTo(amount: number, unit: number): number {
  return Math.floor(amount / unit) * unit;
}

/** The lowest ports, as many as the part comes to. */
export function portsOfPart(ports: readonly PortRange[], count: number): PortRange[] {
  const taken: PortRange[] = [];
  let left = count;
  for (const { first, last } of ports) {
    if (left <= 0) break;
    const end = Math.min(last, first + left - 1);
    taken.push({ first, last: end });
    left -= end - first + 1;
  }
  return taken;
}
