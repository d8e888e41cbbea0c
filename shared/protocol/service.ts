/** Schemas of what only services and system jobs say. Which of it goes with which kind is checked by the job's schema. */
import { z } from 'zod';
import { NAME_PATTERN, NAME_RULE } from '../domain/ids.ts';
import {
  CHECK_PURPOSES,
  CHECK_REACTIONS,
  CHECK_TYPES,
  DEFAULT_BACKOFF,
  DEFAULT_UPDATE,
  UNCHECKED_SECONDS,
  UPDATE_STRATEGIES,
} from '../domain/service.ts';

const SECONDS_PER_DAY = 86_400;
const seconds = (max: number, min = 0) => z.number().min(min).max(max);
const share = z.number().min(0).max(1);
const text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => !value.includes('\0'), 'must not contain NUL');
const name = z.string().regex(NAME_PATTERN, `must be ${NAME_RULE}`);
const headerValue = z
  .string()
  .max(4096)
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be one line, of characters that a header can have');
const requestPath = z
  .string()
  .max(2048)
  .regex(/^\/[\x21-\x7e]*$/, 'must be a path that begins with "/", without spaces and with other characters escaped');

export const updateSchema = z
  .strictObject({
    strategy: z
      .enum(UPDATE_STRATEGIES)
      .default(DEFAULT_UPDATE.strategy)
      .describe('`canary` and `blue-green` wait for a promotion, unless `autoPromote` is set.'),
    minHealthy: share
      .default(DEFAULT_UPDATE.minHealthy)
      .describe('The share of the wanted count that is to be healthy at any time; rounded up.'),
    maxOver: share
      .optional()
      .describe(
        'By which share of the wanted count there may be more live tasks than that; rounded down. Absent: 0.25, and 0 where every group mounts persistent volumes.',
      ),
    maxParallel: z
      .number()
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe(
        'While tasks are exchanged, at most so many new ones that are not healthy yet. Absent: as many as the two shares allow.',
      ),
    canaries: z.number().int().min(1).max(10_000).default(DEFAULT_UPDATE.canaries).describe('Of each group.'),
    autoPromote: z.boolean().default(DEFAULT_UPDATE.autoPromote),
    minHealthySeconds: seconds(SECONDS_PER_DAY)
      .optional()
      .describe(
        `A new task counts once it has been healthy and ready for so long without a break. Absent: 0, and ${UNCHECKED_SECONDS} where a group has no check for health, so that one that ends right after its start doesn't count.`,
      ),
    progressDeadlineSeconds: seconds(7 * SECONDS_PER_DAY, 1)
      .default(DEFAULT_UPDATE.progressDeadlineSeconds)
      .describe('A deployment fails when no further task has come to count for so long.'),
    autoRevert: z
      .boolean()
      .default(DEFAULT_UPDATE.autoRevert)
      .describe('Whether a failed deployment is taken back to the last version that was rolled out with success.'),
  })
  .meta({ id: 'Update', description: 'How a service gets from one version to the next.' });

const statusRange = z
  .strictObject({ first: z.number().int().min(100).max(599), last: z.number().int().min(100).max(599) })
  .refine((range) => range.first <= range.last, { path: ['last'], error: 'must not be below `first`' });

