/**
 * The schema of a job file: what the API takes and the CLI reads. Defaults are filled in here, once, so that everything
 * behind it sees a complete {@link JobSpec}. Unknown fields are refused.
 */
import { z } from 'zod';
import {
  CONSTRAINT_OPERATORS,
  type Constraint,
  type ConstraintOperator,
  isPeerOperator,
} from '../domain/constraint.ts';
import { NAME_PATTERN, NAME_RULE, ROLE_PATTERN, ROLE_RULE } from '../domain/ids.ts';
import {
  GROUP_RUNTIMES,
  type GroupSpec,
  INDEX_PLACEHOLDER,
  JOB_KINDS,
  type JobSpec,
  MOUNT_TYPES,
  NETWORK_MODES,
  type NetworkMode,
  PLACEMENTS,
  PULL_POLICIES,
} from '../domain/job.ts';
import { KILL_SELECTIONS } from '../domain/service.ts';
import { GPU_NODE_POLICIES } from '../domain/settings.ts';
import { STOP_SIGNAL_PATTERN } from '../domain/stop-signal.ts';
import { readPattern } from '../domain/text-pattern.ts';
import { IDENTITIES_MAX } from '../domain/workload-identity.ts';
import { identityFaults, identityUseSchema } from './identity.ts';
import { faultsOfKind, withDefaultsOfKind } from './job-kinds.ts';
import { mountFaults } from './mounts.ts';
import { secretFaultsOfGroup, secretFaultsOfJob, secretUseSchema } from './secrets.ts';
import { backoffSchema, checkSchema, inPlaceSchema, publishSchema, spreadSchema, updateSchema } from './service.ts';

export const GROUPS_MAX = 50;
export const COUNT_MAX = 10_000;
/** Tasks of one job over all its groups. */
export const TASKS_PER_JOB_MAX = 10_000;
/** Kinds of declared resources that one task may ask for. */
export const CUSTOM_RESOURCES_MAX = 32;

const SECONDS_PER_YEAR = 31_536_000;
/** Some heartbeats fit into it: one that is lost on the way must not end anything. */
const STOP_AFTER_DISCONNECT_SECONDS_MIN = 10;

export const nameSchema = z.string().regex(NAME_PATTERN, `must be ${NAME_RULE}`);
export const roleSchema = z.string().max(200).regex(ROLE_PATTERN, `must be ${ROLE_RULE}`);

const amount = (max: number, min = 0) =>
  z.number().min(min).max(max).multipleOf(0.001, 'may have at most three decimals');
const seconds = (max: number) => z.number().min(0).max(max);
const text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => !value.includes('\0'), 'must not contain NUL');
const absolutePath = z
  .string()
  .max(4096)
  .regex(/^\/(?!.*(?:^|\/)\.\.(?:\/|$))[^\p{Cc}]*$/su, 'must be an absolute path without ".." and control characters');

const labelsSchema = z.record(z.string().min(1).max(128), text(4096));

/** What Marathon's constraints call some of the operators. */
const MARATHON_OPERATORS: ReadonlyMap<unknown, ConstraintOperator> = new Map([
  ['LIKE', 'matches'],
  ['UNLIKE', 'notMatches'],
  ['UNIQUE', 'unique'],
  ['CLUSTER', 'cluster'],
  ['GROUP_BY', 'groupBy'],
  ['MAX_PER', 'maxPer'],
  ['IS', 'is'],
]);

/** Undefined: it is none of Marathon's, so what is allowed is told. */
function operatorFault({ input }: { readonly input: unknown }): string | undefined {
  const own = MARATHON_OPERATORS.get(typeof input === 'string' ? input.toUpperCase() : input);
  return own === undefined ? undefined : `must be "${own}", as Marathon's ${String(input)} is called here`;
}

const constraintFields = {
  attribute: z.string().min(1).max(128),
  operator: z.enum(CONSTRAINT_OPERATORS, { error: operatorFault }),
  value: text(1024).optional(),
  values: z.array(text(1024)).min(1).max(100).optional(),
};

