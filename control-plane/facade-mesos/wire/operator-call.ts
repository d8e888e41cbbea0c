/** `master::Call`: everything that an operator says. */
import { z } from 'zod';
import { resourceListSchema } from './resource.ts';
import { booleanSchema, doubleSchema, enumSchema, idSchema, nanosecondsSchema, optionalList } from './values.ts';

export const OPERATOR_CALL_TYPES = [
  'UNKNOWN',
  'GET_HEALTH',
  'GET_FLAGS',
  'GET_VERSION',
  'GET_METRICS',
  'GET_LOGGING_LEVEL',
  'SET_LOGGING_LEVEL',
  'LIST_FILES',
  'READ_FILE',
  'GET_STATE',
  'GET_AGENTS',
  'GET_FRAMEWORKS',
  'GET_EXECUTORS',
  'GET_OPERATIONS',
  'GET_TASKS',
  'GET_ROLES',
  'GET_WEIGHTS',
  'UPDATE_WEIGHTS',
  'GET_MASTER',
  'SUBSCRIBE',
  'RESERVE_RESOURCES',
  'UNRESERVE_RESOURCES',
  'CREATE_VOLUMES',
  'DESTROY_VOLUMES',
  'GROW_VOLUME',
  'SHRINK_VOLUME',
  'GET_MAINTENANCE_STATUS',
  'GET_MAINTENANCE_SCHEDULE',
  'UPDATE_MAINTENANCE_SCHEDULE',
  'START_MAINTENANCE',
  'STOP_MAINTENANCE',
  'DRAIN_AGENT',
  'DEACTIVATE_AGENT',
  'REACTIVATE_AGENT',
  'GET_QUOTA',
  'UPDATE_QUOTA',
  'SET_QUOTA',
  'REMOVE_QUOTA',
  'TEARDOWN',
  'MARK_AGENT_GONE',
] as const;
export type OperatorCallType = (typeof OPERATOR_CALL_TYPES)[number];

/** Read for its presence alone. */
const anything = z.looseObject({}).optional();

export const machineSchema = z.object({ hostname: z.string().optional(), ip: z.string().optional() });

export const weightInfoSchema = z.object({ role: z.string(), weight: doubleSchema });

const amountsSchema = z.record(z.string(), z.object({ value: doubleSchema })).default({});

const quotaConfigSchema = z.object({ role: z.string(), guarantees: amountsSchema, limits: amountsSchema });

export const quotaRequestSchema = z.object({
  force: booleanSchema.default(false),
  role: z.string().optional(),
  guarantee: resourceListSchema,
});

export const scheduleSchema = z.object({
  windows: optionalList(
    z.object({
      machine_ids: optionalList(machineSchema),
      unavailability: z.object({ start: nanosecondsSchema, duration: nanosecondsSchema.optional() }),
    }),
  ),
});

const machinesSchema = z.object({ machines: optionalList(machineSchema) }).optional();
const ofAgentSchema = z.object({ agent_id: idSchema }).optional();
const volumesSchema = z.object({ agent_id: idSchema, volumes: resourceListSchema }).optional();

export const operatorCallSchema = z.object({
  type: enumSchema(OPERATOR_CALL_TYPES),
  get_metrics: anything,
  set_logging_level: anything,
  list_files: anything,
  read_file: anything,
  update_weights: z.object({ weight_infos: optionalList(weightInfoSchema) }).optional(),
  reserve_resources: z
    .object({ agent_id: idSchema, resources: resourceListSchema, source: resourceListSchema })
    .optional(),
  unreserve_resources: z.object({ agent_id: idSchema, resources: resourceListSchema }).optional(),
  create_volumes: volumesSchema,
  destroy_volumes: volumesSchema,
  grow_volume: anything,
  shrink_volume: anything,
  update_maintenance_schedule: z.object({ schedule: scheduleSchema }).optional(),
  start_maintenance: machinesSchema,
  stop_maintenance: machinesSchema,
  drain_agent: z
    .object({
      agent_id: idSchema,
      max_grace_period: nanosecondsSchema.optional(),
      mark_gone: booleanSchema.default(false),
    })
    .optional(),
  deactivate_agent: ofAgentSchema,
  reactivate_agent: ofAgentSchema,
  update_quota: z
    .object({ force: booleanSchema.default(false), quota_configs: optionalList(quotaConfigSchema) })
    .optional(),
  set_quota: z.object({ quota_request: quotaRequestSchema }).optional(),
  remove_quota: z.object({ role: z.string() }).optional(),
  teardown: z.object({ framework_id: idSchema }).optional(),
  mark_agent_gone: ofAgentSchema,
});

export type OperatorCall = z.output<typeof operatorCallSchema>;
export type WireMachine = z.output<typeof machineSchema>;
export type WireWeightInfo = z.output<typeof weightInfoSchema>;
export type WireQuotaConfig = z.output<typeof quotaConfigSchema>;
export type WireQuotaRequest = z.output<typeof quotaRequestSchema>;
export type WireSchedule = z.output<typeof scheduleSchema>;
