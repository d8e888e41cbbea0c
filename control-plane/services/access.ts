/** Asks the policy, and says no in the words that the caller may hear. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { dangersOf, type JobSpec } from '../../shared/domain/job.ts';
import { secretsOf } from '../../shared/domain/secret.ts';
import { type Action, authorize } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';

/** Throws `forbidden` unless the principal may do this to things of the role; null stands for what belongs to no role. */
export function demand(principal: Principal, action: Action, role: RolePath | null): void {
  const verdict = authorize(principal, action, role);
  if (!verdict.allowed) throw new Refusal('forbidden', verdict.why);
}

/**
 * For one thing that was asked for by name: what the principal may not even read is answered as if it weren't there, so
 * that names don't leak from role to role.
 */
export function demandOf(
  principal: Principal,
  { read, action, role, absent }: { read: Action; action: Action; role: RolePath; absent: string },
): void {
  if (!authorize(principal, read, role).allowed) throw new Refusal('not-found', absent);
  demand(principal, action, role);
}

export function mayRead(principal: Principal, action: Action, role: RolePath): boolean {
  return authorize(principal, action, role).allowed;
}

/** Whether the principal may read what belongs to no role in particular and is for few: that takes a grant over all of them. */
export function mayReadAll(principal: Principal, action: Action): boolean {
  return principal.grants.some(
    (grant) => grant.roles.includes('*') && authorize({ ...principal, grants: [grant] }, action, null).allowed,
  );
}

/**
 * To run a job takes the right to write jobs of its role, a right of its own for each dangerous field, and the right to use the secrets
 * that it names: whoever says what a task runs can have it print what it was given.
 */
export function demandToRun(principal: Principal, spec: JobSpec): void {
  demand(principal, 'job:write', spec.role);
  for (const group of spec.groups) {
    for (const danger of dangersOf(group)) demand(principal, `job:${danger}`, spec.role);
  }
  for (const { role } of secretsOf(spec)) demand(principal, 'secret:use', role);
}
