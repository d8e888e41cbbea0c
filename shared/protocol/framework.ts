/**
 * What frameworks and the control plane say to each other: how a framework subscribes, what comes on its stream, and what it asks
 * for. Times and absent values are as in `views.ts`.
 */
import { z } from 'zod';
import { OPERATION_ACKNOWLEDGEMENTS } from '../domain/finished-operation.ts';
import { FRAMEWORK_CAPABILITIES } from '../domain/framework.ts';
import { FRAMEWORK_ID_PATTERN, OFFER_ID_PATTERN, OPERATION_STATUS_ID_PATTERN } from '../domain/ids.ts';
import { TASK_STATES } from '../domain/task.ts';
import { ACKNOWLEDGEMENTS, UPDATE_ID_PATTERN, UPDATE_REASONS } from '../domain/task-update.ts';
import { constraintSchema, nameSchema, roleSchema } from './job.ts';
import { messageDataSchema } from './message.ts';
import {
  maintenanceWindowViewSchema,
  resourcesViewSchema,
  scalarsViewSchema,
  stopViewSchema,
  taskCountsSchema,
} from './views.ts';

const time = z.iso.datetime({ precision: 3 });
const count = z.number().int().min(0);

/** Roles that one framework may be offered resources in. */
export const FRAMEWORK_ROLES_MAX = 100;
/** Alternatives of what an offer holds at least, for one role. */
const ALTERNATIVES_MAX = 16;
const SCALARS_MAX = 32;
const CONSTRAINTS_MAX = 32;
/** Lists of constraints for one role. */
const CONSTRAINT_LISTS_MAX = 256;
/** Characters of all constraints of a framework, as JSON. */
export const CONSTRAINTS_LENGTH_MAX = 65_536;
const FAILOVER_SECONDS_DEFAULT = 60;
const FAILOVER_SECONDS_MAX = 365 * 24 * 3600;
/** Updates that one call acknowledges. */
export const ACKNOWLEDGED_MAX = 1000;
/** Tasks that one call asks about by name. */
export const RECONCILED_MAX = 10_000;
const GRACE_SECONDS_MAX = 3600;
/** Events that wait to be said on one stream, and so that one call may have it say. */
export const TOLD_MAX = 5000;

export const frameworkIdSchema = z.string().regex(FRAMEWORK_ID_PATTERN, 'must be the id of a framework');
export const offerIdSchema = z.string().regex(OFFER_ID_PATTERN, 'must be the id of an offer');

export const sessionSchema = z
  .number()
  .int()
  .min(1)
  .describe('As the subscription answered it. An older one is refused: `session-moved`.');

/** What a framework calls its own task. */
export const launchedNameSchema = z
  .string()
  .regex(/^[^\p{Cc}\p{Cs}]{1,255}$/u, 'must be 1 to 255 characters, none of them a control character');

const amountsSchema = z
  .record(nameSchema.or(z.enum(['memMiB', 'diskMiB'])), z.number().min(0).max(1e12))
  .refine((amounts) => Object.keys(amounts).length <= SCALARS_MAX, `must be at most ${SCALARS_MAX}`);

/** Characters of all annotations of one framework, or of one task, as JSON. */
export const ANNOTATIONS_LENGTH_MAX = { framework: 16_384, task: 8192 } as const;

/** Kept for whoever speaks for the framework. */
export function annotationsSchema(lengthMax: number) {
  return z
    .record(z.string().min(1).max(128), z.string())
    .refine(
      (annotations) => JSON.stringify(annotations).length <= lengthMax,
      `must take at most ${lengthMax} characters together`,
    )
    .default({});
}

/** What may be different with each subscription, and be changed in between. */
const wishesShape = {
  name: nameSchema.describe('Stands in the ids of its tasks.'),
  roles: z.array(roleSchema).min(1).max(FRAMEWORK_ROLES_MAX).describe('In each of these it is made offers.'),
  failoverTimeoutSeconds: z
    .number()
    .min(0)
    .max(FAILOVER_SECONDS_MAX)
    .default(FAILOVER_SECONDS_DEFAULT)
    .describe('How long it may be without a stream before it is torn down and its tasks end.'),
  capabilities: z
    .array(z.enum(FRAMEWORK_CAPABILITIES))
    .max(FRAMEWORK_CAPABILITIES.length)
    .default([])
    .describe('`gpus`: it is offered nodes that have GPUs, even where those are kept for what asks for them.'),
  minAllocatable: z
    .record(roleSchema, z.array(amountsSchema).max(ALTERNATIVES_MAX))
    .default({})
    .describe(
      "By role, in place of the cluster's own: an offer holds at least one of these amounts; with an empty list, anything. Of `cpus`, `memMiB`, `diskMiB`, `gpus`, and what nodes were declared to have.",
    ),
  suppressed: z
    .array(roleSchema)
    .max(FRAMEWORK_ROLES_MAX)
    .default([])
    .describe('Those of its roles in which it wants no offers for now.'),
  nodeConstraints: z
    .record(roleSchema, z.array(z.array(constraintSchema).max(CONSTRAINTS_MAX)).min(1).max(CONSTRAINT_LISTS_MAX))
    .refine(
      (constraints) => JSON.stringify(constraints).length <= CONSTRAINTS_LENGTH_MAX,
      `must take at most ${CONSTRAINTS_LENGTH_MAX} characters together`,
    )
    .default({})
    .describe(
      'By role: it is offered only nodes that meet all constraints of at least one of these lists. Absent: nodes of any kind.',
    ),
  annotations: annotationsSchema(ANNOTATIONS_LENGTH_MAX.framework).describe(
    'Kept and shown for whoever speaks for the framework; nothing is decided by them.',
  ),
};

