/**
 * What the API shows. Times are RFC 3339 in UTC with milliseconds; absent values are null rather than left out, so that a
 * reader sees what there is. The schemas make the OpenAPI document and the client's types.
 */
import { z } from 'zod';
import { REFUSAL_CODES } from '../domain/errors.ts';
import { DISPLACEMENT_CAUSES, VERSION_CHANGES } from '../domain/job.ts';
import { TASK_REASONS, TASK_STATES } from '../domain/task.ts';
import { deploymentMarkSchema, groupHealthSchema, healthCountsSchema } from './deployments.ts';
import { jobSpecSchema, nameSchema, roleSchema } from './job.ts';
import { groupPlanSchema } from './job-changes.ts';

export const timeSchema = z.iso.datetime({ precision: 3 });
const time = timeSchema;
const count = z.number().int().min(0);

export const displacerViewSchema = z
  .object({
    because: z
      .enum(DISPLACEMENT_CAUSES)
      .describe('`guarantee`: the role is below it. `priority`: the task has a higher one in the same role.'),
    role: roleSchema.describe('Whose guarantee it is; or the role of both tasks.'),
    task: z.string().nullable().describe('It gets the place; null: what is offered to frameworks of the role.'),
  })
  .meta({ id: 'Displacer' });

export const stopViewSchema = z
  .object({
    at: time,
    by: z.string(),
    reason: z.string(),
    displacedBy: displacerViewSchema
      .nullable()
      // Left out by replicas of the version before, which may still answer.
      .default(null)
      .describe('For whom it has to make room; null: that is not why. Another attempt follows.'),
  })
  .meta({ id: 'Stop', description: 'Who asked for the end, when and why.' });

export const taskCountsSchema = z
  .object({
    pending: count,
    staging: count,
    starting: count,
    running: count,
    finished: count,
    failed: count,
    killed: count,
    error: count,
    lost: count,
  })
  .meta({ id: 'TaskCounts', description: 'Number of tasks in each state, over the current version.' });

/**
 * `pending`: nothing of it has a place yet. `running`: something has. `suspended`: nothing of it is to run until it is resumed.
 * `stopping`: an end was asked for and something still runs. The other three are its outcome.
 */
export const JOB_STATES = ['pending', 'running', 'suspended', 'stopping', 'succeeded', 'failed', 'stopped'] as const;

export const jobSummarySchema = z
  .object({
    uid: z.string(),
    name: nameSchema,
    role: roleSchema,
    kind: z.string(),
    version: z.number().int().min(1),
    priority: z.number().int(),
    state: z.enum(JOB_STATES),
    message: z.string().describe('The state in a sentence.'),
    createdAt: time,
    updatedAt: time,
    createdBy: z.string(),
    endedAt: time.nullable(),
    tasks: taskCountsSchema,
    // Left out by replicas of the version before, which may still answer; so are others with a default.
    healthy: healthCountsSchema.nullable().default(null).describe('Null: it is a batch job.'),
    deployment: deploymentMarkSchema.nullable().default(null).describe('What is under way; null: nothing.'),
  })
  .meta({ id: 'JobSummary' });

const slotWaitViewSchema = z
  .object({
    group: z.string(),
    index: count,
    task: z.string().describe('What it waits for: another task of the same group and index.'),
    node: z.string().nullable().describe('Where that one runs, or may run; null where it has no place.'),
    message: z.string(),
  })
  .meta({ id: 'SlotWait', description: 'A task that is not made yet, since two must never run at a time.' });

/** Left out by replicas of the version before, which may still answer. */
const slotWaitsSchema = z.array(slotWaitViewSchema).default([]);

export const jobViewSchema = jobSummarySchema
  .extend({
    waiting: slotWaitsSchema.describe('What is not made yet because something else must have ended first.'),
    stop: stopViewSchema.nullable(),
    suspended: z
      .object({ at: time, by: z.string(), reason: z.string() })
      .nullable()
      .default(null)
      .describe('Nothing of it runs until it is resumed; null: it is not suspended.'),
    goodVersion: z
      .number()
      .int()
      .nullable()
      .default(null)
      .describe('The last version that was rolled out with success; null: none yet, or it is a batch job.'),
    groups: z.array(groupHealthSchema).default([]).describe('Empty for a batch job.'),
    spec: jobSpecSchema,
  })
  .meta({ id: 'Job' });

export const jobVersionViewSchema = z
  .object({
    version: z.number().int().min(1),
    createdAt: time,
    createdBy: z.string(),
    change: z.enum(VERSION_CHANGES).default('updated').describe('How it differs from the version before.'),
    spec: jobSpecSchema,
  })
  .meta({ id: 'JobVersion' });

