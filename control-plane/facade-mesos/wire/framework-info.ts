/** `FrameworkInfo`, and what a framework says beside it of the offers that it wants. */
import { z } from 'zod';
import { booleanSchema, doubleSchema, enumSchema, labelsSchema, looseIdSchema, optionalList } from './values.ts';

export const FRAMEWORK_CAPABILITY_TYPES = [
  'UNKNOWN',
  'REVOCABLE_RESOURCES',
  'TASK_KILLING_STATE',
  'GPU_RESOURCES',
  'SHARED_RESOURCES',
  'PARTITION_AWARE',
  'MULTI_ROLE',
  'RESERVATION_REFINEMENT',
  'REGION_AWARE',
] as const;
export type FrameworkCapabilityType = (typeof FRAMEWORK_CAPABILITY_TYPES)[number];

const quantitiesSchema = z.object({
  quantities: z.record(z.string(), z.object({ value: doubleSchema })).default({}),
});

const offerFiltersSchema = z.object({
  min_allocatable_resources: z.object({ quantities: optionalList(quantitiesSchema) }).optional(),
});

export const frameworkInfoSchema = z.object({
  user: z.string(),
  name: z.string(),
  id: looseIdSchema,
  failover_timeout: doubleSchema.optional(),
  checkpoint: booleanSchema.optional(),
  role: z.string().optional(),
  roles: optionalList(z.string()),
  hostname: z.string().optional(),
  principal: z.string().optional(),
  webui_url: z.string().optional(),
  capabilities: optionalList(z.object({ type: enumSchema(FRAMEWORK_CAPABILITY_TYPES) })),
  labels: labelsSchema.optional(),
  offer_filters: z.record(z.string(), offerFiltersSchema).default({}),
});

const selectorSchema = z.object({
  attribute_name: z.string().optional(),
  pseudoattribute_type: enumSchema(['UNKNOWN', 'HOSTNAME', 'REGION', 'ZONE']),
});

const textSchema = z.object({ value: z.string() });
const regexSchema = z.object({ regex: z.string() });

const predicateSchema = z.object({
  exists: z.looseObject({}).optional(),
  not_exists: z.looseObject({}).optional(),
  text_equals: textSchema.optional(),
  text_not_equals: textSchema.optional(),
  text_matches: regexSchema.optional(),
  text_not_matches: regexSchema.optional(),
});

const attributeConstraintSchema = z.object({ selector: selectorSchema, predicate: predicateSchema });

const offerConstraintsSchema = z.object({
  role_constraints: z
    .record(
      z.string(),
      z.object({
        groups: optionalList(z.object({ attribute_constraints: optionalList(attributeConstraintSchema) })),
      }),
    )
    .default({}),
});

/** What a framework wants, as SUBSCRIBE and UPDATE_FRAMEWORK say it. */
export const wishesSchema = z.object({
  framework_info: frameworkInfoSchema,
  suppressed_roles: optionalList(z.string()),
  offer_constraints: offerConstraintsSchema.optional(),
});

export type WireWishes = z.output<typeof wishesSchema>;
export type WireFrameworkInfo = z.output<typeof frameworkInfoSchema>;
export type WireAttributeConstraint = z.output<typeof attributeConstraintSchema>;
