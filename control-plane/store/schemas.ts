/**
 * The schema of every record's value. Types are checked, members that nobody knows are left out. What people may ask for
 * (lengths, patterns, ranges) was checked when they asked; here it is only about not trusting bytes from a store.
 */
import { z } from 'zod';
import { CONSTRAINT_OPERATORS } from '../../shared/domain/constraint.ts';
import { DEPLOYMENT_CAUSES, DEPLOYMENT_STATES } from '../../shared/domain/deployment.ts';
import { FRAMEWORK_CAPABILITIES } from '../../shared/domain/framework.ts';
import {
  DISPLACEMENT_CAUSES,
  GROUP_RUNTIMES,
  JOB_KINDS,
  MOUNT_TYPES,
  NETWORK_MODES,
  PLACEMENTS,
  PULL_POLICIES,
  TASK_RUNTIMES,
  VERSION_CHANGES,
} from '../../shared/domain/job.ts';
import { MAINTENANCE_ANSWERS } from '../../shared/domain/maintenance.ts';
import { FILTER_CAUSES } from '../../shared/domain/offer.ts';
import { RESERVATION_SOURCES } from '../../shared/domain/reservation.ts';
import {
  CHECK_PURPOSES,
  CHECK_REACTIONS,
  CHECK_TYPES,
  KILL_SELECTIONS,
  UPDATE_STRATEGIES,
} from '../../shared/domain/service.ts';
import { DEFAULT_SETTINGS, GPU_NODE_POLICIES } from '../../shared/domain/settings.ts';
import { TASK_REASONS, TASK_STATES } from '../../shared/domain/task.ts';
import { TOKEN_KINDS } from '../../shared/domain/token-record.ts';
import { OUTSIDE_ALGORITHMS } from '../../shared/domain/trust-policy.ts';
import { auditRecord } from './audit-schema.ts';
import type { RecordKind } from './keys.ts';
import { FORMAT_VERSION, type RecordOf } from './record-types.ts';

const count = z.int().min(0);
const timeMs = z.number();
const texts = z.array(z.string());
const textByName = z.record(z.string(), z.string());
const numberByName = z.record(z.string(), z.number());

const scalars = { cpus: z.number(), memMiB: z.number(), diskMiB: z.number(), gpus: z.number(), custom: numberByName };
const scalarsOnly = z.object(scalars);
const resources = z.object({ ...scalars, ports: z.array(z.object({ first: count, last: count })) });

const scalarsByName = z.record(z.string(), scalarsOnly);

const constraint = z.object({
  attribute: z.string(),
  operator: z.enum(CONSTRAINT_OPERATORS),
  value: z.string().optional(),
  values: texts.optional(),
});

const stopRequest = z.object({
  atMs: timeMs,
  by: z.string(),
  reason: z.string(),
  displaced: z.literal(true).optional(),
  displacedBy: z
    .object({ because: z.enum(DISPLACEMENT_CAUSES), role: z.string(), task: z.string().nullable() })
    .optional(),
});

const backoff = { delaySeconds: z.number(), factor: z.number(), maxDelaySeconds: z.number() };

const check = z.object({
  name: z.string(),
  type: z.enum(CHECK_TYPES),
  purpose: z.enum(CHECK_PURPOSES),
  port: z.string().optional(),
  path: z.string().optional(),
  method: z.enum(['GET', 'HEAD']).optional(),
  headers: textByName.optional(),
  statuses: z.array(z.object({ first: count, last: count })).optional(),
  command: texts.optional(),
  intervalSeconds: z.number(),
  timeoutSeconds: z.number(),
  graceSeconds: z.number(),
  failuresMax: count,
  successesMin: count,
  onFailure: z.enum(CHECK_REACTIONS),
});

const spread = z.object({
  attribute: z.string(),
  maxSkew: count.optional(),
  weight: z.number(),
  targets: z.array(z.object({ value: z.string(), percent: z.number() })).optional(),
});

const publish = z.object({
  mode: z.enum(['http', 'tcp']),
  port: count.optional(),
  hosts: texts.optional(),
  path: z.string().optional(),
});

const update = z.object({
  strategy: z.enum(UPDATE_STRATEGIES),
  minHealthy: z.number(),
  maxOver: z.number(),
  maxParallel: count.optional(),
  canaries: count,
  autoPromote: z.boolean(),
  minHealthySeconds: z.number(),
  progressDeadlineSeconds: z.number(),
  autoRevert: z.boolean(),
});

const identityUse = z.object({
  name: z.string(),
  audience: z.string(),
  ttlSeconds: z.number(),
  env: z.string().optional(),
});

