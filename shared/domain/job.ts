/**
 * What a user wants. A spec is complete (every default filled in) and never changes once it is a version; the job record
 * says which version is wanted now, and whether it should run at all.
 */
import type { Constraint } from './constraint.ts';
import type { TemplateVersions } from './deployment.ts';
import type { JobUid, RolePath, TaskId, VolumeId } from './ids.ts';
import type { Scalars } from './resources.ts';
import type { SecretUse } from './secret.ts';
import type {
  BackoffSpec,
  CheckSpec,
  InPlaceRestarts,
  KillSelection,
  Preference,
  PublishSpec,
  SpreadSpec,
  UpdatePolicy,
} from './service.ts';
import type { GpuNodePolicy } from './settings.ts';
import type { IdentityUse } from './workload-identity.ts';

/** `batch` runs to its end. `service`: so many tasks, for ever. `system`: one task of each group on every node that may have it. */
export const JOB_KINDS = ['batch', 'service', 'system'] as const;
export type JobKind = (typeof JOB_KINDS)[number];

/** `pack` fills nodes up so that large tasks find room later; `spread` shares the load out. */
export const PLACEMENTS = ['pack', 'spread'] as const;
export type Placement = (typeof PLACEMENTS)[number];

export interface JobSpec {
  readonly name: string;
  readonly role: RolePath;
  readonly kind: JobKind;
  /** 0 to 100; of two pending tasks the one with the higher priority is placed first. */
  readonly priority: number;
  readonly placement: Placement;
  readonly labels: Readonly<Record<string, string>>;
  /** Hold for every group, beside the group's own. */
  readonly constraints: readonly Constraint[];
  /**
   * How long a node may be unreachable before its tasks are given up as lost, in seconds; `never` waits for it for ever.
   */
  readonly replaceAfterSeconds: number | 'never';
  /**
   * The job's tasks never run twice at a time: a node stops them itself once it has been cut off for so long, in seconds, and only
   * then does another one take their place. Absent: they run on for as long as the node is cut off.
   */
  readonly stopAfterDisconnectSeconds?: number | undefined;
  /** In place of the cluster's setting, for its tasks that ask for no GPU. */
  readonly gpuNodes?: GpuNodePolicy | undefined;
  /** Of services and system jobs; absent for a batch job, like the two that follow. */
  readonly update?: UpdatePolicy | undefined;
  /** Names of jobs in the same role, or `role:name`, that have to be up before this one is rolled out. */
  readonly dependsOn?: readonly string[] | undefined;
  readonly killSelection?: KillSelection | undefined;
  readonly groups: readonly GroupSpec[];
}

export interface GroupSpec {
  readonly name: string;
  readonly count: number;
  readonly runtime: GroupRuntime;
  /** Empty where there is no container. */
  readonly image: string;
  /** Replaces the image's entrypoint. */
  readonly command?: readonly string[] | undefined;
  /** Replaces the image's default arguments. */
  readonly args?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly user?: string | undefined;
  readonly workingDir?: string | undefined;
  readonly resources: GroupResources;
  readonly network: NetworkMode;
  readonly ports: readonly PortSpec[];
  readonly mounts: readonly MountSpec[];
  readonly pullPolicy: PullPolicy;
  /** These three need an action of their own, and the node operator's consent. */
  readonly privileged: boolean;
  readonly devices: readonly string[];
  readonly capAdd: readonly string[];
  readonly constraints: readonly Constraint[];
  readonly retries: RetryPolicy;
  readonly restart: RestartPolicy;
  /** The task is stopped and fails when it has run for this long, counted anew for each run. Absent: no bound. */
  readonly timeoutSeconds?: number | undefined;
  /** Between the polite signal and the kill. */
  readonly killGraceSeconds: number;
  /** The polite signal. Absent: what the image asks for, or else SIGTERM. */
  readonly stopSignal?: string | undefined;
  /** Between the request to end, from when on others find it no more, and the polite signal. Absent: none. */
  readonly stopDelaySeconds?: number | undefined;
  /** Of services and system jobs only, as all that follows. */
  readonly checks?: readonly CheckSpec[] | undefined;
  /** Between the end of a task and its replacement. */
  readonly backoff?: BackoffSpec | undefined;
  readonly prefer?: readonly Preference[] | undefined;
  readonly spread?: readonly SpreadSpec[] | undefined;
  /** Of any kind of job. Tokens of its tasks about themselves. */
  readonly identity?: readonly IdentityUse[] | undefined;
  /** Of any kind of job. What its tasks are given in confidence. */
  readonly secrets?: readonly SecretUse[] | undefined;
}

