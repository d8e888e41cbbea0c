/** The secrets that somebody's tasks are to be given: whether they are there, and can be given in that way. */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import type { JobSpec, TaskGroup } from '../../shared/domain/job.ts';
import { mayNameSecretsOf, secretKeyOf, secretsOf } from '../../shared/domain/secret.ts';
import { authorize } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import type { Compare } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { named } from './secrets.ts';

/** What was found of the secrets that the job names, to be compared when it is accepted. Throws where one is missing. */
export function secretCompares(snapshot: Snapshot, spec: JobSpec): Compare[] {
  const faults = spec.groups.flatMap((group, index) => faultsIn(snapshot, spec, group, `/groups/${index}`));
  const [first] = faults;
  if (first !== undefined) {
    throw new Refusal('invalid-request', `the job is not valid: ${first.path} ${first.message}`, { faults });
  }
  return secretsOf(spec).map((secret) => {
    const key = keys.secretNote(secret);
    return { key, modRevision: snapshot.modRevision(key) };
  });
}

/** Of a task that a framework launches: its principal's rights are asked as for a job. Throws `forbidden`, or what is wrong. */
export function demandLaunchedSecrets(
  snapshot: Snapshot,
  principal: Principal,
  { group, role, path }: { readonly group: TaskGroup; readonly role: RolePath; readonly path: string },
): void {
  for (const [index, use] of (group.secrets ?? []).entries()) {
    const at = `${path}/secrets/${index}`;
    const secret = secretKeyOf(use, { role });
    if (group.runtime === 'executor') throw invalid(at, 'can not be given to a task that an executor runs');
    if (!mayNameSecretsOf(role, secret.role)) {
      throw invalid(`${at}/role`, `"${secret.role}" is neither the role of the offer nor above it`);
    }
    const verdict = authorize(principal, 'secret:use', secret.role);
    if (!verdict.allowed) {
      throw new Refusal('forbidden', verdict.why, { faults: [{ path: at, message: verdict.why }] });
    }
  }
  const [first] = faultsIn(snapshot, { role }, group, path);
  if (first !== undefined) throw invalid(first.path, first.message);
}

function faultsIn(
  snapshot: Snapshot,
  job: { readonly role: RolePath },
  { secrets = [] }: Pick<TaskGroup, 'secrets'>,
  path: string,
): Fault[] {
  return secrets.flatMap((use, index): Fault[] => {
    const secret = secretKeyOf(use, job);
    const note = snapshot.secretNote(secret);
    const at = `${path}/secrets/${index}`;
    if (note === undefined) {
      const message = `there is no ${named(secret)}; set it first: berth secret set ${use.name} --role ${secret.role}`;
      return [{ path: `${at}/name`, message }];
    }
    if (use.env === undefined || note.isText) return [];
    return [{ path: `${at}/env`, message: `${named(secret)} isn't text, which a variable has to be; use a file` }];
  });
}

function invalid(path: string, message: string): Refusal {
  return new Refusal('invalid-request', `the task is not valid: ${path} ${message}`, { faults: [{ path, message }] });
}