const secretUse = z.object({
  name: z.string(),
  role: z.string().optional(),
  env: z.string().optional(),
  file: z.string().optional(),
  mode: z.string().optional(),
  uid: count.optional(),
});

const group = z.object({
  name: z.string(),
  count,
  runtime: z.enum(GROUP_RUNTIMES).default('docker'),
  image: z.string(),
  command: texts.optional(),
  args: texts.optional(),
  env: textByName,
  user: z.string().optional(),
  workingDir: z.string().optional(),
  resources: z.object({ ...scalars, pids: count }),
  network: z.enum(NETWORK_MODES),
  ports: z.array(
    z.object({
      name: z.string(),
      containerPort: count.optional(),
      hostPort: count.optional(),
      protocol: z.enum(['tcp', 'udp']),
      publish: publish.optional(),
    }),
  ),
  mounts: z.array(
    z.object({
      type: z.enum(MOUNT_TYPES),
      source: z.string().optional(),
      target: z.string(),
      readOnly: z.boolean(),
    }),
  ),
  pullPolicy: z.enum(PULL_POLICIES),
  privileged: z.boolean(),
  devices: texts,
  capAdd: texts,
  constraints: z.array(constraint),
  retries: z.object({ max: count, delaySeconds: z.number(), factor: z.number(), maxDelaySeconds: z.number() }),
  restart: z
    .object({
      afterReboot: z.boolean(),
      inPlace: z.object({ ...backoff, max: count, withinSeconds: z.number() }).optional(),
    })
    .default({ afterReboot: false }),
  timeoutSeconds: z.number().optional(),
  killGraceSeconds: z.number(),
  stopSignal: z.string().optional(),
  stopDelaySeconds: z.number().optional(),
  checks: z.array(check).optional(),
  backoff: z.object(backoff).optional(),
  prefer: z.array(constraint.extend({ weight: z.number() })).optional(),
  spread: z.array(spread).optional(),
  identity: z.array(identityUse).optional(),
  secrets: z.array(secretUse).optional(),
});

/** What a framework launches, which may have to do with an executor. */
const taskGroup = group.extend({
  runtime: z.enum(TASK_RUNTIMES).default('docker'),
  isExecutor: z.literal(true).optional(),
  executor: z.string().optional(),
});

const jobSpec = z.object({
  name: z.string(),
  role: z.string(),
  kind: z.enum(JOB_KINDS),
  priority: z.number(),
  placement: z.enum(PLACEMENTS),
  labels: textByName,
  constraints: z.array(constraint),
  replaceAfterSeconds: z.union([z.number(), z.literal('never')]),
  stopAfterDisconnectSeconds: z.number().optional(),
  gpuNodes: z.enum(GPU_NODE_POLICIES).optional(),
  update: update.optional(),
  dependsOn: texts.optional(),
  killSelection: z.enum(KILL_SELECTIONS).optional(),
  groups: z.array(group),
});

const node = z.object({
  id: z.string(),
  hostname: z.string(),
  address: z.string().nullable().default(null),
  resources,
  attributes: textByName,
  consent: z.object({
    hostNetwork: z.boolean(),
    hostMounts: texts,
    privileged: z.boolean(),
    devices: texts,
    capabilities: texts,
    processRuntime: z.boolean().default(false),
    executors: z.boolean().default(false),
  }),
  gpus: z
    .array(
      z.object({
        id: z.string(),
        product: z.string(),
        memoryMiB: z.number(),
        driver: z.string(),
        parent: z.string().nullable(),
      }),
    )
    .default([]),
  reservations: z.array(z.object({ role: z.string(), scalars: scalarsOnly })).default([]),
  agentVersion: z.string(),
  engine: z.string(),
  registeredAtMs: timeMs,
});

const taskEntry = z.object({
  kind: z.literal('task'),
  task: z.string(),
  role: z.string(),
  jobUid: z.string(),
  jobVersion: count,
  group: z.string(),
  resources,
  ports: numberByName,
  reserved: scalarsByName.default({}),
  devices: texts.default([]),
  framework: z.string().nullable().default(null),
  isExecutor: z.literal(true).optional(),
  templateBytes: count.default(0),
  stop: z.object({ atMs: timeMs, delayMs: z.number().optional(), graceMs: z.number(), reason: z.string() }).nullable(),
  disowned: z.boolean(),
});

const offer = z.object({
  id: z.string(),
  framework: z.string(),
  role: z.string(),
  resources,
  reserved: scalarsByName,
  madeAtMs: timeMs,
  expiresAtMs: timeMs,
});

