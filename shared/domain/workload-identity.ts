/**
 * What a task can prove to others: tokens that the control plane signs about it, each for one audience. They stand in files that are
 * exchanged long before they end; a variable can only say where.
 */
import type { RolePath, TaskId } from './ids.ts';

export interface IdentityUse {
  /** Also of its file. */
  readonly name: string;
  /** Who is to believe it: never the control plane itself. */
  readonly audience: string;
  /** How long each token holds. The next one is there at half of it. */
  readonly ttlSeconds: number;
  /** A variable that says where the file is. Absent: none. */
  readonly env?: string | undefined;
}

/** One token of a task, as it is handed to its agent. */
export interface IdentityToken {
  readonly name: string;
  readonly token: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

export const IDENTITIES_MAX = 10;
export const IDENTITY_TTL_SECONDS_MIN = 30;
export const IDENTITY_TTL_SECONDS_MAX = 86_400;
export const IDENTITY_TTL_SECONDS_DEFAULT = 3600;

/** Where a container finds the files, each under the name of its use. */
export const IDENTITY_FOLDER = '/run/berth/identity';

/** Whom a token is about, as it says itself. */
export interface WorkloadSubject {
  readonly cluster: string;
  readonly role: RolePath;
  /** Of a task that a framework has launched: null. */
  readonly job: string | null;
  readonly framework: string | null;
  readonly task: TaskId;
}

/** `berth:<cluster>:role/<role>/job/<job>/task/<task>`. Of a framework's task, `framework/<id>` stands for the job. */
export function workloadSubject({ cluster, role, job, framework, task }: WorkloadSubject): string {
  const of = framework === null ? `job/${job}` : `framework/${framework}`;
  return `berth:${cluster}:role/${role}/${of}/task/${task}`;
}
