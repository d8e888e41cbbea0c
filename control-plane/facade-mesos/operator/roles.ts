/** What operators set for roles: weights and quotas. */
import { Refusal } from '../../../shared/domain/errors.ts';
import type { RolePath } from '../../../shared/domain/ids.ts';
import type { Principal } from '../../auth/principal.ts';
import type { Call } from '../../services/context.ts';
import { takeInventory } from '../../services/inventory.ts';
import { setRoles } from '../../services/roles.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { configOfRequest, hasQuota, quotaChanges, type RoleChanges, weightChanges } from '../translate/quota.ts';
import { berthRole } from '../translate/roles.ts';
import type { OperatorCall, WireQuotaRequest, WireWeightInfo } from '../wire/operator-call.ts';
import { inWireWords } from './words.ts';

/** What is set for roles, as far as the principal may see it. */
export function setForRoles({ ctx }: FacadeParts, principal: Principal) {
  return takeInventory(ctx, principal).roles;
}

export async function updateWeights(parts: FacadeParts, call: Call, infos: readonly WireWeightInfo[]): Promise<void> {
  const changes = inWireWords(() => weightChanges(infos));
  await change(parts, call, changes, { force: true, name: (why) => why });
}

/** All of them or none. */
export async function updateQuota(
  parts: FacadeParts,
  call: Call,
  { force, quota_configs: configs }: NonNullable<OperatorCall['update_quota']>,
): Promise<void> {
  const changes = inWireWords(() => quotaChanges(configs));
  await change(parts, call, changes, { force, name: (why) => `Invalid QuotaConfig: ${why}` });
}

export async function setQuota(parts: FacadeParts, call: Call, request: WireQuotaRequest): Promise<void> {
  const changes = inWireWords(() => quotaChanges([configOfRequest(request)]));
  const [path = ''] = changes.keys();
  if (quotaIsSet(parts, call.principal, path)) {
    const text = `Failed to validate set quota request: Cannot set quota for role '${request.role}' which already has quota`;
    throw new WireRefusal(400, text);
  }
  await change(parts, call, changes, {
    force: request.force,
    conflict: 409,
    name: (why) => `Quota guarantees overcommit the cluster (use 'force' to bypass this check): ${why}`,
  });
}

export async function removeQuota(parts: FacadeParts, call: Call, wireRole: string): Promise<void> {
  const reading = berthRole(wireRole);
  const role = reading.ok ? reading.role : null;
  if (role === null || !quotaIsSet(parts, call.principal, role)) {
    throw new WireRefusal(400, `Failed to remove quota: Role '${wireRole}' has no quota set`);
  }
  const changes = new Map([[role, { guarantee: {}, limit: {} }]]);
  await change(parts, call, changes, { force: true, name: (why) => `Failed to remove quota: ${why}` });
}

function quotaIsSet(parts: FacadeParts, principal: Principal, path: RolePath): boolean {
  return setForRoles(parts, principal).some((role) => role.path === path && hasQuota(role));
}

interface ChangeOptions {
  readonly force: boolean;
  /** What can't be done is named like this. */
  readonly name: (why: string) => string;
  /** The status of what could be forced. */
  readonly conflict?: 400 | 409;
}

async function change(
  { ctx }: FacadeParts,
  call: Call,
  changes: RoleChanges,
  { force, name, conflict = 400 }: ChangeOptions,
): Promise<void> {
  try {
    await setRoles(ctx, call, changes, { force });
  } catch (error) {
    throw error instanceof Refusal ? answerTo(error, name, conflict) : error;
  }
}

function answerTo(refusal: Refusal, name: ChangeOptions['name'], conflict: 400 | 409): Error {
  switch (refusal.code) {
    case 'invalid-request':
      return new WireRefusal(400, name(refusal.message));
    case 'conflict':
      // One that others were in the way of passes by itself; it says when.
      return refusal.retryAfterSeconds === null ? new WireRefusal(conflict, name(refusal.message)) : refusal;
    case 'not-found':
      return new WireRefusal(403, refusal.message);
    default:
      return refusal;
  }
}
