/** Secrets: how they are set, what is shown of them, which is never what they say, and how a job names them. */
import { z } from 'zod';
import { NAME_PATTERN, NAME_RULE, ROLE_PATTERN, ROLE_RULE } from '../domain/ids.ts';
import {
  mayNameSecretsOf,
  SECRET_BYTES_MAX,
  SECRETS_FOLDER,
  SECRETS_PER_JOB_MAX,
  SECRETS_VARIABLE,
  type SecretUse,
  secretsOf,
} from '../domain/secret.ts';
import { base64Decode, utf8Length } from '../util/codec.ts';

const nameSchema = z.string().regex(NAME_PATTERN, `must be ${NAME_RULE}`);
const roleSchema = z.string().max(200).regex(ROLE_PATTERN, `must be ${ROLE_RULE}`);
const timeSchema = z.iso.datetime();

/** Base64 takes four characters for three bytes. */
const VALUE_LENGTH_MAX = Math.ceil(SECRET_BYTES_MAX / 3) * 4;

export const secretRequestSchema = z
  .strictObject({
    value: z.string().max(VALUE_LENGTH_MAX, `must be at most ${SECRET_BYTES_MAX} bytes`),
    encoding: z
      .enum(['utf8', 'base64'])
      .default('utf8')
      .describe('How the value is written here: as it is, or its bytes in base64.'),
  })
  .superRefine(({ value, encoding }, context) => {
    const bytes = encoding === 'utf8' ? utf8Length(value) : base64Decode(value)?.length;
    const fault = (message: string) => context.addIssue({ code: 'custom', path: ['value'], message });
    if (bytes === undefined) fault('must be base64 with padding');
    else if (bytes === 0) fault('must not be empty');
    else if (bytes > SECRET_BYTES_MAX) fault(`must be at most ${SECRET_BYTES_MAX} bytes`);
  })
  .meta({ id: 'SecretRequest', description: 'What a secret is to say. It is never shown again.' });

export const secretViewSchema = z
  .object({
    name: z.string(),
    role: z.string(),
    version: z.number().int().min(1).describe('Counts the settings of it.'),
    isText: z.boolean().describe('Whether it can be given in a variable.'),
    envelopeKey: z.string().describe('What it is sealed under.'),
    createdAt: timeSchema,
    createdBy: z.string(),
    updatedAt: timeSchema,
    updatedBy: z.string(),
    usedBy: z.array(z.string()).describe('Jobs that name it, as `role:name`, as far as the token may read them.'),
  })
  .meta({ id: 'Secret', description: 'What is known of a secret without opening it.' });

export const resealViewSchema = z
  .object({
    envelopeKey: z.string().describe('The one that seals.'),
    resealed: z.number().int().min(0).describe('By this call.'),
    left: z.number().int().min(0).describe('Still sealed under another key, or not at all. Call again until it is 0.'),
    unopenable: z.number().int().min(0).describe('Of those left: under keys that this replica does not have.'),
  })
  .meta({ id: 'Resealing' });

export const secretUseSchema = z
  .strictObject({
    name: nameSchema,
    role: roleSchema.optional().describe("The job's own role or one above it. Absent: its own."),
    env: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,255}$/, 'must be the name of a variable: letters, digits and "_"')
      .optional()
      .describe('The variable that holds it. Everybody who may inspect containers on the node sees it: prefer a file.'),
    file: z
      .string()
      .max(4096)
      .regex(
        /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}|\/(?!.*(?:^|\/)\.\.?(?:\/|$))(?!.*\/\/)[^\p{Cc}]*[^\p{Cc}/])$/u,
        'must be an absolute path without "." and "..", or a bare name of letters, digits, "_", "." and "-"',
      )
      .optional()
      .describe(
        `The file that holds it: an absolute path in the container, or a bare name in \`$${SECRETS_VARIABLE}\`, which is ${SECRETS_FOLDER} there.`,
      ),
    mode: z
      .string()
      .regex(/^0[0-7]{3}$/, 'must be four octal digits, such as "0400"')
      .optional()
      .describe("The file's. Absent: 0400, or 0444 where the image names its user by name and no uid is given."),
    uid: z.number().int().min(0).max(4_294_967_294).optional().describe("The file's owner. Absent: the task's user."),
  })
  .superRefine(({ env, file, mode, uid }, context) => {
    const fault = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
    if (env === undefined && file === undefined) fault('file', 'or env is required: how the task is given the secret');
    if (env !== undefined && file !== undefined) fault('file', 'can not go with env: name the secret twice for both');
    if (file === undefined && mode !== undefined) fault('mode', 'is only for a file');
    if (file === undefined && uid !== undefined) fault('uid', 'is only for a file');
  })
  .meta({ id: 'SecretUse', description: 'How a task is given a secret.' });

interface SecretFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

interface SecretGroup {
  readonly runtime: 'docker' | 'process' | 'executor';
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly { readonly target: string }[];
  readonly secrets?: readonly SecretUse[] | undefined;
}

/** What of a group's secrets contradicts the rest of it. */
export function secretFaultsOfGroup({ runtime, env, mounts, secrets = [] }: SecretGroup): SecretFault[] {
  const faults: SecretFault[] = [];
  const targets = new Set(mounts.map(({ target }) => target));
  const taken = new Set<string>();
  for (const [index, use] of secrets.entries()) {
    const fault = (field: string, message: string) => faults.push({ path: ['secrets', index, field], message });
    if (runtime === 'executor') fault('name', 'can not be given to a task that an executor runs');
    if (use.env !== undefined) {
      if (Object.hasOwn(env, use.env)) fault('env', `"${use.env}" is in env as well`);
      if (use.env.startsWith('BERTH_')) fault('env', 'must not begin with BERTH_, which is what Berth itself says');
    }
    if (use.file?.startsWith('/') && runtime === 'process') {
      fault('file', `must be a bare name with the runtime "process": it is put into the folder $${SECRETS_VARIABLE}`);
    }
    const place = use.env ?? (use.file === undefined ? '' : secretPath(use.file));
    if (targets.has(place)) fault('file', `"${place}" is the target of a mount as well`);
    if (taken.has(place)) fault(use.env === undefined ? 'file' : 'env', `"${use.env ?? use.file}" is used twice`);
    taken.add(place);
  }
  return faults;
}

/** Where a container has the file. */
export function secretPath(file: string): string {
  return file.startsWith('/') ? file : `${SECRETS_FOLDER}/${file}`;
}

interface SecretJob {
  readonly role: string;
  readonly groups: readonly SecretGroup[];
}

export function secretFaultsOfJob(job: SecretJob): SecretFault[] {
  const faults = job.groups.flatMap(({ secrets = [] }, group) =>
    secrets.flatMap(({ role = job.role }, index): SecretFault[] => {
      if (mayNameSecretsOf(job.role, role)) return [];
      const message = `"${role}" is neither the job's role nor above it`;
      return [{ path: ['groups', group, 'secrets', index, 'role'], message }];
    }),
  );
  const count = secretsOf(job).length;
  if (count <= SECRETS_PER_JOB_MAX) return faults;
  return [...faults, { path: ['groups'], message: `name ${count} secrets; a job may have ${SECRETS_PER_JOB_MAX}` }];
}

export type SecretRequest = z.output<typeof secretRequestSchema>;
export type SecretRequestInput = z.input<typeof secretRequestSchema>;
export type SecretView = z.output<typeof secretViewSchema>;
export type ResealView = z.output<typeof resealViewSchema>;
