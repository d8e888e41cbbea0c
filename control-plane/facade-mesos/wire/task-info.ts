/**
 * `TaskInfo` and what it is made of. What the door has no substance for is read only so far that it can be named when it is refused;
 * what is only kept and shown again is kept as it comes.
 */
import { z } from 'zod';
import { resourceListSchema } from './resource.ts';
import {
  booleanSchema,
  doubleSchema,
  enumSchema,
  idSchema,
  integerSchema,
  labelsSchema,
  nanosecondsSchema,
  optionalList,
} from './values.ts';

/** Read for its presence alone, or to be shown again. */
const anything = z.looseObject({});

const variableSchema = z.object({
  name: z.string(),
  type: enumSchema(['VALUE', 'SECRET', 'UNKNOWN']),
  value: z.string().optional(),
  secret: anything.optional(),
});

export const commandInfoSchema = z.object({
  value: z.string().optional(),
  shell: booleanSchema.default(true),
  arguments: optionalList(z.string()),
  environment: z.object({ variables: optionalList(variableSchema) }).optional(),
  uris: optionalList(anything),
  user: z.string().optional(),
});

const volumeSourceSchema = z.object({
  type: enumSchema(['DOCKER_VOLUME', 'HOST_PATH', 'SANDBOX_PATH', 'SECRET', 'CSI_VOLUME']),
  docker_volume: z
    .object({ driver: z.string().optional(), name: z.string(), driver_options: anything.optional() })
    .optional(),
  host_path: z.object({ path: z.string() }).optional(),
  sandbox_path: z.object({ type: enumSchema(['SELF', 'PARENT']), path: z.string() }).optional(),
});

const volumeSchema = z.object({
  container_path: z.string(),
  host_path: z.string().optional(),
  mode: z.enum(['RW', 'RO']),
  image: anything.optional(),
  source: volumeSourceSchema.optional(),
});

const portMappingSchema = z.object({
  host_port: integerSchema,
  container_port: integerSchema,
  protocol: z.string().optional(),
});

const dockerInfoSchema = z.object({
  image: z.string(),
  network: enumSchema(['HOST', 'BRIDGE', 'NONE', 'USER']),
  port_mappings: optionalList(portMappingSchema),
  privileged: booleanSchema.default(false),
  parameters: optionalList(z.object({ key: z.string(), value: z.string() })),
  force_pull_image: booleanSchema.default(false),
  volume_driver: z.string().optional(),
});

const mesosInfoSchema = z.object({
  image: z
    .object({
      type: enumSchema(['APPC', 'DOCKER']),
      docker: z.object({ name: z.string() }).optional(),
      cached: booleanSchema.default(true),
    })
    .optional(),
});

const networkInfoSchema = z.object({
  name: z.string().optional(),
  ip_addresses: optionalList(anything),
  port_mappings: optionalList(anything),
});

const containerInfoSchema = z.object({
  type: z.enum(['DOCKER', 'MESOS']),
  volumes: optionalList(volumeSchema),
  hostname: z.string().optional(),
  docker: dockerInfoSchema.optional(),
  mesos: mesosInfoSchema.optional(),
  network_infos: optionalList(networkInfoSchema),
  linux_info: anything.optional(),
  rlimit_info: z.object({ rlimits: optionalList(anything) }).optional(),
  tty_info: anything.optional(),
});

export const executorInfoSchema = z.object({
  type: enumSchema(['UNKNOWN', 'DEFAULT', 'CUSTOM']),
  executor_id: idSchema,
  framework_id: idSchema.optional(),
  name: z.string().optional(),
  command: commandInfoSchema.optional(),
  container: containerInfoSchema.optional(),
  resources: resourceListSchema,
});

/** With the defaults of Mesos, all in seconds. */
export const healthCheckSchema = z.object({
  type: enumSchema(['UNKNOWN', 'COMMAND', 'HTTP', 'TCP']),
  delay_seconds: doubleSchema.default(15),
  interval_seconds: doubleSchema.default(10),
  timeout_seconds: doubleSchema.default(20),
  consecutive_failures: integerSchema.default(3),
  grace_period_seconds: doubleSchema.default(10),
  command: commandInfoSchema.optional(),
  http: z
    .object({
      port: integerSchema,
      scheme: z.string().optional(),
      path: z.string().optional(),
      statuses: optionalList(integerSchema),
    })
    .optional(),
  tcp: z.object({ port: integerSchema }).optional(),
});

export const taskInfoSchema = z.object({
  name: z.string(),
  task_id: idSchema,
  agent_id: idSchema,
  resources: resourceListSchema,
  executor: executorInfoSchema.optional(),
  command: commandInfoSchema.optional(),
  container: containerInfoSchema.optional(),
  health_check: healthCheckSchema.optional(),
  check: anything.optional(),
  kill_policy: z.object({ grace_period: nanosecondsSchema.optional() }).optional(),
  data: z.string().optional(),
  labels: labelsSchema.optional(),
  discovery: anything.optional(),
  max_completion_time: nanosecondsSchema.optional(),
  limits: z.record(z.string(), anything).default({}),
});

export type WireTaskInfo = z.output<typeof taskInfoSchema>;
export type WireHealthCheck = z.output<typeof healthCheckSchema>;
export type WireCommandInfo = z.output<typeof commandInfoSchema>;
export type WireContainerInfo = z.output<typeof containerInfoSchema>;
export type WireDockerInfo = z.output<typeof dockerInfoSchema>;
export type WireVolume = z.output<typeof volumeSchema>;
export type WireExecutorInfo = z.output<typeof executorInfoSchema>;
export type WireNetworkInfo = z.output<typeof networkInfoSchema>;