export const transitionViewSchema = z
  .object({ state: z.enum(TASK_STATES), at: time, reason: z.enum(TASK_REASONS), message: z.string() })
  .meta({ id: 'Transition' });

export const restartViewSchema = z
  .object({ run: count, at: time, reason: z.enum(TASK_REASONS), message: z.string() })
  .meta({ id: 'Restart', description: 'The beginning of a further run of a task.' });

/** Why a task has no place, or that it would get one. */
export const explanationViewSchema = z
  .object({
    summary: z.string(),
    nodesTotal: count,
    refusals: z.array(z.object({ code: z.string(), nodes: count, message: z.string() })),
    closest: z.object({ node: z.string(), message: z.string() }).nullable().describe('The node that lacks least.'),
  })
  .meta({ id: 'Explanation' });

const launchedByViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  task: z.string().describe('What the framework calls the task.'),
});

export const taskHealthViewSchema = z
  .object({
    healthy: z
      .boolean()
      .nullable()
      .describe('Whether all checks for health pass; null: not decided, or there are none.'),
    ready: z.boolean().describe('Whether all checks for readiness pass; true where there are none.'),
    since: time,
    checks: z.array(z.object({ name: z.string(), passing: z.boolean().nullable(), message: z.string(), at: time })),
  })
  .meta({ id: 'TaskHealth', description: "What the task's checks say in its present run." });

export const taskViewSchema = z
  .object({
    id: z.string(),
    job: z
      .object({ uid: z.string(), name: nameSchema, version: z.number().int() })
      .nullable()
      .describe('Null: a framework launched it.'),
    framework: launchedByViewSchema.nullable().default(null).describe('Who launched it; null: it is of a job.'),
    role: roleSchema,
    group: z.string(),
    index: count,
    attempt: count,
    run: count.describe('How often it has been started again in place.'),
    restarts: z.array(restartViewSchema).describe('How its latest further runs began, oldest first.'),
    state: z.enum(TASK_STATES),
    unreachable: z.boolean().describe('It is live, but its node has not been heard of.'),
    node: z.string().nullable(),
    host: z.string().nullable().describe("The node's host name."),
    ports: z.record(z.string(), z.number().int()),
    gpus: z
      .array(z.string())
      .describe('Ids of the GPUs that it holds; empty where it holds none, or none that its node names.'),
    exitCode: z.number().int().nullable(),
    reason: z.enum(TASK_REASONS),
    message: z.string().describe('What the last transition says, or the last restart since.'),
    createdAt: time,
    notBefore: time.nullable().describe('A retry waits until then.'),
    placedAt: time.nullable(),
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    stop: stopViewSchema.nullable(),
    health: taskHealthViewSchema
      .nullable()
      .default(null)
      .describe('Null: it has no checks, or they have said nothing yet.'),
    outdated: z.boolean().default(false).describe('It is made from something else than what its job wants now.'),
    history: z.array(transitionViewSchema),
    explanation: explanationViewSchema.nullable().describe('Only of a pending task, and only when it is read alone.'),
  })
  .meta({ id: 'Task' });

export const scalarsViewSchema = z.object({
  cpus: z.number(),
  memMiB: z.number(),
  diskMiB: z.number(),
  gpus: z.number(),
  custom: z.record(z.string(), z.number()),
});

export const resourcesViewSchema = scalarsViewSchema
  .extend({ ports: z.array(z.object({ first: z.number().int(), last: z.number().int() })) })
  .meta({ id: 'Resources' });

/**
 * `ready` takes tasks. `drained`: draining, and nothing is left on it. `maintenance`: its window has begun. `ahead`: its agent has seen a later state than this one,
 * which must have been restored from an older snapshot; it keeps what it runs and gets nothing until the cluster is recovered.
 */
export const NODE_STATES = [
  'ready',
  'ineligible',
  'draining',
  'drained',
  'maintenance',
  'unreachable',
  'ahead',
] as const;

/** When a node is to be taken out of service. */
export const maintenanceWindowViewSchema = z.object({
  startsAt: time,
  durationSeconds: z.number().nullable().describe('Null: nobody knows for how long.'),
});