/** What one task of a group holds while it has a place. `pids` is a limit only: it isn't counted against the node. */
export interface GroupResources extends Scalars {
  readonly pids: number;
}

/** `docker`: a container. `process`: a process of the machine, without an image. */
export const GROUP_RUNTIMES = ['docker', 'process'] as const;
export type GroupRuntime = (typeof GROUP_RUNTIMES)[number];

/** `executor`: another task of the same framework on the same node, its executor, runs it in its own way. */
export const TASK_RUNTIMES = [...GROUP_RUNTIMES, 'executor'] as const;
export type TaskRuntime = (typeof TASK_RUNTIMES)[number];

/** What one task is made from: a group of a job, or what a framework launches, which may have to do with an executor. */
export interface TaskGroup extends Omit<GroupSpec, 'runtime'> {
  readonly runtime: TaskRuntime;
  /** It runs further tasks of its framework. */
  readonly isExecutor?: true | undefined;
  /** The task that runs it, with the runtime `executor` and no other. */
  readonly executor?: TaskId | undefined;
}

export const NETWORK_MODES = ['bridge', 'host', 'none'] as const;
export type NetworkMode = (typeof NETWORK_MODES)[number];

export const PULL_POLICIES = ['missing', 'always', 'never'] as const;
export type PullPolicy = (typeof PULL_POLICIES)[number];

export interface PortSpec {
  readonly name: string;
  /** Where the container listens, in bridge mode. Absent: the same number as the host port. */
  readonly containerPort?: number | undefined;
  /** A certain port of the node. Absent: any free one. */
  readonly hostPort?: number | undefined;
  readonly protocol: 'tcp' | 'udp';
  /** How it is reached through a balancer. Absent: it isn't. */
  readonly publish?: PublishSpec | undefined;
}

export const MOUNT_TYPES = ['bind', 'volume', 'tmpfs', 'persistent'] as const;

export interface MountSpec {
  /**
   * `bind` is a path of the node and needs consent; `volume` is named and kept by the engine; `tmpfs` is memory; `persistent` is a
   * volume on reserved disk of the node, which outlives its tasks.
   */
  readonly type: (typeof MOUNT_TYPES)[number];
  /** The node's path, or the volume's name or id; {@link INDEX_PLACEHOLDER} may stand in the id. Absent for tmpfs. */
  readonly source?: string | undefined;
  readonly target: string;
  readonly readOnly: boolean;
}

/** After a failed attempt, up to `max` new ones, each a new task, after a wait that grows by `factor`. */
export interface RetryPolicy {
  readonly max: number;
  readonly delaySeconds: number;
  readonly factor: number;
  readonly maxDelaySeconds: number;
}

/** When a task is started again where it was, as a new run of it, rather than replaced by another attempt. */
export interface RestartPolicy {
  /** After its node went down under it, by a power cut or a reboot; with or without an uplink. */
  readonly afterReboot: boolean;
  /** After its end, or after a check that failed. Absent: never; it is replaced. */
  readonly inPlace?: InPlaceRestarts | undefined;
}

/** Who asked for something to end, when and why. */
export interface StopRequest {
  readonly atMs: number;
  readonly by: string;
  readonly reason: string;
  /**
   * Of a task that was in the way rather than unwanted, such as one on a node that is being emptied: another attempt takes
   * its place, and none of its retries is used up.
   */
  readonly displaced?: true | undefined;
  /** Who gets what a displaced task held, where that was the reason. */
  readonly displacedBy?: Displacer | undefined;
}

/** `guarantee`: the role has less than it is promised. `priority`: the task comes before those of its role that have a lower one. */
export const DISPLACEMENT_CAUSES = ['guarantee', 'priority'] as const;
export type DisplacementCause = (typeof DISPLACEMENT_CAUSES)[number];

export interface Displacer {
  readonly because: DisplacementCause;
  readonly role: RolePath;
  /** The task that is to have the place; null: what is offered to frameworks of the role. */
  readonly task: TaskId | null;
}