/** Of operators that may go without a value. */
const VALUE_IS_OPTIONAL = ['cluster', 'groupBy'];

/** What is wrong with a constraint as a whole. */
function checkConstraint(constraint: Constraint, context: z.RefinementCtx): void {
  const { operator } = constraint;
  const takesList = operator === 'in' || operator === 'notIn';
  const takesValue = !takesList && operator !== 'exists' && operator !== 'notExists' && operator !== 'unique';
  const fault = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
  if (takesList && constraint.values === undefined) fault('values', `is required by the operator "${operator}"`);
  if (!takesList && constraint.values !== undefined) fault('values', `is not used by the operator "${operator}"`);
  if (takesValue && constraint.value === undefined && !VALUE_IS_OPTIONAL.includes(operator))
    fault('value', `is required by the operator "${operator}"`);
  if (!takesValue && constraint.value !== undefined) fault('value', `is not used by the operator "${operator}"`);
  if (/^[<>]/.test(operator) && constraint.value !== undefined && !isNumber(constraint.value)) {
    fault('value', `must be a number, since "${operator}" compares numbers`);
  }
  if (/^(m|notM)atches$/.test(operator) && constraint.value !== undefined) {
    const pattern = readPattern(constraint.value);
    if (typeof pattern === 'string') fault('value', pattern);
  }
  if ((operator === 'maxPer' || operator === 'groupBy') && !/^[1-9][0-9]{0,6}$/.test(constraint.value ?? '1')) {
    fault('value', `must be a whole number from 1 for the operator "${operator}"`);
  }
  if (operator === 'is' && !/^[a-zA-Z0-9_/.-]*$/.test(constraint.value ?? '')) {
    fault('value', 'may hold letters, digits and "_/.-" with the operator "is"');
  }
}

export const constraintSchema = z
  .strictObject(constraintFields)
  .superRefine(checkConstraint)
  .meta({ id: 'Constraint' });

/** Where tasks are rather to be. */
export const preferenceSchema = z
  .strictObject({ ...constraintFields, weight: z.number().int().min(-100).max(100).default(50) })
  .superRefine((preference, context) => {
    checkConstraint(preference, context);
    if (isPeerOperator(preference.operator)) {
      const message = `"${preference.operator}" is for constraints; what is preferred of other tasks is said by \`spread\``;
      context.addIssue({ code: 'custom', path: ['operator'], message });
    }
  })
  .meta({ id: 'Preference' });

function isNumber(value: string): boolean {
  return value.trim() !== '' && Number.isFinite(Number(value));
}

export const resourcesSchema = z
  .strictObject({
    cpus: amount(10_000, 0.001).default(0.1).describe('Cores, with up to three decimals; also the hard limit.'),
    memMiB: z.number().int().min(4).max(100_000_000).default(64).describe('Memory in MiB; also the hard limit.'),
    diskMiB: z.number().int().min(0).max(1_000_000_000).default(0).describe('Disk in MiB, counted, not enforced.'),
    gpus: z
      .number()
      .int('must be a whole number: a GPU is given to one task as a whole')
      .min(0)
      .max(1024)
      .default(0)
      .describe('Whole devices.'),
    pids: z.number().int().min(1).max(4_000_000).default(1024).describe('Limit on processes and threads.'),
    custom: z
      .record(nameSchema, amount(1e12))
      .refine((custom) => Object.keys(custom).length <= CUSTOM_RESOURCES_MAX, `must be at most ${CUSTOM_RESOURCES_MAX}`)
      .default({})
      .describe('Named scalars that operators declared on nodes.'),
  })
  .meta({ id: 'TaskResources' });

const portNumber = z.number().int().min(1).max(65_535);

