/** From a token that an outside issuer gives to whoever runs here, to one of the cluster's. */
import { readFile } from 'node:fs/promises';
import { createClient } from '../../shared/client/client.ts';
import type { ExchangedToken } from '../../shared/protocol/policies.ts';
import {
  type Credential,
  type ExchangeWish,
  type IdTokenSource,
  readCredentials,
  saveCredential,
} from './credentials.ts';
import { CliError, EXIT } from './exit.ts';
import type { Io } from './io.ts';

/** GitHub gives a job that has `id-token: write` these two. */
const GITHUB_URL = 'ACTIONS_ID_TOKEN_REQUEST_URL';
const GITHUB_TOKEN = 'ACTIONS_ID_TOKEN_REQUEST_TOKEN';
/** What the snippet for GitLab calls its token, which other systems may do as well. */
const ID_TOKEN_VARIABLE = 'BERTH_ID_TOKEN';

/** A token that has less left than this is renewed before it is used, where that can be done. */
const RENEW_BEFORE_MS = 60_000;
const ANSWER_CHARACTERS_MAX = 65_536;
const ASK_TIMEOUT_MS = 20_000;

export interface SourceFlags {
  readonly idTokenFile?: string | undefined;
  readonly idTokenEnv?: string | undefined;
  readonly audience?: string | undefined;
}

type SourceIo = Pick<Io, 'env' | 'fetch' | 'clock'>;

/** Where the outside token is to come from: what the flags say, else what the system offers that this runs in. */
export function idTokenSource({ idTokenFile, idTokenEnv, audience }: SourceFlags, env: Io['env']): IdTokenSource {
  if (idTokenFile !== undefined && idTokenEnv !== undefined) {
    throw usage('--id-token-file and --id-token-env were both given', 'Give one of them.');
  }
  if (idTokenFile !== undefined) return { kind: 'file', path: idTokenFile };
  if (idTokenEnv !== undefined) return { kind: 'env', name: idTokenEnv };
  if (isSet(env, GITHUB_URL) && isSet(env, GITHUB_TOKEN)) {
    if (audience !== undefined) return { kind: 'github', audience };
    throw usage('no audience was given', 'Name the one of the trust policy with --audience, or BERTH_AUDIENCE.');
  }
  if (isSet(env, ID_TOKEN_VARIABLE)) return { kind: 'env', name: ID_TOKEN_VARIABLE };
  throw new CliError('no token of an outside issuer is at hand', {
    exitCode: EXIT.usage,
    lines: [
      'GitHub Actions: the job needs `permissions: {id-token: write}`',
      `GitLab: the job needs \`id_tokens: {${ID_TOKEN_VARIABLE}: {aud: ...}}\``,
    ],
    remedy: 'Elsewhere name it with --id-token-file or --id-token-env.',
  });
}

/** Throws a {@link CliError} that says what is missing. The token is in no message. */
export async function readIdToken(source: IdTokenSource, io: SourceIo): Promise<string> {
  switch (source.kind) {
    case 'github':
      return oneWord(await askGithub(source.audience, io), 'what GitHub gave');
    case 'env':
      if (!isSet(io.env, source.name)) {
        throw usage(`the variable ${source.name} is not set`, 'It has to hold the token of the outside issuer.');
      }
      return oneWord(io.env[source.name] ?? '', `the variable ${source.name}`);
    case 'file': {
      const text = await readFile(source.path, 'utf8').catch((error: Error) => {
        throw usage(`the file of the outside token can't be read: ${error.message}`, 'See --id-token-file.');
      });
      return oneWord(text, source.path);
    }
  }
}

async function askGithub(audience: string, { env, fetch, clock }: SourceIo): Promise<string> {
  const url = URL.parse(env[GITHUB_URL] ?? '');
  const isLocal = url?.hostname === '127.0.0.1' || url?.hostname === 'localhost';
  if (url === null || (url.protocol !== 'https:' && !isLocal)) {
    throw usage(`${GITHUB_URL} isn't an https URL`, 'GitHub sets it; leave it as it is.');
  }
  url.searchParams.set('audience', audience);
  const giveUp = new AbortController();
  const timer = clock.setTimer(ASK_TIMEOUT_MS, () => giveUp.abort());
  try {
    const response = await fetch(url, {
      headers: { authorization: `bearer ${env[GITHUB_TOKEN]}`, accept: 'application/json' },
      redirect: 'error',
      signal: giveUp.signal,
    });
    const text = await response.text();
    if (!response.ok || text.length > ANSWER_CHARACTERS_MAX) throw new Error(`it answered ${response.status}`);
    const { value } = JSON.parse(text) as { value?: unknown };
    return typeof value === 'string' ? value : '';
  } catch (error) {
    throw new CliError(`GitHub gave no token: ${error instanceof Error ? error.message : error}`, {
      exitCode: EXIT.unreachable,
      remedy: 'Has the job `permissions: {id-token: write}`?',
    });
  } finally {
    timer.cancel();
  }
}

/** Exchanges a token of the source, and keeps what it brings for the commands that follow. */
export async function logIn(
  io: Pick<Io, 'env' | 'fetch' | 'clock' | 'random'>,
  { address, source, wish }: { address: string; source: IdTokenSource; wish: ExchangeWish },
): Promise<ExchangedToken> {
  const exchanged = await exchange(io, { address, token: await readIdToken(source, io), wish });
  await saveCredential(io.env, address, credentialOf(exchanged, { source, wish }));
  return exchanged;
}

export function exchange(
  { fetch, clock, random }: Pick<Io, 'fetch' | 'clock' | 'random'>,
  { address, token, wish }: { address: string; token: string; wish: ExchangeWish },
): Promise<ExchangedToken> {
  const { policy, roles, actions, ttlSeconds } = wish;
  const client = createClient({ address, token: null, fetch, clock, random });
  return client.auth.exchange({
    token,
    policy,
    ttlSeconds,
    ...(roles !== undefined && { roles: [...roles] }),
    ...(actions !== undefined && { actions: [...actions] }),
  });
}

export function credentialOf({ token, expiresAt }: ExchangedToken, renewal: Credential['renewal']): Credential {
  return { token, expiresAtMs: Date.parse(expiresAt), renewal };
}

/**
 * The token that `berth login` left for the address, renewed by the way that it came where it is about to end, or where `refused` is the
 * one that was refused. Null: there is none. Where it can't be renewed, it is what there is.
 */
export async function loggedInToken(
  io: Pick<Io, 'env' | 'fetch' | 'clock' | 'random'>,
  address: string,
  refused: string | null = null,
): Promise<string | null> {
  const { byAddress } = await readCredentials(io.env);
  const credential = Object.hasOwn(byAddress, address) ? byAddress[address] : undefined;
  if (credential === undefined) return null;
  const { token, expiresAtMs, renewal } = credential;
  if (expiresAtMs - io.clock.now() > RENEW_BEFORE_MS && token !== refused) return token;
  if (renewal === null) return token;
  try {
    return (await logIn(io, { address, ...renewal })).token;
  } catch {
    // What can't be had now is seen when the old one is refused, in words that help.
    return token;
  }
}

function isSet(env: Io['env'], name: string): boolean {
  return env[name] !== undefined && env[name] !== '';
}

function oneWord(text: string, from: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw usage(`${from} isn't a token`, 'A JWT is expected.');
}

function usage(message: string, remedy: string): CliError {
  return new CliError(message, { exitCode: EXIT.usage, remedy });
}