/** What holds between those fields. */
function wishFaults({
  roles,
  capabilities,
  minAllocatable,
  suppressed,
  nodeConstraints,
}: z.output<z.ZodObject<typeof wishesShape>>): [PropertyKey[], string][] {
  const lists: Record<string, readonly string[]> = { roles, capabilities, suppressed };
  const twice = Object.entries(lists).flatMap(([list, values]) =>
    values.flatMap((value, index): [PropertyKey[], string][] =>
      values.indexOf(value) < index ? [[[list, index], 'is named twice']] : [],
    ),
  );
  const named: PropertyKey[][] = [
    ...suppressed.flatMap((role, index) => (roles.includes(role) ? [] : [['suppressed', index]])),
    ...Object.entries({ minAllocatable, nodeConstraints }).flatMap(([field, byRole]) =>
      Object.keys(byRole).flatMap((role) => (roles.includes(role) ? [] : [[field, role]])),
    ),
  ];
  return [...twice, ...named.map((path): [PropertyKey[], string] => [path, 'is none of its roles'])];
}

export const subscriptionSchema = z
  .strictObject({
    id: frameworkIdSchema.optional().describe('Of a framework that comes back. Absent: it is a new one.'),
    ...wishesShape,
  })
  .superRefine((wishes, context) => {
    for (const [path, message] of wishFaults(wishes)) context.addIssue({ code: 'custom', path, message });
  })
  .meta({ id: 'Subscription' });

export const updateFrameworkSchema = z
  .strictObject({ session: sessionSchema, ...wishesShape })
  .superRefine((wishes, context) => {
    for (const [path, message] of wishFaults(wishes)) context.addIssue({ code: 'custom', path, message });
  })
  .meta({ id: 'FrameworkUpdate' });

/** `connected`: a replica holds its stream. `ending`: it was torn down, and its tasks end. `ended`: they have. */
export const FRAMEWORK_STATES = ['connected', 'disconnected', 'ending', 'ended'] as const;

export const frameworkViewSchema = z
  .object({
    id: z.string(),
    name: nameSchema,
    principal: z.string().describe('Who registered it and may act for it.'),
    roles: z.array(z.string()),
    capabilities: z.array(z.enum(FRAMEWORK_CAPABILITIES)),
    failoverTimeoutSeconds: z.number(),
    minAllocatable: z.record(z.string(), z.array(z.record(z.string(), z.number()))),
    suppressed: z.array(z.string()),
    nodeConstraints: z.record(z.string(), z.array(z.array(constraintSchema))),
    annotations: z.record(z.string(), z.string()),
    session: z.number().int().min(1),
    state: z.enum(FRAMEWORK_STATES),
    message: z.string().describe('The state in a sentence.'),
    registeredAt: time,
    subscribedAt: time,
    disconnectedSince: time.nullable(),
    teardown: stopViewSchema.nullable(),
    tasks: taskCountsSchema,
    holds: scalarsViewSchema.describe('What its tasks hold.'),
    offers: z.object({
      count,
      resources: scalarsViewSchema,
      oldestAt: time.nullable().describe('Since when it holds the one that it has held for longest.'),
    }),
    operations: count.describe('Named operations that were carried out, which it has not acknowledged yet.'),
    throttled: z
      .object({ nodes: count, until: time })
      .nullable()
      .describe(
        'It let offers of so many nodes expire without an answer, and is offered none of the last of them before then.',
      ),
  })
  .meta({ id: 'Framework' });

