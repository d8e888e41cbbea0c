/** `scheduler::Call`: everything that a framework says. */
import { z } from 'zod';
import { wishesSchema } from './framework-info.ts';
import { offerOperationSchema } from './offer-operation.ts';
import {
  bytesSchema,
  doubleSchema,
  enumSchema,
  idSchema,
  looseIdSchema,
  nanosecondsSchema,
  optionalList,
} from './values.ts';

export const CALL_TYPES = [
  'UNKNOWN',
  'SUBSCRIBE',
  'TEARDOWN',
  'ACCEPT',
  'DECLINE',
  'ACCEPT_INVERSE_OFFERS',
  'DECLINE_INVERSE_OFFERS',
  'REVIVE',
  'SUPPRESS',
  'KILL',
  'SHUTDOWN',
  'ACKNOWLEDGE',
  'ACKNOWLEDGE_OPERATION_STATUS',
  'RECONCILE',
  'RECONCILE_OPERATIONS',
  'MESSAGE',
  'REQUEST',
  'UPDATE_FRAMEWORK',
] as const;
export type CallType = (typeof CALL_TYPES)[number];

const filtersSchema = z.object({ refuse_seconds: doubleSchema.optional() }).optional();

const inverseOffersSchema = z.object({ inverse_offer_ids: optionalList(idSchema), filters: filtersSchema });

/** Some clients send the message back as it came, whose member holds the bytes. */
const uuidSchema = z.union([bytesSchema, z.object({ value: bytesSchema }).transform(({ value }) => value)]);

const wantedRolesSchema = z.object({ roles: optionalList(z.string()) }).optional();

export const callSchema = z.object({
  framework_id: looseIdSchema,
  type: enumSchema(CALL_TYPES),
  subscribe: wishesSchema.optional(),
  accept: z
    .object({
      offer_ids: optionalList(idSchema),
      operations: optionalList(offerOperationSchema),
      filters: filtersSchema,
    })
    .optional(),
  decline: z.object({ offer_ids: optionalList(idSchema), filters: filtersSchema }).optional(),
  accept_inverse_offers: inverseOffersSchema.optional(),
  decline_inverse_offers: inverseOffersSchema.optional(),
  revive: wantedRolesSchema,
  suppress: wantedRolesSchema,
  kill: z
    .object({
      task_id: idSchema,
      agent_id: looseIdSchema,
      kill_policy: z.object({ grace_period: nanosecondsSchema.optional() }).optional(),
    })
    .optional(),
  shutdown: z.object({ executor_id: idSchema, agent_id: idSchema }).optional(),
  acknowledge: z.object({ agent_id: looseIdSchema, task_id: idSchema, uuid: bytesSchema }).optional(),
  acknowledge_operation_status: z
    .object({ agent_id: looseIdSchema, resource_provider_id: looseIdSchema, uuid: uuidSchema, operation_id: idSchema })
    .optional(),
  reconcile: z.object({ tasks: optionalList(z.object({ task_id: idSchema, agent_id: looseIdSchema })) }).optional(),
  reconcile_operations: z
    .object({
      operations: optionalList(
        z.object({ operation_id: idSchema, agent_id: looseIdSchema, resource_provider_id: looseIdSchema }),
      ),
    })
    .optional(),
  message: z.object({ agent_id: idSchema, executor_id: idSchema, data: bytesSchema }).optional(),
  request: z.object({ requests: optionalList(z.looseObject({})) }).optional(),
  update_framework: wishesSchema.optional(),
});

export type WireCall = z.output<typeof callSchema>;
export type WireFilters = z.output<typeof filtersSchema>;
