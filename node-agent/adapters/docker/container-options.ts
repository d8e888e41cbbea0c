/** What a task is to the engine: one container, with every limit set and nothing granted that wasn't asked for. */
import type { ContainerCreateOptions, DeviceRequest } from 'dockerode';
import { type MountSpec, volumeOf, volumesOf } from '../../../shared/domain/job.ts';
import { SECRETS_FOLDER, SECRETS_VARIABLE } from '../../../shared/domain/secret.ts';
import { IDENTITY_FOLDER } from '../../../shared/domain/workload-identity.ts';
import type { AssignedTask } from '../../../shared/protocol/agent.ts';
import { containerGpuEnvironment } from '../../core/gpu-environment.ts';
import { identityVariables } from '../../core/identity.ts';
import { cpuQuota, MEMORY_BYTES_MIN } from '../../core/limits.ts';
import { type Place, socketVariable, taskEnvironment } from '../../core/task-environment.ts';
import type { ContainerRequest } from '../../executor/contracts.ts';

export const LABELS = {
  task: 'io.berth.task',
  node: 'io.berth.node',
  epoch: 'io.berth.epoch',
  job: 'io.berth.job',
  attempt: 'io.berth.attempt',
  run: 'io.berth.run',
  volumes: 'io.berth.volumes',
} as const;

/** Who the containers belong to. */
export interface Owner extends Place {
  /** Bound of what the engine keeps of a container's output, in MiB. */
  readonly logMaxMiB?: number;
}

const MIB = 1024 * 1024;
/** Where an executor finds its socket. */
const ENDPOINT_FOLDER = '/run/berth-executor';
/** What a container has written is kept up to this size, in MiB, in three files. */
export const LOG_MAX_MIB_DEFAULT = 96;
const LOG_FILES_MAX = 3;

/** The same for every run of the task, so that the engine itself sees to it that there is only one at a time. */
export function containerName(owner: Owner, task: string): string {
  return `berth-${owner.nodeId}-${task}`;
}

export function containerOptions(owner: Owner, request: ContainerRequest): ContainerCreateOptions {
  const { assigned } = request;
  const { group } = assigned;
  return {
    name: containerName(owner, assigned.id),
    Image: group.image,
    ...(group.command === undefined ? {} : { Entrypoint: [...group.command] }),
    ...(group.args === undefined ? {} : { Cmd: [...group.args] }),
    Env: environment(owner, request),
    ...(group.user === undefined ? {} : { User: group.user }),
    ...(group.stopSignal === undefined ? {} : { StopSignal: group.stopSignal }),
    ...(group.workingDir === undefined ? {} : { WorkingDir: group.workingDir }),
    Labels: {
      [LABELS.task]: assigned.id,
      [LABELS.node]: owner.nodeId,
      [LABELS.epoch]: String(request.epoch),
      [LABELS.job]: assigned.jobName,
      [LABELS.attempt]: String(assigned.attempt),
      [LABELS.run]: String(request.run),
      ...volumesLabel(assigned),
    },
    ...(group.network === 'bridge' ? { ExposedPorts: exposedPorts(assigned) } : {}),
    HostConfig: hostConfig(request, owner.logMaxMiB ?? LOG_MAX_MIB_DEFAULT),
  };
}

/** What deletes a volume looks at it; a container without any has none. */
function volumesLabel({ group, index }: AssignedTask): Record<string, string> {
  const volumes = volumesOf(group, index);
  return volumes.length === 0 ? {} : { [LABELS.volumes]: volumes.join(',') };
}

function hostConfig(
  { assigned, mountSources, endpoint, secrets, identity }: ContainerRequest,
  logMaxMiB: number,
): ContainerCreateOptions['HostConfig'] {
  const { group } = assigned;
  const { resources } = group;
  const memoryBytes = Math.max(MEMORY_BYTES_MIN, resources.memMiB * MIB);
  return {
    NetworkMode: group.network,
    ...(group.network === 'bridge' ? { PortBindings: portBindings(assigned) } : {}),
    Memory: memoryBytes,
    // The same as the memory: no swap on top of it.
    MemorySwap: memoryBytes,
    ...cpuLimit(resources.cpus),
    PidsLimit: resources.pids,
    Mounts: [
      ...group.mounts.map((mount) => mountOptions(mount, assigned.index, mountSources)),
      ...endpointMount(endpoint),
      ...secretMounts(secrets),
      ...identityMount(identity),
    ],
    Privileged: group.privileged,
    CapAdd: [...group.capAdd],
    Devices: group.devices.map((path) => ({
      PathOnHost: path,
      PathInContainer: path,
      CgroupPermissions: 'rwm',
    })),
    DeviceRequests: deviceRequests(assigned),
    RestartPolicy: { Name: 'no' },
    LogConfig: {
      Type: 'json-file',
      Config: { 'max-size': `${Math.floor((logMaxMiB * 1024) / LOG_FILES_MAX)}k`, 'max-file': String(LOG_FILES_MAX) },
    },
  };
}

