/** One task that a framework launches on its offers: whether it can start there, and what it becomes. */
import { missingConsents } from '../../shared/domain/consent.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import { nameFor, type RolePath, type TaskCoordinates, taskId } from '../../shared/domain/ids.ts';
import { volumesOf } from '../../shared/domain/job.ts';
import {
  entryBytesMax,
  LEDGER_BYTES_MAX,
  LEDGER_ENTRIES_MAX,
  type Ledger,
  type TaskEntry,
  TEMPLATES_BYTES_MAX,
} from '../../shared/domain/ledger.ts';
import type { Node } from '../../shared/domain/node.ts';
import type { LaunchRequest } from '../../shared/domain/offer-operation.ts';
import {
  countPorts,
  hasPort,
  type PortRange,
  portsOf,
  type Scalars,
  subtractPorts,
} from '../../shared/domain/resources.ts';
import { advance, type Task, type TaskTemplate, type TaskTransition } from '../../shared/domain/task.ts';
import { missingVolumes } from '../../shared/domain/volumes.ts';
import { utf8Length } from '../../shared/util/codec.ts';
import { templateKey } from './demand.ts';
import { chooseDevices, heldDevices } from './devices.ts';
import { type OfferBalance, takeFrom } from './offer-balance.ts';
import { allocatePorts } from './ports.ts';

/** Each is the only one of its group. */
const TASK_INDEX = 0;

/** Where tasks are launched. */
export interface LaunchSite {
  /** Without the offers that are being accepted. */
  readonly ledger: Ledger;
  readonly balance: OfferBalance;
  readonly node: Node;
  readonly framework: Framework;
  readonly role: RolePath;
  /** What the first task of the group is called that is launched as a whole; null: each is launched by itself. */
  readonly groupOf: string | null;
  readonly nowMs: number;
}

/** The task with its place, or (null) as it ends without one. */
export type Launch =
  | { readonly task: Task; readonly entry: TaskEntry; readonly balance: OfferBalance }
  | { readonly task: Task; readonly entry: null };

export function launch(site: LaunchSite, request: LaunchRequest): Launch {
  const { balance } = site;
  const { group } = request.template;
  const why = misfitOf(site, request) ?? portMisfitOf(request, balance.unreserved.ports);
  if (why !== null) return refusedLaunch(site, request, why);
  const { id } = coordinatesOf(site.framework, request);
  const free = balance.unreserved.ports;
  const ports = allocatePorts({ task: id, ports: group.ports, offered: site.ledger.total.ports, free });
  const held = portsOf(Object.values(ports));
  const taken = takeFrom(balance, { scalars: scalarsOf(request), ports: held, reserved: request.reserved });
  if (!taken.ok) return refusedLaunch(site, request, taken.why);
  const resources = { ...scalarsOf(request), ports: held };
  const devices = devicesFor(site, resources.gpus);
  if (devices === null) {
    return refusedLaunch(
      site,
      request,
      `needs ${resources.gpus} GPUs, of which the node has lost some since the offer was made`,
    );
  }
  const entry = entryFor(site, request, { resources, ports, devices, reserved: taken.reserved });
  const crowded = crowdingOf(site.ledger, entry);
  if (crowded !== null) return refusedLaunch(site, request, crowded);
  return { task: launchedTask(site, request, ports), entry, balance: taken.balance };
}

/** The task as it ends that can't be launched: its framework is told like of any other end. */
export function refusedLaunch(site: LaunchSite, request: LaunchRequest, why: string): Launch {
  const message = `was not launched on node "${site.node.id}": it ${why}`;
  const refused = { state: 'error', atMs: site.nowMs, reason: 'launch-refused', message } as const;
  return { task: advance(newTask(site, request), refused), entry: null };
}

/** What tells the task from all others. Its group is the framework's name for it, its job the framework. */
export function coordinatesOf(
  framework: Pick<Framework, 'id' | 'name'>,
  request: Pick<LaunchRequest, 'name'>,
): TaskCoordinates & { readonly id: string } {
  const place: TaskCoordinates = {
    jobName: nameFor(framework.name),
    jobUid: framework.id,
    jobVersion: 1,
    group: nameFor(request.name),
    index: TASK_INDEX,
    attempt: 0,
  };
  return { ...place, id: taskId(place) };
}

function misfitOf(site: LaunchSite, request: LaunchRequest): string | null {
  const { node, ledger, role } = site;
  const { group } = request.template;
  const { gpus } = group.resources;
  if (!Number.isInteger(gpus)) return `asks for ${gpus} GPUs, and they are given whole: ask for ${Math.ceil(gpus)}`;
  const volumes = missingVolumes(ledger, volumesOf(group, TASK_INDEX), role);
  if (volumes.length > 0) return `mounts what the node can't give it: the node ${volumes.join(' and ')}`;
  const missing = missingConsents(group, node.consent);
  if (missing.length > 0) return `needs what the node's operator doesn't allow: ${missing.join(', ')}`;
  return request.executor === null ? null : executorMisfitOf(site, request.executor);
}

/** One that is launched before it in the same answer will do. */
function executorMisfitOf(site: LaunchSite, name: string): string | null {
  const { node } = site;
  const entry = entryOf(site, name);
  if (entry === undefined) return `is to be run by "${name}", which holds no place on node "${node.id}"`;
  if (!entry.isExecutor) return `is to be run by "${name}", which was not launched as an executor`;
  return entry.stop === null && !entry.disowned ? null : `is to be run by "${name}", which is ending`;
}

