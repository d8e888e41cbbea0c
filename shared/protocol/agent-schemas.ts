/**
 * What the server checks agents' requests with. The types in `agent.ts` are the contract, since agents carry no schema
 * library; the proofs at the end keep the two from drifting apart.
 */
import { z } from 'zod';
import { NODE_ID_PATTERN, RESERVATION_ID_PATTERN, TASK_ID_PATTERN } from '../domain/ids.ts';
import { LEDGER_ENTRIES_MAX } from '../domain/ledger.ts';
import { DEVICE_ID_LENGTH_MAX } from '../domain/node.ts';
import { STATIC_RESERVATIONS_BYTES_MAX, STATIC_RESERVATIONS_MAX } from '../domain/reservation.ts';
import { CHECK_MESSAGE_LENGTH_MAX, TASK_REASONS } from '../domain/task.ts';
import { utf8Length } from '../util/codec.ts';
import {
  HEALTH_REPORTS_MAX,
  type HeartbeatRequest,
  IMAGE_REPORTS_MAX,
  type LogLine,
  MESSAGES_MAX,
  type MessagesRequest,
  type RegisterRequest,
  STATUSES_MAX,
  type StatusesRequest,
  type TaskStatus,
} from './agent.ts';
import { nameSchema, roleSchema } from './job.ts';
import { messageDataSchema } from './message.ts';

/** A line is cut by the agent before it gets this long. */
export const LOG_LINE_LENGTH_MAX = 262_144;

/** A sentence for people; an engine's error may be long. */
const MESSAGE_LENGTH_MAX = 4096;
const LABELS_MAX = 200;
const PATHS_MAX = 200;
/** Declared resources of a node: they stand in its ledger. */
const CUSTOM_MAX = 200;

const text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => !value.includes('\0'), 'must not contain NUL');
/** Shown to people in tables and on pages: nothing in it moves a cursor or turns the text around. */
const shown = (max: number) =>
  text(max).refine((value) => !CONTROL_PATTERN.test(value), 'must not contain control characters');
const CONTROL_PATTERN = /[\p{Cc}\p{Bidi_Control}]/u;
const amount = z.number().min(0).max(1e12);
const whole = z.number().int().min(0);
const timeMs = z.number().min(0).max(8_640_000_000_000_000);
export const taskIdSchema = z.string().regex(TASK_ID_PATTERN, 'must be the id of a task');
export const nodeIdSchema = z
  .string()
  .regex(NODE_ID_PATTERN, 'must be lower-case letters, digits and inner hyphens, 1 to 63 characters');

const portNumber = z.number().int().min(1).max(65_535);
const portRange = z
  .strictObject({ first: portNumber, last: portNumber })
  .refine((range) => range.first <= range.last, { path: ['last'], error: 'must not be below `first`' });
const portRanges = z
  .array(portRange)
  .max(1000)
  .refine((ranges) => ranges.every((range, index) => index === 0 || range.first > (ranges[index - 1]?.last ?? 0) + 1), {
    error: 'must be sorted, and no two ranges may touch',
  });

const randomText = z.string().regex(/^[0-9a-z]{16,64}$/, 'must be 16 to 64 lower-case letters and digits');

const deviceId = z
  .string()
  .max(DEVICE_ID_LENGTH_MAX)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, 'must be the UUID of a device');

const describedScalars = z.strictObject({
  cpus: amount,
  memMiB: amount,
  diskMiB: amount,
  gpus: whole.max(1024),
  custom: z
    .record(nameSchema, amount)
    .refine((custom) => Object.keys(custom).length <= CUSTOM_MAX, `must be at most ${CUSTOM_MAX}`),
});