export const checkSchema = z
  .strictObject({
    name,
    type: z.enum(CHECK_TYPES),
    purpose: z
      .enum(CHECK_PURPOSES)
      .default('health')
      .describe('`health`: whether the task works. `readiness`: whether it should be given anything to do.'),
    port: name.optional().describe("The name of one of the group's ports; required but for `command`."),
    path: requestPath.optional().describe('`http` and `https`; absent: "/".'),
    method: z.enum(['GET', 'HEAD']).optional().describe('`http` and `https`; absent: GET.'),
    headers: z
      .record(z.string().regex(/^[A-Za-z0-9-]{1,128}$/, 'must be the name of a header'), headerValue)
      .optional(),
    statuses: z
      .array(statusRange)
      .min(1)
      .max(50)
      .optional()
      .describe('Statuses that pass; absent: 200 to 399. Certificates are not verified.'),
    command: z
      .array(text(65_536))
      .min(1)
      .max(1000)
      .optional()
      .describe("`command`: run within the task's container; exit code 0 passes."),
    intervalSeconds: seconds(SECONDS_PER_DAY, 0.1).default(10),
    timeoutSeconds: seconds(3600, 0.1).default(5),
    graceSeconds: seconds(SECONDS_PER_DAY)
      .default(30)
      .describe('After each start, failures before the first success do not count for so long.'),
    failuresMax: z.number().int().min(1).max(1000).default(3).describe('Failures in a row after which it fails.'),
    successesMin: z.number().int().min(1).max(1000).default(1).describe('Successes in a row after which it passes.'),
    onFailure: z
      .enum(CHECK_REACTIONS)
      .optional()
      .describe('Absent: `replace`, and `none` for readiness, which takes nothing else.'),
  })
  .superRefine((check, context) => {
    const fault = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
    const isRequest = check.type === 'http' || check.type === 'https';
    if (check.type === 'command' && check.command === undefined) fault('command', 'is required by the type "command"');
    if (check.type !== 'command' && check.command !== undefined) fault('command', 'is only for the type "command"');
    if (check.type !== 'command' && check.port === undefined) fault('port', `is required by the type "${check.type}"`);
    if (check.type === 'command' && check.port !== undefined) fault('port', 'is not used by the type "command"');
    for (const field of ['path', 'method', 'headers', 'statuses'] as const) {
      if (!isRequest && check[field] !== undefined) fault(field, `is not used by the type "${check.type}"`);
    }
    if (check.purpose === 'readiness' && check.onFailure !== undefined && check.onFailure !== 'none') {
      fault('onFailure', 'must be "none" or left out for readiness: it only decides who is given anything to do');
    }
  })
  .transform((check) => ({
    ...check,
    ...(check.type === 'http' || check.type === 'https'
      ? {
          path: check.path ?? '/',
          method: check.method ?? ('GET' as const),
          headers: check.headers ?? {},
          statuses: check.statuses ?? [{ first: 200, last: 399 }],
        }
      : {}),
    onFailure: check.onFailure ?? (check.purpose === 'readiness' ? ('none' as const) : ('replace' as const)),
  }))
  .meta({
    id: 'Check',
    description: 'Made by the agent next to the task, whether or not it reaches the control plane.',
  });

const backoffFields = {
  delaySeconds: seconds(SECONDS_PER_DAY).default(DEFAULT_BACKOFF.delaySeconds),
  factor: z.number().min(1).max(100).default(DEFAULT_BACKOFF.factor),
  maxDelaySeconds: seconds(SECONDS_PER_DAY).default(DEFAULT_BACKOFF.maxDelaySeconds),
};

export const backoffSchema = z.strictObject(backoffFields).meta({
  id: 'Backoff',
  description:
    'The pause after the n-th failure in a row: delay × factor^(n-1), at most the maximum. After five, what has run for less than a ' +
    'second is followed after a second at the least.',
});

export const inPlaceSchema = z
  .strictObject({
    ...backoffFields,
    max: z.number().int().min(1).max(1000).default(3).describe('One more within `withinSeconds`, and it is replaced.'),
    withinSeconds: seconds(SECONDS_PER_DAY, 1).default(600),
  })
  .meta({
    id: 'InPlaceRestarts',
    description: 'Further runs of the same task where it was, after its end or a failed check.',
  });

export const spreadSchema = z
  .strictObject({
    attribute: z.string().min(1).max(128),
    maxSkew: z
      .number()
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe('How many tasks more than the emptiest value a value may have. Absent: it is only preferred.'),
    weight: z.number().int().min(1).max(100).default(50),
    targets: z
      .array(z.strictObject({ value: text(1024), percent: z.number().min(0).max(100) }))
      .min(1)
      .max(100)
      .optional()
      .refine(
        (all = []) => all.reduce((sum, { percent }) => sum + percent, 0) <= 100,
        'must be at most 100 percent together',
      )
      .refine((all = []) => new Set(all.map(({ value }) => value)).size === all.length, 'must not name a value twice')
      .describe('Shares of values that are not to be equal.'),
  })
  .refine((spread) => spread.maxSkew === undefined || spread.targets === undefined, {
    path: ['targets'],
    error: 'go with a preferred spread only; leave out `maxSkew`',
  })
  .meta({ id: 'Spread' });

const hostName = z
  .string()
  .max(253)
  .regex(
    /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/,
    'must be a host name in lower case',
  );

export const publishSchema = z
  .strictObject({
    mode: z.enum(['http', 'tcp']).default('http'),
    port: z.number().int().min(1).max(65_535).optional().describe('Where balancers listen for it.'),
    hosts: z.array(hostName).min(1).max(100).optional().describe('Names of virtual hosts; "*." begins a wildcard.'),
    path: requestPath.optional().describe('Only requests whose path begins so.'),
  })
  .superRefine((publish, context) => {
    const fault = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
    if (publish.mode === 'tcp' && publish.hosts !== undefined) fault('hosts', 'go with the mode "http" only');
    if (publish.mode === 'tcp' && publish.path !== undefined) fault('path', 'goes with the mode "http" only');
    if (publish.port === undefined && publish.hosts === undefined)
      fault('port', 'is required where there are no hosts');
    if (publish.path !== undefined && publish.hosts === undefined) fault('hosts', 'are required by `path`');
  })
  .meta({ id: 'Publish', description: 'How a port is reached through a balancer.' });
