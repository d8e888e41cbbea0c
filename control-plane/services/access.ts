/** Asks the policy, and says no in the words that the caller may hear. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { GrantResource } from '../../shared/domain/grant-resource.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { dangersOf, type JobSpec } from '../../shared/domain/job.ts';
import type { Task } from '../../shared/domain/task.ts';
import { type Action, authorize, holdsAction } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';

/**
 * Throws `forbidden` unless the principal may do this to the thing in the role. A null role stands for what belongs to no role, a null
 * resource for no certain thing.
 */
export function demand(
  principal: Principal,
  action: Action,
  role: RolePath | null,
  resource: GrantResource | null = null,
): void {
  const verdict = authorize(principal, action, role, resource);
  if (!verdict.allowed) throw new Refusal('forbidden', verdict.why);
}

/** Throws `forbidden` unless there is anything at all to which the principal may do this. */
export function demandAny(principal: Principal, action: Action): void {
  const verdict = holdsAction(principal, action);
  if (!verdict.allowed) throw new Refusal('forbidden', verdict.why);
}

export interface NamedDemand {
  readonly read: Action;
  readonly action: Action;
  readonly role: RolePath;
  readonly resource: GrantResource | null;
  /** What is said where there is no such thing. */
  readonly absent: string;
}

/**
 * For one thing that was asked for by name: what the principal may not even read is answered as if it weren't there, so
 * that names don't leak from role to role.
 */
export function demandOf(principal: Principal, { read, action, role, resource, absent }: NamedDemand): void {
  if (!authorize(principal, read, role, resource).allowed) throw new Refusal('not-found', absent);
  demand(principal, action, role, resource);
}

export function mayRead(
  principal: Principal,
  action: Action,
  role: RolePath,
  resource: GrantResource | null = null,
): boolean {
  return authorize(principal, action, role, resource).allowed;
}

/** Whether the principal may do this in every role there is: whatever is summed over all of them says something of each. */
export function mayInAll(principal: Principal, action: Action): boolean {
  return authorize(principal, action, '*').allowed;
}

/** To run a job takes the right to write it, and a right of its own for each dangerous field. */
export function demandToRun(principal: Principal, spec: JobSpec): void {
  const resource = jobResource(spec.name);
  demand(principal, 'job:write', spec.role, resource);
  for (const group of spec.groups) {
    for (const danger of dangersOf(group)) demand(principal, `job:${danger}`, spec.role, resource);
  }
}

export function jobResource(name: string): GrantResource {
  return { kind: 'job', name };
}

export function frameworkResource({ name }: { readonly name: string }): GrantResource {
  return { kind: 'framework', name };
}

/** A task goes with its job, or with the framework that launched it. */
export function taskResource({ framework, jobName }: Pick<Task, 'framework' | 'jobName'>): GrantResource {
  return { kind: framework === null ? 'job' : 'framework', name: jobName };
}