const describedNode = z
  .strictObject({
    id: nodeIdSchema,
    hostname: shown(253),
    address: shown(253).nullable().default(null),
    resources: describedScalars.extend({ ports: portRanges }),
    attributes: z
      .record(shown(128).min(1), shown(1024))
      .refine((attributes) => Object.keys(attributes).length <= LABELS_MAX, `must be at most ${LABELS_MAX}`),
    consent: z.strictObject({
      hostNetwork: z.boolean(),
      hostMounts: z.array(text(4096)).max(PATHS_MAX),
      privileged: z.boolean(),
      devices: z.array(text(4096)).max(PATHS_MAX),
      capabilities: z.array(text(64)).max(PATHS_MAX),
      processRuntime: z.boolean().default(false),
      executors: z.boolean().default(false),
    }),
    gpus: z
      .array(
        z.strictObject({
          id: deviceId,
          product: shown(256),
          memoryMiB: amount,
          driver: shown(64),
          parent: deviceId.nullable(),
        }),
      )
      .max(1024)
      .default([])
      .refine((gpus) => new Set(gpus.map(({ id }) => id)).size === gpus.length, 'must not name a device twice'),
    reservations: z
      .array(z.strictObject({ role: roleSchema, scalars: describedScalars }))
      .max(STATIC_RESERVATIONS_MAX)
      .default([])
      .refine((all) => new Set(all.map(({ role }) => role)).size === all.length, 'must not name a role twice')
      .refine((all) => utf8Length(JSON.stringify(all)) <= STATIC_RESERVATIONS_BYTES_MAX, {
        error: `must take at most ${STATIC_RESERVATIONS_BYTES_MAX} bytes`,
      }),
    agentVersion: shown(128),
    engine: shown(256),
  })
  .refine(({ gpus, resources }) => gpus.length === 0 || gpus.length === resources.gpus, {
    path: ['resources', 'gpus'],
    error: 'must be the number of devices in `gpus`, where there are any',
  });

export const registerRequestSchema = z
  .strictObject({
    node: describedNode,
    seen: z.strictObject({ incarnation: whole, generation: whole, revision: whole.optional() }).nullable(),
    tasks: z.array(taskIdSchema).max(LEDGER_ENTRIES_MAX),
    ended: z.array(taskIdSchema).max(LEDGER_ENTRIES_MAX).optional(),
    stamp: z
      .strictObject({ instance: randomText, last: randomText.nullable(), epoch: whole, next: randomText })
      .optional()
      .describe('Shows that the agent has the memory that the node had at its last registration.'),
  })
  .meta({ id: 'RegisterRequest' });

export const registerResponseSchema = z
  .object({
    nodeToken: z.string(),
    epoch: whole,
    incarnation: whole,
    heartbeatIntervalMs: whole,
    leaseTtlMs: whole,
  })
  .meta({ id: 'RegisterResponse' });

export const heartbeatRequestSchema = z.strictObject({ sentAtMs: timeMs }).meta({ id: 'HeartbeatRequest' });
export const heartbeatResponseSchema = z
  .object({
    nodeToken: z.string().nullable().describe('A new token when the old one has less than half of its life left.'),
  })
  .meta({ id: 'HeartbeatResponse' });

export const taskStatusSchema = z
  .strictObject({
    task: taskIdSchema,
    run: whole.default(0).describe('Which of its runs this is about, counted from 0.'),
    state: z.enum(['starting', 'running', 'finished', 'failed', 'killed', 'error', 'lost']),
    atMs: timeMs,
    reason: z.enum(TASK_REASONS),
    message: text(MESSAGE_LENGTH_MAX),
    exitCode: z.number().int().min(-2_147_483_648).max(4_294_967_295).nullable(),
  })
  .meta({ id: 'TaskStatus' });

const healthReportSchema = z
  .strictObject({
    task: taskIdSchema,
    health: z.strictObject({
      run: whole,
      healthy: z.boolean().nullable(),
      ready: z.boolean(),
      sinceMs: timeMs,
      checks: z
        .array(
          z.strictObject({
            name: nameSchema,
            passing: z.boolean().nullable(),
            message: text(CHECK_MESSAGE_LENGTH_MAX),
            atMs: timeMs,
          }),
        )
        .max(20),
    }),
  })
  .meta({ id: 'HealthReport' });

