/**
 * The whole state at one revision, decoded and indexed. A mirror moves it along with each batch of changes; everything
 * that decides reads it through {@link ClusterView}.
 *
 * The values of `ops`, `idempotency`, `exchanges`, `secrets`, `sealed` and `audit` are never kept here: they are many, large or
 * confidential, nothing is decided from them, and whoever needs one reads that key. Keys that Berth doesn't spell are ignored.
 *
 * Maps and iterators promise no order: a snapshot that was followed and one that was loaded hold the same in different
 * orders. Code whose outcome depends on order sorts.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Deployment, DeploymentId, ImageFetch } from '../../shared/domain/deployment.ts';
import type { FinishedOperation } from '../../shared/domain/finished-operation.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, JobKey, JobUid, NodeId, OfferId, RolePath, TaskId } from '../../shared/domain/ids.ts';
import type { Job, JobVersion } from '../../shared/domain/job.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { MaintenanceWindow } from '../../shared/domain/maintenance.ts';
import { type Epoch, FIRST_INCARNATION, type Node } from '../../shared/domain/node.ts';
import type { OfferFilter } from '../../shared/domain/offer.ts';
import type { Role } from '../../shared/domain/role.ts';
import type { SecretKey, SecretNote } from '../../shared/domain/secret.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../shared/domain/settings.ts';
import type { Task } from '../../shared/domain/task.ts';
import type { TokenRecord } from '../../shared/domain/token-record.ts';
import type { TrustPolicy } from '../../shared/domain/trust-policy.ts';
import { invariant, unreachable } from '../../shared/util/assert.ts';
import type { KeyValue, LeaseId, Store, WatchBatch } from './contract.ts';
import { Grouped, setOrDelete } from './grouped.ts';
import { idOf, isMirrored, type Kept, keep, MIRRORED_PREFIXES, type MirroredKind, readAll, sameKept } from './kept.ts';
import { keys, parseKey } from './keys.ts';
import { OfferIndex, type StandingOffer } from './offer-index.ts';
import type {
  AliveRecord,
  ClusterRecord,
  ConnectionRecord,
  DriverRecord,
  KeyStateRecord,
  MessageRecord,
  RecordOf,
  ReplicaRecord,
  RoundRecord,
  StreamRecord,
} from './record-types.ts';
import { TaskIndex } from './task-index.ts';
import { SnapshotTouches } from './touch-log.ts';

/** What happened to one record at one revision. `before` is null when it is new, `after` when it is gone. */
export interface ChangeOf<K extends MirroredKind> {
  readonly kind: K;
  readonly key: string;
  /** The domain's id: a job's uid, `<uid>/<version>` of a version, else what follows the kind in the key. */
  readonly id: string;
  readonly revision: number;
  readonly before: RecordOf[K] | null;
  readonly after: RecordOf[K] | null;
}

export type Change = { [K in MirroredKind]: ChangeOf<K> }[MirroredKind];

type OtherKind =
  | 'deployments'
  | 'fetches'
  | 'keys'
  | 'messages'
  | 'operations'
  | 'policies'
  | 'replicas'
  | 'roles'
  | 'streams'
  | 'tokens'
  | 'vault';

