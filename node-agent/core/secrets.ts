/** What a task is given in confidence: how what was told becomes files in memory and variables, and what of it must never be said. */
import { type SecretUse, secretKeyOf, secretName } from '../../shared/domain/secret.ts';
import type { AssignedTask, TaskSecretsResponse } from '../../shared/protocol/agent.ts';
import { base64Decode, utf8Decode } from '../../shared/util/codec.ts';

/** One that a task is given. */
export interface TaskFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface GivenFile {
  /** Of the node, in its memory. */
  readonly source: string;
  /** As the job says: an absolute path, or a bare name in the folder of secrets. */
  readonly target: string;
  readonly mode: string | null;
  readonly uid: number | null;
}

/** What one run of a task is given. */
export interface GivenSecrets {
  /** Of the node, in its memory: for this task alone. */
  readonly folder: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly files: readonly GivenFile[];
}

/** Shorter ones can't be told from words that mean nothing. */
const UNSPEAKABLE_LENGTH_MIN = 4;

/** Where the value of each use is kept: under the name that a process finds it by, or one that none can have. */
function fileNameOf({ env, file }: SecretUse, index: number): string {
  if (env !== undefined) return `.variable-${index}`;
  return file === undefined || file.startsWith('/') ? `.file-${index}` : file;
}

/** What is kept in the node's memory for the task; or why it can't be started, as a sentence without its full stop. */
export function secretFiles(
  { role, group }: Pick<AssignedTask, 'role' | 'group'>,
  { secrets, missing }: TaskSecretsResponse,
): readonly TaskFile[] | string {
  if (missing.length > 0) return missing.map(({ why }) => why).join('; ');
  const told = new Map(secrets.map((secret) => [secretName(secret), secret]));
  const files: TaskFile[] = [];
  for (const [index, use] of (group.secrets ?? []).entries()) {
    const key = secretKeyOf(use, { role });
    const bytes = base64Decode(told.get(secretName(key))?.value ?? '');
    if (bytes === null || bytes.length === 0) return `secret "${key.name}" of role "${key.role}" was not told`;
    if (use.env !== undefined && variableText(bytes) === null) {
      return `secret "${key.name}" of role "${key.role}" isn't text any more, which the variable ${use.env} has to be`;
    }
    files.push({ name: fileNameOf(use, index), bytes });
  }
  return files;
}

/** What the task is given, out of what is kept for it in `folder`. Null: that isn't all there. */
export function givenSecrets(
  { secrets = [] }: AssignedTask['group'],
  folder: string,
  kept: readonly TaskFile[],
): GivenSecrets | null {
  const byName = new Map(kept.map((file) => [file.name, file]));
  const variables: Record<string, string> = {};
  const files: GivenFile[] = [];
  for (const [index, use] of secrets.entries()) {
    const name = fileNameOf(use, index);
    const file = byName.get(name);
    if (file === undefined) return null;
    if (use.env !== undefined) {
      const text = variableText(file.bytes);
      if (text === null) return null;
      variables[use.env] = text;
    } else {
      const target = use.file ?? name;
      files.push({ source: `${folder}/${name}`, target, mode: use.mode ?? null, uid: use.uid ?? null });
    }
  }
  return { folder, variables, files };
}

/** An engine repeats in its refusals what it was told, and they stand in records for everybody to read. */
export function withoutSecrets(text: string, { variables }: Pick<GivenSecrets, 'variables'>): string {
  const values = Object.values(variables).filter((value) => value.length >= UNSPEAKABLE_LENGTH_MIN);
  if (values.length === 0) return text;
  // All in one go, so that none is looked for in what stands for another; the longest first, since one may begin another.
  const longestFirst = values.sort((a, b) => b.length - a.length).map((value) => RegExp.escape(value));
  return text.replace(new RegExp(longestFirst.join('|'), 'g'), '(secret)');
}

/** Who a container runs as, of what its group or else its image says: `user`, `user:group`, by name or number. Null: that isn't told by numbers. */
export function numericUser(user: string): { readonly uid: number; readonly gid: number } | null {
  const [name = '', group = ''] = user.split(':');
  if (name === '' || name === 'root') return { uid: 0, gid: numberOf(group) ?? 0 };
  const uid = numberOf(name);
  return uid === null ? null : { uid, gid: numberOf(group) ?? 0 };
}

function numberOf(text: string): number | null {
  return /^\d{1,10}$/.test(text) ? Number(text) : null;
}

/** Null: it can't be in a variable. */
function variableText(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null;
  try {
    return utf8Decode(bytes);
  } catch {
    return null;
  }
}
