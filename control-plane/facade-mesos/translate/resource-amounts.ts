/** What a list of resources comes to in Berth's amounts, what is wrong with one, and how messages write it. */
import { addPorts, addScalars, NO_SCALARS, type PortRange, type Scalars } from '../../../shared/domain/resources.ts';
import type { WireResource } from '../wire/resource.ts';
import { WireFault } from './wire-fault.ts';

export interface Amounts {
  readonly scalars: Scalars;
  readonly ports: readonly PortRange[];
  /** Names of what no node has: sets, and ranges of anything but ports. */
  readonly others: readonly string[];
}

const NO_AMOUNTS: Amounts = { scalars: NO_SCALARS, ports: [], others: [] };

export function amountsOf(resources: readonly WireResource[]): Amounts {
  return resources.reduce(withResource, NO_AMOUNTS);
}

function withResource({ scalars, ports, others }: Amounts, resource: WireResource): Amounts {
  const { name, type, scalar, ranges } = resource;
  if (type === 'SCALAR') return { scalars: addScalars(scalars, scalarOf(name, scalar?.value ?? 0)), ports, others };
  if (type !== 'RANGES' || name !== 'ports') return { scalars, ports, others: [...others, name] };
  const added = (ranges?.range ?? []).map(({ begin, end }) => ({ first: begin, last: end }));
  return { scalars, ports: addPorts(ports, added), others };
}

function scalarOf(name: string, value: number): Scalars {
  const amount = toThousandths(value);
  switch (name) {
    case 'cpus':
      return { ...NO_SCALARS, cpus: amount };
    case 'gpus':
      return { ...NO_SCALARS, gpus: amount };
    case 'mem':
      return { ...NO_SCALARS, memMiB: amount };
    case 'disk':
      return { ...NO_SCALARS, diskMiB: amount };
    default:
      return { ...NO_SCALARS, custom: { [name]: amount } };
  }
}

/** Three decimals; what lies half-way goes away from zero. */
export function toThousandths(value: number): number {
  return (Math.sign(value) * Math.round(Math.abs(value) * 1000)) / 1000;
}

/** Throws what is wrong with the first one that is. */
export function checkResources(resources: readonly WireResource[]): void {
  for (const resource of resources) {
    const fault = faultOf(resource);
    if (fault !== null)
      throw new WireFault(`Invalid resources: Resource '${resourceText(resource)}' is invalid: ${fault}`);
  }
  const { gpus } = amountsOf(resources).scalars;
  if (!Number.isInteger(gpus)) {
    throw new WireFault("Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer");
  }
}

function faultOf(resource: WireResource): string | null {
  if (resource.name === '') return 'Empty resource name';
  if (resource.revocable !== undefined) return 'Revocable resources are not offered';
  if (resource.shared !== undefined) return 'Shared resources are not supported';
  if (resource.provider_id !== undefined) return 'Resource providers are not supported';
  if (resource.disk?.source !== undefined) return 'Disk sources are not supported';
  switch (resource.type) {
    case 'SCALAR':
      return scalarFault(resource);
    case 'RANGES':
      return rangesFault(resource);
    case 'SET':
      return setFault(resource);
    default:
      return 'Invalid resource type';
  }
}

function scalarFault({ scalar }: WireResource): string | null {
  if (scalar === undefined) return 'Invalid scalar resource';
  if (!Number.isFinite(scalar.value)) return 'Invalid scalar resource: value is not finite';
  return scalar.value < 0 ? 'Invalid scalar resource: value < 0' : null;
}

function rangesFault({ ranges }: WireResource): string | null {
  if (ranges === undefined) return 'Invalid ranges resource';
  const sorted = [...ranges.range].sort((a, b) => a.begin - b.begin);
  for (const [place, { begin, end }] of sorted.entries()) {
    if (!Number.isInteger(begin) || !Number.isInteger(end) || begin < 0) return 'Invalid ranges resource';
    if (begin > end) return 'Invalid ranges resource: begin > end';
    if (begin <= (sorted[place - 1]?.end ?? -1)) return 'Invalid ranges resource: overlapping ranges';
  }
  return null;
}

function setFault({ set }: WireResource): string | null {
  if (set === undefined) return 'Invalid set resource';
  return new Set(set.item).size === set.item.length ? null : 'Invalid set resource: duplicated elements';
}

/** As logs and messages write it: `cpus(reservations: [(DYNAMIC,eng)]):2`. */
export function resourceText(resource: WireResource): string {
  const { name, allocation_info: allocation, disk } = resource;
  const allocated = allocation?.role === undefined ? '' : `(allocated: ${allocation.role})`;
  const volume = disk?.persistence === undefined ? '' : `[${disk.persistence.id}:${disk.volume?.container_path ?? ''}]`;
  return `${name}${allocated}${reservationText(resource)}${volume}:${valueText(resource)}`;
}

export function resourcesText(resources: readonly WireResource[]): string {
  return resources.map(resourceText).join('; ');
}

function reservationText({ reservations, reservation, role }: WireResource): string {
  const own =
    role === undefined || role === '*' ? [] : [{ ...reservation, role, type: reservation ? 'DYNAMIC' : 'STATIC' }];
  const all = reservations.length > 0 ? reservations : own;
  if (all.length === 0) return '';
  const texts = all.map(
    (each) => `(${[each.type ?? 'DYNAMIC', each.role ?? '*', each.principal ?? []].flat().join(',')})`,
  );
  return `(reservations: [${texts.join(',')}])`;
}

function valueText({ scalar, ranges, set }: WireResource): string {
  if (ranges !== undefined) return rangesText(ranges.range.map(({ begin, end }) => ({ first: begin, last: end })));
  if (set !== undefined) return `{${set.item.join(', ')}}`;
  return String(scalar?.value ?? '');
}

export function rangesText(ranges: readonly PortRange[]): string {
  return `[${ranges.map(({ first, last }) => `${first}-${last}`).join(', ')}]`;
}
