/**
 * Amounts of all scalars side by side, in thousandths: whole numbers, so that sums and differences are exact however often they
 * are made. The allocator adds up and compares many thousands of them in a round.
 */
import { type Scalars, scalarOf } from '../../shared/domain/resources.ts';
import type { ScalarAmounts } from '../../shared/domain/role.ts';

/** By the place of the scalar's name in {@link ScalarNames}. What is missing at the end is 0. */
export type Amounts = number[];

const FIXED = ['cpus', 'memMiB', 'diskMiB', 'gpus'] as const;

/** What takes part in a slice of a node as it is: whoever gets half of the cores gets half of these as well. */
export const DIVISIBLE_PLACES = 3;
export const GPUS_PLACE = 3;

/** Which place each scalar has. Names that operators declared get theirs when they are first met. */
export class ScalarNames {
  readonly names: string[] = [...FIXED];
  readonly #places = new Map<string, number>(FIXED.map((name, place) => [name, place]));

  placeOf(name: string): number {
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    const place = this.names.push(name) - 1;
    this.#places.set(name, place);
    return place;
  }

  amountsOf(scalars: Scalars): Amounts {
    const amounts = [milli(scalars.cpus), milli(scalars.memMiB), milli(scalars.diskMiB), milli(scalars.gpus)];
    for (const name of Object.keys(scalars.custom)) {
      const place = this.placeOf(name);
      while (amounts.length < place) amounts.push(0);
      amounts[place] = milli(scalarOf(scalars, name));
    }
    return amounts;
  }

  /** `otherwise` where the name isn't among them. */
  ofNamed(named: ScalarAmounts, otherwise: number): Amounts {
    for (const name of Object.keys(named)) this.placeOf(name);
    return this.names.map((name) => (Object.hasOwn(named, name) ? milli(named[name] ?? 0) : otherwise));
  }

  scalarsOf(amounts: Amounts): Scalars {
    const at = (place: number) => amountAt(amounts, place) / 1000;
    const custom = this.names.slice(FIXED.length).flatMap((name, index) => {
      const amount = at(FIXED.length + index);
      return amount === 0 ? [] : [[name, amount] as const];
    });
    return {
      cpus: at(0),
      memMiB: at(1),
      diskMiB: at(2),
      gpus: at(GPUS_PLACE),
      custom: Object.fromEntries(custom.sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }
}

function milli(amount: number): number {
  return Math.round(amount * 1000);
}

/** Never reads beyond the end, which takes many times as long. */
export function amountAt(amounts: Amounts, place: number): number {
  return place < amounts.length ? (amounts[place] ?? 0) : 0;
}

/** Adds to `sum`, in place. */
export function accumulate(sum: Amounts, amounts: Amounts, sign: 1 | -1 = 1): void {
  for (let place = 0; place < amounts.length; place += 1) {
    sum[place] = amountAt(sum, place) + sign * amountAt(amounts, place);
  }
}

export function isNone(amounts: Amounts): boolean {
  return amounts.every((amount) => amount <= 0);
}

/** Less than nothing is nothing: a node of which a device has died has none to give. */
export function atLeastNone(amounts: Amounts): Amounts {
  return amounts.map((amount) => Math.max(0, amount));
}

export function sameAmounts(a: Amounts, b: Amounts): boolean {
  const length = Math.max(a.length, b.length);
  for (let place = 0; place < length; place += 1) if (amountAt(a, place) !== amountAt(b, place)) return false;
  return true;
}