const imageReportSchema = z
  .strictObject({ image: text(512), state: z.enum(['ready', 'failed']), message: text(MESSAGE_LENGTH_MAX) })
  .meta({ id: 'ImageReport' });

export const statusesRequestSchema = z
  .strictObject({
    statuses: z.array(taskStatusSchema).max(STATUSES_MAX),
    released: z.array(taskIdSchema).max(LEDGER_ENTRIES_MAX),
    removedVolumes: z
      .array(z.string().regex(RESERVATION_ID_PATTERN, 'must be the id of a volume'))
      .max(2 * STATUSES_MAX)
      .optional()
      .describe('Of those that were to be deleted: what is gone.'),
    health: z.array(healthReportSchema).max(HEALTH_REPORTS_MAX).optional(),
    images: z.array(imageReportSchema).max(IMAGE_REPORTS_MAX).optional(),
  })
  .meta({ id: 'StatusesRequest' });

export const statusesResponseSchema = z
  .object({ results: z.array(z.enum(['committed', 'known', 'unknown'])) })
  .meta({ id: 'StatusesResponse' });

const messageId = z.string().regex(/^[0-9a-z]{16,64}$/, 'must be 16 to 64 lower-case letters and digits');

export const messagesRequestSchema = z
  .strictObject({
    taken: z
      .array(messageId)
      .max(MESSAGES_MAX)
      .describe('Ids of messages for tasks here that their executors have taken, or that nobody is there for.'),
    said: z
      .array(z.strictObject({ id: messageId, task: taskIdSchema, data: messageDataSchema }))
      .max(MESSAGES_MAX)
      .describe('What tasks say to their frameworks.'),
  })
  .meta({ id: 'MessagesRequest' });

export const messagesResponseSchema = z
  .object({
    results: z
      .array(z.enum(['relayed', 'unknown', 'crowded']))
      .describe('For each that was said. `crowded`: too many wait for the framework; it was thrown away.'),
  })
  .meta({ id: 'MessagesResponse' });

export const taskIdentityResponseSchema = z
  .object({
    tokens: z.array(z.object({ name: z.string(), token: z.string(), issuedAtMs: timeMs, expiresAtMs: timeMs })),
  })
  .meta({ id: 'TaskIdentity' });
export const taskSecretsResponseSchema = z
  .object({
    secrets: z.array(
      z.object({
        name: z.string(),
        role: z.string(),
        version: z.number().int(),
        value: z.string().describe('Its bytes, in base64.'),
      }),
    ),
    missing: z
      .array(z.object({ name: z.string(), role: z.string(), why: z.string() }))
      .describe('Those that can not be had: the task can not be started.'),
  })
  .meta({ id: 'TaskSecrets' });

/** One line of a stream's body. */
export const logLineSchema = z
  .strictObject({
    at: z.string().max(64),
    stream: z.enum(['stdout', 'stderr']),
    text: z.string().max(LOG_LINE_LENGTH_MAX),
    continues: z.boolean().optional(),
    error: z.string().max(MESSAGE_LENGTH_MAX).optional(),
  })
  .meta({ id: 'LogLine' });

/** The schemas and the types say the same: a member or a word that only one of them knows doesn't compile. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type AllRequired<T> = T extends object ? { readonly [K in keyof T]-?: AllRequired<T[K]> } : T;
type Exact<S extends z.ZodType, T> = Same<AllRequired<z.output<S>>, AllRequired<T>>;
const _schemasAreExact: readonly [
  Exact<typeof registerRequestSchema, RegisterRequest>,
  Exact<typeof heartbeatRequestSchema, HeartbeatRequest>,
  Exact<typeof taskStatusSchema, TaskStatus>,
  Exact<typeof statusesRequestSchema, StatusesRequest>,
  Exact<typeof messagesRequestSchema, MessagesRequest>,
  Exact<typeof logLineSchema, LogLine>,
] = [true, true, true, true, true, true];
void _schemasAreExact;
