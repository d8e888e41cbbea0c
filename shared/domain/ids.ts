/**
 * The spelling of every id and name. What a person types (job, group, role) is restricted to characters that are safe in
 * a key, a URL, a label and a DNS name; what Berth makes is derived from that or random.
 */
import { textHash } from '../util/text-hash.ts';

/** One DNS label, at most 63 characters: names of jobs, groups, ports. */
export const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
export const NAME_RULE = 'lower-case letters, digits and inner hyphens, 1 to 63 characters';

/** At most 8 names joined by `/`. */
export const ROLE_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\/[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?){0,7}$/;
export const ROLE_RULE = 'up to 8 names joined by "/", such as "eng/ml"';

/** Ids of nodes: what an agent makes for itself, or its operator chooses. */
export const NODE_ID_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Ids of frameworks, as Berth makes them: they stand in ids of tasks where those of jobs have their job's uid. */
export const FRAMEWORK_ID_PATTERN = /^f[a-z0-9]{12,32}$/;

/** Ids of offers: the incarnation and the round that it was made in, and its number in that round. */
export const OFFER_ID_PATTERN = /^[0-9]{1,15}-[0-9]{1,15}-[0-9]{1,9}$/;

/** Ids of what is told of operations on offers. */
export const OPERATION_STATUS_ID_PATTERN = /^p[a-z0-9]{16}$/;

/** Ids of reservations and volumes. */
export const RESERVATION_ID_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Ids of tasks, as {@link taskId} spells them. */
export const TASK_ID_PATTERN = /^[a-z0-9][a-z0-9-]{0,249}$/;

export type NodeId = string;
export type TaskId = string;
export type JobUid = string;
export type RolePath = string;
export type FrameworkId = string;
export type OfferId = string;
export type ReservationId = string;
export type VolumeId = string;

/** Where a job stands: its role and its name. Names are unique within a role; uids are unique for ever. */
export interface JobKey {
  readonly role: RolePath;
  readonly name: string;
}

/** What tells one task of a job from all others. */
export interface TaskCoordinates {
  readonly jobName: string;
  readonly jobUid: JobUid;
  readonly jobVersion: number;
  readonly group: string;
  readonly index: number;
  readonly attempt: number;
}

/**
 * The id of a task follows from its coordinates, so that two replicas that both see it missing create the same one, and
 * the second creation is refused by the store.
 */
export function taskId(task: TaskCoordinates): TaskId {
  return `${task.jobName}-${task.group}-${task.index}-${task.jobUid}-v${task.jobVersion}a${task.attempt}`;
}

const TASK_TAIL_PATTERN = /^(.+)-(0|[1-9][0-9]*)-([a-z0-9]+)-v([1-9][0-9]*)a(0|[1-9][0-9]*)$/;

/** The uid of the job that a task is of, by its id; null for what is no task's id. */
export function jobUidOf(id: TaskId): JobUid | null {
  return TASK_TAIL_PATTERN.exec(id)?.[3] ?? null;
}

/**
 * The coordinates that the id was made of; null where it isn't one of that job. The job's name has to be given, since names may
 * hold hyphens: where it ends and the group's begins can't be told from the id.
 */
export function taskCoordinates(
  id: TaskId,
  { jobName, jobUid }: Pick<TaskCoordinates, 'jobName' | 'jobUid'>,
): TaskCoordinates | null {
  if (!id.startsWith(`${jobName}-`)) return null;
  const [, group, index, uid, version, attempt] = TASK_TAIL_PATTERN.exec(id.slice(jobName.length + 1)) ?? [];
  if (group === undefined || uid !== jobUid) return null;
  return { jobName, jobUid, group, index: Number(index), jobVersion: Number(version), attempt: Number(attempt) };
}

/**
 * A name to stand in ids for a text that somebody else chose: the text itself where it is a name, else what can be kept of it,
 * with a digest that tells it from other texts of which the same is left.
 */
export function nameFor(text: string): string {
  if (NAME_PATTERN.test(text)) return text;
  const digest = textHash(text).toString(16).padStart(8, '0');
  const kept = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, NAME_LENGTH_MAX - digest.length - 1)
    .replaceAll(/^-+|-+$/g, '');
  return kept === '' ? digest : `${kept}-${digest}`;
}

const NAME_LENGTH_MAX = 63;

/** Whether `role` is `scope` or lies below it. `*` is every role. */
export function roleWithin(role: RolePath, scope: RolePath): boolean {
  return scope === '*' || role === scope || role.startsWith(`${scope}/`);
}