/** By their UUIDs, of whole cards and instances alike, so that the task gets these and no others. */
function deviceRequests({ devices = [] }: AssignedTask): DeviceRequest[] {
  return devices.length === 0 ? [] : [{ Driver: 'nvidia', DeviceIDs: [...devices], Capabilities: [['gpu']] }];
}

/**
 * A quota rather than the engine's NanoCpus, which is the same thing in the kernel but is refused where it exceeds the
 * processors that the engine sees: an operator may declare more than that.
 */
function cpuLimit(cpus: number): { CpuPeriod: number; CpuQuota: number } {
  const { periodUs, quotaUs } = cpuQuota(cpus);
  return { CpuPeriod: periodUs, CpuQuota: quotaUs };
}

function environment(owner: Owner, { assigned, run, endpoint, secrets, identity }: ContainerRequest): string[] {
  const variables = {
    ...taskEnvironment(owner, assigned, run),
    ...containerGpuEnvironment(assigned),
    ...(endpoint === undefined ? {} : socketVariable(ENDPOINT_FOLDER)),
    ...(secrets === undefined ? {} : { [SECRETS_VARIABLE]: SECRETS_FOLDER, ...secrets.variables }),
    ...identityVariables(assigned.group.identity, identity, IDENTITY_FOLDER),
  };
  return Object.entries(variables).map(([name, value]) => `${name}=${value}`);
}

interface Mapping {
  readonly inside: string;
  readonly outside: string;
}

function mappings({ group, ports }: AssignedTask): Mapping[] {
  return group.ports.flatMap((port) => {
    const hostPort = ports[port.name];
    if (hostPort === undefined) return [];
    return [{ inside: `${port.containerPort ?? hostPort}/${port.protocol}`, outside: String(hostPort) }];
  });
}

/** Two ports of a task may lead to the same one inside. */
function portBindings(assigned: AssignedTask): Record<string, { HostPort: string }[]> {
  const bindings: Record<string, { HostPort: string }[]> = {};
  for (const { inside, outside } of mappings(assigned)) {
    bindings[inside] = [...(bindings[inside] ?? []), { HostPort: outside }];
  }
  return bindings;
}

function exposedPorts(assigned: AssignedTask): Record<string, object> {
  return Object.fromEntries(mappings(assigned).map(({ inside }) => [inside, {}]));
}

/** The folder rather than the socket in it, which the next agent replaces by one of its own. */
function endpointMount(endpoint: string | undefined) {
  if (endpoint === undefined) return [];
  return [{ Type: 'bind' as const, Source: endpoint, Target: ENDPOINT_FOLDER, ReadOnly: true }];
}

/** The folder as a whole: the files in it are exchanged. */
function identityMount(identity: ContainerRequest['identity']) {
  if (identity === undefined) return [];
  return [{ Type: 'bind' as const, Source: identity.folder, Target: IDENTITY_FOLDER, ReadOnly: true }];
}

/** One by one: the paths may lie anywhere. */
function secretMounts(secrets: ContainerRequest['secrets']) {
  return (secrets?.files ?? []).map(({ source, target }) => ({
    Type: 'bind' as const,
    Source: source,
    Target: target.startsWith('/') ? target : `${SECRETS_FOLDER}/${target}`,
    ReadOnly: true,
  }));
}

function mountOptions(mount: MountSpec, index: number, sources: ReadonlyMap<string, string>) {
  const common = { Target: mount.target, ReadOnly: mount.readOnly };
  switch (mount.type) {
    case 'tmpfs':
      return { Type: 'tmpfs' as const, Source: '', ...common };
    case 'volume':
      return { Type: 'volume' as const, Source: mount.source ?? '', ...common };
    case 'bind':
      // Where the path really leads, as it was when the operator's consent was checked.
      return { Type: 'bind' as const, Source: sources.get(mount.source ?? '') ?? mount.source ?? '', ...common };
    case 'persistent':
      // The agent has made its folder and says where it is. Without it, the engine refuses the mount.
      return { Type: 'bind' as const, Source: sources.get(volumeOf(mount, index)) ?? '', ...common };
  }
}
