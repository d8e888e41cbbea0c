/**
 * What a job depends on, and that no job depends on itself, over however many others. Pure. Two jobs that are written at once could
 * still close a circle between them: so whoever writes one compares all that it was decided from, and one of the two decides anew.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import type { JobKey } from '../../shared/domain/ids.ts';
import type { Job, JobSpec } from '../../shared/domain/job.ts';
import { dependencyKey } from '../reconcile/service/dependencies.ts';

/** Jobs that one job may depend on, over however many others. One transaction compares them all. */
export const DEPENDENCIES_MAX = 100;

export function dependenciesOf(spec: JobSpec): JobKey[] {
  return (spec.dependsOn ?? []).map((name) => dependencyKey({ spec }, name));
}

export interface DependencyFacts {
  jobByKey(key: JobKey): Job | undefined;
  /** How a job may be called in what the caller is told. */
  nameOf(key: JobKey): string;
}

/**
 * All that the job depends on, over however many others, whether it exists or not. Throws `invalid-request` where that leads back to
 * the job itself, and `limit-exceeded` where it is too much.
 */
export function allDependencies(spec: JobSpec, { jobByKey, nameOf }: DependencyFacts): JobKey[] {
  const found = new Map<string, JobKey>();
  const queue = dependenciesOf(spec).map((key) => ({ key, path: [spec as JobKey, key] }));
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { key, path } = next;
    if (isSame(key, spec)) throw circle(spec, path, nameOf);
    if (found.has(textOf(key))) continue;
    found.set(textOf(key), key);
    if (found.size > DEPENDENCIES_MAX) throw tooMany(spec);
    const job = jobByKey(key);
    const further = job === undefined || job.deleted ? [] : dependenciesOf(job.spec);
    queue.push(...further.map((dependency) => ({ key: dependency, path: [...path, dependency] })));
  }
  return [...found.values()];
}

function isSame(a: JobKey, b: JobKey): boolean {
  return a.role === b.role && a.name === b.name;
}

function textOf({ role, name }: JobKey): string {
  return `${role}:${name}`;
}

function circle(spec: JobSpec, path: readonly JobKey[], nameOf: DependencyFacts['nameOf']): Refusal {
  const [, first] = path;
  const index = dependenciesOf(spec).findIndex((key) => first !== undefined && isSame(key, first));
  const message =
    path.length === 2
      ? 'is the job itself, which would wait for itself; leave it out'
      : `closes a circle, in which every job would wait for the next: ${path.map(nameOf).join(' → ')}; leave one of them out`;
  return invalidDependency({ path: `/dependsOn/${index}`, message });
}

function invalidDependency(fault: Fault): Refusal {
  return new Refusal('invalid-request', `the job is not valid: ${fault.path} ${fault.message}`, { faults: [fault] });
}

function tooMany({ name }: JobSpec): Refusal {
  return new Refusal(
    'limit-exceeded',
    `job "${name}" would depend on more than ${DEPENDENCIES_MAX} jobs, over one another; let it depend on fewer`,
  );
}
