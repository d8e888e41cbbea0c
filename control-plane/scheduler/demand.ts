/** What one task of a group asks of a node, worked out once for all tasks of the group. */
import { type Condition, type Constraint, conditionOf } from '../../shared/domain/constraint.ts';
import { type JobUid, type NodeId, type RolePath, taskId } from '../../shared/domain/ids.ts';
import type { GroupSpec, Placement } from '../../shared/domain/job.ts';
import { entryBytesMax } from '../../shared/domain/ledger.ts';
import { DEVICE_ID_LENGTH_MAX } from '../../shared/domain/node.ts';
import { type Scalars, scalarNames, scalarOf, toMilli } from '../../shared/domain/resources.ts';
import type { SpreadSpec } from '../../shared/domain/service.ts';
import type { GpuNodePolicy } from '../../shared/domain/settings.ts';
import type { Task } from '../../shared/domain/task.ts';
import { utf8Length } from '../../shared/util/codec.ts';
import { type PeerRule, peerRulesOf } from './peer-rules.ts';
import type { WantedTask } from './wanted.ts';

export interface Demand {
  /** {@link demandKey} of the task. */
  readonly key: string;
  /** {@link groupKey} of the group. */
  readonly groupKey: string;
  readonly jobUid: JobUid;
  /** The version that its template is of. */
  readonly jobVersion: number;
  /** Who is charged for it. */
  readonly role: RolePath;
  readonly group: GroupSpec;
  readonly placement: Placement;
  /** What the job says of nodes with GPUs; undefined: what the cluster's settings say. */
  readonly gpuNodes: GpuNodePolicy | undefined;
  /** Rounded to thousandths, so that amounts can be compared as they are. */
  readonly scalars: Scalars;
  /** Names of the scalars of which it needs any, in their fixed order. */
  readonly scalarNames: readonly string[];
  /** Those among them that operators declared. */
  readonly customNames: readonly string[];
  /** Host ports that it asks for by number. */
  readonly fixedPorts: readonly number[];
  /** How many more ports it needs, whichever they are. */
  readonly anyPorts: number;
  /** The job's and the group's together. */
  readonly constraints: readonly Condition[];
  /** What it asks of where the other tasks of its group are. */
  readonly peers: readonly PeerRule[];
  /** How many tasks of the group there are to be; null: one on each node that may have it. */
  readonly wanted: number | null;
  /** The only node that it may be on; null: any. */
  readonly target: NodeId | null;
  readonly preferences: readonly WeightedCondition[];
  /** What it is rather to be spread over. */
  readonly spreads: readonly SpreadSpec[];
  /** What the entry of any of its tasks takes in a ledger, at the most. */
  readonly entryBytes: number;
  readonly template: Template;
}

export interface WeightedCondition {
  readonly condition: Condition;
  readonly weight: number;
}

/** What a node's agent is sent once for all tasks that are made from it. */
export interface Template {
  readonly key: string;
  readonly bytes: number;
}

export function demandOf(wanted: WantedTask): Demand {
  const { task, job, spec, group } = wanted;
  const constraints = [...spec.constraints, ...group.constraints];
  const scalars = roundedScalars(group.resources);
  const names = scalarNames(scalars).filter((name) => scalarOf(scalars, name) > 0);
  const fixedPorts = group.ports.flatMap(({ hostPort }) => (hostPort === undefined ? [] : [hostPort]));
  return {
    key: demandKey(wanted),
    groupKey: groupKey(job.uid, group.name),
    jobUid: job.uid,
    jobVersion: task.jobVersion,
    role: spec.role,
    group,
    placement: spec.placement,
    gpuNodes: spec.gpuNodes,
    scalars,
    scalarNames: names,
    customNames: names.filter((name) => Object.hasOwn(scalars.custom, name)),
    fixedPorts,
    anyPorts: group.ports.length - fixedPorts.length,
    constraints: constraints.map(conditionOf),
    peers: peerRulesOf(constraints, group),
    wanted: wantedCount(wanted),
    target: requiredNode(task),
    preferences: (group.prefer ?? []).map((preference) => ({
      condition: conditionOf(preference),
      weight: preference.weight,
    })),
    spreads: wishedSpreads(constraints, group),
    entryBytes: entryBytesOf(wanted, scalars),
    template: { key: templateKey(job.uid, task.jobVersion, group.name), bytes: utf8Length(JSON.stringify(group)) },
  };
}

