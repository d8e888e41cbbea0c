/** How a framework answers offers, and how offers and answers are shown. */
import { z } from 'zod';
import { nameFor, RESERVATION_ID_PATTERN } from '../domain/ids.ts';
import { INDEX_PLACEHOLDER, type TaskGroup } from '../domain/job.ts';
import { FILTER_SECONDS_DEFAULT } from '../domain/offer.ts';
import {
  ACCEPTED_OFFERS_MAX,
  LAUNCHES_MAX,
  type LaunchRequest,
  type OfferOperation,
  OPERATIONS_MAX,
} from '../domain/offer-operation.ts';
import { RESERVATION_LABELS_BYTES_MAX } from '../domain/reservation.ts';
import { utf8Length } from '../util/codec.ts';
import {
  ANNOTATIONS_LENGTH_MAX,
  annotationsSchema,
  FRAMEWORK_ROLES_MAX,
  launchedNameSchema,
  offerIdSchema,
  offerViewSchema,
  sessionSchema,
} from './framework.ts';
import { groupSchema, jobSpecSchema, nameSchema, networkOf, resourcesSchema, roleSchema } from './job.ts';
import { faultsOfLaunch } from './job-kinds.ts';
import { resourcesViewSchema } from './views.ts';

/** Offers, over any number of nodes, that one call declines. */
export const DECLINED_OFFERS_MAX = 1000;

const time = z.iso.datetime({ precision: 3 });
const idSchema = z
  .string()
  .regex(RESERVATION_ID_PATTERN, 'must be lower-case letters, digits and inner hyphens, 1 to 63 characters');
const amount = (max: number) => z.number().min(0).max(max).multipleOf(0.001, 'may have at most three decimals');

const scalarsSchema = z
  .strictObject({
    cpus: amount(10_000).default(0),
    memMiB: amount(1e12).default(0),
    diskMiB: amount(1e12).default(0),
    gpus: z.number().int().min(0).max(1024).default(0),
    custom: z.record(nameSchema, amount(1e12)).default({}),
  })
  .meta({ id: 'Scalars' });

const refuseSeconds = z
  .number()
  .min(0)
  .default(FILTER_SECONDS_DEFAULT)
  .describe(
    'For how long it does not want to be offered again what it refuses or leaves over, unless there is more of it. At least 1 s and at most 365 days.',
  );

/** What a framework can't say of a task: it launches one at a time, sees to retries itself, and has chosen the node. */
const {
  name: _name,
  count: _count,
  retries: _retries,
  constraints: _constraints,
  resources: _resources,
  checks,
  backoff: _backoff,
  prefer: _prefer,
  spread: _spread,
  ...describing
} = groupSchema.in.shape;
const { priority, labels, replaceAfterSeconds, stopAfterDisconnectSeconds } = jobSpecSchema.in.shape;

