/** Weights and quotas of Mesos as what Berth sets for roles, and back. Pure. */
import type { RolePath } from '../../../shared/domain/ids.ts';
import { DEFAULT_WEIGHT, type Role, type ScalarAmounts } from '../../../shared/domain/role.ts';
import { isScalarName, type RoleTerms, WEIGHT_MAX, WEIGHT_MIN } from '../../../shared/domain/role-terms.ts';
import type { WireQuotaConfig, WireQuotaRequest, WireWeightInfo } from '../wire/operator-call.ts';
import { toThousandths } from './resource-amounts.ts';
import { berthRole, plainWireRole } from './roles.ts';
import { WireFault } from './wire-fault.ts';

export type RoleChanges = ReadonlyMap<RolePath, Partial<RoleTerms>>;

const NATIVE_NAMES: ReadonlyMap<string, string> = new Map([
  ['mem', 'memMiB'],
  ['disk', 'diskMiB'],
]);
const WIRE_NAMES: ReadonlyMap<string, string> = new Map([...NATIVE_NAMES].map(([wire, native]) => [native, wire]));

/** An exabyte in MiB, and a trillion of anything else. */
const MIB_MAX = 1024 ** 4;
const AMOUNT_MAX = 1e12;

const INVALID_WEIGHTS = 'Failed to validate update weights request JSON';

/** Throws a {@link WireFault} in Mesos's words. Of a role that is named twice the last counts. */
export function weightChanges(infos: readonly WireWeightInfo[]): RoleChanges {
  return new Map(
    infos.map(({ role: named, weight }) => {
      const wire = named.trim();
      const reading = berthRole(wire);
      if (!reading.ok) throw new WireFault(`${INVALID_WEIGHTS}: Invalid role '${wire}': ${reading.message}`);
      const fault = weightFault(weight);
      if (fault === null) return [reading.role, { weight }];
      throw new WireFault(`${INVALID_WEIGHTS} for role '${wire}': Invalid weight '${weight}': ${fault}`);
    }),
  );
}

function weightFault(weight: number): string | null {
  if (!(weight > 0)) return 'Weights must be positive';
  if (weight >= WEIGHT_MIN && weight <= WEIGHT_MAX) return null;
  return `Weights must lie between ${WEIGHT_MIN} and ${WEIGHT_MAX}`;
}

/** Only those that were set: every other role has the weight 1. */
export function weightInfos(roles: readonly Role[]): { role: string; weight: number }[] {
  return roles
    .filter(({ weight }) => weight !== DEFAULT_WEIGHT)
    .map(({ path, weight }) => ({ role: plainWireRole(path), weight }));
}

/** Throws a {@link WireFault} in Mesos's words. */
export function quotaChanges(configs: readonly WireQuotaConfig[]): RoleChanges {
  return new Map(configs.map(quotaChange));
}

function quotaChange({ role: wire, guarantees, limits }: WireQuotaConfig): [RolePath, Partial<RoleTerms>] {
  if (wire.includes('/')) throw new WireFault(`Updating quota on nested role '${wire}' is not supported yet`);
  const reading = berthRole(wire);
  if (!reading.ok) throw invalidQuota(`Invalid 'QuotaConfig.role': ${reading.message}`);
  const guarantee = quantitiesOf(guarantees, { plural: 'guarantees', singular: 'guarantee' });
  const limit = quantitiesOf(limits, { plural: 'limits', singular: 'limit' });
  const beyond = Object.keys(guarantee).some(
    (name) => (limit[name] ?? Number.POSITIVE_INFINITY) < (guarantee[name] ?? 0),
  );
  if (!beyond) return [reading.role, { guarantee, limit }];
  const [promised, bound] = [quantitiesText(guarantees), quantitiesText(limits)];
  throw invalidQuota(`'QuotaConfig.guarantees' ${promised} is not contained within the 'QuotaConfig.limits' ${bound}`);
}

type Quantities = WireQuotaConfig['guarantees'];

