/** What Mesos's master finds wrong with a task, in its words and its order, and what the door has nothing behind yet. */
import type { WireExecutorInfo, WireTaskInfo } from '../wire/task-info.ts';
import { amountsOf, checkResources, resourcesText } from './resource-amounts.ts';
import { WireFault } from './wire-fault.ts';

/** Where a task is to run. */
export interface TaskSite {
  /** Of the offers. */
  readonly node: string;
  /** Of the offers, as the framework spells it. */
  readonly role: string;
}

const ID_LENGTH_MAX = 255;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const INVALID_IN_ID = /[\u0000-\u001f\u007f/\\]/;

/** Berth waits for no task longer than an hour before it is killed. */
const GRACE_NANOSECONDS_MAX = 3600e9;

const EXECUTOR_CPUS_MIN = 0.01;
const EXECUTOR_MEM_MIN = 32;

export function checkTask(task: WireTaskInfo, site: TaskSite): void {
  demand(idFault(task.task_id.value));
  const agent = task.agent_id.value;
  if (agent !== site.node) throw new WireFault(`Task uses invalid agent ${agent} while agent ${site.node} is expected`);
  const grace = task.kill_policy?.grace_period?.nanoseconds ?? 0;
  if (grace < 0) throw new WireFault("Task's 'kill_policy.grace_period' must be non-negative");
  if (grace > GRACE_NANOSECONDS_MAX) {
    throw new WireFault("Task's 'kill_policy.grace_period' must be at most an hour here");
  }
  if ((task.max_completion_time?.nanoseconds ?? 0) < 0) {
    throw new WireFault("Task's `max_completion_time` must be non-negative");
  }
  checkTaskResources(task, site);
  checkEnvironment(task);
  checkContainer(task);
  checkSupported(task);
}

/** In a group, the executor is that of the group. */
export function checkExecutor({ executor, command }: WireTaskInfo): void {
  if ((executor === undefined) === (command === undefined)) {
    throw new WireFault('Task should have at least one (but not both) of CommandInfo or ExecutorInfo present');
  }
  if (executor !== undefined) throw unsupported('executor', 'tell the task by its command alone');
}

export function checkGroupTask(
  { task_id: id, executor: own, container, command }: WireTaskInfo,
  group: WireExecutorInfo,
): void {
  if (container?.type === 'DOCKER') throw new WireFault('Docker ContainerInfo is not supported on the task');
  if (command === undefined) throw new WireFault("'TaskInfo.command' must be set: the tasks of a group are run by it");
  if (own === undefined || own.executor_id.value === group.executor_id.value) return;
  throw new WireFault(
    `The \`ExecutorInfo\` of task '${id.value}' is different from executor '${group.executor_id.value}'`,
  );
}

/** Of a group. Nothing of Berth runs as one, so what is asked of it is that it could. */
export function checkDefaultExecutor({ type, executor_id: id, command, container, resources }: WireExecutorInfo): void {
  const name = id.value;
  if (type === undefined) throw new WireFault("'ExecutorInfo.type' must be set");
  if (type === 'UNKNOWN') throw new WireFault('Unknown executor type');
  if (type === 'CUSTOM') throw unsupported('launch_group.executor', 'of the type CUSTOM; use DEFAULT');
  demand(idFault(name));
  if (command !== undefined) throw new WireFault("'ExecutorInfo.command' must not be set for 'DEFAULT' executor");
  if (container !== undefined && container.type !== 'MESOS') {
    throw new WireFault("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor");
  }
  if (container?.mesos?.image !== undefined) {
    throw new WireFault("'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor");
  }
  if (container?.network_infos.some(isNamedNetwork)) throw unsupported('launch_group.executor.container.network_infos');
  prefixed('Executor uses invalid resources: ', () => checkResources(resources));
  const { cpus, memMiB, diskMiB } = amountsOf(resources).scalars;
  if (cpus < EXECUTOR_CPUS_MIN) {
    throw new WireFault(
      `Executor '${name}' uses less CPUs (${cpus || 'None'}) than the minimum required (${EXECUTOR_CPUS_MIN})`,
    );
  }
  if (memMiB < EXECUTOR_MEM_MIN) {
    throw new WireFault(
      `Executor '${name}' uses less memory (${memMiB || 'None'}) than the minimum required (${EXECUTOR_MEM_MIN}MB)`,
    );
  }
  if (diskMiB === 0 && !resources.some((resource) => resource.name === 'disk')) {
    throw new WireFault(`Executor '${name}' uses no disk`);
  }
}

