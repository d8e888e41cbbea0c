/**
 * What `berth login` keeps for the commands that follow: a token for each address, and how to get the next one. A file that only its owner
 * may read; no command line and no environment ever holds what is in it.
 */
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CliError, EXIT } from './exit.ts';

/** Where a token of the outside issuer comes from, each time that one is needed. */
export type IdTokenSource =
  | { readonly kind: 'github'; readonly audience: string }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string };

/** What an exchange is asked for beside the outside token. */
export interface ExchangeWish {
  readonly policy?: string | undefined;
  readonly roles?: readonly string[] | undefined;
  readonly actions?: readonly string[] | undefined;
  readonly ttlSeconds?: number | undefined;
}

export interface Credential {
  readonly token: string;
  readonly expiresAtMs: number;
  /** Null: it can't be renewed without a person. */
  readonly renewal: { readonly source: IdTokenSource; readonly wish: ExchangeWish } | null;
}

export interface Credentials {
  /** Of the last login: where commands go that nobody told where to go. */
  readonly address: string | null;
  readonly byAddress: Readonly<Record<string, Credential>>;
}

type Env = Readonly<Record<string, string | undefined>>;

const NONE: Credentials = { address: null, byAddress: {} };
/** Beyond this the one that ends first goes. */
const ADDRESSES_MAX = 100;

export function configFolder(env: Env): string {
  return join(env['XDG_CONFIG_HOME'] ?? join(env['HOME'] ?? '/', '.config'), 'berth');
}

export function credentialsFile(env: Env): string {
  return join(configFolder(env), 'credentials.json');
}

/** What isn't there, or isn't what it should be, holds nothing: another login writes it anew. */
export async function readCredentials(env: Env): Promise<Credentials> {
  const path = credentialsFile(env);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw new CliError(`${path} can't be read: ${error.message}`, { exitCode: EXIT.usage });
  });
  return text === null ? NONE : parseCredentials(text);
}

export async function saveCredential(env: Env, address: string, credential: Credential): Promise<void> {
  const before = await readCredentials(env);
  const others = Object.entries(before.byAddress)
    .filter(([other]) => other !== address)
    .sort(([, a], [, b]) => b.expiresAtMs - a.expiresAtMs)
    .slice(0, ADDRESSES_MAX - 1);
  await writeCredentials(env, { address, byAddress: Object.fromEntries([[address, credential], ...others]) });
}

/** Whether there was one. */
export async function removeCredential(env: Env, address: string): Promise<boolean> {
  const before = await readCredentials(env);
  if (!Object.hasOwn(before.byAddress, address)) return false;
  const { [address]: _gone, ...byAddress } = before.byAddress;
  await writeCredentials(env, { address: before.address === address ? null : before.address, byAddress });
  return true;
}

/** In one step: whoever reads it meanwhile sees the old one or the new one. */
async function writeCredentials(env: Env, credentials: Credentials): Promise<void> {
  const path = credentialsFile(env);
  const draft = `${path}.${process.pid}`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rm(draft, { force: true });
    await writeFile(draft, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    await chmod(draft, 0o600);
    await rename(draft, path);
  } catch (error) {
    throw new CliError(`${path} can't be written: ${error instanceof Error ? error.message : error}`, {
      exitCode: EXIT.usage,
      remedy: 'Name a folder that can be written to with XDG_CONFIG_HOME.',
    });
  }
}

function parseCredentials(text: string): Credentials {
  try {
    const value = JSON.parse(text) as Partial<Credentials> | null;
    const entries = Object.entries(value?.byAddress ?? {}).filter(
      ([, each]) => typeof each?.token === 'string' && typeof each.expiresAtMs === 'number',
    );
    const address = typeof value?.address === 'string' ? value.address : null;
    return { address, byAddress: Object.fromEntries(entries) };
  } catch {
    return NONE;
  }
}
