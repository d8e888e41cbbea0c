/**
 * Valid objects of the domain. Each builder fills in what a test doesn't care about, so that the test states only what
 * matters; nothing here is clever, and nothing is shared between calls.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { type Deployment, deploymentId, type ImageFetch } from '../../shared/domain/deployment.ts';
import type { FinishedOperation } from '../../shared/domain/finished-operation.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import { type TaskCoordinates, taskId } from '../../shared/domain/ids.ts';
import type { GroupResources, GroupSpec, Job, JobSpec, JobVersion } from '../../shared/domain/job.ts';
import type { Ledger, TaskEntry } from '../../shared/domain/ledger.ts';
import type { MaintenanceWindow } from '../../shared/domain/maintenance.ts';
import { type Epoch, NO_CONSENT, type Node } from '../../shared/domain/node.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import type { Reservation, Volume } from '../../shared/domain/reservation.ts';
import { NO_SCALARS, portsOf, type Resources } from '../../shared/domain/resources.ts';
import type { Role } from '../../shared/domain/role.ts';
import type { CheckSpec } from '../../shared/domain/service.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../shared/domain/settings.ts';
import type { Task, TaskReason, TaskState } from '../../shared/domain/task.ts';
import type { TrustPolicy, TrustRule } from '../../shared/domain/trust-policy.ts';

/** When everything that a builder makes was made, unless a test says otherwise. */
export const T0 = Date.UTC(2026, 0, 1);

type GroupChange = Partial<Omit<GroupSpec, 'resources' | 'retries'>> & {
  readonly resources?: Partial<GroupResources>;
  readonly retries?: Partial<GroupSpec['retries']>;
};

/** One task with a core and 100 MiB, no ports, no retries. */
export function aGroup({ resources, retries, ...change }: GroupChange = {}): GroupSpec {
  return {
    name: 'main',
    count: 1,
    runtime: 'docker',
    image: 'busybox:1.36',
    env: {},
    resources: { cpus: 1, memMiB: 100, diskMiB: 0, gpus: 0, pids: 100, custom: {}, ...resources },
    network: 'bridge',
    ports: [],
    mounts: [],
    pullPolicy: 'missing',
    privileged: false,
    devices: [],
    capAdd: [],
    constraints: [],
    retries: { max: 0, delaySeconds: 1, factor: 2, maxDelaySeconds: 300, ...retries },
    restart: { afterReboot: false },
    killGraceSeconds: 10,
    ...change,
  };
}

/** A check for health over TCP on the port `http`, once a second, of which nothing follows. */
export function aCheck(change: Partial<CheckSpec> = {}): CheckSpec {
  return {
    name: 'up',
    type: 'tcp',
    purpose: 'health',
    port: 'http',
    intervalSeconds: 1,
    timeoutSeconds: 1,
    graceSeconds: 0,
    failuresMax: 1,
    successesMin: 1,
    onFailure: 'none',
    ...change,
  };
}

export function aSpec(change: Partial<JobSpec> = {}): JobSpec {
  return {
    name: 'demo',
    role: 'default',
    kind: 'batch',
    priority: 50,
    placement: 'pack',
    labels: {},
    constraints: [],
    replaceAfterSeconds: 60,
    groups: [aGroup()],
    ...change,
  };
}

/** The uid follows from the job's name, so that two jobs of a test differ by naming them. */
export function aJob({ spec, ...change }: Partial<Omit<Job, 'spec'>> & { readonly spec?: Partial<JobSpec> } = {}): Job {
  const full = aSpec(spec);
  return {
    uid: `uid${full.name.replaceAll('-', '')}`,
    version: 1,
    spec: full,
    createdAtMs: T0,
    updatedAtMs: T0,
    createdBy: 'alice',
    stop: null,
    deleted: false,
    outcome: null,
    templates: {},
    goodVersion: null,
    deployments: 0,
    suspended: null,
    ...change,
  };
}