const launchSchema = z
  .strictObject({
    task: launchedNameSchema.describe('What the framework calls it. No other one of its tasks on record has the name.'),
    ...describing,
    checks: checks.describe(
      'For health. Updates say what they come to; a task that fails one ends as `failed` with the reason `unhealthy`, unless that has `onFailure: none`.',
    ),
    isExecutor: z
      .literal(true)
      .optional()
      .describe(
        'It runs further tasks of the framework on its node, where the operator allows that (`--allow-executors`).',
      ),
    executor: launchedNameSchema
      .optional()
      .describe(
        'What the framework calls the executor that runs the task instead of Berth: on the same node, or launched before it in the same call. Then it has no container: it says neither image nor anything else of one.',
      ),
    resources: z
      .strictObject({
        ...resourcesSchema.shape,
        cpus: resourcesSchema.shape.cpus.unwrap(),
        memMiB: resourcesSchema.shape.memMiB.unwrap(),
        gpus: amount(1024).default(0).describe('Whole devices: a task that asks for a part of one ends as `error`.'),
      })
      .meta({ id: 'LaunchResources' }),
    reserved: z
      .record(idSchema, scalarsSchema)
      .optional()
      .describe('How much of it comes from which reservation. Absent: what the offer has reserved first.'),
    labels: labels.describe('For the framework alone: they come with every update.'),
    annotations: annotationsSchema(ANNOTATIONS_LENGTH_MAX.task).describe(
      'The same, kept for whoever speaks for the framework.',
    ),
    priority,
    replaceAfterSeconds,
    stopAfterDisconnectSeconds,
  })
  .superRefine((task, context) => {
    for (const [field, message] of executorFaults(task)) context.addIssue({ code: 'custom', path: [field], message });
    for (const [index, { source }] of task.mounts.entries()) {
      if (source?.includes(INDEX_PLACEHOLDER) !== true) continue;
      const message = `must not hold ${INDEX_PLACEHOLDER}, which is for jobs: name the volume of this task`;
      context.addIssue({ code: 'custom', path: ['mounts', index, 'source'], message });
    }
    for (const { path, message } of faultsOfLaunch(task)) {
      context.addIssue({ code: 'custom', path: [...path], message });
    }
    // What holds between the fields of a group holds here as well.
    const whole = { ...task.resources, gpus: Math.floor(task.resources.gpus) };
    const known = Object.keys(groupSchema.in.shape);
    const described = Object.fromEntries(Object.entries(task).filter(([field]) => known.includes(field)));
    // What is run by another task says as little of a container as a process does.
    const runtime = task.executor === undefined ? task.runtime : 'process';
    const checked = groupSchema.safeParse({ ...described, runtime, resources: whole });
    const faulted = new Set(context.issues.map(({ path = [] }) => JSON.stringify(path)));
    for (const { path, message: told } of checked.error?.issues ?? []) {
      if (faulted.has(JSON.stringify(path))) continue;
      const message = task.executor === undefined ? told : told.replaceAll('the runtime "process"', 'an `executor`');
      context.addIssue({ code: 'custom', path, message });
    }
  })
  .meta({
    id: 'LaunchedTask',
    description: 'A task as its framework describes it: a group of a job, but for one task.',
  });

/** What a task that an executor runs can't be or promise: nobody but its executor has it in hand. */
function executorFaults(task: {
  readonly executor?: string | undefined;
  readonly isExecutor?: true | undefined;
  readonly runtime: string;
  readonly user?: string | undefined;
  readonly restart: { readonly afterReboot: boolean };
  readonly stopAfterDisconnectSeconds?: number | undefined;
  readonly checks?: readonly unknown[] | undefined;
}): [string, string][] {
  if (task.executor === undefined) return [];
  const faults: [string, boolean, string][] = [
    ['runtime', task.runtime !== 'docker', 'is up to its `executor`; leave it out'],
    ['isExecutor', task.isExecutor === true, 'is for tasks that no `executor` runs'],
    ['checks', (task.checks ?? []).length > 0, 'are up to its `executor`; leave them out'],
    ['user', task.user !== undefined, 'is that of its `executor`; leave it out'],
    ['restart', task.restart.afterReboot, 'after a reboot is for tasks that no `executor` runs'],
    [
      'stopAfterDisconnectSeconds',
      task.stopAfterDisconnectSeconds !== undefined,
      'must be said of its `executor`, with which it ends',
    ],
  ];
  return faults.flatMap(([field, isSaid, message]) => (isSaid ? [[field, message]] : []));
}

const boundLabels = labels.refine(
  (value) => utf8Length(JSON.stringify(value)) <= RESERVATION_LABELS_BYTES_MAX,
  `must take at most ${RESERVATION_LABELS_BYTES_MAX} bytes together`,
);

const launchesSchema = z
  .array(launchSchema)
  .min(1)
  .max(LAUNCHES_MAX, `may have at most ${LAUNCHES_MAX} items: launch the others in further calls, on other offers`);

/** What a union says of a type that it doesn't know names none of those that it does. */
const OPERATION_TYPES = ['launch', 'launch-group', 'reserve', 'unreserve', 'create', 'destroy'] as const;
const unknownOperation = `must be one of ${OPERATION_TYPES.map((type) => `"${type}"`).join(', ')}`;