export const portSchema = z
  .strictObject({
    name: nameSchema,
    containerPort: portNumber.optional().describe('Where the container listens. Absent: the same as the host port.'),
    hostPort: portNumber.optional().describe('A certain port of the node. Absent: any free one.'),
    protocol: z.enum(['tcp', 'udp']).default('tcp'),
    publish: publishSchema.optional(),
  })
  .refine((port) => port.publish === undefined || port.protocol === 'tcp', {
    path: ['publish'],
    error: 'goes with the protocol "tcp" only',
  })
  .meta({ id: 'Port' });

export const mountSchema = z
  .strictObject({
    type: z.enum(MOUNT_TYPES).default('bind'),
    source: text(4096)
      .optional()
      .describe(
        `The node's path, or the name of a volume of the engine, or the id of a persistent volume, in which "${INDEX_PLACEHOLDER}" stands for the index of the task.`,
      ),
    target: absolutePath,
    readOnly: z.boolean().default(false),
  })
  .superRefine((mount, context) => {
    for (const { field, message } of mountFaults(mount, absolutePath.safeParse(mount.source).success)) {
      context.addIssue({ code: 'custom', path: [field], message });
    }
  })
  .meta({ id: 'Mount' });

export const retriesSchema = z
  .strictObject({
    max: z.number().int().min(0).max(1000).default(0).describe('New attempts after a failed one.'),
    delaySeconds: seconds(SECONDS_PER_YEAR).default(1),
    factor: z.number().min(1).max(100).default(2),
    maxDelaySeconds: seconds(SECONDS_PER_YEAR).default(300),
  })
  .meta({ id: 'Retries' });

export const restartSchema = z
  .strictObject({
    afterReboot: z
      .boolean()
      .default(false)
      .describe(
        'When its node went down under it (power cut, reboot), the task is started again there as a new run, with or without an uplink. Otherwise it has ended, and retries apply.',
      ),
    inPlace: inPlaceSchema.optional().describe('Services and system jobs only. Absent: a task that ends is replaced.'),
  })
  .meta({ id: 'RestartPolicy' });