export const nodeViewSchema = z
  .object({
    id: z.string(),
    hostname: z.string(),
    address: z.string().nullable().describe('Where the ports of its tasks are reached; null: by its host name.'),
    state: z.enum(NODE_STATES),
    eligible: z.boolean(),
    drain: z.object({ startedAt: time, deadline: time.nullable(), by: z.string() }).nullable(),
    maintenance: maintenanceWindowViewSchema
      .extend({ setBy: z.string() })
      .nullable()
      .describe('The window that is coming or running; null: nothing is planned.'),
    unreachableSince: time.nullable(),
    total: resourcesViewSchema,
    used: resourcesViewSchema.describe('What tasks hold, of reservations or not.'),
    offered: resourcesViewSchema.describe('What frameworks are offered, of reservations or not.'),
    reserved: scalarsViewSchema.describe('What is kept for roles, used or not.'),
    free: resourcesViewSchema.describe('What any role can still be given: neither held, nor offered, nor reserved.'),
    attributes: z.record(z.string(), z.string()),
    consent: z.object({
      hostNetwork: z.boolean(),
      hostMounts: z.array(z.string()),
      privileged: z.boolean(),
      devices: z.array(z.string()),
      capabilities: z.array(z.string()),
      executors: z.boolean(),
      processRuntime: z.boolean(),
    }),
    gpus: z
      .array(
        z.object({
          id: z.string().describe('Its UUID.'),
          product: z.string(),
          memoryMiB: z.number().describe('0: it does not say.'),
          driver: z.string(),
          parent: z.string().nullable().describe('The card that it is a MIG instance of; null: it is a card.'),
          task: z.string().nullable().describe('Who holds it.'),
        }),
      )
      .describe('What `total.gpus` counts, one by one; empty where the operator only states a number.'),
    missingGpus: z
      .array(z.object({ id: z.string(), task: z.string() }))
      .describe('GPUs that tasks hold and the node no longer has.'),
    agentVersion: z.string(),
    engine: z.string(),
    registeredAt: time,
    tasks: count.describe('How many hold a place on it.'),
    ahead: z
      .object({ incarnation: count, generation: count })
      .nullable()
      .describe(
        'What its agent has seen of its assignment, where this state never came so far; null: nothing of the kind.',
      ),
    keptAside: z
      .array(z.object({ task: z.string(), stop: stopViewSchema.nullable() }))
      .describe('Tasks that run there from a part of history that is lost, until somebody asks for their end.'),
  })
  .meta({ id: 'Node' });

export const EVENT_TYPES = [
  'job.created',
  'job.updated',
  'job.suspended',
  'job.resumed',
  'job.stopping',
  'job.succeeded',
  'job.failed',
  'job.stopped',
  'job.removed',
  'task.pending',
  'task.staging',
  'task.starting',
  'task.running',
  'task.restarted',
  'task.healthy',
  'task.unhealthy',
  'task.ready',
  'task.unready',
  'task.finished',
  'task.failed',
  'task.killed',
  'task.error',
  'task.lost',
  'task.stopping',
  'task.displaced',
  'deployment.created',
  'deployment.started',
  'deployment.promoted',
  'deployment.paused',
  'deployment.resumed',
  'deployment.succeeded',
  'deployment.failed',
  'deployment.cancelled',
  'node.registered',
  'node.unreachable',
  'node.reachable',
  'node.draining',
  'node.undrained',
  'node.eligible',
  'node.ineligible',
  'node.gone',
  'node.ahead',
  'node.maintenance',
  'node.maintenance-begun',
  'node.maintenance-over',
  'framework.subscribed',
  'framework.disconnected',
  'framework.ended',
  'role.set',
  'role.unset',
  'settings.set',
  'cluster.recovered',
] as const;

export const goneNodeViewSchema = z
  .object({
    id: z.string(),
    declaredGoneAt: time,
    by: z.string(),
    tasks: count.describe('How many of its tasks end as lost by that and have not ended yet.'),
  })
  .meta({ id: 'GoneNode' });

export const eventViewSchema = z
  .object({
    revision: z.number().int().describe('Resume after it. Events of one revision come together.'),
    type: z.enum(EVENT_TYPES),
    role: z
      .string()
      .nullable()
      .describe(
        "The role that it is about, the job's, or the first of the framework's; null for nodes and what concerns all.",
      ),
    job: z.string().nullable(),
    task: z.string().nullable(),
    node: z.string().nullable(),
    framework: z.string().nullable().default(null).describe('The one that it is about, or that launched the task.'),
    deployment: z.string().nullable().default(null).describe('The one that it is about.'),
    reason: z.string().nullable(),
    message: z.string(),
    at: time.nullable().describe('When it happened, where the change carries a time.'),
  })
  .meta({ id: 'Event' });

export const planViewSchema = z
  .object({
    placements: z.array(z.object({ group: z.string(), index: count, node: z.string(), why: z.string() })),
    unplaced: z.array(z.object({ group: z.string(), count, explanation: explanationViewSchema })),
    waiting: slotWaitsSchema.describe('What would not be made yet, and is therefore not placed here.'),
    leftOut: z
      .string()
      .nullable()
      .describe('What was too much to be planned at once, such as most tasks of a large job; null: nothing.'),
    changes: z
      .array(z.object({ path: z.string(), before: z.unknown(), after: z.unknown() }))
      .nullable()
      .describe('Against the version that is wanted now; null where there is no such job.'),
    groups: z
      .array(groupPlanSchema)
      .default([])
      .describe('Of a service: what becomes of the tasks that run, and what is made; empty for a batch job.'),
    steps: z.array(z.string()).default([]).describe('Of a service: how it gets there, in sentences.'),
    warnings: z.array(z.string()).default([]).describe('What stands in its way, or will surprise.'),
  })
  .meta({ id: 'Plan' });

