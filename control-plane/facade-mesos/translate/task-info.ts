/** A task as its framework tells it, as the input of one launched task. Pure; what is wrong with it is thrown as a {@link WireFault}. */
import { NAME_PATTERN } from '../../../shared/domain/ids.ts';
import type { WireResource } from '../wire/resource.ts';
import type { WireContainerInfo, WireExecutorInfo, WireHealthCheck, WireTaskInfo } from '../wire/task-info.ts';
import type { WireLabel } from '../wire/values.ts';
import { type TaskNotes, taskAnnotations } from './annotations.ts';
import { runtimeOf } from './container.ts';
import { checksOf } from './health-check.ts';
import type { LaunchedTask } from './native-operation.ts';
import { amountsOf } from './resource-amounts.ts';
import { checkExecutor, checkGroupTask, checkTask, notOffered, type TaskSite } from './task-checks.ts';
import { WireFault } from './wire-fault.ts';
import type { WireFramework } from './wire-framework.ts';

export interface TaskContext {
  readonly site: TaskSite;
  readonly framework: Pick<WireFramework, 'id' | 'capabilities'>;
  /** What Berth calls the volume that the resource is; null: there is none. */
  readonly volumeOf: (resource: WireResource) => string | null;
  /** Of the group that it is launched in. */
  readonly executor?: WireExecutorInfo;
}

/** Threads count as well; a process of a Mesos agent has no limit on them, and large ones of the JVM have thousands. */
const PIDS = 32_768;
/** Of the smallest share that the engine gives; Mesos gives as much to a task that asks for none. */
const CPUS_MIN = 0.001;
const MEM_MIB_MIN = 4;
const KILL_GRACE_SECONDS_DEFAULT = 3;
const NANOSECONDS_PER_SECOND = 1e9;

const LABEL_KEY_LENGTH_MAX = 128;
const LABEL_VALUE_LENGTH_MAX = 4096;

/** Without what it takes from reservations. */
export function launchedTask(task: WireTaskInfo, context: TaskContext): LaunchedTask {
  const { site, executor } = context;
  checkTask(task, site);
  if (executor === undefined) checkExecutor(task);
  else checkGroupTask(task, executor);
  const { command } = task;
  if (command === undefined) throw new WireFault("'TaskInfo.command' must be set");
  const persistent = task.resources.filter(isVolume);
  const volumeOf = (resource: WireResource) => {
    const volume = context.volumeOf(resource);
    if (volume === null) throw notOffered([resource], 'volumes that are offered');
    return volume;
  };
  const { resources, ports } = heldBy(task);
  const runtime = runtimeOf({ command, container: task.container, ports, persistent, volumeOf });
  return {
    task: task.task_id.value,
    ...runtime,
    ...checksOfTask(task, runtime),
    resources,
    env: environmentOf(task, context, runtime.env ?? {}),
    labels: { ...labelMap(task.labels?.labels ?? []), ...runtime.labels },
    annotations: annotationsOf(task, executor),
    killGraceSeconds: killGraceSeconds(task),
    ...timeout(task),
    // One that knows of partitions waits for its tasks until it gives them up itself.
    ...(context.framework.capabilities.has('PARTITION_AWARE') && { replaceAfterSeconds: 'never' as const }),
  };
}

function checksOfTask(
  { health_check: check, container }: WireTaskInfo,
  { runtime, ports = [] }: Pick<Partial<LaunchedTask>, 'runtime' | 'ports'>,
): Pick<LaunchedTask, 'checks'> {
  if (check === undefined) return {};
  const inContainer = container?.type === 'DOCKER' ? 'in-engine' : 'in-image';
  return { checks: checksOf(check, { ports, runs: runtime === 'process' ? 'as-process' : inContainer }) };
}

export function isVolume({ disk }: WireResource): boolean {
  return disk?.persistence !== undefined;
}

function heldBy({ resources }: WireTaskInfo) {
  const plain = resources.filter((resource) => !isVolume(resource));
  const { scalars, ports, others } = amountsOf(plain);
  const { cpus, memMiB, diskMiB, gpus, custom } = scalars;
  const wanted = Object.entries(custom).filter(([, amount]) => amount > 0);
  if (others.length > 0 || wanted.some(([name]) => !NAME_PATTERN.test(name))) {
    throw notOffered(resources, 'resources of any node');
  }
  return {
    resources: {
      cpus: Math.max(cpus, CPUS_MIN),
      memMiB: Math.max(Math.ceil(memMiB), MEM_MIB_MIN),
      diskMiB: Math.ceil(diskMiB),
      gpus,
      custom: Object.fromEntries(wanted),
      pids: PIDS,
    },
    ports,
  };
}