export const offerViewSchema = z
  .object({
    id: z.string(),
    framework: z.string(),
    role: z.string().describe('What is launched on it runs in this role and is charged to it.'),
    node: z.string(),
    host: z.string().nullable().describe("The node's host name."),
    attributes: z.record(z.string(), z.string()),
    resources: resourcesViewSchema.describe('All that it holds, reserved or not.'),
    reserved: z
      .array(
        z.object({
          reservation: z.string(),
          role: z.string(),
          resources: scalarsViewSchema,
          labels: z.record(z.string(), z.string()),
        }),
      )
      .describe('How much of it comes from which reservation.'),
    maintenance: maintenanceWindowViewSchema.nullable().describe('When its node is to be taken out of service.'),
    madeAt: time,
    expiresAt: time,
  })
  .meta({ id: 'Offer' });

/** What a task may be said to be. `unknown`: the framework has none of that name on record. */
export const UPDATE_STATES = [...TASK_STATES, 'unknown'] as const;

export const updateViewSchema = z
  .object({
    id: z
      .string()
      .nullable()
      .describe(
        'To acknowledge it by: until then it is told again, and nothing later of the task. Null: nothing to acknowledge.',
      ),
    task: z.string().describe('What the framework calls it.'),
    taskId: z.string().nullable().describe("What Berth calls it; null where it doesn't know it."),
    state: z.enum(UPDATE_STATES),
    unreachable: z.boolean().describe('It is live, but its node has not been heard of.'),
    healthy: z
      .boolean()
      .nullable()
      .describe(
        'Whether all of its checks pass, or false where one of them has ended it. Null: it has none, or they have not decided yet.',
      ),
    at: time,
    reason: z
      .enum(UPDATE_REASONS)
      .nullable()
      .describe('`health-changed`: it goes on as it was, but for `healthy`. There is nothing to acknowledge then.'),
    message: z.string(),
    role: z.string().nullable(),
    node: z.string().nullable(),
    host: z.string().nullable(),
    ports: z.record(z.string(), z.number().int()),
    exitCode: z.number().int().nullable(),
    labels: z.record(z.string(), z.string()),
    annotations: z.record(z.string(), z.string()),
    reconciliation: z.boolean().describe('It answers a question; it says how the task stands, not what has changed.'),
  })
  .meta({ id: 'TaskUpdate' });

export const messageViewSchema = z
  .object({
    id: z.string().describe('The same, should it come again.'),
    task: z.string().describe('What the framework calls the executor, or the task that it runs, which says it.'),
    node: z.string(),
    at: time.describe('When the control plane heard of it.'),
    data: z.string(),
  })
  .meta({ id: 'TaskMessage' });

export const maintenanceNoticeSchema = z
  .object({
    id: z.string().describe('To answer it by.'),
    node: z.string(),
    host: z.string().nullable(),
    ...maintenanceWindowViewSchema.shape,
  })
  .meta({ id: 'MaintenanceNotice' });

/** `finished`: it was carried out. `error`: it can't be. `dropped`: it wasn't, though it could have been. `unknown`: none of that name is on record. */
export const OPERATION_STATES = ['finished', 'error', 'dropped', 'unknown'] as const;

export const operationStatusSchema = z
  .object({
    id: z.string().nullable().describe('To acknowledge it by. Null: nothing to acknowledge.'),
    operation: z.string().describe('What the framework calls it.'),
    state: z.enum(OPERATION_STATES),
    node: z.string().nullable(),
    at: time,
    message: z.string(),
    reconciliation: z.boolean().describe('It answers a question.'),
  })
  .meta({ id: 'OperationStatus' });

const GONE_CAUSES = ['expired', 'withdrawn'] as const;

export const frameworkEventSchema = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('subscribed'),
      framework: z.string(),
      session: z.number().int(),
      heartbeatSeconds: z.number().describe('A comment comes at least this often.'),
    }),
    z.object({ type: z.literal('offers'), offers: z.array(offerViewSchema) }),
    z.object({ type: z.literal('offer-gone'), offer: z.string(), because: z.enum(GONE_CAUSES) }),
    z.object({ type: z.literal('update'), update: updateViewSchema }),
    z.object({ type: z.literal('message'), message: messageViewSchema }),
    z.object({ type: z.literal('operation'), operation: operationStatusSchema }),
    z.object({ type: z.literal('maintenance'), notice: maintenanceNoticeSchema }),
    z.object({ type: z.literal('maintenance-over'), notice: z.string() }),
    z
      .object({ type: z.literal('node-lost'), node: z.string(), host: z.string().nullable() })
      .describe(
        'A node where it has live tasks has fallen silent, or was declared gone. Said once, on a stream that is open then.',
      ),
    z.object({ type: z.literal('superseded'), session: z.number().int(), message: z.string() }),
    z.object({ type: z.literal('ended'), message: z.string() }),
  ])
  .meta({ id: 'FrameworkEvent' });