export class Snapshot implements ClusterView {
  readonly touched = new SnapshotTouches();
  readonly #kept = new Map<string, Kept>();
  readonly #nodes = new Map<NodeId, Node>();
  readonly #epochs = new Map<NodeId, Epoch>();
  readonly #alive = new Map<NodeId, AliveRecord>();
  readonly #ledgers = new Map<NodeId, Ledger>();
  readonly #jobs = new Map<JobUid, Job>();
  readonly #jobsByKey = new Map<string, Job>();
  readonly #unsettledJobs = new Map<JobUid, Job>();
  readonly #versionsByJob = new Grouped<number, JobVersion>();
  readonly #tasks = new TaskIndex();
  readonly #offers = new OfferIndex();
  readonly #deployments = new Map<DeploymentId, Deployment>();
  readonly #deploymentsByJob = new Grouped<DeploymentId, Deployment>();
  readonly #imageFetches = new Grouped<string, ImageFetch>();
  readonly #maintenance = new Map<NodeId, MaintenanceWindow>();
  readonly #frameworks = new Map<FrameworkId, Framework>();
  readonly #connections = new Map<FrameworkId, ConnectionRecord>();
  readonly #roles = new Map<RolePath, Role>();
  readonly #policies = new Map<string, TrustPolicy>();
  readonly #replicas = new Map<string, ReplicaRecord>();
  readonly #streams = new Map<string, StreamRecord>();
  readonly #messages = new Map<string, MessageRecord>();
  readonly #operations = new Grouped<string, FinishedOperation>();
  readonly #keyStates = new Map<string, KeyStateRecord>();
  readonly #tokens = new Map<string, TokenRecord>();
  readonly #secretNotes = new Map<string, SecretNote>();
  #revision: number;
  #cluster: ClusterRecord | null = null;
  #driver: DriverRecord | null = null;
  #round: RoundRecord | null = null;
  #settings: Settings = DEFAULT_SETTINGS;

  /** Throws a `RecordError` when a value can't be read. */
  constructor(revision: number, keyValues: Iterable<KeyValue> = []) {
    this.#revision = revision;
    for (const keyValue of keyValues) this.#put(keyValue);
  }

  /** Reads the state as it stands at one revision: at `revision`, or now. Throws what {@link Store.range} throws. */
  static async load(store: Pick<Store, 'range'>, revision?: number): Promise<Snapshot> {
    const [first, ...rest] = MIRRORED_PREFIXES;
    invariant(first !== undefined, 'there are kinds to mirror');
    const firstPages = await readAll(store, first, revision);
    const otherPages = await Promise.all(rest.map((prefix) => readAll(store, prefix, firstPages.revision)));
    const all = [firstPages, ...otherPages].flatMap((pages) => pages.keyValues);
    return new Snapshot(firstPages.revision, all);
  }

  /** The state is complete up to this revision and knows nothing of a later one. */
  get revision(): number {
    return this.#revision;
  }

  get nodes(): ReadonlyMap<NodeId, Node> {
    return this.#nodes;
  }

  get epochs(): ReadonlyMap<NodeId, Epoch> {
    return this.#epochs;
  }

  get ledgers(): ReadonlyMap<NodeId, Ledger> {
    return this.#ledgers;
  }

  get jobs(): ReadonlyMap<JobUid, Job> {
    return this.#jobs;
  }

  get tasks(): ReadonlyMap<TaskId, Task> {
    return this.#tasks.all;
  }

  get maintenance(): ReadonlyMap<NodeId, MaintenanceWindow> {
    return this.#maintenance;
  }

  get deployments(): ReadonlyMap<DeploymentId, Deployment> {
    return this.#deployments;
  }

  get frameworks(): ReadonlyMap<FrameworkId, Framework> {
    return this.#frameworks;
  }

  get connections(): ReadonlyMap<FrameworkId, ConnectionRecord> {
    return this.#connections;
  }

  get roles(): ReadonlyMap<RolePath, Role> {
    return this.#roles;
  }

  /** What is known of every secret without opening it. */
  secretNotes(): Iterable<SecretNote> {
    return this.#secretNotes.values();
  }