/** The job's last deployment, under way since {@link T0}. */
export function aDeployment(job: Job, change: Partial<Deployment> = {}): Deployment {
  return {
    id: deploymentId(job.uid, job.deployments),
    jobUid: job.uid,
    role: job.spec.role,
    jobName: job.spec.name,
    cause: job.version === 1 ? 'created' : 'updated',
    fromVersion: job.version === 1 ? null : job.version - 1,
    toVersion: job.version,
    fromTemplates: {},
    state: 'running',
    createdAtMs: T0,
    createdBy: 'alice',
    startedAtMs: T0,
    progressAtMs: T0,
    healthyMost: 0,
    promotedAtMs: null,
    promotedBy: null,
    paused: null,
    endedAtMs: null,
    message: 'begun',
    revertOf: null,
    revertedBy: null,
    ...change,
  };
}

type TaskChange = Partial<Omit<Task, 'history'>> & {
  readonly history?: Task['history'];
  /** When it entered its state; {@link T0} unless given. */
  readonly atMs?: number;
};

/** A task of the job's first group, pending unless the change says otherwise. */
export function aTask(job: Job, { atMs = T0, ...change }: TaskChange = {}): Task {
  const place: TaskCoordinates = {
    jobName: job.spec.name,
    jobUid: job.uid,
    jobVersion: change.jobVersion ?? job.version,
    group: change.group ?? job.spec.groups[0]?.name ?? 'main',
    index: change.index ?? 0,
    attempt: change.attempt ?? 0,
  };
  const state = change.state ?? 'pending';
  return {
    ...place,
    id: taskId(place),
    role: job.spec.role,
    state,
    history: historyTo(state, atMs),
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
    framework: null,
    template: null,
    ...change,
  };
}

const REASONS: Readonly<Record<TaskState, TaskReason>> = {
  pending: 'submitted',
  staging: 'placed',
  starting: 'accepted',
  running: 'started',
  finished: 'exited',
  failed: 'exited',
  killed: 'stop-requested',
  error: 'image-unavailable',
  lost: 'node-lost',
};

/** Straight from `pending` to the state. */
function historyTo(state: TaskState, atMs: number): Task['history'] {
  const born = { state: 'pending', atMs: Math.min(T0, atMs), reason: 'submitted', message: 'created' } as const;
  return state === 'pending' ? [{ ...born, atMs }] : [born, { state, atMs, reason: REASONS[state], message: state }];
}

export function someResources(change: Partial<Resources> = {}): Resources {
  const ports = [{ first: 31_000, last: 31_999 }];
  return { cpus: 4, memMiB: 4096, diskMiB: 10_000, gpus: 0, custom: {}, ports, ...change };
}

export function aNode({ id = 'edge-1', attributes, ...change }: Partial<Node> = {}): Node {
  return {
    id,
    hostname: `${id}.example`,
    address: null,
    resources: someResources(),
    attributes: { hostname: `${id}.example`, arch: 'x64', os: 'linux', node: id, ...attributes },
    consent: NO_CONSENT,
    gpus: [],
    reservations: [],
    agentVersion: '0.1.0',
    engine: 'docker 20.10.24',
    registeredAtMs: T0,
    ...change,
  };
}

/** The place of a task: what its group asks for, and the ports that the task has. */
export function anEntry(job: Job, task: Task, change: Partial<TaskEntry> = {}): TaskEntry {
  const group = job.spec.groups.find((candidate) => candidate.name === task.group) ?? aGroup();
  const { cpus, memMiB, diskMiB, gpus, custom } = group.resources;
  return {
    kind: 'task',
    task: task.id,
    role: task.role,
    jobUid: task.jobUid,
    jobVersion: task.jobVersion,
    group: task.group,
    resources: { cpus, memMiB, diskMiB, gpus, custom, ports: portsOf(Object.values(task.ports)) },
    ports: task.ports,
    reserved: {},
    devices: [],
    framework: task.framework?.id ?? null,
    templateBytes: JSON.stringify(group).length,
    stop: null,
    disowned: false,
    ...change,
  };
}

type LedgerChange = Partial<Omit<Ledger, 'entries' | 'offers' | 'reservations'>> & {
  readonly entries?: readonly TaskEntry[];
  readonly offers?: readonly Offer[];
  readonly reservations?: readonly Reservation[];
};

