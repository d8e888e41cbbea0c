/** From the request's `Authorization` header to a token that has been checked. */
import { Refusal } from '../../../shared/domain/errors.ts';
import { admits } from '../../auth/policy.ts';
import type { Principal } from '../../auth/principal.ts';
import type { VerifiedToken, Verifier } from '../../auth/verify.ts';
import { HttpRefusal } from './problem.ts';

const BEARER = /^bearer +(\S+) *$/i;

/** Who calls where no token is taken. */
export const NOBODY: VerifiedToken = {
  principal: { kind: 'user', subject: 'anonymous', tokenId: '', grants: [], node: null },
  issuedAtMs: 0,
  expiresAtMs: Number.POSITIVE_INFINITY,
  kid: null,
};

/** Throws `unauthenticated` without a valid token. */
export async function authenticate(request: Request, verifier: Verifier): Promise<VerifiedToken> {
  const header = request.headers.get('authorization');
  const token = header === null ? undefined : BEARER.exec(header)?.[1];
  if (token === undefined) throw withoutToken(header);
  return verifier.verify(token);
}

/** Throws `forbidden` for a token that isn't for calls of this sort. */
export function demandKind(principal: Principal, kinds: readonly Principal['kind'][]): void {
  const verdict = admits(kinds, principal);
  if (!verdict.allowed) throw new Refusal('forbidden', verdict.why);
}

function withoutToken(header: string | null): Refusal {
  const what = header === null ? 'there is none' : 'the header Authorization is not of that form';
  return new HttpRefusal('unauthenticated', `send a token as "Authorization: Bearer <token>"; ${what}`, {
    wwwAuthenticate: 'Bearer realm="berth"',
  });
}