const offerFilter = z.object({
  framework: z.string(),
  role: z.string(),
  generation: count,
  offer: z.string(),
  refused: resources,
  sinceMs: timeMs,
  untilMs: timeMs,
  because: z.enum(FILTER_CAUSES),
  times: count,
});

const reservation = z.object({
  id: z.string(),
  role: z.string(),
  scalars: scalarsOnly,
  source: z.enum(RESERVATION_SOURCES),
  by: z.string(),
  atMs: timeMs,
  labels: textByName,
});

const volume = z.object({
  id: z.string(),
  reservation: z.string(),
  sizeMiB: z.number(),
  by: z.string(),
  atMs: timeMs,
  removing: z.boolean(),
  labels: textByName.optional(),
});

const ledger = z.object({
  node: z.string(),
  total: resources,
  eligible: z.boolean(),
  drain: z
    .object({
      startedAtMs: timeMs,
      deadlineMs: timeMs.nullable(),
      graceMsMax: z.number().optional(),
      by: z.string(),
    })
    .nullable(),
  entries: z.record(z.string(), taskEntry),
  offers: z.record(z.string(), offer).default({}),
  filters: z.array(offerFilter).default([]),
  reservations: z.record(z.string(), reservation).default({}),
  volumes: z.record(z.string(), volume).default({}),
  assignmentGeneration: count,
});

const task = z.object({
  id: z.string(),
  jobUid: z.string(),
  jobName: z.string(),
  jobVersion: count,
  role: z.string(),
  group: z.string(),
  index: count,
  attempt: count,
  run: count,
  restarts: z.array(z.object({ run: count, atMs: timeMs, reason: z.enum(TASK_REASONS), message: z.string() })),
  state: z.enum(TASK_STATES),
  history: z.array(
    z.object({ state: z.enum(TASK_STATES), atMs: timeMs, reason: z.enum(TASK_REASONS), message: z.string() }),
  ),
  notBeforeMs: timeMs,
  node: z.string().nullable(),
  ports: numberByName,
  exitCode: z.int().nullable(),
  stop: stopRequest.nullable(),
  health: z
    .object({
      run: count,
      healthy: z.boolean().nullable(),
      ready: z.boolean(),
      sinceMs: timeMs,
      checks: z.array(
        z.object({ name: z.string(), passing: z.boolean().nullable(), message: z.string(), atMs: timeMs }),
      ),
    })
    .nullable()
    .default(null),
  target: z.object({ node: z.string(), required: z.boolean() }).nullable().default(null),
  failures: count.default(0),
  framework: z
    .object({
      id: z.string(),
      name: z.string(),
      acknowledged: count,
      labels: textByName,
      annotations: textByName.default({}),
      together: z.string().nullable().default(null),
    })
    .nullable()
    .default(null),
  template: z
    .object({
      group: taskGroup,
      priority: z.number(),
      replaceAfterSeconds: z.union([z.number(), z.literal('never')]),
      stopAfterDisconnectSeconds: z.number().optional(),
    })
    .nullable()
    .default(null),
});

const templateVersions = z.record(z.string(), count);

const deployment = z.object({
  id: z.string(),
  jobUid: z.string(),
  role: z.string(),
  jobName: z.string(),
  cause: z.enum(DEPLOYMENT_CAUSES),
  fromVersion: count.nullable(),
  toVersion: count,
  fromTemplates: templateVersions,
  state: z.enum(DEPLOYMENT_STATES),
  createdAtMs: timeMs,
  createdBy: z.string(),
  startedAtMs: timeMs.nullable(),
  progressAtMs: timeMs,
  healthyMost: count,
  promotedAtMs: timeMs.nullable(),
  promotedBy: z.string().nullable(),
  paused: z.object({ atMs: timeMs, by: z.string() }).nullable(),
  endedAtMs: timeMs.nullable(),
  message: z.string(),
  revertOf: z.string().nullable(),
  revertedBy: z.string().nullable(),
});

const imageFetch = z.object({
  node: z.string(),
  image: z.string(),
  deployment: z.string(),
  state: z.enum(['wanted', 'ready', 'failed']),
  message: z.string(),
  atMs: timeMs,
});

const maintenanceWindow = z.object({
  id: z.string(),
  node: z.string(),
  startsAtMs: timeMs,
  durationMs: z.number().nullable(),
  setAtMs: timeMs,
  setBy: z.string(),
  begunAtMs: timeMs.nullable(),
  answers: z.record(z.string(), z.object({ answer: z.enum(MAINTENANCE_ANSWERS), atMs: timeMs, askAgainAtMs: timeMs })),
});

