/** Tokens of tasks about themselves, as a job asks for them. */
import { z } from 'zod';
import { NAME_PATTERN, NAME_RULE } from '../domain/ids.ts';
import {
  IDENTITY_FOLDER,
  IDENTITY_TTL_SECONDS_DEFAULT,
  IDENTITY_TTL_SECONDS_MAX,
  IDENTITY_TTL_SECONDS_MIN,
} from '../domain/workload-identity.ts';

/** The audience of the control plane's own tokens, which none of a task may ever pass for. */
const RESERVED_AUDIENCE = /^berth(:.*)?$/i;

export const identityUseSchema = z
  .strictObject({
    name: z
      .string()
      .regex(NAME_PATTERN, `must be ${NAME_RULE}`)
      .describe(`Also of its file: \`${IDENTITY_FOLDER}/<name>\`.`),
    audience: z
      .string()
      .regex(/^[\x21-\x7e]{1,512}$/, 'must be 1 to 512 printable characters without spaces')
      .refine((audience) => !RESERVED_AUDIENCE.test(audience), 'must not be "berth", which is the control plane itself')
      .describe('Who is to believe the token: the claim `aud`.'),
    ttlSeconds: z
      .number()
      .int()
      .min(IDENTITY_TTL_SECONDS_MIN)
      .max(IDENTITY_TTL_SECONDS_MAX)
      .default(IDENTITY_TTL_SECONDS_DEFAULT)
      .describe('How long each token holds. The next one is there at half of it.'),
    env: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be a name of a variable')
      .refine((name) => !name.startsWith('BERTH_'), 'must not begin with BERTH_')
      .optional()
      .describe('A variable that says where the file is.'),
  })
  .meta({
    id: 'IdentityUse',
    description: 'A token of the task about itself, which others verify by the published keys.',
  });

export interface IdentityFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What is wrong with all of a group's together. */
export function identityFaults(group: {
  readonly identity?: readonly { readonly name: string; readonly env?: string | undefined }[] | undefined;
  readonly mounts: readonly { readonly target: string }[];
  readonly env: Readonly<Record<string, string>>;
}): IdentityFault[] {
  const uses = group.identity ?? [];
  const twice = uses.flatMap(({ name, env }, index) => {
    const earlier = uses.slice(0, index);
    const fault = (field: string, message: string) => ({ path: ['identity', index, field], message });
    return [
      ...(earlier.some((other) => other.name === name) ? [fault('name', `"${name}" is used twice`)] : []),
      ...(env !== undefined && earlier.some((other) => other.env === env)
        ? [fault('env', `"${env}" is used twice`)]
        : []),
      ...(env !== undefined && Object.hasOwn(group.env, env) ? [fault('env', `"${env}" stands in env as well`)] : []),
    ];
  });
  const covered = uses.length === 0 ? [] : group.mounts.flatMap(({ target }, index) => (covers(target) ? [index] : []));
  return [
    ...twice,
    ...covered.map((index) => ({
      path: ['mounts', index, 'target'],
      message: `covers ${IDENTITY_FOLDER}, where the task finds its tokens`,
    })),
  ];
}

function covers(target: string): boolean {
  const folder = target.replace(/\/+$/, '');
  return (
    folder === IDENTITY_FOLDER || folder.startsWith(`${IDENTITY_FOLDER}/`) || IDENTITY_FOLDER.startsWith(`${folder}/`)
  );
}
