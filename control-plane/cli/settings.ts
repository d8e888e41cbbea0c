/**
 * Where the control plane is and who the caller is. In this order: flags, environment, the context file that `berth dev` (or a
 * person) wrote, the last `berth login`, the default. A token from a file goes only to the address that stands beside it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrustFiles } from '../https/trust-files.ts';
import { configFolder, readCredentials } from './credentials.ts';
import { CliError, EXIT } from './exit.ts';

export const DEFAULT_ADDRESS = 'http://127.0.0.1:7878';

export interface Settings {
  readonly address: string;
  readonly token: string | null;
  /** Whose certificate the control plane shows, and which one we do. */
  readonly trust: TrustFiles;
  /** It is what `berth login` left, which may be able to get another. */
  readonly isOfLogin?: true;
}

export interface SettingFlags {
  readonly address?: string | undefined;
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly ca?: string | undefined;
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
}

/** What stands in the context file. */
export interface SavedContext {
  readonly address: string;
  readonly token: string;
  /** A file with the authority that its certificate is of; absent: one that the system trusts. */
  readonly ca?: string | undefined;
  /** Set by `berth dev`: the process that the cluster lives and ends with. */
  readonly devProcess?: number | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

export function contextFile(env: Env): string {
  return join(configFolder(env), 'config.json');
}

export async function resolveSettings(flags: SettingFlags, env: Env): Promise<Settings> {
  const saved = await readContext(contextFile(env));
  const credentials = await readCredentials(env);
  const said = flags.address ?? nonEmpty(env['BERTH_ADDR']) ?? saved?.address ?? credentials.address;
  const address = checkedAddress(said ?? DEFAULT_ADDRESS);
  const given = await givenToken(flags, env);
  const known = saved !== null && checkedAddress(saved.address) === address ? saved : null;
  const trust = trustFiles(flags, env, known);
  if (given !== null) return { address, token: given, trust };
  const { [address]: credential } = credentials.byAddress;
  if (credential !== undefined) {
    return { address, token: checkedToken(credential.token, 'berth login'), trust, isOfLogin: true };
  }
  return { address, token: known?.token ?? null, trust };
}

function trustFiles(flags: SettingFlags, env: Env, known: SavedContext | null): TrustFiles {
  return {
    caFile: flags.ca ?? nonEmpty(env['BERTH_CA']) ?? known?.ca ?? null,
    certFile: flags.clientCert ?? nonEmpty(env['BERTH_CLIENT_CERT']) ?? null,
    keyFile: flags.clientKey ?? nonEmpty(env['BERTH_CLIENT_KEY']) ?? null,
  };
}

async function givenToken(flags: SettingFlags, env: Env): Promise<string | null> {
  if (flags.token !== undefined && flags.tokenFile !== undefined) {
    throw new CliError('--token and --token-file were both given', {
      exitCode: EXIT.usage,
      remedy: 'Give one of them.',
    });
  }
  if (flags.token !== undefined) return checkedToken(flags.token, '--token');
  if (flags.tokenFile !== undefined) return tokenFrom(flags.tokenFile, '--token-file');
  const token = nonEmpty(env['BERTH_TOKEN']);
  if (token !== undefined) return checkedToken(token, 'BERTH_TOKEN');
  const file = nonEmpty(env['BERTH_TOKEN_FILE']);
  return file === undefined ? null : tokenFrom(file, 'BERTH_TOKEN_FILE');
}

/**
 * What is followed for long may outlive its token; the file that it came from may hold another one by then. Null: there is none now
 * for that address.
 */
export async function freshToken({ address }: Settings, flags: SettingFlags, env: Env): Promise<string | null> {
  const now = await resolveSettings(flags, env).catch(() => null);
  return now?.address === address ? now.token : null;
}

/** The file that the token is read from; null: it comes from elsewhere. */
export function tokenFileOf(flags: SettingFlags, env: Env): string | null {
  if (flags.token !== undefined) return null;
  if (flags.tokenFile !== undefined) return flags.tokenFile;
  return nonEmpty(env['BERTH_TOKEN']) === undefined ? (nonEmpty(env['BERTH_TOKEN_FILE']) ?? null) : null;
}

async function tokenFrom(path: string, setting: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new CliError(`the file that ${setting} names can't be read: ${error.message}`, { exitCode: EXIT.usage });
  });
  return checkedToken(text, `${setting} (${path})`);
}

/** A JWT has no white space; a header with a line break in it would fail in a way that nobody understands. */
function checkedToken(text: string, from: string): string {
  const token = text.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new CliError(`${from} isn't a token`, {
      exitCode: EXIT.usage,
      remedy: 'A token is one word: the output of `berth token create`.',
    });
  }
  return token;
}

function checkedAddress(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new CliError(`"${text}" isn't the address of a control plane`, {
      exitCode: EXIT.usage,
      remedy: `Write it like ${DEFAULT_ADDRESS}.`,
    });
  }
  if (url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new CliError(`"${text}" holds more than an address`, {
      exitCode: EXIT.usage,
      remedy: 'Leave out user, query and fragment.',
    });
  }
  return url.href.replace(/\/+$/, '');
}

/** Null where there is no such file. */
export async function readContext(path: string): Promise<SavedContext | null> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw new CliError(`${path} can't be read: ${error.message}`, { exitCode: EXIT.usage });
  });
  if (text === null) return null;
  const context = parseContext(text);
  if (context !== null) return context;
  throw new CliError(`${path} isn't a context file`, {
    exitCode: EXIT.usage,
    remedy: 'It holds {"address": "http://...", "token": "..."}. Correct it or remove it.',
  });
}

function parseContext(text: string): SavedContext | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    const { address, token, ca, devProcess } = value as Record<string, unknown>;
    if (typeof address !== 'string' || typeof token !== 'string') return null;
    return {
      ...{ address, token },
      ca: typeof ca === 'string' ? ca : undefined,
      devProcess: typeof devProcess === 'number' ? devProcess : undefined,
    };
  } catch {
    return null;
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
