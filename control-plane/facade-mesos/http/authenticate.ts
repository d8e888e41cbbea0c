/**
 * Who calls: by a JWT as bearer, or, since clients that were written for Mesos know nothing else, by HTTP basic with a token of
 * Berth as the password. The user name is what the client calls its principal; whose the call is, the token says.
 */
import { Refusal } from '../../../shared/domain/errors.ts';
import { utf8Decode } from '../../../shared/util/codec.ts';
import type { Principal } from '../../auth/principal.ts';
import { goodUntilMs, type Verifier } from '../../auth/verify.ts';
import { WireRefusal } from './wire-refusal.ts';

/** What Mesos's master calls its groups of endpoints, in the challenge. */
export type Realm = 'mesos-master-scheduler' | 'mesos-master-readonly' | 'mesos-master-readwrite';

export interface Identity {
  readonly principal: Principal;
  /** The user name of HTTP basic; null: a bearer token. */
  readonly userName: string | null;
  /** Whether it was let in without credentials, so that it may call itself what it likes. */
  readonly isAnonymous: boolean;
  /** When the token ends that it was let in with; null: without one. */
  readonly goodUntilMs: number | null;
}

const BEARER = /^bearer +(\S+) *$/i;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i;

export interface Gate {
  readonly verifier: Verifier;
  /** Whom a caller without credentials acts as, since some clients can't send any; null: such a caller is refused. */
  readonly anonymous: Principal | null;
}

/** Throws a 401 with both ways in, a 403 for tokens that aren't for users, and whatever the verifier throws beside. */
export async function authenticate(request: Request, { verifier, anonymous }: Gate, realm: Realm): Promise<Identity> {
  const header = request.headers.get('authorization');
  if (anonymous !== null && isWithout(header)) {
    return { principal: anonymous, userName: null, isAnonymous: true, goodUntilMs: null };
  }
  const credentials = credentialsOf(header);
  if (credentials === null) throw unauthenticated(realm, 'send a token, as bearer or as the password of HTTP basic');
  const { token, userName } = credentials;
  const verified = await verifier.verify(token).catch((error: unknown) => {
    throw error instanceof Refusal && error.code === 'unauthenticated' ? unauthenticated(realm, error.message) : error;
  });
  const { principal } = verified;
  if (principal.kind === 'user') {
    return { principal, userName, isAnonymous: false, goodUntilMs: goodUntilMs(verified) };
  }
  throw new WireRefusal(403, `this takes a token of the kind user, not of the kind ${principal.kind}`);
}

/** Some clients send a header of nothing when they aren't told a name and a password. */
function isWithout(header: string | null): boolean {
  return header === null || NO_NAME_NO_PASSWORD.test(header);
}

const NO_NAME_NO_PASSWORD = /^basic +Og== *$/i;

interface Credentials {
  readonly token: string;
  readonly userName: string | null;
}

function credentialsOf(header: string | null): Credentials | null {
  if (header === null) return null;
  const token = BEARER.exec(header)?.[1];
  if (token !== undefined) return { token, userName: null };
  const encoded = BASIC.exec(header)?.[1];
  const pair = encoded === undefined ? null : decodePair(encoded);
  const colon = pair?.indexOf(':') ?? -1;
  if (pair === null || colon < 0) return null;
  return { userName: pair.slice(0, colon), token: pair.slice(colon + 1) };
}

function decodePair(encoded: string): string | null {
  try {
    return utf8Decode(Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0)));
  } catch {
    return null;
  }
}

/** HTTP basic stands first: it is what clients of Mesos look for. */
function unauthenticated(realm: Realm, why: string): WireRefusal {
  return new WireRefusal(401, why, [
    ['www-authenticate', `Basic realm="${realm}"`],
    ['www-authenticate', `Bearer realm="${realm}"`],
  ]);
}
