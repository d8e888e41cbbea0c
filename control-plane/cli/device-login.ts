/**
 * Logging in for people, by the device authorization flow (RFC 8628): the issuer is asked for a code, a person confirms it in a browser
 * wherever that is, and the issuer gives a token that says who confirmed. No password and no secret of a client comes by here.
 */
import { sleep } from '../../shared/util/clock.ts';
import { CliError, EXIT } from './exit.ts';
import type { Io } from './io.ts';

/** What RFC 8628 has for an issuer that doesn't say. */
const INTERVAL_SECONDS_DEFAULT = 5;
/** By so much an issuer that is asked too often is asked more seldom. */
const SLOWER_SECONDS = 5;
const INTERVAL_SECONDS_MAX = 60;
/** Whatever the issuer says: nobody comes back after this. */
const PATIENCE_SECONDS_MAX = 1800;
const ASK_TIMEOUT_MS = 20_000;
const ANSWER_CHARACTERS_MAX = 262_144;
const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:device_code';

type DeviceIo = Pick<Io, 'fetch' | 'clock'>;
type Fields = Readonly<Record<string, unknown>>;

/** `tell`: what a person has to do, in words. Resolves with the ID token. */
export async function deviceIdToken(
  io: DeviceIo,
  { issuer, clientId, tell }: { issuer: string; clientId: string; tell: (text: string) => void },
): Promise<string> {
  const discovery = await ask(io, `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, null);
  if (discovery.fields['issuer'] !== issuer) throw failed(issuer, 'its discovery document speaks for another issuer');
  const begin = endpointOf(discovery.fields, 'device_authorization_endpoint', issuer);
  const redeem = endpointOf(discovery.fields, 'token_endpoint', issuer);
  const begun = await ask(io, begin, { client_id: clientId, scope: 'openid' });
  if (!begun.isOk) throw failed(issuer, `it gives no code: ${wordsOf(begun.fields)}`);
  const code = textOf(begun.fields, 'device_code', issuer);
  const at = textOf(begun.fields, 'verification_uri', issuer);
  tell(`Open ${at} in a browser and enter the code ${textOf(begun.fields, 'user_code', issuer)}`);
  const patienceMs = 1000 * Math.min(numberOf(begun.fields, 'expires_in', PATIENCE_SECONDS_MAX), PATIENCE_SECONDS_MAX);
  const deadlineMs = io.clock.monotonicMs() + patienceMs;
  let intervalSeconds = numberOf(begun.fields, 'interval', INTERVAL_SECONDS_DEFAULT);
  while (io.clock.monotonicMs() < deadlineMs) {
    await sleep(io.clock, 1000 * Math.min(intervalSeconds, INTERVAL_SECONDS_MAX));
    const answer = await ask(io, redeem, { grant_type: GRANT_TYPE, device_code: code, client_id: clientId });
    if (answer.isOk) return textOf(answer.fields, 'id_token', issuer);
    const { error } = answer.fields;
    if (error === 'slow_down') intervalSeconds += SLOWER_SECONDS;
    else if (error !== 'authorization_pending') throw failed(issuer, wordsOf(answer.fields));
  }
  throw failed(issuer, 'nobody has confirmed the code in time');
}

/** Over an encrypted connection, and nowhere that another answer sends us. */
async function ask(
  { fetch, clock }: DeviceIo,
  url: string,
  form: Readonly<Record<string, string>> | null,
): Promise<{ readonly isOk: boolean; readonly fields: Fields }> {
  if (URL.parse(url)?.protocol !== 'https:') throw failed(url, "it isn't an https URL");
  const giveUp = new AbortController();
  const timer = clock.setTimer(ASK_TIMEOUT_MS, () => giveUp.abort());
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/json' },
      redirect: 'error',
      signal: giveUp.signal,
      ...(form !== null && { method: 'POST', body: new URLSearchParams({ ...form }) }),
    });
    const text = await response.text();
    if (text.length > ANSWER_CHARACTERS_MAX) throw new Error('it answers without end');
    const fields: unknown = JSON.parse(text);
    if (typeof fields !== 'object' || fields === null) throw new Error(`it answered ${response.status}`);
    return { isOk: response.ok, fields: fields as Fields };
  } catch (error) {
    throw failed(url, error instanceof Error ? error.message : String(error));
  } finally {
    timer.cancel();
  }
}

function endpointOf(fields: Fields, name: string, issuer: string): string {
  const value = fields[name];
  if (typeof value === 'string') return value;
  throw failed(issuer, `it offers no login for devices (${name})`);
}

function textOf(fields: Fields, name: string, issuer: string): string {
  const value = fields[name];
  if (typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)) return value;
  throw failed(issuer, `its answer lacks ${name}`);
}

function numberOf(fields: Fields, name: string, otherwise: number): number {
  const value = fields[name];
  return typeof value === 'number' && value > 0 ? value : otherwise;
}

function wordsOf({ error, error_description: description }: Fields): string {
  return [error, description].filter((word) => typeof word === 'string').join(': ') || 'it says no';
}

function failed(issuer: string, why: string): CliError {
  return new CliError(`the issuer ${issuer} lets nobody in: ${why}`, { exitCode: EXIT.denied });
}
