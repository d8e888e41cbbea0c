/**
 * What nodes have and tasks need, as vectors that can be added, taken away and compared. Amounts keep three decimals:
 * sums are made in thousandths, so that 0.1 + 0.2 is 0.3 and nothing is gained or lost by rounding.
 */

/** Amounts that are only counted. `custom` holds named scalars that an operator declared. */
export interface Scalars {
  /** Processor cores, in thousandths: 0.25 is a quarter of a core. */
  readonly cpus: number;
  readonly memMiB: number;
  readonly diskMiB: number;
  /** Whole devices. */
  readonly gpus: number;
  readonly custom: Readonly<Record<string, number>>;
}

/** A run of port numbers, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Amounts, and the ports that are held by number. `ports` is sorted, and no two ranges touch. */
export interface Resources extends Scalars {
  readonly ports: readonly PortRange[];
}

export const NO_SCALARS: Scalars = { cpus: 0, memMiB: 0, diskMiB: 0, gpus: 0, custom: {} };
export const NO_RESOURCES: Resources = { ...NO_SCALARS, ports: [] };

/** Rounds an amount to the precision that Berth counts in: thousandths. */
export function toMilli(amount: number): number {
  return Math.round(amount * 1000) / 1000;
}

export function addScalars(a: Scalars, b: Scalars): Scalars {
  return combine(a, b, 1);
}

/** May go below zero: a node whose device has died holds more than it has. */
export function subtractScalars(a: Scalars, b: Scalars): Scalars {
  return combine(a, b, -1);
}

export function addResources(a: Resources, b: Resources): Resources {
  return { ...addScalars(a, b), ports: addPorts(a.ports, b.ports) };
}

export function subtractResources(a: Resources, b: Resources): Resources {
  return { ...subtractScalars(a, b), ports: subtractPorts(a.ports, b.ports) };
}

/**
 * The scalars of `need` that `free` has too little of, in a fixed order. Empty: it fits. What isn't needed is never
 * missing, even where less than nothing is free because a device has died.
 */
export function missingScalars(need: Scalars, free: Scalars): string[] {
  return scalarNames(need).filter((name) => {
    const wanted = toMilli(scalarOf(need, name));
    return wanted > 0 && wanted > toMilli(scalarOf(free, name));
  });
}

/** As much of each scalar as both have. */
export function commonScalars(a: Scalars, b: Scalars): Scalars {
  const common = (name: string) => Math.max(0, Math.min(scalarOf(a, name), scalarOf(b, name)));
  const names = Object.keys(a.custom).filter((name) => common(name) > 0);
  return {
    cpus: common('cpus'),
    memMiB: common('memMiB'),
    diskMiB: common('diskMiB'),
    gpus: common('gpus'),
    custom: Object.fromEntries(names.map((name) => [name, common(name)])),
  };
}

/** Whether there is none of any scalar, or less than none. */
export function isNothing(scalars: Scalars): boolean {
  return scalarNames(scalars).every((name) => scalarOf(scalars, name) <= 0);
}

/** The sum of any number of vectors, in one pass over them. */
export function sumResources(list: readonly Resources[]): Resources {
  const scalars = { cpus: 0, memMiB: 0, diskMiB: 0, gpus: 0 };
  const custom: Record<string, number> = {};
  const ports: PortRange[] = [];
  for (const resources of list) {
    for (const name of FIXED_SCALARS) scalars[name] = toMilli(scalars[name] + resources[name]);
    for (const name of Object.keys(resources.custom)) {
      custom[name] = toMilli(amountOf(custom, name) + amountOf(resources.custom, name));
    }
    ports.push(...resources.ports);
  }
  return { ...scalars, custom, ports: addPorts(ports, []) };
}

/** Names of the scalars that appear in `resources`: the fixed ones first, then the custom ones sorted. */
export function scalarNames(resources: Scalars): string[] {
  return [...FIXED_SCALARS, ...Object.keys(resources.custom).sort()];
}

const FIXED_SCALARS = ['cpus', 'memMiB', 'diskMiB', 'gpus'] as const;

export function scalarOf(resources: Scalars, name: string): number {
  switch (name) {
    case 'cpus':
      return resources.cpus;
    case 'memMiB':
      return resources.memMiB;
    case 'diskMiB':
      return resources.diskMiB;
    case 'gpus':
      return resources.gpus;
    default:
      return amountOf(resources.custom, name);
  }
}

/** Own members only: `constructor` is a valid name for a scalar, and every object inherits one. */
function amountOf(custom: Readonly<Record<string, number>>, name: string): number {
  return Object.hasOwn(custom, name) ? (custom[name] ?? 0) : 0;
}

function combine(a: Scalars, b: Scalars, sign: 1 | -1): Scalars {
  const custom: Record<string, number> = {};
  for (const name of new Set([...Object.keys(a.custom), ...Object.keys(b.custom)])) {
    custom[name] = toMilli(amountOf(a.custom, name) + sign * amountOf(b.custom, name));
  }
  return {
    cpus: toMilli(a.cpus + sign * b.cpus),
    memMiB: toMilli(a.memMiB + sign * b.memMiB),
    diskMiB: toMilli(a.diskMiB + sign * b.diskMiB),
    gpus: toMilli(a.gpus + sign * b.gpus),
    custom,
  };
}

/** The union of two sets of ports. */
export function addPorts(a: readonly PortRange[], b: readonly PortRange[]): PortRange[] {
  const sorted = [...a, ...b].sort((x, y) => x.first - y.first);
  const merged: PortRange[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last && range.first <= last.last + 1) {
      merged[merged.length - 1] = { first: last.first, last: Math.max(last.last, range.last) };
    } else {
      merged.push(range);
    }
  }
  return merged;
}

/** The ports of `from` that aren't in `taken`. Both are sorted, as everywhere, and gone through once. */
export function subtractPorts(from: readonly PortRange[], taken: readonly PortRange[]): PortRange[] {
  const left: PortRange[] = [];
  let place = 0;
  for (const range of from) {
    while (isBelow(taken[place], range.first)) place += 1;
    place = keepAround(range, { taken, place, left });
  }
  return left;
}

function isBelow(cut: PortRange | undefined, port: number): boolean {
  return cut !== undefined && cut.last < port;
}

/** Adds to `left` what the cuts leave of the range. Returns the place of the last cut, which may reach into the next range. */
function keepAround(
  range: PortRange,
  { taken, place, left }: { taken: readonly PortRange[]; place: number; left: PortRange[] },
): number {
  let { first } = range;
  let at = place;
  for (let cut = taken[at]; cut !== undefined && cut.first <= range.last; cut = taken[at]) {
    if (cut.first > first) left.push({ first, last: cut.first - 1 });
    first = cut.last + 1;
    if (cut.last >= range.last) return at;
    at += 1;
  }
  left.push(first === range.first ? range : { first, last: range.last });
  return at;
}

export function hasPort(ports: readonly PortRange[], port: number): boolean {
  return ports.some((range) => port >= range.first && port <= range.last);
}

export function countPorts(ports: readonly PortRange[]): number {
  return ports.reduce((sum, range) => sum + range.last - range.first + 1, 0);
}

/** The set that holds just these port numbers. */
export function portsOf(numbers: readonly number[]): PortRange[] {
  return addPorts(
    numbers.map((port) => ({ first: port, last: port })),
    [],
  );
}