export const statusViewSchema = z
  .object({
    cluster: z.string(),
    incarnation: z.number().int(),
    version: z.string(),
    revision: z.number().int(),
    replica: z.string(),
    replicas: z.array(z.object({ id: z.string(), url: z.string(), startedAt: time })),
    driver: z.string().nullable().describe('The replica that runs rounds and passes.'),
    round: z.number().int().describe('The number of the last round.'),
    nodes: z.object({
      total: count,
      ready: count,
      ineligible: count.describe('Take no new tasks, since somebody said so.'),
      unreachable: count,
      draining: count,
      maintenance: count.describe('Are out of service for a while, and not draining.'),
      ahead: count.describe('Have seen a later state than this one: was the store restored?'),
      keepingAside: count.describe('Run something from a part of history that is lost.'),
    }),
    recoveredAt: time.nullable().describe('When the cluster was recovered last; null: never.'),
    jobs: z.object({ total: count, live: count }),
    tasks: taskCountsSchema,
    resources: z.object({ total: scalarsViewSchema, used: scalarsViewSchema }),
    secrets: z.object({
      total: count,
      envelopeKey: z.string().nullable().describe('What this replica seals with; null: it has none.'),
      elsewhere: count.describe('Sealed under another key than that.'),
      unopenable: count.describe('Of those, under keys that this replica does not have.'),
    }),
    database: z.object({
      sizeBytes: count,
      inUseBytes: count.describe('Of its file; the rest is free, and used again.'),
      quotaBytes: count,
      isTight: z.boolean().describe('So little is left that no new jobs are taken.'),
    }),
  })
  .meta({ id: 'Status' });

export const recoveryViewSchema = z
  .object({
    cluster: z.string(),
    incarnation: z.number().int().min(1).describe('Of the state from now on.'),
    nodes: count.describe('How many the state knows, all of which join anew.'),
  })
  .meta({ id: 'Recovery' });

export const tokenRequestSchema = z
  .strictObject({
    kind: z.enum(['user', 'join']).default('user').describe('`join` lets an agent register, and nothing else.'),
    subject: z
      .string()
      .regex(/^[a-zA-Z0-9][a-zA-Z0-9._@:/-]{0,127}$/, 'must be 1 to 128 letters, digits and "._@:/-"')
      .describe('Who it is for, as it will stand in records.'),
    roles: z
      .array(z.union([roleSchema, z.literal('*')]))
      .max(100)
      .default([])
      .describe('Role paths; each covers what lies below it.'),
    actions: z.array(z.string().max(64)).max(100).default([]).describe('Such as `job:read`, `job:*` or `*`.'),
    ttlSeconds: z.number().int().min(60).max(31_536_000).default(86_400),
  })
  .meta({ id: 'TokenRequest' });

export const tokenViewSchema = z.object({ token: z.string(), id: z.string(), expiresAt: time }).meta({ id: 'Token' });

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.enum([...REFUSAL_CODES, 'internal']),
    detail: z.string(),
    faults: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .describe('Everything that is wrong with what was sent.'),
    retryAfterSeconds: z.number().optional(),
    requestId: z.string(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457.' });

/** One page of a list. `next` is handed back as `?after=` to read on; null: that was the last page. */
export const pageOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().nullable() });

export type JobSummary = z.output<typeof jobSummarySchema>;
export type SlotWaitView = z.output<typeof slotWaitViewSchema>;
export type JobView = z.output<typeof jobViewSchema>;
export type JobVersionView = z.output<typeof jobVersionViewSchema>;
export type TaskView = z.output<typeof taskViewSchema>;
export type TaskCounts = z.output<typeof taskCountsSchema>;
export type TransitionView = z.output<typeof transitionViewSchema>;
export type ExplanationView = z.output<typeof explanationViewSchema>;
export type NodeView = z.output<typeof nodeViewSchema>;
export type EventView = z.output<typeof eventViewSchema>;
export type GoneNodeView = z.output<typeof goneNodeViewSchema>;
export type EventType = (typeof EVENT_TYPES)[number];
export type PlanView = z.output<typeof planViewSchema>;
export type StatusView = z.output<typeof statusViewSchema>;
export type RecoveryView = z.output<typeof recoveryViewSchema>;
export type TokenRequest = z.output<typeof tokenRequestSchema>;
export type TokenView = z.output<typeof tokenViewSchema>;
export type Problem = z.output<typeof problemSchema>;
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}