export const groupSchema = z
  .strictObject({
    name: nameSchema.default('main'),
    count: z.number().int().min(0).max(COUNT_MAX).default(1).describe('How many tasks; 0 for services only.'),
    runtime: z
      .enum(GROUP_RUNTIMES)
      .default('docker')
      .describe('`process`: without a container and an image, as a process of the node, where its operator allows it.'),
    image: z
      .string()
      .max(512)
      .regex(/^(?:[a-zA-Z0-9][a-zA-Z0-9._\-/:@]*)?$/, 'must be an image reference, such as "alpine:3.20"')
      .default('')
      .describe('Required for a container, and empty without one.'),
    command: z.array(text(65_536)).min(1).max(1000).optional().describe("Replaces the image's entrypoint."),
    args: z.array(text(65_536)).max(1000).optional().describe("Replaces the image's default arguments."),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,255}$/, 'must be the name of a variable'), text(65_536))
      .default({}),
    user: z
      .string()
      .regex(/^[a-zA-Z0-9_][a-zA-Z0-9_.:-]{0,127}$/, 'must be a user, or user:group')
      .optional(),
    workingDir: absolutePath.optional(),
    resources: resourcesSchema.prefault({}),
    network: z
      .enum(NETWORK_MODES)
      .optional()
      .describe('Absent: `bridge`, and `host` without a container, where there is no other.'),
    ports: z.array(portSchema).max(100).default([]),
    mounts: z.array(mountSchema).max(100).default([]),
    pullPolicy: z.enum(PULL_POLICIES).default('missing'),
    privileged: z.boolean().default(false),
    devices: z.array(absolutePath).max(100).default([]),
    capAdd: z
      .array(z.string().regex(/^(?!CAP_)[A-Z][A-Z_]{1,40}$/, 'must be a capability without the prefix CAP_'))
      .max(50)
      .default([]),
    constraints: z.array(constraintSchema).max(100).default([]),
    retries: retriesSchema.prefault({}),
    restart: restartSchema.prefault({}),
    timeoutSeconds: z
      .number()
      .positive()
      .max(SECONDS_PER_YEAR)
      .optional()
      .describe('How long it may run before it is stopped and fails; counted anew for each run.'),
    killGraceSeconds: seconds(3600).default(10).describe('Between the polite signal and the kill.'),
    stopSignal: z
      .string()
      .regex(STOP_SIGNAL_PATTERN, 'must be the name of a signal that ends a process, such as "SIGTERM" or "SIGQUIT"')
      .optional()
      .describe('The polite signal. Absent: what the image asks for, or else SIGTERM.'),
    stopDelaySeconds: seconds(3600)
      .optional()
      .describe(
        'Between the request to end, from when on balancers and DNS leave the task out, and the polite signal.',
      ),
    checks: z.array(checkSchema).max(20).optional().describe('Services and system jobs only, as all that follows.'),
    backoff: backoffSchema.optional().describe('Between the end of a task and its replacement.'),
    prefer: z.array(preferenceSchema).max(50).optional(),
    spread: z.array(spreadSchema).max(10).optional(),
    identity: z
      .array(identityUseSchema)
      .max(IDENTITIES_MAX)
      .optional()
      .describe('Of any kind of job. Tokens of its tasks about themselves, for others to believe.'),
    secrets: z.array(secretUseSchema).max(100).optional().describe('What its tasks are given in confidence.'),
  })
  .superRefine((group, context) => {
    for (const [index, port] of group.ports.entries()) {
      const fault = (field: string, message: string) =>
        context.addIssue({ code: 'custom', path: ['ports', index, field], message });
      const earlier = group.ports.slice(0, index);
      if (earlier.some((other) => other.name === port.name)) fault('name', `"${port.name}" is used twice`);
      if (port.hostPort !== undefined && earlier.some((other) => other.hostPort === port.hostPort)) {
        fault('hostPort', `${port.hostPort} is asked for twice`);
      }
      const network = networkOf(group);
      if (network !== 'bridge' && port.containerPort !== undefined) {
        fault('containerPort', `is only for the network "bridge"; with "${network}" nothing is mapped`);
      }
      if (group.network === 'none') fault('name', 'a task without a network can have no ports');
    }
    const targets = group.mounts.map((mount) => mount.target);
    for (const [index, target] of targets.entries()) {
      if (targets.indexOf(target) < index) {
        context.addIssue({ code: 'custom', path: ['mounts', index, 'target'], message: `"${target}" is used twice` });
      }
    }
    for (const { path, message } of [...identityFaults(group), ...secretFaultsOfGroup(group)]) {
      context.addIssue({ code: 'custom', path: [...path], message });
    }
    for (const { field, message } of runtimeFaults(group)) context.addIssue({ code: 'custom', path: [field], message });
  })
  .transform((group) => ({ ...group, network: networkOf(group) }))
  .meta({ id: 'Group' });

/** A group whose network may still be left out. */
interface WrittenGroup extends Omit<GroupSpec, 'network'> {
  readonly network?: NetworkMode | undefined;
}

/** The network of a group that may leave it out. */
export function networkOf({ runtime, network }: Pick<WrittenGroup, 'runtime' | 'network'>): NetworkMode {
  return network ?? (runtime === 'process' ? 'host' : 'bridge');
}

/** What the group says of a container and has none, or doesn't say and needs. */
function runtimeFaults(group: WrittenGroup): { readonly field: string; readonly message: string }[] {
  if (group.runtime === 'docker') {
    return group.image === '' ? [{ field: 'image', message: 'is required, unless the runtime is "process"' }] : [];
  }
  const containersOnly = 'is only for containers; leave it out with the runtime "process"';
  const isSaid: Readonly<Record<string, boolean>> = {
    image: group.image !== '',
    pullPolicy: group.pullPolicy !== 'missing',
    mounts: group.mounts.length > 0,
    privileged: group.privileged,
    devices: group.devices.length > 0,
    capAdd: group.capAdd.length > 0,
  };
  const faults = Object.keys(isSaid)
    .filter((field) => isSaid[field])
    .map((field) => ({ field, message: containersOnly }));
  if (group.command === undefined) {
    faults.push({ field: 'command', message: 'is required with the runtime "process": there is no image to name one' });
  } else if (group.command[0] === '') {
    faults.push({
      field: 'command',
      message: 'must begin with a program with the runtime "process"; it begins with ""',
    });
  }
  if (networkOf(group) !== 'host') {
    faults.push({ field: 'network', message: 'must be "host" or left out with the runtime "process"' });
  }
  return faults;
}