/** A framework of one role that is connected and wants offers. */
export function aFramework({ id = 'f000000000001', ...change }: Partial<Framework> = {}): Framework {
  return {
    id,
    name: 'painter',
    principal: 'alice',
    roles: ['default'],
    capabilities: [],
    failoverTimeoutSeconds: 60,
    minAllocatable: {},
    nodeConstraints: {},
    annotations: {},
    suppressed: [],
    filterGenerations: {},
    session: 1,
    registeredAtMs: T0,
    subscribedAtMs: T0,
    disconnectedSinceMs: null,
    teardown: null,
    ...change,
  };
}

export function anOffer({
  resources,
  ...change
}: Partial<Omit<Offer, 'resources'>> & { readonly resources?: Partial<Resources> } = {}): Offer {
  return {
    id: '1-1-0',
    framework: 'f000000000001',
    role: 'default',
    resources: { cpus: 1, memMiB: 100, diskMiB: 0, gpus: 0, custom: {}, ports: [], ...resources },
    reserved: {},
    madeAtMs: T0,
    expiresAtMs: T0 + 60_000,
    ...change,
  };
}

/** A window that begins a minute after {@link T0}, for an hour. */
export function aWindow(change: Partial<MaintenanceWindow> = {}): MaintenanceWindow {
  const node = change.node ?? 'edge-1';
  const time = { startsAtMs: T0 + 60_000, durationMs: 3_600_000 };
  return { id: `w-${node}`, node, ...time, setAtMs: T0, setBy: 'alice', begunAtMs: null, answers: {}, ...change };
}

export function aRole(path: string, change: Partial<Role> = {}): Role {
  return { path, weight: 1, limit: {}, guarantee: {}, updatedAtMs: T0, updatedBy: 'alice', ...change };
}

export function aPolicy(change: Partial<TrustPolicy> = {}): TrustPolicy {
  return {
    name: 'ci',
    issuer: 'https://ci.example.com',
    audience: 'https://berth.example.com',
    jwksUri: null,
    algorithms: ['RS256'],
    ttlSecondsMax: 3600,
    singleUse: false,
    clientId: null,
    rules: [aTrustRule()],
    updatedAtMs: T0,
    updatedBy: 'alice',
    ...change,
  };
}

export function aTrustRule(change: Partial<TrustRule> = {}): TrustRule {
  const claims = { repository_id: ['1234'] };
  return { name: null, claims, roles: ['ci'], actions: ['job:*'], allowAnySubject: false, ...change };
}

export function aReservation(change: Partial<Reservation> = {}): Reservation {
  const scalars = { ...NO_SCALARS, cpus: 1, memMiB: 100 };
  return { id: 'r1', role: 'default', scalars, source: 'dynamic', by: 'alice', atMs: T0, labels: {}, ...change };
}

/** On the disk of {@link aReservation}. */
export function aVolume(change: Partial<Volume> = {}): Volume {
  return { id: 'data', reservation: 'r1', sizeMiB: 100, by: 'alice', atMs: T0, removing: false, ...change };
}

/** An open ledger; its entries, offers and reservations are given as lists. */
export function aLedger({
  node = 'edge-1',
  entries = [],
  offers = [],
  reservations = [],
  ...change
}: LedgerChange = {}): Ledger {
  return {
    node,
    total: someResources(),
    eligible: true,
    drain: null,
    entries: Object.fromEntries(entries.map((entry) => [entry.task, entry])),
    offers: Object.fromEntries(offers.map((offer) => [offer.id, offer])),
    filters: [],
    reservations: Object.fromEntries(reservations.map((reservation) => [reservation.id, reservation])),
    volumes: {},
    assignmentGeneration: 1,
    ...change,
  };
}

