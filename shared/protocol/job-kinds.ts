/** What goes with which kind of job: what is refused, and what is filled in. Pure. */
import {
  type GroupSpec,
  hasVolumePerTask,
  INDEX_PLACEHOLDER,
  type JobSpec,
  mountsVolumes,
  type Placement,
} from '../domain/job.ts';
import { DEFAULT_BACKOFF, DEFAULT_UPDATE, isLasting, UNCHECKED_SECONDS, type UpdatePolicy } from '../domain/service.ts';

export interface FieldFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

type WrittenUpdate = Omit<UpdatePolicy, Derived> & { readonly [Field in Derived]?: UpdatePolicy[Field] | undefined };
/** What its default is depends on the groups. */
type Derived = 'maxOver' | 'minHealthySeconds';

/** A job of which what the kind decides may still be left out. */
type WrittenJob = Pick<JobSpec, 'kind' | 'dependsOn' | 'killSelection'> & {
  readonly update?: WrittenUpdate | undefined;
  readonly placement?: Placement | undefined;
  readonly groups: readonly WrittenGroup[];
};
type WrittenGroup = Pick<
  GroupSpec,
  | 'name'
  | 'count'
  | 'ports'
  | 'mounts'
  | 'network'
  | 'runtime'
  | 'retries'
  | 'restart'
  | 'timeoutSeconds'
  | 'checks'
  | 'backoff'
  | 'prefer'
  | 'spread'
>;

const JOBS_ONLY = 'is for services and system jobs; leave it out: what becomes of a task is up to its framework';
const LASTING_ONLY = 'is for services and system jobs; leave it out, or set the kind to "service"';

/** What of the job doesn't go with its kind, and what of its groups can never work. */
export function faultsOfKind(job: WrittenJob): FieldFault[] {
  const faults = isLasting(job.kind) ? jobFaultsOfLasting(job) : jobFaultsOfBatch(job);
  return faults.concat(
    publishFaults(job.groups),
    job.groups.flatMap((group, index) =>
      groupFaults(job, group).map(({ path, message }) => ({ path: ['groups', index, ...path], message })),
    ),
  );
}

/** A balancer gives a port of its own, or a path of a host, to one port of one group: the second would never be reached there. */
function publishFaults(groups: readonly WrittenGroup[]): FieldFault[] {
  const faults: FieldFault[] = [];
  const claimed = new Set<string>();
  const claim = (path: FieldFault['path'], what: string) => {
    if (claimed.has(what))
      faults.push({ path, message: `${what} is asked for twice; balancers give it to one port only` });
    claimed.add(what);
  };
  for (const [group, { ports }] of groups.entries()) {
    for (const [port, { publish }] of ports.entries()) {
      const path = ['groups', group, 'ports', port, 'publish'];
      if (publish?.port !== undefined) claim([...path, 'port'], `port ${publish.port}`);
      for (const [host, name] of (publish?.hosts ?? []).entries()) {
        claim([...path, 'hosts', host], `${name}${publish?.path ?? '/'}`);
      }
    }
  }
  return faults;
}

function jobFaultsOfBatch(job: WrittenJob): FieldFault[] {
  return (['update', 'dependsOn', 'killSelection'] as const).flatMap((field) =>
    job[field] === undefined ? [] : [{ path: [field], message: LASTING_ONLY }],
  );
}

function jobFaultsOfLasting({ kind, update, groups }: WrittenJob): FieldFault[] {
  if (update === undefined) return [];
  return [...strategyFaults(kind, update), ...patienceFaults(update), ...volumeFaults(kind, update, groups)];
}