const framework = z.object({
  id: z.string(),
  name: z.string(),
  principal: z.string(),
  roles: texts,
  capabilities: z.array(z.enum(FRAMEWORK_CAPABILITIES)),
  failoverTimeoutSeconds: z.number(),
  minAllocatable: z.record(z.string(), z.array(numberByName)),
  nodeConstraints: z.record(z.string(), z.array(z.array(constraint))).default({}),
  annotations: textByName.default({}),
  suppressed: texts,
  filterGenerations: z.record(z.string(), count),
  session: count,
  registeredAtMs: timeMs,
  subscribedAtMs: timeMs,
  disconnectedSinceMs: timeMs.nullable(),
  teardown: stopRequest.nullable(),
});

const role = z.object({
  path: z.string(),
  weight: z.number(),
  limit: numberByName,
  guarantee: numberByName,
  updatedAtMs: timeMs,
  updatedBy: z.string(),
});

const settings = z.object({
  gpuNodes: z.enum(GPU_NODE_POLICIES),
  offerTimeoutSeconds: z.number(),
  minAllocatable: z.array(numberByName),
  excludedFromShares: texts,
  auditKeepDays: z.number().default(DEFAULT_SETTINGS.auditKeepDays),
});

const trustPolicy = z.object({
  name: z.string(),
  issuer: z.string(),
  audience: z.string(),
  jwksUri: z.string().nullable(),
  algorithms: z.array(z.enum(OUTSIDE_ALGORITHMS)),
  ttlSecondsMax: z.number(),
  singleUse: z.boolean(),
  clientId: z.string().nullable(),
  rules: z.array(
    z.object({
      name: z.string().nullable(),
      claims: z.record(z.string(), z.union([texts, z.object({ pattern: z.string() })])),
      roles: texts,
      actions: texts,
      allowAnySubject: z.boolean(),
    }),
  ),
  updatedAtMs: timeMs,
  updatedBy: z.string(),
});

const job = z.object({
  uid: z.string(),
  version: count,
  spec: jobSpec,
  createdAtMs: timeMs,
  updatedAtMs: timeMs,
  createdBy: z.string(),
  stop: stopRequest.nullable(),
  deleted: z.boolean(),
  outcome: z
    .object({ state: z.enum(['succeeded', 'failed', 'stopped']), atMs: timeMs, message: z.string() })
    .nullable(),
  templates: templateVersions.default({}),
  goodVersion: count.nullable().default(null),
  deployments: count.default(0),
  suspended: z.object({ atMs: timeMs, by: z.string(), reason: z.string() }).nullable().default(null),
});

const jobVersion = z.object({
  jobUid: z.string(),
  version: count,
  spec: jobSpec,
  createdAtMs: timeMs,
  createdBy: z.string(),
  change: z.enum(VERSION_CHANGES).default('updated'),
  templates: templateVersions.default({}),
});

const sealedBox = { envelopeKey: z.string(), wrappedKey: z.string(), box: z.string() };

const secretNote = z.object({
  name: z.string(),
  role: z.string(),
  version: count,
  isText: z.boolean(),
  envelopeKey: z.string(),
  createdAtMs: timeMs,
  createdBy: z.string(),
  updatedAtMs: timeMs,
  updatedBy: z.string(),
});

const stream = z.object({
  id: z.string(),
  node: z.string(),
  task: z.string(),
  replica: z.string(),
  follow: z.boolean(),
  tail: count.nullable(),
  since: z.string().nullable(),
  requestedAtMs: timeMs,
});

const noted = { atMs: timeMs, by: z.string(), untilMs: timeMs };

const tokenRecord = z.discriminatedUnion('type', [
  z.object({ ...noted, type: z.literal('revoked'), id: z.string(), reason: z.string() }),
  z.object({
    ...noted,
    type: z.literal('revoked-before'),
    scope: z.discriminatedUnion('of', [
      z.object({ of: z.literal('all') }),
      z.object({ of: z.literal('kind'), kind: z.enum(TOKEN_KINDS) }),
      z.object({ of: z.literal('subject'), subject: z.string() }),
      z.object({ of: z.literal('node'), node: z.string() }),
    ]),
    beforeMs: timeMs,
    reason: z.string(),
  }),
  z.object({
    ...noted,
    type: z.literal('join'),
    id: z.string(),
    subject: z.string(),
    node: z.string().nullable(),
    nodePattern: z.string().nullable(),
    usesMax: count.nullable(),
    uses: z.array(z.object({ node: z.string(), credential: z.string(), atMs: timeMs })),
  }),
  z.object({ ...noted, type: z.literal('break-glass'), id: z.string(), reason: z.string() }),
]);