export interface ClusterLiteral {
  readonly revision?: number;
  readonly nodes?: readonly Node[];
  /** Nodes without one get an open ledger with all that they have. */
  readonly ledgers?: readonly Ledger[];
  /** By node. Nodes without one have epoch 1 and are reachable. */
  readonly epochs?: Readonly<Record<string, Epoch>>;
  /** Nodes whose lease has ended. */
  readonly dead?: readonly string[];
  readonly jobs?: readonly Job[];
  /** Beside the wanted version of each job. */
  readonly versions?: readonly JobVersion[];
  readonly tasks?: readonly Task[];
  readonly maintenance?: readonly MaintenanceWindow[];
  readonly frameworks?: readonly Framework[];
  /** Frameworks to which no replica holds a stream. */
  readonly disconnected?: readonly string[];
  readonly operations?: readonly FinishedOperation[];
  readonly roles?: readonly Role[];
  readonly settings?: Partial<Settings>;
  readonly incarnation?: number;
  readonly roundNumber?: number;
  readonly deployments?: readonly Deployment[];
  readonly imageFetches?: readonly ImageFetch[];
}

/** A cluster with its indexes. Maps are filled in the order in which the lists are given. */
export function clusterOf(literal: ClusterLiteral): ClusterView {
  const { nodes = [], ledgers = [], epochs = {}, dead = [], jobs = [], versions = [], tasks = [] } = literal;
  const { frameworks = [], disconnected = [], roles = [], deployments = [] } = literal;
  const withLedger = new Set(ledgers.map((ledger) => ledger.node));
  const filled = nodes
    .filter((node) => !withLedger.has(node.id))
    .map(({ id, resources }) => aLedger({ node: id, total: resources }));
  const allLedgers = [...ledgers, ...filled];
  const wanted = jobs.map((job): JobVersion => {
    return {
      jobUid: job.uid,
      version: job.version,
      spec: job.spec,
      createdAtMs: job.updatedAtMs,
      createdBy: job.createdBy,
      change: job.version === 1 ? 'created' : 'updated',
      templates: job.templates,
    };
  });
  const byVersion = new Map(
    [...wanted, ...versions].map((version) => [`${version.jobUid}/${version.version}`, version]),
  );
  const alive = new Set(allLedgers.map((ledger) => ledger.node).filter((node) => !dead.includes(node)));
  const byJob = Map.groupBy(tasks, (task) => task.jobUid);
  return {
    revision: literal.revision ?? 1,
    nodes: new Map(nodes.map((node) => [node.id, node])),
    epochs: new Map<string, Epoch>([
      ...allLedgers.map(({ node }) => [node, { epoch: 1, unreachableSinceMs: null }] as const),
      ...Object.entries(epochs),
    ]),
    ledgers: new Map(allLedgers.map((ledger) => [ledger.node, ledger])),
    jobs: new Map(jobs.map((job) => [job.uid, job])),
    tasks: new Map(tasks.map((task) => [task.id, task])),
    deployments: new Map(deployments.map((deployment) => [deployment.id, deployment])),
    deploymentsOfJob: (job) => deployments.filter(({ jobUid }) => jobUid === job),
    imageFetchesOn: (node) => (literal.imageFetches ?? []).filter((fetch) => fetch.node === node),
    maintenance: new Map((literal.maintenance ?? []).map((window) => [window.node, window])),
    frameworks: new Map(frameworks.map((framework) => [framework.id, framework])),
    roles: new Map(roles.map((role) => [role.path, role])),
    settings: { ...DEFAULT_SETTINGS, ...literal.settings },
    incarnation: literal.incarnation ?? 1,
    roundNumber: literal.roundNumber ?? 1,
    isConnected: (id) => frameworks.some((one) => one.id === id) && !disconnected.includes(id),
    tasksOfFramework: (id) => tasks.filter(({ framework }) => framework?.id === id),
    operationsOf: (id) => (literal.operations ?? []).filter(({ framework }) => framework === id),
    isAlive: (node) => alive.has(node),
    jobByKey: (key) => jobs.find(({ spec }) => spec.role === key.role && spec.name === key.name),
    version: (job, version) => byVersion.get(`${job}/${version}`),
    versionsOfJob: (job) => [...byVersion.values()].filter((version) => version.jobUid === job),
    tasksOfJob: (job) => byJob.get(job) ?? [],
    pendingTasks: () => tasks.filter((task) => task.state === 'pending'),
    unsettledJobs: () => jobs.filter((job) => job.outcome === null || job.deleted),
  };
}