/**
 * What Mesos's agent tells the executor of a command is seen by the command as well; a container of the engine is told less. The
 * task's own variables come before it, and options of the engine before those.
 */
function environmentOf(
  { task_id: task, command, container }: WireTaskInfo,
  { site, framework, executor }: TaskContext,
  engine: Readonly<Record<string, string>>,
): Record<string, string> {
  const { MESOS_SANDBOX: sandbox, ...options } = engine;
  const own = (command?.environment?.variables ?? []).map(({ name, value = '' }) => [name, value] as const);
  return {
    MESOS_TASK_ID: task.value,
    ...(container?.type !== 'DOCKER' && {
      MESOS_FRAMEWORK_ID: framework.id,
      MESOS_EXECUTOR_ID: executor?.executor_id.value ?? task.value,
      MESOS_SLAVE_ID: site.node,
      MESOS_AGENT_ID: site.node,
    }),
    ...Object.fromEntries(own),
    ...(sandbox !== undefined && { MESOS_SANDBOX: sandbox }),
    MESOS_ALLOCATION_ROLE: site.role,
    ...options,
  };
}

/** Those that a map can hold; of several of one key, the first. All of them stand in the annotations. */
function labelMap(labels: readonly WireLabel[]): Record<string, string> {
  const held = labels.filter(({ key, value = '' }) => {
    if (key === '' || key === '__proto__' || key.length > LABEL_KEY_LENGTH_MAX) return false;
    return value.length <= LABEL_VALUE_LENGTH_MAX && !value.includes('\0');
  });
  return Object.fromEntries(held.map(({ key, value = '' }) => [key, value] as const).reverse());
}

/** What describes how it runs can be told again by the task itself, so that goes first where there is too much. */
function annotationsOf(task: WireTaskInfo, executor: WireExecutorInfo | undefined): Record<string, string> {
  const { name, agent_id: agent, labels, discovery, data } = task;
  const kept: TaskNotes = {
    name,
    agent_id: agent.value,
    ...(executor !== undefined && { executor_id: executor.executor_id.value }),
    ...(labels !== undefined && labels.labels.length > 0 && { labels: labels.labels }),
    ...(discovery !== undefined && { discovery }),
    ...(data !== undefined && { data }),
  };
  const annotations = taskAnnotations({ ...kept, ...describing(task) }) ?? taskAnnotations(kept);
  if (annotations !== null) return annotations;
  throw new WireFault("Task's name, labels, discovery and data take more than can be kept: at most 8 KiB together");
}

/** Without variables, which may hold secrets. */
function describing({
  command,
  container,
  health_check: check,
}: WireTaskInfo): Pick<TaskNotes, 'command' | 'container' | 'health_check'> {
  const { environment: _environment, ...told } = command ?? {};
  return {
    ...(command !== undefined && { command: withoutEmpty(told) }),
    ...(container !== undefined && { container: shownContainer(container) }),
    ...(check !== undefined && { health_check: shownCheck(check) }),
  };
}

function shownContainer({ docker, ...rest }: WireContainerInfo): Record<string, unknown> {
  const parameters = docker?.parameters.filter(({ key }) => key !== 'env') ?? [];
  return withoutEmpty({ ...rest, ...(docker !== undefined && { docker: withoutEmpty({ ...docker, parameters }) }) });
}

function shownCheck({ command, http, ...rest }: WireHealthCheck): Record<string, unknown> {
  return withoutEmpty({
    ...rest,
    ...(command !== undefined && { command: withoutEmpty(command) }),
    ...(http !== undefined && { http: withoutEmpty(http) }),
  });
}

/** Lists that are empty aren't written. */
function withoutEmpty(message: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const told = Object.entries(message).filter(([, value]) => value !== undefined);
  return Object.fromEntries(told.filter(([, value]) => !Array.isArray(value) || value.length > 0));
}

function killGraceSeconds({ kill_policy: policy }: WireTaskInfo): number {
  const nanoseconds = policy?.grace_period?.nanoseconds;
  return nanoseconds === undefined ? KILL_GRACE_SECONDS_DEFAULT : nanoseconds / NANOSECONDS_PER_SECOND;
}

function timeout({ max_completion_time: time }: WireTaskInfo): Pick<LaunchedTask, 'timeoutSeconds'> {
  const nanoseconds = time?.nanoseconds ?? 0;
  return nanoseconds > 0 ? { timeoutSeconds: nanoseconds / NANOSECONDS_PER_SECOND } : {};
}