/** The schema of each kind's value. */
export const RECORD_SCHEMAS = {
  cluster: z.object({
    id: z.string(),
    incarnation: count,
    recoveredAtMs: timeMs.optional(),
    storeId: z.string().optional(),
    formatVersion: z.literal(FORMAT_VERSION),
  }),
  driver: z.object({ replica: z.string() }),
  rounds: z.object({ number: count, owner: z.string(), claimedAtMs: timeMs }),
  nodes: node,
  alive: z.object({ epoch: count }),
  epochs: z.object({
    epoch: count,
    unreachableSinceMs: timeMs.nullable(),
    lastGiveUpMs: timeMs.optional(),
    incarnation: count.optional(),
    ahead: z.object({ incarnation: count, generation: count }).optional(),
    keptAside: z.array(z.object({ task: z.string(), stop: stopRequest.nullable() })).optional(),
    endedBefore: texts.optional(),
    holder: z.object({ stamp: z.string(), instance: z.string(), contender: z.string().optional() }).optional(),
    gone: z.object({ atMs: timeMs, by: z.string(), stamp: z.string().optional() }).optional(),
    scrapped: z.string().optional(),
    credential: z.object({ id: z.string(), joinedWith: z.string().nullable(), atMs: timeMs }).optional(),
    otherMachine: z.object({ atMs: timeMs, how: z.enum(['same-memory', 'other-memory']) }).optional(),
  }),
  ledger,
  jobs: job,
  versions: jobVersion,
  tasks: task,
  deployments: deployment,
  fetches: imageFetch,
  maintenance: maintenanceWindow,
  frameworks: framework,
  connections: z.object({ session: count, replica: z.string() }),
  roles: role,
  settings,
  policies: trustPolicy,
  replicas: z.object({ id: z.string(), url: z.string(), startedAtMs: timeMs }),
  streams: stream,
  messages: z.object({
    to: z.enum(['task', 'framework']),
    framework: z.string(),
    node: z.string(),
    task: z.string(),
    data: z.string(),
    place: count,
    sentAtMs: timeMs,
  }),
  operations: z.object({ id: z.string(), framework: z.string(), name: z.string(), node: z.string(), atMs: timeMs }),
  ops: z.object({ by: z.string(), aborted: z.boolean() }),
  idempotency: z.object({ requestDigest: z.string(), status: z.int(), body: z.string(), createdAtMs: timeMs }),
  exchanges: z.object({ subject: z.string(), atMs: timeMs }),
  secrets: z.object({
    kid: z.string(),
    algorithm: z.literal('EdDSA'),
    privateJwk: z.string().nullable(),
    sealed: z.object(sealedBox).nullable().default(null),
    createdAtMs: timeMs,
  }),
  vault: secretNote,
  sealed: z.object({ ...sealedBox, version: count }),
  audit: auditRecord,
  keys: z.object({
    kid: z.string(),
    createdAtMs: timeMs,
    createdBy: z.string(),
    signsFromMs: timeMs,
    verifiesUntilMs: timeMs.nullable(),
    longestSeconds: z.number(),
    revoked: z.object({ atMs: timeMs, by: z.string(), reason: z.string() }).nullable(),
  }),
  tokens: tokenRecord,
} satisfies { [K in RecordKind]: z.ZodType<RecordOf[K]> };

/**
 * `satisfies` above proves that what a schema lets through has the domain's type. This proves the rest: an optional member
 * or a word of a union that only one of the two knows doesn't compile.
 */
type Exact<K extends RecordKind> = Same<AllRequired<RecordOf[K]>, AllRequired<z.output<(typeof RECORD_SCHEMAS)[K]>>>;
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type AllRequired<T> = T extends object ? { readonly [K in keyof T]-?: AllRequired<T[K]> } : T;
const _schemasAreExact: { readonly [K in RecordKind]: Exact<K> } = {
  cluster: true,
  driver: true,
  rounds: true,
  nodes: true,
  alive: true,
  epochs: true,
  ledger: true,
  jobs: true,
  versions: true,
  tasks: true,
  deployments: true,
  fetches: true,
  maintenance: true,
  frameworks: true,
  connections: true,
  roles: true,
  settings: true,
  policies: true,
  replicas: true,
  streams: true,
  messages: true,
  operations: true,
  ops: true,
  idempotency: true,
  exchanges: true,
  secrets: true,
  vault: true,
  sealed: true,
  audit: true,
  keys: true,
  tokens: true,
};
void _schemasAreExact;
