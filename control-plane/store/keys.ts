/**
 * Every key that Berth uses, spelled in this one file. All lie under one prefix, so that one watch sees everything and
 * several clusters can share an etcd.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import type { DeploymentId } from '../../shared/domain/deployment.ts';
import type { FrameworkId, JobKey, JobUid, NodeId, RolePath, TaskId } from '../../shared/domain/ids.ts';
import type { SecretKey } from '../../shared/domain/secret.ts';
import type { RevocationScope } from '../../shared/domain/token-record.ts';
import { canonicalJson, hexEncode, utf8Encode } from '../../shared/util/codec.ts';

export const PREFIX = '/berth/';

/** A role path as one segment of a key: `eng/ml` is `eng+ml`. Names hold no `+`, so it can be undone. */
export function escapeRole(role: string): string {
  return role.replaceAll('/', '+');
}

export const keys = {
  cluster: `${PREFIX}cluster`,
  /** The lease-bound mark of the replica that usually runs rounds and passes. */
  driver: `${PREFIX}driver`,
  currentRound: `${PREFIX}rounds/current`,
  node: (id: NodeId) => `${PREFIX}nodes/${id}`,
  alive: (id: NodeId) => `${PREFIX}alive/${id}`,
  epoch: (id: NodeId) => `${PREFIX}epochs/${id}`,
  ledger: (id: NodeId) => `${PREFIX}ledger/${id}`,
  job: (job: JobKey) => `${PREFIX}jobs/${escapeRole(job.role)}/${job.name}`,
  version: (uid: JobUid, version: number) => `${PREFIX}versions/${uid}/${version}`,
  task: (id: TaskId) => `${PREFIX}tasks/${id}`,
  deployment: (id: DeploymentId) => `${PREFIX}deployments/${id}`,
  /** Until the deployment that it is for is over. */
  imageFetch: (node: NodeId, image: string) => `${PREFIX}fetches/${node}/${digestOf(image)}`,
  maintenance: (node: NodeId) => `${PREFIX}maintenance/${node}`,
  framework: (id: FrameworkId) => `${PREFIX}frameworks/${id}`,
  /** A replica holds a stream to the framework; bound to its lease. */
  connection: (id: FrameworkId) => `${PREFIX}connections/${id}`,
  role: (path: RolePath) => `${PREFIX}roles/${escapeRole(path)}`,
  settings: `${PREFIX}settings`,
  policy: (name: string) => `${PREFIX}policies/${name}`,
  /** A token of an outside issuer that may be exchanged once has been. Until it would have ended. */
  exchange: (issuer: string, id: string) => `${PREFIX}exchanges/${digestOf(JSON.stringify([issuer, id]))}`,
  replica: (id: string) => `${PREFIX}replicas/${id}`,
  /** A client waits on a replica for something that the node's agent is to dial out with. */
  stream: (node: NodeId, id: string) => `${PREFIX}streams/${node}/${id}`,
  /** Until the node's agent says that the task's executor has it, or its lease ends. */
  messageForTask: (node: NodeId, id: string) => `${PREFIX}messages/task/${node}/${id}`,
  /** Until it was sent on the framework's stream, or its lease ends. */
  messageForFramework: (framework: FrameworkId, id: string) => `${PREFIX}messages/framework/${framework}/${id}`,
  /** Until the framework says that it has heard of it. A name may hold what no key may. */
  operation: (framework: FrameworkId, name: string) => `${PREFIX}operations/${framework}/${digestOf(name)}`,
  op: (id: string) => `${PREFIX}ops/${id}`,
  idempotency: (digest: Uint8Array) => `${PREFIX}idempotency/${hexEncode(digest)}`,
  /** The private half of {@link keyState}. */
  signingKey: (kid: string) => `${PREFIX}secrets/signing/${kid}`,
  /** That there is a secret, and which version of it. */
  secretNote: (secret: SecretKey) => `${PREFIX}vault/${escapeRole(secret.role)}/${secret.name}`,
  /** What it says, sealed. */
  sealed: (secret: SecretKey) => `${PREFIX}sealed/${escapeRole(secret.role)}/${secret.name}`,
  /** In the order of their times. */
  audit: (id: string) => `${PREFIX}audit/${id}`,
  keyState: (kid: string) => `${PREFIX}keys/${kid}`,
  tokens: `${PREFIX}tokens/`,
  /** An outside issuer's ids may hold what no key may. */
  revokedToken: (id: string) => `${PREFIX}tokens/revoked/${digestOf(id)}`,
  revokedBefore: (scope: RevocationScope) => `${PREFIX}tokens/before/${digestOf(canonicalJson(scope))}`,
  joinToken: (id: string) => `${PREFIX}tokens/join/${id}`,
  breakGlassToken: (id: string) => `${PREFIX}tokens/break-glass/${id}`,
} as const;

const NAME_DIGEST_LENGTH = 32;

function digestOf(name: string): string {
  return hexEncode(sha256(utf8Encode(name))).slice(0, NAME_DIGEST_LENGTH);
}

/** The role that a segment stands for: undoes {@link escapeRole}. */
export function unescapeRole(segment: string): RolePath {
  return segment.replaceAll('+', '/');
}

/** The kinds of record, by the segment that follows the prefix. */
export const RECORD_KINDS = [
  'cluster',
  'driver',
  'rounds',
  'nodes',
  'alive',
  'epochs',
  'ledger',
  'jobs',
  'versions',
  'tasks',
  'deployments',
  'fetches',
  'maintenance',
  'frameworks',
  'connections',
  'roles',
  'settings',
  'policies',
  'replicas',
  'streams',
  'messages',
  'operations',
  'ops',
  'idempotency',
  'exchanges',
  'secrets',
  'vault',
  'sealed',
  'audit',
  'keys',
  'tokens',
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

/** The kind of the record under `key` and what follows it: `tasks/abc` is `['tasks', 'abc']`. Null for foreign keys. */
export function parseKey(key: string): readonly [RecordKind, string] | null {
  if (!key.startsWith(PREFIX)) return null;
  const path = key.slice(PREFIX.length);
  const slash = path.indexOf('/');
  const kind = slash < 0 ? path : path.slice(0, slash);
  const known = RECORD_KINDS.find((candidate) => candidate === kind);
  return known === undefined ? null : [known, slash < 0 ? '' : path.slice(slash + 1)];
}

/** Bytes of a key, as the store's limits count them. */
export function keyBytes(key: string): number {
  return utf8Encode(key).length;
}