/** Of the places that `groupBy` allows, those come first by which it comes out even: it allows all to go to the first value that is used. */
const GROUP_BY_WEIGHT = 50;

function wishedSpreads(constraints: readonly Constraint[], { spread = [] }: GroupSpec): SpreadSpec[] {
  const grouped = constraints.filter(({ operator }) => operator === 'groupBy');
  return [...spread, ...grouped.map(({ attribute }) => ({ attribute, weight: GROUP_BY_WEIGHT }))];
}

/** The demand of a task of the same template, which names another node. */
export function forNodeOf(demand: Demand, wanted: WantedTask): Demand {
  return { ...demand, key: demandKey(wanted), target: requiredNode(wanted.task) };
}

/** A change of the count makes no new template, so what is wanted now is what counts. */
function wantedCount({ job, group }: WantedTask): number | null {
  if (job.spec.kind === 'system') return null;
  return (job.spec.groups.find(({ name }) => name === group.name) ?? group).count;
}

function requiredNode({ target }: Task): NodeId | null {
  return target?.required === true ? target.node : null;
}

/** As long as an agent may call a device. */
const LONGEST_DEVICE_ID = 'x'.repeat(DEVICE_ID_LENGTH_MAX);

/** Higher than any number of an attempt, an index or a version, so that the ids made from it are the longest. */
const LONGEST_NUMBER = 9_999_999;

function entryBytesOf({ job: { uid }, spec, group }: WantedTask, scalars: Scalars): number {
  const place = { jobVersion: LONGEST_NUMBER, index: LONGEST_NUMBER, attempt: LONGEST_NUMBER };
  return entryBytesMax({
    kind: 'task',
    task: taskId({ jobName: spec.name, jobUid: uid, group: group.name, ...place }),
    role: spec.role,
    jobUid: uid,
    jobVersion: LONGEST_NUMBER,
    group: group.name,
    resources: { ...scalars, ports: group.ports.map(() => ({ first: 0, last: 0 })) },
    ports: Object.fromEntries(group.ports.map(({ name }) => [name, 0])),
    reserved: {},
    devices: Array.from({ length: scalars.gpus }, () => LONGEST_DEVICE_ID),
    framework: null,
    templateBytes: LONGEST_NUMBER,
    stop: null,
    disowned: false,
  });
}

/** The scalars alone: `pids` is a limit that the node doesn't count. What isn't needed is left out. */
function roundedScalars(needed: Scalars): Scalars {
  return {
    cpus: toMilli(needed.cpus),
    memMiB: toMilli(needed.memMiB),
    diskMiB: toMilli(needed.diskMiB),
    gpus: toMilli(needed.gpus),
    custom: Object.fromEntries(
      Object.entries(needed.custom)
        .map(([name, amount]) => [name, toMilli(amount)] as const)
        .filter(([, amount]) => amount > 0),
    ),
  };
}

/** The same for tasks that ask for the same. */
export function demandKey({ task, job, group }: WantedTask): string {
  const key = templateKey(job.uid, task.jobVersion, group.name);
  const node = requiredNode(task);
  return node === null ? key : `${key}@${node}`;
}

/** What tells a template from all others: a version of a job never changes. */
export function templateKey(jobUid: JobUid, jobVersion: number, group: string): string {
  return `${jobUid}/${jobVersion}/${group}`;
}

/** What tells a group from those of other jobs, over all versions of its own. */
export function groupKey(jobUid: JobUid, group: string): string {
  return `${jobUid}/${group}`;
}
