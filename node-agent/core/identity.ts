/** Tokens of tasks about themselves, as files: what they are called, where the task finds them, and when they are exchanged. */
import { IDENTITY_FOLDER, type IdentityToken, type IdentityUse } from '../../shared/domain/workload-identity.ts';
import { utf8Encode } from '../../shared/util/codec.ts';
import type { GivenFile, TaskFile } from './secrets.ts';

/** What one run of a task is given. */
export interface GivenIdentity {
  /** Of the node, in its memory: for this task alone. Files in it are exchanged while the task runs. */
  readonly folder: string;
  readonly names: readonly string[];
}

/** Says where the folder is, of whichever tokens. */
const FOLDER_VARIABLE = 'BERTH_IDENTITY_DIR';

export function identityFiles(tokens: readonly IdentityToken[]): readonly TaskFile[] {
  return tokens.map(({ name, token }) => ({ name, bytes: utf8Encode(token) }));
}

/** The same as files that are handed to whoever the task runs as. */
export function givenFiles({ folder, names }: GivenIdentity): readonly GivenFile[] {
  return names.map((name) => ({ source: `${folder}/${name}`, target: name, mode: null, uid: null }));
}

/** What the control plane has left out of what the group asks for; empty: nothing. */
export function missingTokens(uses: readonly IdentityUse[], tokens: readonly IdentityToken[]): readonly string[] {
  return uses.filter(({ name }) => !tokens.some((token) => token.name === name)).map(({ name }) => name);
}

/**
 * Half of the shortest life among them. Only durations count: this machine's clock need not agree with the one that they were signed by.
 */
export function exchangeAfterMs(tokens: readonly IdentityToken[]): number {
  return Math.min(...tokens.map(({ issuedAtMs, expiresAtMs }) => (expiresAtMs - issuedAtMs) / 2));
}

/** `folder`: as the task sees it. */
export function identityVariables(
  uses: readonly IdentityUse[] | undefined,
  given: GivenIdentity | undefined,
  folder = given?.folder ?? IDENTITY_FOLDER,
): Record<string, string> {
  if (given === undefined) return {};
  const paths = (uses ?? []).flatMap(({ name, env }) =>
    env === undefined ? [] : [[env, `${folder}/${name}`] as const],
  );
  return { [FOLDER_VARIABLE]: folder, ...Object.fromEntries(paths) };
}