export const killSchema = z
  .strictObject({
    session: sessionSchema,
    task: launchedNameSchema,
    graceSeconds: z
      .number()
      .min(0)
      .max(GRACE_SECONDS_MAX)
      .optional()
      .describe("Between the polite signal and the kill. Absent: the task's own."),
  })
  .meta({ id: 'Kill' });

export const messageSchema = z
  .strictObject({
    session: sessionSchema,
    task: launchedNameSchema.describe('An executor, or a task that one runs.'),
    data: messageDataSchema,
  })
  .meta({ id: 'Message' });

export const sentMessageSchema = z.object({ id: z.string() }).meta({ id: 'SentMessage' });

export const acknowledgeSchema = z
  .strictObject({
    session: sessionSchema,
    updates: z
      .array(z.string().regex(UPDATE_ID_PATTERN, 'must be the id of an update'))
      .min(1)
      .max(ACKNOWLEDGED_MAX)
      .describe('Ids of updates.'),
  })
  .meta({ id: 'Acknowledge' });

export const acknowledgedSchema = z
  .object({
    results: z
      .array(z.enum(ACKNOWLEDGEMENTS))
      .describe(
        'In the order of the request. `known`: it was acknowledged before. `early`: one before it is still outstanding. `unknown`: no such task or update is on record.',
      ),
  })
  .meta({ id: 'Acknowledged' });

export const reconcileSchema = z
  .strictObject({
    session: sessionSchema,
    tasks: z
      .array(launchedNameSchema)
      .max(RECONCILED_MAX)
      .optional()
      .describe('The tasks that are asked about. Absent: all that have not ended.'),
  })
  .meta({ id: 'Reconcile' });

/** Operations that one call acknowledges, or asks about by name. */
export const OPERATIONS_NAMED_MAX = 1000;

export const acknowledgeOperationsSchema = z
  .strictObject({
    session: sessionSchema,
    operations: z
      .array(z.string().regex(OPERATION_STATUS_ID_PATTERN, 'must be the id of the status of an operation'))
      .min(1)
      .max(OPERATIONS_NAMED_MAX)
      .describe('Ids of statuses.'),
  })
  .meta({ id: 'AcknowledgeOperations' });

export const acknowledgedOperationsSchema = z
  .object({
    results: z
      .array(z.enum(OPERATION_ACKNOWLEDGEMENTS))
      .describe('In the order of the request. `unknown`: no such status is on record, as after it was acknowledged.'),
  })
  .meta({ id: 'AcknowledgedOperations' });

export const reconcileOperationsSchema = z
  .strictObject({
    session: sessionSchema,
    operations: z
      .array(launchedNameSchema)
      .max(OPERATIONS_NAMED_MAX)
      .optional()
      .describe('Names of operations. Absent: all that are on record.'),
  })
  .meta({ id: 'ReconcileOperations' });

export const reconciledOperationsSchema = z
  .object({ operations: z.array(operationStatusSchema) })
  .meta({ id: 'ReconciledOperations' });

/** What a replica passes on to the one that holds the framework's stream. */
export const askedSchema = z.strictObject({ tasks: z.array(launchedNameSchema).max(RECONCILED_MAX).nullable() });

/** The same, of what the stream is to say. */
export const toldSchema = z.strictObject({ events: z.array(frameworkEventSchema).max(TOLD_MAX) });
export const toldAnswerSchema = z.object({ isTold: z.boolean() });

export const reconciledSchema = z.object({ updates: z.array(updateViewSchema) }).meta({ id: 'Reconciled' });

export type Subscription = z.output<typeof subscriptionSchema>;
export type SubscriptionInput = z.input<typeof subscriptionSchema>;
export type FrameworkUpdate = z.output<typeof updateFrameworkSchema>;
export type FrameworkUpdateInput = z.input<typeof updateFrameworkSchema>;
export type FrameworkView = z.output<typeof frameworkViewSchema>;
export type OfferView = z.output<typeof offerViewSchema>;
export type TaskUpdateView = z.output<typeof updateViewSchema>;
export type FrameworkEvent = z.output<typeof frameworkEventSchema>;
export type MaintenanceNotice = z.output<typeof maintenanceNoticeSchema>;
export type OperationStatusView = z.output<typeof operationStatusSchema>;
export type MessageView = z.output<typeof messageViewSchema>;
export type SentMessage = z.output<typeof sentMessageSchema>;
export type GoneCause = (typeof GONE_CAUSES)[number];
export type Acknowledged = z.output<typeof acknowledgedSchema>;
export type Reconciled = z.output<typeof reconciledSchema>;
export type AcknowledgedOperations = z.output<typeof acknowledgedOperationsSchema>;
export type ReconciledOperations = z.output<typeof reconciledOperationsSchema>;