  /** Undefined: there is no such secret. */
  secretNote(key: SecretKey): SecretNote | undefined {
    return this.#secretNotes.get(keys.secretNote(key));
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Whose tokens are trusted, by the policies' names. */
  get policies(): ReadonlyMap<string, TrustPolicy> {
    return this.#policies;
  }

  get replicas(): ReadonlyMap<string, ReplicaRecord> {
    return this.#replicas;
  }

  /** By what follows `messages/` in their keys. */
  get messages(): ReadonlyMap<string, MessageRecord> {
    return this.#messages;
  }

  /** Of signing keys, by their names. */
  get keyStates(): ReadonlyMap<string, KeyStateRecord> {
    return this.#keyStates;
  }

  /** By what follows `tokens/` in their keys. */
  get tokens(): ReadonlyMap<string, TokenRecord> {
    return this.#tokens;
  }

  /** By the stream's own id. */
  get streams(): ReadonlyMap<string, StreamRecord> {
    return this.#streams;
  }

  /** Null until the cluster has been set up. */
  get cluster(): ClusterRecord | null {
    return this.#cluster;
  }

  /** Null while nobody drives. */
  get driver(): DriverRecord | null {
    return this.#driver;
  }

  /** The round that was claimed last; null before the first. */
  get round(): RoundRecord | null {
    return this.#round;
  }

  get roundNumber(): number {
    return this.#round?.number ?? 0;
  }

  isConnected(framework: FrameworkId): boolean {
    const connection = this.#connections.get(framework);
    return connection !== undefined && connection.session === this.#frameworks.get(framework)?.session;
  }

  isAlive(node: NodeId): boolean {
    return this.#alive.has(node) && this.isOfPresent(node);
  }

  /** Whether the node's session was begun under the present incarnation. One from before a recovery is over, whatever its lease says. */
  isOfPresent(node: NodeId): boolean {
    return (this.#epochs.get(node)?.incarnation ?? FIRST_INCARNATION) === this.incarnation;
  }

  get incarnation(): number {
    return this.#cluster?.incarnation ?? FIRST_INCARNATION;
  }

  /** The number of the node's current session; 0 for one that never registered. */
  epochOf(node: NodeId): number {
    return this.#epochs.get(node)?.epoch ?? 0;
  }

  jobByKey(key: JobKey): Job | undefined {
    return this.#jobsByKey.get(keys.job(key));
  }

  version(job: JobUid, version: number): JobVersion | undefined {
    return this.#versionsByJob.get(job, version);
  }

  versionsOfJob(job: JobUid): Iterable<JobVersion> {
    return this.#versionsByJob.of(job);
  }

  tasksOfJob(job: JobUid): Iterable<Task> {
    return this.#tasks.ofJob(job);
  }

  /** Every task on record that holds or held a place on the node. */
  tasksOnNode(node: NodeId): Iterable<Task> {
    return this.#tasks.onNode(node);
  }

  deploymentsOfJob(job: JobUid): Iterable<Deployment> {
    return this.#deploymentsByJob.of(job);
  }

  imageFetchesOn(node: NodeId): Iterable<ImageFetch> {
    return this.#imageFetches.of(node);
  }

  tasksOfFramework(framework: FrameworkId): Iterable<Task> {
    return this.#tasks.ofFramework(framework);
  }

  operationsOf(framework: FrameworkId): Iterable<FinishedOperation> {
    return this.#operations.of(framework);
  }

  pendingTasks(): Iterable<Task> {
    return this.#tasks.pending();
  }

  /** Undefined for one that stands no more, or never did. */
  standingOffer(id: OfferId): StandingOffer | undefined {
    return this.#offers.standing(id);
  }

  /** The filter that took the place of an offer, for as long as it is on record. */
  filterAfter(id: OfferId): OfferFilter | undefined {
    return this.#offers.filterAfter(id);
  }

  unsettledJobs(): Iterable<Job> {
    return this.#unsettledJobs.values();
  }

  /** The revision of the key's last change, to compare with; 0 when it doesn't exist. */
  modRevision(key: string): number {
    const kind = parseKey(key)?.[0];
    invariant(kind !== undefined && isMirrored(kind), `key ${key} is not kept in a snapshot; read it from the store`);
    return this.#kept.get(key)?.modRevision ?? 0;
  }

  /** The record under the key; null when there is none. */
  record<K extends MirroredKind>(kind: K, key: string): RecordOf[K] | null {
    const kept = this.#kept.get(key);
    // A key's kind is told by its spelling, so what is kept under it was decoded as that.
    return kept?.kind === kind ? (kept.value as RecordOf[K]) : null;
  }

  /** The lease that the key is bound to; null when there is none, or no such key. */
  lease(key: string): LeaseId | null {
    return this.#kept.get(key)?.lease ?? null;
  }

  /** Moves the state along. Throws a `RecordError`, with the state unchanged, when a value can't be read. */
  apply(batch: WatchBatch): Change[] {
    invariant(batch.revision >= this.#revision, `revision ${batch.revision} follows ${this.#revision}`);
    const decoded = batch.events.map((event) =>
      event.type === 'put'
        ? { key: event.keyValue.key, kept: keep(event.keyValue), revision: event.keyValue.modRevision }
        : { key: event.key, kept: null, revision: event.modRevision },
    );
    const changes: Change[] = [];
    for (const { key, kept, revision } of decoded) {
      const change = this.#set(key, kept, revision);
      if (change !== null) changes.push(change);
    }
    this.#revision = batch.revision;
    return changes;
  }

  /** Takes over what `other` holds, whatever its revision, and returns the difference. */
  reset(other: Snapshot): Change[] {
    const changes: Change[] = [];
    const note = (change: Change | null) => {
      if (change !== null) changes.push(change);
    };
    for (const key of [...this.#kept.keys()]) {
      if (!other.#kept.has(key)) note(this.#set(key, null, other.#revision));
    }
    for (const [key, kept] of other.#kept) {
      if (!sameKept(this.#kept.get(key), kept)) note(this.#set(key, kept, kept.modRevision));
    }
    this.#revision = other.#revision;
    return changes;
  }

  /** The keys under which the two differ, by value, revision or lease. Empty: they hold the same state. */
  differences(other: Snapshot): string[] {
    const all = new Set([...this.#kept.keys(), ...other.#kept.keys()]);
    return [...all].filter((key) => !sameKept(this.#kept.get(key), other.#kept.get(key))).sort();
  }

  #put(keyValue: KeyValue): void {
    const kept = keep(keyValue);
    if (kept !== null) this.#set(keyValue.key, kept, keyValue.modRevision);
  }

  /** Sets or removes one record. Null when nothing that is kept has changed. */
  #set(key: string, kept: Kept | null, revision: number): Change | null {
    const before = this.#kept.get(key) ?? null;
    const kind = (kept ?? before)?.kind;
    if (kind === undefined) return null;
    if (kept === null) this.#kept.delete(key);
    else this.#kept.set(key, kept);
    const values = { before: before?.value ?? null, after: kept?.value ?? null };
    // Both values were decoded as `kind`, which the compiler can't carry through the map.
    const change = { kind, key, id: idOf(kind, key, (kept ?? before)?.value ?? null), revision, ...values } as Change;
    this.#index(change);
    return change;
  }

  #index(change: Change): void {
    switch (change.kind) {
      case 'cluster':
        this.#cluster = change.after;
        // Sessions that were begun under another incarnation don't count.
        this.touched.everything();
        return;
      case 'driver':
        this.#driver = change.after;
        return;
      case 'rounds':
        this.#round = change.after;
        return;
      case 'nodes':
        setOrDelete(this.#nodes, change.id, change.after);
        this.touched.node(change.id);
        return;
      case 'alive':
        setOrDelete(this.#alive, change.id, change.after);
        this.touched.node(change.id);
        return;
      case 'epochs':
        setOrDelete(this.#epochs, change.id, change.after);
        this.touched.node(change.id);
        return;
      case 'ledger':
        setOrDelete(this.#ledgers, change.id, change.after);
        this.#offers.change(change.before, change.after);
        this.touched.node(change.id);
        return;
      case 'jobs':
        this.#indexJob(change);
        return;
      case 'versions':
        this.#indexVersion(change);
        return;
      case 'tasks':
        this.#tasks.change(change);
        this.touched.task(change.id);
        return;
      case 'maintenance':
        setOrDelete(this.#maintenance, change.id, change.after);
        this.touched.node(change.id);
        return;
      case 'frameworks':
        setOrDelete(this.#frameworks, change.id, change.after);
        return;
      case 'connections':
        setOrDelete(this.#connections, change.id, change.after);
        return;
      case 'settings':
        this.#settings = change.after ?? DEFAULT_SETTINGS;
        return;
      case 'deployments':
      case 'fetches':
      case 'keys':
      case 'messages':
      case 'operations':
      case 'policies':
      case 'replicas':
      case 'roles':
      case 'streams':
      case 'tokens':
      case 'vault':
        this.#indexOther(change);
        return;
      default:
        unreachable(change);
    }
  }

  #indexDeployment({ id, before, after }: ChangeOf<'deployments'>): void {
    setOrDelete(this.#deployments, id, after);
    if (before !== null) this.#deploymentsByJob.delete(before.jobUid, id);
    if (after !== null) this.#deploymentsByJob.set(after.jobUid, id, after);
  }

  #indexFetch({ id, before, after }: ChangeOf<'fetches'>): void {
    if (before !== null) this.#imageFetches.delete(before.node, id);
    if (after !== null) this.#imageFetches.set(after.node, id, after);
  }

  /** Terms of roles, rollouts, whom to trust, what somebody is still to hear of, what is confidential, and the control plane itself. */
  #indexOther(change: Change & { readonly kind: OtherKind }): void {
    if (change.kind === 'deployments') this.#indexDeployment(change);
    else if (change.kind === 'fetches') this.#indexFetch(change);
    else if (change.kind === 'messages') setOrDelete(this.#messages, change.id, change.after);
    else if (change.kind === 'policies') setOrDelete(this.#policies, change.id, change.after);
    else if (change.kind === 'streams') setOrDelete(this.#streams, change.id, change.after);
    else if (change.kind === 'replicas') setOrDelete(this.#replicas, change.id, change.after);
    else if (change.kind === 'keys') setOrDelete(this.#keyStates, change.id, change.after);
    else if (change.kind === 'tokens') setOrDelete(this.#tokens, change.id, change.after);
    else if (change.kind === 'roles') setOrDelete(this.#roles, change.id, change.after);
    else if (change.kind === 'vault') setOrDelete(this.#secretNotes, change.key, change.after);
    else this.#indexOperation(change);
  }

  #indexOperation({ id, before, after }: ChangeOf<'operations'>): void {
    if (before !== null) this.#operations.delete(before.framework, id);
    if (after !== null) this.#operations.set(after.framework, id, after);
  }

  /** A name may go over to another uid in one step, so what was there is taken away first. */
  #indexJob({ key, before, after }: ChangeOf<'jobs'>): void {
    if (before !== null) {
      this.#jobs.delete(before.uid);
      this.#unsettledJobs.delete(before.uid);
    }
    setOrDelete(this.#jobsByKey, key, after);
    if (after === null) return;
    this.#jobs.set(after.uid, after);
    if (after.outcome === null || after.deleted) this.#unsettledJobs.set(after.uid, after);
  }

  /** What a task is made from is the version's, so a task of it may be another one as well. */
  #indexVersion({ before, after }: ChangeOf<'versions'>): void {
    const version = after ?? before;
    if (before !== null) this.#versionsByJob.delete(before.jobUid, before.version);
    if (after !== null) this.#versionsByJob.set(after.jobUid, after.version, after);
    for (const { id, jobVersion } of version === null ? [] : this.#tasks.ofJob(version.jobUid)) {
      if (jobVersion === version?.version) this.touched.task(id);
    }
  }
}