/** Of one that isn't a launch: what becomes of a task is told anyway. */
const named = {
  operation: launchedNameSchema
    .optional()
    .describe(
      'What the framework calls it. That it was carried out is then told on its stream, as `operation`, until the framework acknowledges it; before that no other one can have the name.',
    ),
};

export const operationSchema = z
  .discriminatedUnion(
    'type',
    [
      z.strictObject({ type: z.literal('launch'), tasks: launchesSchema }),
      z.strictObject({ type: z.literal('launch-group'), tasks: launchesSchema }),
      z.strictObject({
        type: z.literal('reserve'),
        ...named,
        reservation: z.strictObject({ id: idSchema.optional(), scalars: scalarsSchema, labels: boundLabels }),
      }),
      z.strictObject({
        type: z.literal('unreserve'),
        ...named,
        reservation: idSchema,
        scalars: scalarsSchema.optional().describe('Absent: all of it.'),
      }),
      z.strictObject({
        type: z.literal('create'),
        ...named,
        volume: z.strictObject({
          id: idSchema,
          reservation: idSchema,
          sizeMiB: z.number().int().min(1).max(1_000_000_000),
          labels: boundLabels.optional(),
        }),
      }),
      z.strictObject({ type: z.literal('destroy'), ...named, volume: idSchema }),
    ],
    { error: unknownOperation },
  )
  .meta({
    id: 'OfferOperation',
    description:
      '`launch` starts each task that can be started; the others end as `error`. `launch-group` starts all or none, and they end together: when one ends in another way than `finished`, the others are stopped. The others change what is reserved for the role of the offer; what they free can be used by the operations after them.',
  });

/** Repeated ids and names are found here; what the state says about them is for the use case. */
export const acceptSchema = z
  .strictObject({
    session: sessionSchema,
    offers: z.array(offerIdSchema).min(1).max(ACCEPTED_OFFERS_MAX).describe('Of one node and one role.'),
    operations: z.array(operationSchema).max(OPERATIONS_MAX).default([]).describe('Carried out in their order.'),
    refuseSeconds,
  })
  .superRefine(({ offers, operations }, context) => {
    const fault = (path: PropertyKey[], message: string) => context.addIssue({ code: 'custom', path, message });
    offers.forEach((offer, index) => {
      if (offers.indexOf(offer) < index) fault(['offers', index], `"${offer}" is named twice`);
    });
    const calls = operations.map((one) => ('operation' in one ? one.operation : undefined));
    for (const [place, name] of calls.entries()) {
      if (name === undefined || calls.indexOf(name) === place) continue;
      fault(['operations', place, 'operation'], `"${name}" is used twice`);
    }
    const names = new Set<string>();
    let launches = 0;
    operations.forEach((operation, place) => {
      if (!('tasks' in operation)) return;
      launches += operation.tasks.length;
      operation.tasks.forEach(({ task }, index) => {
        if (names.has(task)) fault(['operations', place, 'tasks', index, 'task'], `"${task}" is used twice`);
        names.add(task);
      });
      if (launches > LAUNCHES_MAX && launches - operation.tasks.length <= LAUNCHES_MAX) {
        const message = `would be task ${LAUNCHES_MAX + 1} and more of one call, which may launch ${LAUNCHES_MAX}: launch the others in further calls, on other offers`;
        fault(['operations', place, 'tasks'], message);
      }
    });
  })
  .meta({ id: 'Accept' });

export const declineSchema = z
  .strictObject({
    session: sessionSchema,
    offers: z.array(offerIdSchema).min(1).max(DECLINED_OFFERS_MAX).describe('Of any nodes.'),
    refuseSeconds,
  })
  .meta({ id: 'Decline' });

/** Of revive and suppress. */
export const offerWishSchema = z
  .strictObject({
    session: sessionSchema,
    roles: z.array(roleSchema).min(1).max(FRAMEWORK_ROLES_MAX).optional().describe('Absent: all of its roles.'),
  })
  .superRefine(({ roles = [] }, context) => {
    roles.forEach((role, index) => {
      if (roles.indexOf(role) === index) return;
      context.addIssue({ code: 'custom', path: ['roles', index], message: 'is named twice' });
    });
  })
  .meta({ id: 'OfferWish' });

