/**
 * What a token has to look like before anybody looks into it. Readers differ in what they make of text that is nearly right: of a name
 * that stands twice one takes the first and another the last, and letters that say nothing make many texts of one token. Where those who
 * sign and those who check could disagree, there is nothing to check.
 */
import { Refusal } from '../../shared/domain/errors.ts';

/** Longer ones aren't looked at. */
export const TOKEN_LENGTH_MAX = 8192;

/** Three parts in base64url. Unsigned tokens (an empty third part) and encrypted ones (five parts) end here. */
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Bits of the last letter that belong to no byte are zero, or one token could be spelled in several ways (RFC 4648, 3.5). */
const LAST_LETTER = [/$/, /^$/, /[AQgw]$/, /[AEIMQUYcgkosw048]$/] as const;

/** The claims of the token, none of which is to be believed yet. Throws the Refusal `unauthenticated`. */
export function readShape(token: string): Readonly<Record<string, unknown>> {
  if (token.length > TOKEN_LENGTH_MAX) throw refused(`the token is longer than ${TOKEN_LENGTH_MAX} characters`);
  if (!COMPACT_JWS.test(token)) throw notSigned();
  const [header = '', claims = '', signature = ''] = token.split('.');
  for (const part of [header, claims, signature]) {
    if (LAST_LETTER[part.length % 4]?.test(part) !== true) throw notSigned();
  }
  readObject(header);
  return readObject(claims);
}

function readObject(part: string): Readonly<Record<string, unknown>> {
  const text = decoded(part);
  const value = parsed(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw notSigned();
  if (membersOf(value) !== namesIn(text)) throw refused('the token says something twice');
  return value as Readonly<Record<string, unknown>>;
}

function decoded(part: string): string {
  try {
    const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (letter) =>
      letter.charCodeAt(0),
    );
    // A byte order mark stays, and is no JSON.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw notSigned();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw notSigned();
  }
}

/** Of the value and of all in it. A name that stood twice is counted once. */
function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const members = Object.values(value);
  return members.reduce<number>((sum, member) => sum + membersOf(member), Array.isArray(value) ? 0 : members.length);
}

const TEXT = /"(?:[^"\\]|\\.)*"/g;

/** Outside of texts, a colon follows a name and nothing else. */
function namesIn(json: string): number {
  return json.replace(TEXT, '').split(':').length - 1;
}

function notSigned(): Refusal {
  return refused('the token is not a signed JWT');
}

function refused(why: string): Refusal {
  return new Refusal('unauthenticated', why);
}