/** Of a volume that is one task's alone the old task lets go first, so there is nothing that the two could be side by side for. */
function volumeFaults(kind: JobSpec['kind'], update: WrittenUpdate, groups: readonly WrittenGroup[]): FieldFault[] {
  const faults: FieldFault[] = [];
  const mounting = groups.find(mountsVolumes);
  if (mounting !== undefined && kind !== 'system' && update.strategy !== 'rolling') {
    const message = `must be "rolling": group "${mounting.name}" mounts persistent volumes, and new tasks get those only when the old ones have let go`;
    faults.push({ path: ['update', 'strategy'], message });
  }
  if ((update.maxOver ?? 0) > 0 && groups.every(mountsVolumes)) {
    const message =
      'must be 0 or left out: every group mounts persistent volumes, so an old task goes before the new one comes';
    faults.push({ path: ['update', 'maxOver'], message });
  }
  return faults;
}

function patienceFaults({ minHealthySeconds, progressDeadlineSeconds }: WrittenUpdate): FieldFault[] {
  if (minHealthySeconds === undefined || minHealthySeconds < progressDeadlineSeconds) return [];
  const message = `must be more than minHealthySeconds, which is ${minHealthySeconds}: no task could come to count in time`;
  return [{ path: ['update', 'progressDeadlineSeconds'], message }];
}

function strategyFaults(kind: JobSpec['kind'], update: WrittenUpdate): FieldFault[] {
  if (kind !== 'system' || update.strategy === 'rolling') return [];
  const message = `must be "rolling" or left out for a system job: each node has one place, so nothing can run beside the old tasks`;
  return [{ path: ['update', 'strategy'], message }];
}

function groupFaults({ kind }: WrittenJob, group: WrittenGroup): FieldFault[] {
  if (!isLasting(kind)) return batchFaults(group);
  return [...lastingFaults(kind, group), ...checkFaults(group), ...restartFaults(group)];
}

/** What a framework can't say of a task that it launches, but a group of a service can; and what of its checks can never work. */
export function faultsOfLaunch(task: Pick<WrittenGroup, 'ports' | 'restart' | 'checks'>): FieldFault[] {
  const ports = task.ports.flatMap(({ publish }, index): FieldFault[] =>
    publish === undefined ? [] : [{ path: ['ports', index, 'publish'], message: JOBS_ONLY }],
  );
  const inPlace: FieldFault[] =
    task.restart.inPlace === undefined ? [] : [{ path: ['restart', 'inPlace'], message: JOBS_ONLY }];
  const checks = (task.checks ?? []).flatMap(({ purpose, onFailure }, index): FieldFault[] => {
    const at = (field: string, message: string): FieldFault => ({ path: ['checks', index, field], message });
    const health = 'must be "health" or left out: frameworks are told of nothing else';
    if (purpose === 'readiness') return [at('purpose', health)];
    const end = 'must be "replace", which ends the task so that its framework launches another one, or "none"';
    return onFailure === 'restart' ? [at('onFailure', end)] : [];
  });
  return [...ports, ...inPlace, ...checks, ...checkFaults(task)];
}

function batchFaults(group: WrittenGroup): FieldFault[] {
  const faults: FieldFault[] = (['checks', 'backoff', 'prefer', 'spread'] as const).flatMap((field) =>
    group[field] === undefined ? [] : [{ path: [field], message: LASTING_ONLY }],
  );
  if (group.restart.inPlace !== undefined) faults.push({ path: ['restart', 'inPlace'], message: LASTING_ONLY });
  if (group.count === 0) faults.push({ path: ['count'], message: 'must be at least 1 for a batch job' });
  for (const [index, { publish }] of group.ports.entries()) {
    if (publish !== undefined) faults.push({ path: ['ports', index, 'publish'], message: LASTING_ONLY });
  }
  return faults;
}

