/**
 * Amounts as an operator writes them: `cpus=4,memMiB=8192,diskMiB=100000,ports=20000-21000+30000,custom.licenses=3`. Parts are
 * joined by commas, port ranges by `+`.
 */
import { NAME_PATTERN, NAME_RULE } from '../../shared/domain/ids.ts';
import {
  addPorts,
  countPorts,
  type PortRange,
  type Resources,
  scalarOf,
  subtractPorts,
  subtractResources,
  toMilli,
} from '../../shared/domain/resources.ts';

/** Only what was written; the rest stays as it was found. */
export interface ResourceChange {
  readonly cpus?: number;
  readonly memMiB?: number;
  readonly diskMiB?: number;
  readonly gpus?: number;
  readonly ports?: readonly PortRange[];
  readonly custom: Readonly<Record<string, number>>;
}

export const NO_CHANGE: ResourceChange = { custom: {} };

/** What could be read, and everything that couldn't. */
export interface ParsedResources {
  readonly change: ResourceChange;
  readonly faults: readonly string[];
}

type Part = { readonly change: ResourceChange } | { readonly fault: string };

export function parseResources(text: string): ParsedResources {
  const faults: string[] = [];
  let change = NO_CHANGE;
  for (const part of text.split(',').map((each) => each.trim())) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const parsed: Part =
      equals < 0
        ? { fault: `"${part}" is not of the form name=amount` }
        : parsePart(part.slice(0, equals).trim(), part.slice(equals + 1).trim());
    if ('fault' in parsed) faults.push(parsed.fault);
    else change = { ...change, ...parsed.change, custom: { ...change.custom, ...parsed.change.custom } };
  }
  return { change, faults };
}

function parsePart(name: string, value: string): Part {
  switch (name) {
    case 'cpus':
      return amount(name, value, (cpus) => ({ cpus, custom: {} }));
    case 'memMiB':
      return whole(name, value, (memMiB) => ({ memMiB, custom: {} }));
    case 'diskMiB':
      return whole(name, value, (diskMiB) => ({ diskMiB, custom: {} }));
    case 'ports':
      return ports(value);
    case 'gpus':
      return whole(name, value, (gpus) => ({ gpus, custom: {} }), GPUS_MAX);
    default:
      return custom(name, value);
  }
}

function custom(name: string, value: string): Part {
  if (!name.startsWith('custom.')) {
    return { fault: `"${name}" is not a resource; there are cpus, memMiB, diskMiB, gpus, ports and custom.<name>` };
  }
  const own = name.slice('custom.'.length);
  if (!NAME_PATTERN.test(own)) return { fault: `"${own}" can't be a resource's name: it must be ${NAME_RULE}` };
  return amount(name, value, (held) => ({ custom: { [own]: held } }));
}

const AMOUNT_MAX = 1e12;

function amount(name: string, value: string, build: (amount: number) => ResourceChange): Part {
  const read = Number(value);
  if (!/^\d+(\.\d{1,3})?$/.test(value) || read > AMOUNT_MAX) {
    return { fault: `${name}="${value}" is not an amount: a number of at least 0 with up to three decimals` };
  }
  return { change: build(toMilli(read)) };
}

/** As many as a node may have. */
const GPUS_MAX = 1024;

function whole(name: string, value: string, build: (amount: number) => ResourceChange, most = AMOUNT_MAX): Part {
  if (!/^\d{1,12}$/.test(value)) return { fault: `${name}="${value}" is not a whole number of at least 0` };
  if (Number(value) > most) return { fault: `${name}="${value}" is too much: ${most} is the most` };
  return { change: build(Number(value)) };
}

function ports(value: string): Part {
  let read: PortRange[] = [];
  for (const text of value.split('+').filter((each) => each !== '')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || first < 1 || last > 65_535 || first > last) {
      return { fault: `ports: "${text}" is not a port or a range such as 20000-21000, within 1 and 65535` };
    }
    read = addPorts(read, [{ first, last }]);
  }
  return { change: { ports: read, custom: {} } };
}

/** What was found, with what the operator says in its place. */
export function overridden(found: Resources, change: ResourceChange): Resources {
  return {
    cpus: change.cpus ?? found.cpus,
    memMiB: change.memMiB ?? found.memMiB,
    diskMiB: change.diskMiB ?? found.diskMiB,
    gpus: change.gpus ?? found.gpus,
    custom: { ...found.custom, ...change.custom },
    ports: change.ports ?? found.ports,
  };
}

/** What is left when the operator keeps something back, and everything of which more is kept back than there is. */
export function reserved(
  total: Resources,
  kept: ResourceChange,
): { readonly left: Resources; readonly faults: readonly string[] } {
  const held: Resources = {
    cpus: kept.cpus ?? 0,
    memMiB: kept.memMiB ?? 0,
    diskMiB: kept.diskMiB ?? 0,
    gpus: 0,
    custom: kept.custom,
    ports: kept.ports ?? [],
  };
  const left = subtractResources(total, held);
  const names = ['cpus', 'memMiB', 'diskMiB', ...Object.keys(kept.custom)];
  const faults = names
    .filter((name) => scalarOf(left, name) < 0)
    .map((name) => `keeps back ${scalarOf(held, name)} of ${name}, and the node has ${scalarOf(total, name)}`);
  const strange = countPorts(subtractPorts(held.ports, total.ports));
  if (strange > 0) faults.push(`keeps back ${strange} ports that the node does not offer`);
  return { left, faults };
}
