/**
 * Tokens about tasks, which others verify by our published keys. They are of another type and for another audience than our own, and
 * where an issuer is configured, of another issuer: nothing of ours takes one.
 */
import { SignJWT } from 'jose';
import type { NodeId } from '../../shared/domain/ids.ts';
import {
  type IdentityToken,
  type IdentityUse,
  type WorkloadSubject,
  workloadSubject,
} from '../../shared/domain/workload-identity.ts';
import { invariant } from '../../shared/util/assert.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { type Random, randomId } from '../../shared/util/random.ts';
import { type KeyRing, OWN_ALGORITHM } from './keys.ts';
import { OWN_AUDIENCE, OWN_TYPE } from './tokens.ts';

/** What verifiers elsewhere expect of an OIDC token. */
const WORKLOAD_TYPE = 'JWT';
const TOKEN_ID_LENGTH = 20;

/** What is said about the task beside its subject. */
export interface Workload extends WorkloadSubject {
  readonly jobUid: string;
  readonly group: string;
  readonly node: NodeId;
}

export interface WorkloadMintOptions {
  /** As others know this cluster: the URL that its discovery document stands under, where one is configured. */
  readonly issuer: string;
  readonly ring: KeyRing;
  readonly clock: Clock;
  readonly random: Random;
}

export async function mintWorkloadToken(
  { issuer, ring, clock, random }: WorkloadMintOptions,
  workload: Workload,
  { name, audience, ttlSeconds }: IdentityUse,
): Promise<IdentityToken> {
  invariant(
    audience !== OWN_AUDIENCE && WORKLOAD_TYPE.toLowerCase() !== OWN_TYPE,
    'no token of a task passes for ours',
  );
  const { cluster, role, job, jobUid, framework, group, node, task } = workload;
  const nowSeconds = Math.floor(clock.now() / 1000);
  const key = ring.current;
  const token = await new SignJWT({
    iss: issuer,
    sub: workloadSubject(workload),
    aud: audience,
    iat: nowSeconds,
    nbf: nowSeconds,
    exp: nowSeconds + ttlSeconds,
    jti: randomId(random, TOKEN_ID_LENGTH),
    cluster,
    role,
    ...(job !== null && { job, job_uid: jobUid }),
    ...(framework !== null && { framework }),
    group,
    task,
    node,
  })
    .setProtectedHeader({ alg: OWN_ALGORITHM, typ: WORKLOAD_TYPE, kid: key.kid })
    .sign(key.privateKey);
  return { name, token, issuedAtMs: nowSeconds * 1000, expiresAtMs: (nowSeconds + ttlSeconds) * 1000 };
}