const jobReference = z
  .string()
  .max(300)
  .regex(/^(?:[a-z0-9/-]{1,200}:)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be the name of a job, or role:name');

export const jobSpecSchema = z
  .strictObject({
    name: nameSchema,
    role: roleSchema.default('default').describe('Who the resources are for; also what the token must allow.'),
    kind: z.enum(JOB_KINDS).default('batch'),
    priority: z.number().int().min(0).max(100).default(50).describe('Higher is placed first.'),
    placement: z
      .enum(PLACEMENTS)
      .optional()
      .describe('Absent: `pack` for batch jobs, `spread` for services and system jobs.'),
    labels: labelsSchema.default({}),
    constraints: z.array(constraintSchema).max(100).default([]),
    replaceAfterSeconds: z
      .union([seconds(SECONDS_PER_YEAR), z.literal('never')])
      .default(60)
      .describe('How long a node may be unreachable before its tasks are given up as lost.'),
    stopAfterDisconnectSeconds: z
      .number()
      .min(STOP_AFTER_DISCONNECT_SECONDS_MIN)
      .max(SECONDS_PER_YEAR)
      .optional()
      .describe(
        'Never two at a time: a node that has been cut off for so long stops the tasks by itself, and none is replaced before that moment must have passed. Absent: they run on.',
      ),
    gpuNodes: z
      .enum(GPU_NODE_POLICIES)
      .optional()
      .describe("In place of the cluster's setting: whether tasks that ask for no GPU may use nodes that have some."),
    update: updateSchema.optional().describe('Services and system jobs only, as the two that follow.'),
    dependsOn: z
      .array(jobReference)
      .max(50)
      .optional()
      .describe('Jobs of the same role, or `role:name`, that have to be up before this one is rolled out.'),
    killSelection: z.enum(KILL_SELECTIONS).optional().describe('Which tasks go first when there are too many.'),
    groups: z.array(groupSchema).min(1).max(GROUPS_MAX),
  })
  .superRefine((job, context) => {
    for (const { path, message } of secretFaultsOfJob(job))
      context.addIssue({ code: 'custom', path: [...path], message });
    for (const { path, message } of faultsOfKind(job)) context.addIssue({ code: 'custom', path: [...path], message });
    const names = job.groups.map((group) => group.name);
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) < index) {
        context.addIssue({ code: 'custom', path: ['groups', index, 'name'], message: `"${name}" is used twice` });
      }
    }
    const tasks = job.groups.reduce((sum, group) => sum + group.count, 0);
    if (tasks > TASKS_PER_JOB_MAX) {
      context.addIssue({
        code: 'custom',
        path: ['groups'],
        message: `ask for ${tasks} tasks together; a job may have ${TASKS_PER_JOB_MAX}`,
      });
    }
  })
  .transform(withDefaultsOfKind)
  .meta({ id: 'JobSpec', description: 'What a user wants to run.' });

/** A job as it is written by people: everything with a default may be left out. */
export type JobSpecInput = z.input<typeof jobSpecSchema>;

/** The schema and the domain say the same: a field that only one of them knows doesn't compile. */
const _parsedIsSpec = (parsed: z.output<typeof jobSpecSchema>): JobSpec => parsed;
const _specIsParsed = (spec: JobSpec): DeepReadonly<z.output<typeof jobSpecSchema>> => spec;
type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;
void _parsedIsSpec;
void _specIsParsed;