function lastingFaults(kind: JobSpec['kind'], group: WrittenGroup): FieldFault[] {
  const faults: FieldFault[] = [];
  if (group.retries.max > 0) {
    const message = `is for batch jobs; tasks of a ${kind} job are replaced for as long as it stands, at the pace of \`backoff\``;
    faults.push({ path: ['retries', 'max'], message });
  }
  if (group.timeoutSeconds !== undefined) {
    faults.push({ path: ['timeoutSeconds'], message: `is for batch jobs; tasks of a ${kind} job run for ever` });
  }
  if (kind === 'system' && hasVolumePerTask(group)) {
    const mount = group.mounts.findIndex(({ source }) => source?.includes(INDEX_PLACEHOLDER) === true);
    const message = `must not hold ${INDEX_PLACEHOLDER} in a system job: each node has one task, so the volumes of all nodes may have the same id`;
    faults.push({ path: ['mounts', mount, 'source'], message });
  }
  if (kind === 'system' && group.count !== 1) {
    faults.push({
      path: ['count'],
      message: 'must be 1 or left out for a system job: each node has one task of the group',
    });
  }
  return faults;
}

function restartFaults({ checks = [], restart }: WrittenGroup): FieldFault[] {
  if (restart.inPlace !== undefined) return [];
  const remedy = 'add `restart: {inPlace: {}}` to the group, or say "replace"';
  const message = `"restart" is bounded by the group's restarts in place, and it has none; ${remedy}`;
  return checks.flatMap(({ onFailure }, index) =>
    onFailure === 'restart' ? [{ path: ['checks', index, 'onFailure'], message }] : [],
  );
}

function checkFaults(group: Pick<WrittenGroup, 'ports' | 'checks'>): FieldFault[] {
  const checks = group.checks ?? [];
  return checks.flatMap((check, index) => {
    const at = (field: string, message: string): FieldFault => ({ path: ['checks', index, field], message });
    const faults: FieldFault[] = [];
    if (checks.slice(0, index).some(({ name }) => name === check.name))
      faults.push(at('name', `"${check.name}" is used twice`));
    if (check.port !== undefined) faults.push(...portFaults(group, check.port).map((message) => at('port', message)));
    return faults;
  });
}

function portFaults(group: Pick<WrittenGroup, 'ports'>, name: string): string[] {
  const port = group.ports.find((candidate) => candidate.name === name);
  const names = group.ports.map((candidate) => `"${candidate.name}"`).join(', ');
  if (port === undefined) {
    return [`the group has no port "${name}"; ${names === '' ? 'it has no ports' : `it has ${names}`}`];
  }
  return port.protocol === 'tcp' ? [] : [`port "${name}" is ${port.protocol}; a check needs one that is tcp`];
}

/** Half of what there is time for, where that is little. */
function uncheckedSeconds({
  progressDeadlineSeconds,
}: Pick<UpdatePolicy, 'progressDeadlineSeconds'> = DEFAULT_UPDATE): number {
  return Math.min(UNCHECKED_SECONDS, progressDeadlineSeconds / 2);
}

type Filled<T> = Omit<T, 'placement' | 'update'> & {
  readonly placement: Placement;
  readonly update?: UpdatePolicy | undefined;
};

/** The job with everything filled in that its kind has and a writer may leave out. */
export function withDefaultsOfKind<T extends WrittenJob>({ placement, update, ...job }: T): Filled<T> {
  if (!isLasting(job.kind)) return { ...job, placement: placement ?? 'pack' };
  const isChecked = job.groups.every(({ checks = [] }) => checks.some(({ purpose }) => purpose === 'health'));
  return {
    ...job,
    // A service is to outlive the loss of a node; a batch job had better leave room for large tasks.
    placement: placement ?? 'spread',
    update: {
      ...(update ?? DEFAULT_UPDATE),
      maxOver: update?.maxOver ?? (job.groups.every(mountsVolumes) ? 0 : DEFAULT_UPDATE.maxOver),
      minHealthySeconds: update?.minHealthySeconds ?? (isChecked ? 0 : uncheckedSeconds(update)),
    },
    dependsOn: job.dependsOn ?? [],
    killSelection: job.killSelection ?? 'youngest-first',
    groups: job.groups.map((group) => ({
      ...group,
      checks: group.checks ?? [],
      backoff: group.backoff ?? DEFAULT_BACKOFF,
      prefer: group.prefer ?? [],
      spread: group.spread ?? [],
    })),
  };
}