/** Null: it can be one. */
export function idFault(id: string): string | null {
  if (id === '') return 'ID must not be empty';
  if (id.length > ID_LENGTH_MAX) return `ID must not be greater than ${ID_LENGTH_MAX} characters`;
  if (id === '.' || id === '..') return `'${id}' is disallowed`;
  return INVALID_IN_ID.test(id) ? `'${id}' contains invalid characters` : null;
}

function demand(fault: string | null): void {
  if (fault !== null) throw new WireFault(fault);
}

function checkTaskResources({ resources }: WireTaskInfo, { role }: TaskSite): void {
  if (resources.length === 0) throw new WireFault('Task uses no resources');
  prefixed('Task uses invalid resources: ', () => checkResources(resources));
  const ids = resources.flatMap(({ disk }) => disk?.persistence?.id ?? []);
  const twice = ids.find((id, index) => ids.indexOf(id) < index);
  if (twice !== undefined) {
    throw new WireFault(`Task uses duplicate persistence ID: Persistence ID '${twice}' is not unique`);
  }
  const other = resources.find(({ allocation_info: allocation }) => (allocation?.role ?? role) !== role);
  if (other !== undefined) throw notOffered(resources, `resources that are allocated to role '${role}'`);
}

export function notOffered(resources: WireTaskInfo['resources'], available: string): WireFault {
  return new WireFault(
    `Total resources ${resourcesText(resources)} required by task and its executor is more than available ${available}`,
  );
}

function checkEnvironment({ command }: WireTaskInfo): void {
  for (const { name, type = 'VALUE', value, secret } of command?.environment?.variables ?? []) {
    const start = `Task's \`CommandInfo\` is invalid: Environment variable '${name}'`;
    if (type === 'UNKNOWN') {
      throw new WireFault("Task's `CommandInfo` is invalid: Environment variable of type 'UNKNOWN' is not allowed");
    }
    if (type === 'SECRET') throw unsupported(`command.environment.variables '${name}' of the type SECRET`);
    if (value === undefined) throw new WireFault(`${start} of type 'VALUE' must have a value set`);
    if (secret !== undefined) throw new WireFault(`${start} of type 'VALUE' must not have a secret set`);
  }
}

function checkContainer({ container }: WireTaskInfo): void {
  const start = "Task's `ContainerInfo` is invalid";
  for (const { host_path: hostPath, image, source } of container?.volumes ?? []) {
    if ([hostPath, image, source].filter((each) => each !== undefined).length !== 1) {
      throw new WireFault(
        `${start}: Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'`,
      );
    }
  }
  if (container?.type !== 'DOCKER') return;
  if (container.docker === undefined) {
    throw new WireFault(`${start}: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo`);
  }
  if (container.docker.parameters.some(({ key }) => key === 'name')) {
    throw new WireFault(`${start}: Parameter in DockerInfo must not be 'name'`);
  }
}

/** What nothing could be done about is refused, rather than left out: who asks for a check relies on it. */
function checkSupported({ check, command, container, limits }: WireTaskInfo): void {
  const told: Readonly<Record<string, boolean>> = {
    check: check !== undefined,
    'command.uris': (command?.uris.length ?? 0) > 0,
    limits: Object.keys(limits).length > 0,
    'container.tty_info': container?.tty_info !== undefined,
    'container.rlimit_info': (container?.rlimit_info?.rlimits.length ?? 0) > 0,
    'container.hostname': container?.hostname !== undefined,
  };
  const [first] = Object.keys(told).filter((field) => told[field]);
  if (first !== undefined) throw unsupported(first);
  // That tasks of a group may share its cgroups changes nothing for one that has its own, nor does what is switched off.
  const linux = Object.entries(container?.linux_info ?? {}).flatMap(([field, value]) =>
    field === 'share_cgroups' || value === false ? [] : [field],
  );
  if (linux[0] !== undefined) throw unsupported(`container.linux_info.${linux[0]}`);
}

export function isNamedNetwork({
  name,
  port_mappings: mappings,
}: {
  name?: string | undefined;
  port_mappings: unknown[];
}): boolean {
  return name !== undefined || mappings.length > 0;
}

/** Says what of the task can't be had, and what to do. */
export function unsupported(field: string, remedy = 'leave it out'): WireFault {
  return new WireFault(`'${field}' is not supported here: ${remedy}`);
}

/** Puts what a fault is about before its words. */
export function prefixed<T>(start: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof WireFault) throw new WireFault(`${start}${error.message}`);
    throw error;
  }
}