/** The place of the task that the framework calls so. Its id may begin with a name that the framework had before. */
function entryOf({ ledger: { entries }, framework }: LaunchSite, name: string): TaskEntry | undefined {
  const { id, group } = coordinatesOf(framework, { name });
  if (Object.hasOwn(entries, id)) return entries[id];
  return Object.values(entries).find((entry) => entry.framework === framework.id && entry.group === group);
}

function portMisfitOf({ template: { group } }: LaunchRequest, free: readonly PortRange[]): string | null {
  const fixed = group.ports.flatMap(({ hostPort }) => (hostPort === undefined ? [] : [hostPort]));
  const absent = fixed.filter((port) => !hasPort(free, port));
  if (absent.length > 0) return `asks for the host port ${absent.join(', ')}, which the offer doesn't hold`;
  const left = countPorts(subtractPorts(free, portsOf(fixed)));
  const any = group.ports.length - fixed.length;
  return any <= left ? null : `needs ${any} host ports, and ${left} are left of the offer`;
}

/** An offer counts GPUs; which ones they are is decided here. Null: the node has fewer left than the offer says. */
function devicesFor({ node: { gpus }, ledger }: LaunchSite, count: number): readonly string[] | null {
  const held = heldDevices(ledger);
  const free = gpus.length === 0 ? ledger.total.gpus : gpus.filter(({ id }) => !held.has(id)).length;
  if (free < count) return null;
  return chooseDevices({ devices: gpus, held, count });
}

function entryFor(
  { framework, role }: LaunchSite,
  request: LaunchRequest,
  held: Pick<TaskEntry, 'resources' | 'ports' | 'devices' | 'reserved'>,
): TaskEntry {
  const { id, jobUid, jobVersion, group } = coordinatesOf(framework, request);
  return {
    kind: 'task',
    task: id,
    role,
    jobUid,
    jobVersion,
    group,
    ...held,
    framework: framework.id,
    ...(request.template.group.isExecutor && { isExecutor: true as const }),
    templateBytes: utf8Length(JSON.stringify(request.template.group)),
    stop: null,
    disowned: false,
  };
}

/** What keeps the node's ledger and what its agent is sent within their bounds. */
function crowdingOf({ entries }: Ledger, entry: TaskEntry): string | null {
  const held = Object.values(entries);
  if (held.length >= LEDGER_ENTRIES_MAX)
    return `would be one task more than the ${LEDGER_ENTRIES_MAX} that a node may hold`;
  const all = [...held, entry];
  const bytes = all.reduce((sum, one) => sum + entryBytesMax(one), 0);
  if (bytes > LEDGER_BYTES_MAX)
    return `would fill the node's ledger up: ${bytes} bytes, and ${LEDGER_BYTES_MAX} is the most`;
  const templates = new Map(
    all.map(({ jobUid, jobVersion, group, templateBytes }) => [templateKey(jobUid, jobVersion, group), templateBytes]),
  );
  const described = [...templates.values()].reduce((sum, one) => sum + one, 0);
  if (described <= TEMPLATES_BYTES_MAX) return null;
  return `would make the descriptions of the node's tasks take ${described} bytes, and ${TEMPLATES_BYTES_MAX} is the most`;
}

function launchedTask(site: LaunchSite, request: LaunchRequest, ports: Readonly<Record<string, number>>): Task {
  const message = `launched by framework "${site.framework.name}" on node "${site.node.id}"`;
  const launched: TaskTransition = { state: 'staging', atMs: site.nowMs, reason: 'launched', message };
  const task = newTask(site, request);
  const framework = task.framework === null ? null : { ...task.framework, acknowledged: 2 };
  return advance(task, launched, { node: site.node.id, ports, framework });
}

function newTask(site: LaunchSite, request: LaunchRequest): Task {
  const { framework, role, groupOf, nowMs } = site;
  const message = `described by framework "${framework.name}"`;
  return {
    ...coordinatesOf(framework, request),
    role,
    state: 'pending',
    history: [{ state: 'pending', atMs: nowMs, reason: 'submitted', message }],
    notBeforeMs: 0,
    node: null,
    ports: {},
    exitCode: null,
    run: 0,
    restarts: [],
    health: null,
    target: null,
    failures: 0,
    stop: null,
    framework: {
      id: framework.id,
      name: request.name,
      acknowledged: 1,
      labels: request.labels,
      annotations: request.annotations,
      together: groupOf === null ? null : coordinatesOf(framework, { name: groupOf }).id,
    },
    template: templateOf(site, request),
  };
}

/** What runs it is named by its id from here on. */
function templateOf(site: LaunchSite, { template, executor }: LaunchRequest): TaskTemplate {
  if (executor === null) return template;
  const id = entryOf(site, executor)?.task ?? coordinatesOf(site.framework, { name: executor }).id;
  return { ...template, group: { ...template.group, executor: id } };
}

function scalarsOf({ template: { group } }: LaunchRequest): Scalars {
  const { cpus, memMiB, diskMiB, gpus, custom } = group.resources;
  return { cpus, memMiB, diskMiB, gpus, custom };
}