const filterViewSchema = z.object({
  refused: resourcesViewSchema,
  until: time.describe('It is not offered this again before then, unless there is more of it.'),
});

export const acceptedSchema = z
  .object({
    node: z.string(),
    role: z.string(),
    tasks: z.array(
      z.object({
        task: z.string().describe('What the framework calls it.'),
        id: z.string(),
        state: z.enum(['staging', 'error']),
        message: z.string(),
        ports: z.record(z.string(), z.number().int()),
      }),
    ),
    leftOver: filterViewSchema.nullable().describe('What the operations left of the offers; null: nothing.'),
  })
  .meta({ id: 'Accepted' });

export const declinedSchema = z
  .object({
    declined: z.array(z.string()),
    gone: z
      .array(z.object({ offer: z.string(), message: z.string() }))
      .describe('Offers that did not stand any more: nothing is to be done about them.'),
    until: time.describe('What was declined is not offered again before then, unless there is more of it.'),
  })
  .meta({ id: 'Declined' });

export const offerWishesSchema = z
  .object({ roles: z.array(z.string()).describe('In which it is made offers.'), suppressed: z.array(z.string()) })
  .meta({
    id: 'OfferWishes',
    description: 'In which of its roles a framework wants offers, and in which not for now.',
  });

export const heldOfferSchema = offerViewSchema
  .extend({
    frameworkName: z.string(),
    heldSeconds: z.number().min(0).describe('For how long it has been held without an answer.'),
  })
  .meta({ id: 'HeldOffer' });

export type AcceptRequest = z.output<typeof acceptSchema>;
export type AcceptInput = z.input<typeof acceptSchema>;
export type DeclineRequest = z.output<typeof declineSchema>;
export type DeclineInput = z.input<typeof declineSchema>;
export type OfferWishRequest = z.output<typeof offerWishSchema>;
export type AcceptedView = z.output<typeof acceptedSchema>;
export type DeclinedView = z.output<typeof declinedSchema>;
export type OfferWishesView = z.output<typeof offerWishesSchema>;
export type HeldOfferView = z.output<typeof heldOfferSchema>;

/** `newId` names a reservation that its framework leaves unnamed. */
export function operationOf(operation: AcceptRequest['operations'][number], newId: () => string): OfferOperation {
  switch (operation.type) {
    case 'launch':
    case 'launch-group':
      return { type: operation.type, tasks: operation.tasks.map(launchRequestOf) };
    case 'reserve': {
      const { id = newId(), scalars, labels: ownLabels } = operation.reservation;
      const { operation: name } = operation;
      return { type: 'reserve', operation: name, reservation: { id, scalars, labels: ownLabels } };
    }
    case 'unreserve':
      return { ...operation, scalars: operation.scalars ?? null };
    case 'create':
    case 'destroy':
      return operation;
  }
}

function launchRequestOf(launched: z.output<typeof launchSchema>): LaunchRequest {
  const { task, reserved, executor, isExecutor, labels: ownLabels, annotations, ...told } = launched;
  const { priority: ownPriority, ...described } = told;
  const {
    replaceAfterSeconds: replaceAfter,
    stopAfterDisconnectSeconds: stopAfterDisconnect,
    ...container
  } = described;
  const group: TaskGroup = {
    ...container,
    ...(executor === undefined
      ? { network: networkOf(container) }
      : { runtime: 'executor' as const, network: 'none' as const }),
    ...(isExecutor && { isExecutor }),
    name: nameFor(task),
    count: 1,
    constraints: [],
    retries: { max: 0, delaySeconds: 0, factor: 1, maxDelaySeconds: 0 },
  };
  return {
    name: task,
    template: {
      group,
      priority: ownPriority,
      replaceAfterSeconds: replaceAfter,
      stopAfterDisconnectSeconds: stopAfterDisconnect,
    },
    labels: ownLabels,
    annotations,
    reserved: reserved ?? null,
    executor: executor ?? null,
  };
}
