/**
 * What is kept in confidence for a role and handed to tasks that name it. Only that there is such a thing is known here: what it says
 * is sealed, and opened for nobody but the agent that runs such a task.
 */
import { NAME_PATTERN, type RolePath, roleWithin } from './ids.ts';

/** Names are unique within a role, as those of jobs are. */
export interface SecretKey {
  readonly role: RolePath;
  readonly name: string;
}

/** What is known of a secret without opening it. */
export interface SecretNote extends SecretKey {
  /** Counts from 1; each setting is the next one. */
  readonly version: number;
  /** Whether its value is text without NUL, as variables have to be. */
  readonly isText: boolean;
  /** The envelope key that its value is sealed under. */
  readonly envelopeKey: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly updatedAtMs: number;
  readonly updatedBy: string;
}

/** How a task is given a secret: in a variable or in a file, never both. */
export interface SecretUse {
  readonly name: string;
  /** The job's own role or one above it. Absent: its own. */
  readonly role?: RolePath | undefined;
  /** The variable. */
  readonly env?: string | undefined;
  /** The file: an absolute path in the container, or a bare name in the folder of secrets. */
  readonly file?: string | undefined;
  /** Of the file, in octal. Absent: its owner alone may read it, or everybody in the container where its owner can't be told. */
  readonly mode?: string | undefined;
  /** Who owns the file, by number. Absent: the user that the task runs as. */
  readonly uid?: number | undefined;
}

export const SECRET_NAME_PATTERN = NAME_PATTERN;

/** Of one value, in bytes. */
export const SECRET_BYTES_MAX = 65_536;
/** In one role. */
export const SECRETS_PER_ROLE_MAX = 1000;
/** Different ones that a job may name: each of them is compared when the job is accepted. */
export const SECRETS_PER_JOB_MAX = 32;

/** Where tasks find the files that are given by a bare name: told in {@link SECRETS_VARIABLE}. */
export const SECRETS_FOLDER = '/run/secrets';
export const SECRETS_VARIABLE = 'BERTH_SECRETS';

/** What of a job is about secrets. */
interface SecretUser {
  readonly role: RolePath;
  readonly groups: readonly { readonly secrets?: readonly SecretUse[] | undefined }[];
}

export function secretKeyOf(use: Pick<SecretUse, 'role' | 'name'>, job: { readonly role: RolePath }): SecretKey {
  return { role: use.role ?? job.role, name: use.name };
}

/** Whether a job of the role may name secrets of the other one: of its own, and of those above it. */
export function mayNameSecretsOf(job: RolePath, secrets: RolePath): boolean {
  return roleWithin(job, secrets);
}

/** Every secret that the job names, each once. */
export function secretsOf(spec: SecretUser): SecretKey[] {
  const keys = spec.groups.flatMap(({ secrets = [] }) => secrets.map((use) => secretKeyOf(use, spec)));
  return [...new Map(keys.map((key) => [secretName(key), key])).values()];
}

/** As people write it: `db-password` of role `eng/ml` is `eng/ml:db-password`. */
export function secretName({ role, name }: SecretKey): string {
  return `${role}:${name}`;
}