function quantitiesOf(
  quantities: Quantities,
  { plural, singular }: { readonly plural: string; readonly singular: string },
): Record<string, number> {
  const amounts = Object.entries(quantities).map(([wire, { value }]): [string, number] => {
    const large = largeFault(wire, value);
    if (large !== null) throw invalidQuota(`Invalid 'QuotaConfig.${plural}': ${large}`);
    const name = NATIVE_NAMES.get(wire) ?? wire;
    const fault = quantityFault(name, value);
    if (fault === null) return [name, toThousandths(value)];
    throw invalidQuota(`Invalid ${singular} configuration {'${wire}': ${value}}: ${fault}`);
  });
  return Object.fromEntries(amounts);
}

function largeFault(wire: string, value: number): string | null {
  if (!Number.isFinite(value)) return null;
  const isDisk = wire === 'mem' || wire === 'disk';
  const [most, words] = isDisk ? [MIB_MAX, '1 exabyte'] : [AMOUNT_MAX, '1 trillion'];
  if (value <= most) return null;
  return `{'${wire}': ${value}} is invalid: values greater than ${words} (${most}) are not supported`;
}

function quantityFault(name: string, value: number): string | null {
  if (Number.isNaN(value)) return 'NaN not supported';
  if (!Number.isFinite(value)) return 'Infinite values not supported';
  if (value < 0) return 'Negative values not supported';
  if (!isScalarName(name)) return 'It is no resource that can be counted here';
  if (name === 'gpus' && !Number.isInteger(value)) return "The 'gpus' resource must be an unsigned integer";
  return null;
}

function quantitiesText(quantities: Quantities): string {
  const parts = Object.entries(quantities).map(([name, { value }]) => `${name}:${value}`);
  return `{${parts.join(', ')}}`;
}

function invalidQuota(why: string): WireFault {
  return new WireFault(`Invalid QuotaConfig: ${why}`);
}

/** The older way to say it, where what is guaranteed is the limit as well. */
export function configOfRequest({ role, guarantee }: WireQuotaRequest): WireQuotaConfig {
  if (role === undefined) throw new WireFault("Failed to create 'QuotaInfo' from set quota request: no role is given");
  if (guarantee.length === 0) throw invalidRequest("QuotaInfo with empty 'guarantee'");
  const quantities: Record<string, { value: number }> = {};
  for (const { name, type, scalar, reservations, disk, revocable } of guarantee) {
    if (reservations.length > 0) throw invalidRequest('QuotaInfo must not contain any ReservationInfo');
    if (disk !== undefined) throw invalidRequest('QuotaInfo must not contain DiskInfo');
    if (revocable !== undefined) throw invalidRequest('QuotaInfo must not contain RevocableInfo');
    if (type !== 'SCALAR') throw invalidRequest('QuotaInfo must not include non-scalar resources');
    if (Object.hasOwn(quantities, name)) {
      throw invalidRequest(`QuotaInfo contains duplicate resource name '${name}'`);
    }
    quantities[name] = { value: scalar?.value ?? 0 };
  }
  return { role, guarantees: quantities, limits: quantities };
}

function invalidRequest(why: string): WireFault {
  return new WireFault(`Failed to validate set quota request: ${why}`);
}

/** In both of the forms that Mesos has for it. */
export function quotaStatus(roles: readonly Role[]): object {
  const set = roles.filter(hasQuota);
  return {
    ...(set.length > 0 && {
      infos: set.map(({ path, guarantee }) => ({
        role: plainWireRole(path),
        guarantee: guaranteeResources(guarantee),
      })),
      configs: set.map(({ path, guarantee, limit }) => ({
        role: plainWireRole(path),
        ...(isNamed(guarantee) && { guarantees: wireQuantities(guarantee) }),
        ...(isNamed(limit) && { limits: wireQuantities(limit) }),
      })),
    }),
  };
}

export function hasQuota({ guarantee, limit }: Pick<Role, 'guarantee' | 'limit'>): boolean {
  return isNamed(guarantee) || isNamed(limit);
}

function isNamed(amounts: ScalarAmounts): boolean {
  return Object.keys(amounts).length > 0;
}

function guaranteeResources(amounts: ScalarAmounts): object[] {
  return Object.entries(wireQuantities(amounts)).map(([name, scalar]) => ({ name, type: 'SCALAR', scalar, role: '*' }));
}

function wireQuantities(amounts: ScalarAmounts): Record<string, { value: number }> {
  return Object.fromEntries(Object.entries(amounts).map(([name, value]) => [WIRE_NAMES.get(name) ?? name, { value }]));
}
