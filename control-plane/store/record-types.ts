/** The type of the value under each kind of key. The domain's types are the truth; what only the store knows is here. */
import type { AuditRecord } from '../../shared/domain/audit.ts';
import type { Deployment, ImageFetch } from '../../shared/domain/deployment.ts';
import type { FinishedOperation } from '../../shared/domain/finished-operation.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { Job, JobVersion } from '../../shared/domain/job.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { MaintenanceWindow } from '../../shared/domain/maintenance.ts';
import type { Epoch, Node } from '../../shared/domain/node.ts';
import type { Role } from '../../shared/domain/role.ts';
import type { SecretNote } from '../../shared/domain/secret.ts';
import type { Settings } from '../../shared/domain/settings.ts';
import type { Task } from '../../shared/domain/task.ts';
import type { TokenRecord } from '../../shared/domain/token-record.ts';
import type { TrustPolicy } from '../../shared/domain/trust-policy.ts';
import type { StreamRequest } from '../../shared/protocol/agent.ts';

/** The version of the layout of keys and values; a store with another one is refused. */
export const FORMAT_VERSION = 1;

export interface ClusterRecord {
  readonly id: string;
  /** Raised by the operator after the store was restored from an older state. */
  readonly incarnation: number;
  /** When it was raised last; absent: never. */
  readonly recoveredAtMs?: number | undefined;
  /** The identity of the store that the state lives in, as it says itself. Absent: it has never been noted. */
  readonly storeId?: string | undefined;
  readonly formatVersion: typeof FORMAT_VERSION;
}

/** The replica that usually runs rounds and passes. */
export interface DriverRecord {
  readonly replica: string;
}

/** The fence of the allocator: whoever put it last may commit the round, nobody else. */
export interface RoundRecord {
  readonly number: number;
  /** The replica that claimed it. */
  readonly owner: string;
  readonly claimedAtMs: number;
}

/** The session that the node's lease belongs to. */
export interface AliveRecord {
  readonly epoch: number;
}

/** A replica holds a framework's stream. */
export interface ConnectionRecord {
  readonly session: number;
  readonly replica: string;
}

export interface ReplicaRecord {
  readonly id: string;
  /** Where its peers reach it. */
  readonly url: string;
  readonly startedAtMs: number;
}

/** A client of `replica` waits for a task's output, which the agent of `node` is to dial out with. */
export interface StreamRecord extends StreamRequest {
  readonly node: NodeId;
  readonly replica: string;
  readonly requestedAtMs: number;
}

/** What a framework says to a task of its own on `node`, or such a task to it. */
export interface MessageRecord {
  readonly to: 'task' | 'framework';
  readonly framework: FrameworkId;
  readonly node: NodeId;
  readonly task: TaskId;
  readonly data: string;
  /** Among those that were said in one call. */
  readonly place: number;
  readonly sentAtMs: number;
}

/** That an operation has happened, or that it never will. */
export interface OpRecord {
  /** Who carried it out: the id of a replica. */
  readonly by: string;
  /** It was given up before it took effect and can't any more. */
  readonly aborted: boolean;
}

/** The answer to a request that has been carried out, for whoever sends the same one again. */
export interface IdempotencyRecord {
  readonly requestDigest: string;
  readonly status: number;
  /** The body of the answer, as it was sent. */
  readonly body: string;
  readonly createdAtMs: number;
}

/** That a token of an outside issuer, which may be exchanged once, has been. */
export interface ExchangeRecord {
  readonly subject: string;
  readonly atMs: number;
}

/** One of the control plane's own signing keys. */
export interface SecretRecord {
  readonly kid: string;
  readonly algorithm: 'EdDSA';
  /** The private key as the JSON text of a JWK; null where it is sealed. */
  readonly privateJwk: string | null;
  /** The same text, sealed. Null: no replica that wrote it had an envelope key. */
  readonly sealed: SealedBox | null;
  readonly createdAtMs: number;
}

/**
 * Where a signing key stands, for every replica to see: the key itself isn't copied into their views of the state. A key that has none was
 * made by an earlier version, and signs from its beginning on.
 */
export interface KeyStateRecord {
  readonly kid: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
  /** By then it has been published for so long that whoever verifies tokens knows it. */
  readonly signsFromMs: number;
  /** By then nothing lives that it has signed, and it goes; null: no other one takes its place yet. */
  readonly verifiesUntilMs: number | null;
  /** How long tokens may live that it signs. */
  readonly longestSeconds: number;
  /** It is in the wrong hands: nothing that it has signed counts. Null: it isn't. */
  readonly revoked: { readonly atMs: number; readonly by: string; readonly reason: string } | null;
}

/** Something in confidence, in its envelope. */
export interface SealedBox {
  /** The id of the envelope key. */
  readonly envelopeKey: string;
  /** The value's own key under the envelope key: nonce and ciphertext, in base64. */
  readonly wrappedKey: string;
  /** The value under its own key, in the same form. */
  readonly box: string;
}

/** What a secret says, and nothing else: what is known of it without opening it is its note. */
export interface SealedRecord extends SealedBox {
  /** That of its note. */
  readonly version: number;
}

/** The value of each kind of record. */
export type RecordOf = {
  cluster: ClusterRecord;
  driver: DriverRecord;
  rounds: RoundRecord;
  nodes: Node;
  alive: AliveRecord;
  epochs: Epoch;
  ledger: Ledger;
  jobs: Job;
  versions: JobVersion;
  tasks: Task;
  deployments: Deployment;
  fetches: ImageFetch;
  maintenance: MaintenanceWindow;
  frameworks: Framework;
  connections: ConnectionRecord;
  roles: Role;
  settings: Settings;
  policies: TrustPolicy;
  replicas: ReplicaRecord;
  streams: StreamRecord;
  messages: MessageRecord;
  operations: FinishedOperation;
  ops: OpRecord;
  idempotency: IdempotencyRecord;
  exchanges: ExchangeRecord;
  secrets: SecretRecord;
  vault: SecretNote;
  sealed: SealedRecord;
  audit: AuditRecord;
  keys: KeyStateRecord;
  tokens: TokenRecord;
};