/** How a batch job came out, once every task of it has ended for good. */
export interface JobOutcome {
  readonly state: 'succeeded' | 'failed' | 'stopped';
  readonly atMs: number;
  readonly message: string;
}

export interface Job {
  readonly uid: JobUid;
  /** Counts from 1; each change of the spec is the next one. */
  readonly version: number;
  readonly spec: JobSpec;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly createdBy: string;
  readonly stop: StopRequest | null;
  /** The record goes away as soon as nothing of the job holds a place any more. */
  readonly deleted: boolean;
  readonly outcome: JobOutcome | null;
  /** Of services and system jobs; empty for a batch job. Tasks that carry another version are outdated. */
  readonly templates: TemplateVersions;
  /** The last version that was rolled out with success; null: none yet. */
  readonly goodVersion: number | null;
  /** How many deployments it has had: the number of the last one. */
  readonly deployments: number;
  /** Nothing of it runs until it is resumed; null: it isn't suspended. */
  readonly suspended: Suspension | null;
}

export interface Suspension {
  readonly atMs: number;
  readonly by: string;
  readonly reason: string;
}

/** The version that a present task of the group carries. */
export function templateVersion(job: Pick<Job, 'templates' | 'version'>, group: string): number {
  return (Object.hasOwn(job.templates, group) ? job.templates[group] : undefined) ?? job.version;
}

/** How a version differs from the one before. */
export const VERSION_CHANGES = ['created', 'updated', 'scaled', 'restarted', 'reverted'] as const;
export type VersionChange = (typeof VERSION_CHANGES)[number];

export interface JobVersion {
  readonly jobUid: JobUid;
  readonly version: number;
  readonly spec: JobSpec;
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly change: VersionChange;
  /** As in the job's record while it was the wanted one. */
  readonly templates: TemplateVersions;
}

/** What a field of a group demands beyond the ordinary: its own action of the caller, and the node's consent. */
export const DANGERS = [
  'host-network',
  'host-mounts',
  'privileged',
  'devices',
  'capabilities',
  'process-runtime',
  'executor',
] as const;
export type Danger = (typeof DANGERS)[number];

export function dangersOf(group: TaskGroup): Danger[] {
  const dangers: Danger[] = [];
  // What runs without a container has the node's network by its nature, and needs one consent for all of that.
  if (group.network === 'host' && group.runtime === 'docker') dangers.push('host-network');
  if (group.mounts.some((mount) => mount.type === 'bind')) dangers.push('host-mounts');
  if (group.privileged) dangers.push('privileged');
  if (group.devices.length > 0) dangers.push('devices');
  if (group.capAdd.length > 0) dangers.push('capabilities');
  if (group.runtime === 'process') dangers.push('process-runtime');
  if (group.isExecutor || group.runtime === 'executor') dangers.push('executor');
  return dangers;
}

/** In the source of a persistent mount: the index of whichever task mounts it, so that each task of the group has a volume of its own. */
export const INDEX_PLACEHOLDER = '$' + '{index}';

/** The id of the volume that the task with this index finds there. */
export function volumeOf({ source = '' }: Pick<MountSpec, 'source'>, index: number): VolumeId {
  return source.replaceAll(INDEX_PLACEHOLDER, String(index));
}

/** Ids of the persistent volumes that the task of the group with this index mounts, each once. */
export function volumesOf(group: Pick<GroupSpec, 'mounts'>, index: number): VolumeId[] {
  return [...new Set(persistentMounts(group).map((mount) => volumeOf(mount, index)))];
}

/** Whether its tasks mount persistent volumes at all. */
export function mountsVolumes(group: Pick<GroupSpec, 'mounts'>): boolean {
  return persistentMounts(group).length > 0;
}

/** Whether its tasks are told apart by the volumes that they mount. */
export function hasVolumePerTask(group: Pick<GroupSpec, 'mounts'>): boolean {
  return persistentMounts(group).some(({ source }) => source?.includes(INDEX_PLACEHOLDER) === true);
}

function persistentMounts({ mounts }: Pick<GroupSpec, 'mounts'>): MountSpec[] {
  return mounts.filter(({ type }) => type === 'persistent');
}
