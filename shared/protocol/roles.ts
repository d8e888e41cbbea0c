/** Roles and the cluster's settings, as operators set them and the API shows them. */
import { z } from 'zod';
import { isScalarName, SCALAR_NAMES, WEIGHT_MAX, WEIGHT_MIN } from '../domain/role-terms.ts';
import { DEFAULT_SETTINGS, GPU_NODE_POLICIES } from '../domain/settings.ts';
import { roleSchema } from './job.ts';
import { scalarsViewSchema, timeSchema } from './views.ts';

/** Kinds of resources that one list of amounts may name. */
const AMOUNTS_MAX = 64;
const AMOUNT_MAX = 1e12;

const scalarNameSchema = z
  .string()
  .max(63)
  .refine(isScalarName, `must be ${SCALAR_NAMES.join(', ')} or the name of a resource that a node declares`);

/** Amounts by name. What isn't named isn't meant. */
export const scalarAmountsSchema = z
  .record(scalarNameSchema, z.number().min(0).max(AMOUNT_MAX).multipleOf(0.001, 'may have at most three decimals'))
  .superRefine((amounts, context) => {
    const fault = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (Object.hasOwn(amounts, 'gpus') && !Number.isInteger(amounts['gpus'])) {
      fault(['gpus'], 'must be a whole number: devices are given whole');
    }
    if (Object.keys(amounts).length > AMOUNTS_MAX) fault([], `must be at most ${AMOUNTS_MAX}`);
  })
  .meta({
    id: 'ScalarAmounts',
    description: 'Amounts by name: `cpus`, `memMiB`, `diskMiB`, `gpus`, or a declared one.',
  });

const weightSchema = z.number().min(WEIGHT_MIN).max(WEIGHT_MAX);

export const roleRequestSchema = z
  .strictObject({
    weight: weightSchema
      .default(1)
      .describe('Beside its siblings, a role with twice the weight is due twice the share.'),
    limit: scalarAmountsSchema
      .default({})
      .describe('What it may hold at the most, with all below it. What is not named has no bound.'),
    guarantee: scalarAmountsSchema
      .default({})
      .describe('What it can always come to hold, with all below it. What is not named has none.'),
    force: z
      .boolean()
      .default(false)
      .describe(
        'Also promise more than the nodes have, set a limit below what is held, or name what no node declares.',
      ),
  })
  .meta({ id: 'RoleRequest' });

const amountsViewSchema = z.record(z.string(), z.number());

export const roleViewSchema = z
  .object({
    path: roleSchema,
    version: z.number().int().min(0).describe('Of what is set, as the ETag has it; 0: nothing is.'),
    weight: z.number(),
    limit: amountsViewSchema,
    guarantee: amountsViewSchema,
    updatedAt: timeSchema.nullable(),
    updatedBy: z.string().nullable(),
    held: z
      .object({
        tasks: scalarsViewSchema.describe('Beside what they have of reservations.'),
        offers: scalarsViewSchema.describe('Of its frameworks, beside what they hold of reservations.'),
        reservations: scalarsViewSchema.describe('Used or not.'),
        total: scalarsViewSchema,
        since: z
          .object({
            tasks: timeSchema.nullable(),
            offers: timeSchema.nullable(),
            reservations: timeSchema.nullable(),
          })
          .describe('From when the oldest of each is; null: it holds none.'),
        offersUntil: timeSchema.nullable().describe('When the last of the offers expires; null: it holds none.'),
      })
      .describe('What is charged to it.'),
    share: z.object({
      scalar: z.string().nullable().describe('Of which it holds the largest part; null: it holds nothing that counts.'),
      dominant: z.number().describe('That part, from 0 to 1.'),
      weighted: z.number().describe('The same, divided by the weight. Whose is lowest among its siblings comes first.'),
    }),
    fairShare: z
      .number()
      .nullable()
      .describe(
        'The part of the cluster that its weights make it due, among roles that hold or want something; null: it does not.',
      ),
    belowGuarantee: z.array(z.string()).describe('Scalars of which it holds less than it is promised.'),
    frameworks: z.array(z.string()),
    pendingTasks: z.number().int().min(0),
  })
  .meta({ id: 'Role', description: 'A role with all that is below it.' });

/** A day: an offer that is held for longer is kept from everybody. */
const OFFER_TIMEOUT_SECONDS_MAX = 86_400;

const AUDIT_KEEP_DAYS_MAX = 3650;

export const settingsRequestSchema = z
  .strictObject({
    gpuNodes: z
      .enum(GPU_NODE_POLICIES)
      .default(DEFAULT_SETTINGS.gpuNodes)
      .describe(
        'For whom nodes with GPUs are: `restricted` to what asks for GPUs; `preferred`: others get what no other node has room for; `unrestricted`.',
      ),
    offerTimeoutSeconds: z
      .number()
      .min(1)
      .max(OFFER_TIMEOUT_SECONDS_MAX)
      .default(DEFAULT_SETTINGS.offerTimeoutSeconds)
      .describe('How long a framework may hold an offer.'),
    minAllocatable: z
      .array(scalarAmountsSchema)
      .max(16)
      .default(DEFAULT_SETTINGS.minAllocatable.map((amounts) => ({ ...amounts })))
      .describe('An offer holds at least one of these. Empty: anything will do.'),
    excludedFromShares: z
      .array(scalarNameSchema)
      .max(AMOUNTS_MAX)
      .refine((names) => new Set(names).size === names.length, 'must not name anything twice')
      .default([...DEFAULT_SETTINGS.excludedFromShares])
      .describe("What doesn't count in a role's share, since only few can use it."),
    auditKeepDays: z
      .number()
      .int()
      .min(1)
      .max(AUDIT_KEEP_DAYS_MAX)
      .default(DEFAULT_SETTINGS.auditKeepDays)
      .describe('For how many days it stays on record who did what.'),
  })
  .meta({ id: 'SettingsRequest' });

export const settingsViewSchema = z
  .object({
    version: z.number().int().min(0).describe('As the ETag has it; 0: nothing was ever set.'),
    gpuNodes: z.enum(GPU_NODE_POLICIES),
    offerTimeoutSeconds: z.number(),
    minAllocatable: z.array(amountsViewSchema),
    excludedFromShares: z.array(z.string()),
    auditKeepDays: z.number(),
  })
  .meta({ id: 'Settings' });

export type RoleRequest = z.output<typeof roleRequestSchema>;
export type RoleRequestInput = z.input<typeof roleRequestSchema>;
export type RoleView = z.output<typeof roleViewSchema>;
export type SettingsRequest = z.output<typeof settingsRequestSchema>;
export type SettingsRequestInput = z.input<typeof settingsRequestSchema>;
export type SettingsView = z.output<typeof settingsViewSchema>;
