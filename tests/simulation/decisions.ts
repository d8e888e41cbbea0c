/**
 * What a run consists of, by name: its parts (`node-3`), its weather (`weather/store`), and one by one what its nemesis does
 * (`nemesis/7`) and its clients ask for (`client-1/12`). A run can be repeated without some of them. Whatever decides something
 * draws from a stream that is split off by the decision's name, so the others stay what they were; that is what lets a failing
 * run be made shorter.
 */
export class Decisions {
  readonly #without: ReadonlySet<string>;
  readonly #taken: string[] = [];

  constructor(without: ReadonlySet<string> = new Set()) {
    this.#without = without;
  }

  /** Whether the run is to have this. */
  take(name: string): boolean {
    if (this.#without.has(name)) return false;
    this.#taken.push(name);
    return true;
  }

  /** What the run has had so far, in its order. */
  get taken(): readonly string[] {
    return this.#taken;
  }
}

/** `nemesis/3`, or a range such as `nemesis/3-9`. */
const NUMBERED = /^(.+)\/(\d+)(?:-(\d+))?$/;

/** Nobody makes so many decisions; a longer range is a slip of the pen. */
const RANGE_MAX = 1_000_000;

/** Reads `node-3,nemesis/3,nemesis/9-14` as the names that it stands for. Throws RangeError. */
export function parseWithout(text: string): ReadonlySet<string> {
  const names = text.split(',').filter((part) => part !== '');
  return new Set(names.flatMap(expand));
}

function expand(part: string): string[] {
  const [, who, first, last] = NUMBERED.exec(part) ?? [];
  if (who === undefined || last === undefined) return [part];
  const count = Number(last) - Number(first) + 1;
  if (count < 1 || count > RANGE_MAX) throw new RangeError(`--without: "${part}" is no range; write it as low-high`);
  return Array.from({ length: count }, (_, place) => `${who}/${Number(first) + place}`);
}

/** The shortest text that {@link parseWithout} reads as these names. */
export function formatWithout(without: ReadonlySet<string>): string {
  const numbers = new Map<string, number[]>();
  const parts: string[] = [];
  for (const name of without) {
    const [, who, number] = NUMBERED.exec(name) ?? [];
    if (who === undefined) parts.push(name);
    else numbers.set(who, [...(numbers.get(who) ?? []), Number(number)]);
  }
  for (const [who, all] of numbers) parts.push(...rangesOf(all).map((range) => `${who}/${range}`));
  return parts.join(',');
}

function rangesOf(numbers: readonly number[]): string[] {
  const ranges: { first: number; last: number }[] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const open = ranges.at(-1);
    if (open !== undefined && open.last + 1 >= number) open.last = number;
    else ranges.push({ first: number, last: number });
  }
  return ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`));
}
