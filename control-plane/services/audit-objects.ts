/**
 * What a change was done to, read off its writes, so that no use case has to say it. Pure. What counts and what is bookkeeping stands in
 * one table over the kinds of record: a new kind doesn't compile until it has its place there.
 */
import type { AuditedChange, AuditedKind, AuditedObject } from '../../shared/domain/audit.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { TokenRecord } from '../../shared/domain/token-record.ts';
import { unreachable } from '../../shared/util/assert.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { differingPointers } from '../../shared/util/json-difference.ts';
import type { Compare, Write } from '../store/contract.ts';
import { isMirrored } from '../store/kept.ts';
import { parseKey, type RecordKind } from '../store/keys.ts';
import type { RecordOf } from '../store/record-types.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { timeView } from './times.ts';

export interface Changed {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

/** One record before and after. Both are null where a snapshot doesn't keep such records. */
interface Facts<K extends RecordKind> {
  readonly before: RecordOf[K] | null;
  /** Null: it is deleted. */
  readonly after: RecordOf[K] | null;
  readonly change: AuditedChange;
  /** What follows the kind in the key. */
  readonly path: string;
}

type Told<K extends RecordKind> = (facts: Facts<K>) => readonly AuditedObject[];

/** Null: it says nothing that somebody would have to answer for, or nothing that another record of the same change doesn't say. */
const TOLD: { readonly [K in RecordKind]: Told<K> | null } = {
  cluster: (facts) => told(facts, { kind: 'cluster', id: 'cluster', role: null }),
  nodes: (facts) => told(facts, { kind: 'node', id: facts.path, role: null }),
  epochs: (facts) => epochObjects(facts),
  ledger: (facts) => ledgerObjects(facts),
  jobs: (facts) => jobObjects(facts),
  tasks: (facts) => ofRole(facts, 'task', ({ id }) => id),
  deployments: (facts) => ofRole(facts, 'deployment', ({ id }) => id),
  frameworks: (facts) => frameworkObjects(facts),
  maintenance: (facts) => told(facts, { kind: 'maintenance', id: facts.path, role: null }, ['answers']),
  roles: ({ before, after, ...facts }) => {
    const path = (after ?? before)?.path ?? '';
    return told({ before, after, ...facts }, { kind: 'role', id: path, role: path });
  },
  settings: (facts) => told(facts, { kind: 'settings', id: 'cluster', role: null }),
  policies: (facts) => told(facts, { kind: 'policy', id: facts.path, role: null }),
  secrets: (facts) => secretObjects(facts),
  keys: (facts) => told(facts, { kind: 'signing-key', id: facts.path, role: null }),
  tokens: (facts) => tokenObjects(facts),
  vault: (facts) => noteObjects(facts),
  driver: null,
  rounds: null,
  alive: null,
  versions: null,
  fetches: null,
  connections: null,
  replicas: null,
  streams: null,
  messages: null,
  operations: null,
  ops: null,
  idempotency: null,
  exchanges: null,
  sealed: null,
  audit: null,
};

/** What the writes were done to, each once, in the order of the writes. `snapshot`: what they were decided from. */
export function objectsOf({ compares, writes }: Changed, snapshot: Snapshot): AuditedObject[] {
  const absent = new Set(compares.flatMap(({ key, modRevision }) => (modRevision === 0 ? [key] : [])));
  const objects = writes.flatMap((write) => {
    const [kind, path] = parseKey(write.key) ?? [null, ''];
    if (kind === null) return [];
    // One kind through two maps is more than the compiler can follow.
    const tell = TOLD[kind] as Told<RecordKind> | null;
    if (tell === null) return [];
    const before = isMirrored(kind) ? snapshot.record(kind, write.key) : null;
    if (write.type === 'delete') return tell({ before, after: null, path, change: 'removed' });
    const isNew = isMirrored(kind) ? before === null : absent.has(write.key);
    const after = isMirrored(kind) ? (JSON.parse(write.value) as RecordOf[RecordKind]) : null;
    return tell({ before, after, path, change: isNew ? 'created' : 'changed' });
  });
  return merged(objects);
}

/** Several records may be about one thing, such as a node. */
function merged(objects: readonly AuditedObject[]): AuditedObject[] {
  const known = new Map<string, AuditedObject>();
  for (const object of objects) {
    const name = JSON.stringify([object.kind, object.role, object.id]);
    const other = known.get(name);
    known.set(name, other === undefined ? object : { ...other, fields: [...other.fields, ...object.fields] });
  }
  return [...known.values()];
}

interface About {
  readonly kind: AuditedKind;
  readonly id: string;
  readonly role: RolePath | null;
  readonly version?: number;
}

/** Members that differ with every write, or that their object is told with. */
const IGNORED: readonly string[] = ['v', 'version', 'updatedAtMs', 'updatedBy'];

/** Nothing, where only `ignored` members differ. */
function told<K extends RecordKind>(
  { before, after, change }: Facts<K>,
  { version, ...about }: About,
  ignored: readonly string[] = [],
): AuditedObject[] {
  const fields = change === 'changed' ? fieldsOf(before, after, [...IGNORED, ...ignored]) : [];
  if (change === 'changed' && fields.length === 0) return [];
  return [{ ...about, change, fields, version: version ?? null, grants: [] }];
}

function fieldsOf(before: object | null, after: object | null, ignored: readonly string[]): string[] {
  const isTold = ([name]: [string, unknown]) => !ignored.includes(name);
  const toldPart = (value: object | null) => Object.fromEntries(Object.entries(value ?? {}).filter(isTold));
  return differingPointers(toldPart(before), toldPart(after));
}

function ofRole<K extends 'tasks' | 'deployments'>(
  facts: Facts<K>,
  kind: AuditedKind,
  nameOf: (record: RecordOf[K]) => string,
): AuditedObject[] {
  const record = facts.after ?? facts.before;
  return record === null ? [] : told(facts, { kind, id: nameOf(record), role: record.role });
}

/** A job under a name that was used before is another job. */
function jobObjects({ before, after, ...facts }: Facts<'jobs'>): AuditedObject[] {
  const job = after ?? before;
  if (job === null) return [];
  const isAnother = after !== null && before !== null && after.uid !== before.uid;
  const change = isAnother ? 'created' : facts.change;
  const about = { kind: 'job', id: job.spec.name, role: job.spec.role, version: job.version } as const;
  return told({ before, after, path: facts.path, change }, about);
}

/** Tokens that are taken back by what they have in common have no id but that of the record. */
function tokenObjects(facts: Facts<'tokens'>): AuditedObject[] {
  const record = facts.after ?? facts.before;
  if (record === null) return [];
  const id = 'id' in record ? record.id : facts.path;
  return told(facts, { kind: 'token', id, role: null }).map((object) => ({ ...object, grants: [tokenText(record)] }));
}

function tokenText(record: TokenRecord): string {
  switch (record.type) {
    case 'join':
      return `join token for "${record.subject}"`;
    case 'revoked':
      return 'revoked';
    case 'revoked-before':
      return `revoked: ${Object.values(record.scope).join(' ')}, issued before ${timeView(record.beforeMs)}`;
    case 'break-glass':
      return `admin's token made past all rights: ${record.reason}`;
    default:
      return unreachable(record);
  }
}

/** What it wants to be offered is its daily business; who it is and what it may be offered isn't. */
const WISHES = ['suppressed', 'filterGenerations', 'disconnectedSinceMs'];

function frameworkObjects({ before, after, ...facts }: Facts<'frameworks'>): AuditedObject[] {
  const framework = after ?? before;
  if (framework === null) return [];
  const about = { kind: 'framework', id: framework.id, role: framework.roles[0] ?? null } as const;
  return told({ before, after, ...facts }, about, WISHES);
}

/** Tasks have records of their own, and offers come and go by the thousand. */
function ledgerObjects({ before, after, path }: Facts<'ledger'>): AuditedObject[] {
  if (before === null || after === null) return [];
  const fields = fieldsOf(nodeWishes(before), nodeWishes(after), []);
  const node: AuditedObject[] =
    fields.length === 0
      ? []
      : [{ kind: 'node', id: path, role: null, change: 'changed', fields, version: null, grants: [] }];
  const roleOf = (id: string) => (after.reservations[id] ?? before.reservations[id])?.role ?? null;
  return [
    ...node,
    ...held('reservation', [before.reservations, after.reservations], ({ role }) => role),
    ...held('volume', [before.volumes, after.volumes], ({ reservation }) => roleOf(reservation)),
  ];
}

function nodeWishes({ eligible, drain }: Ledger): object {
  return { eligible, drain };
}

function held<T extends { readonly id: string }>(
  kind: AuditedKind,
  [before, after]: readonly [Readonly<Record<string, T>>, Readonly<Record<string, T>>],
  roleOf: (one: T) => RolePath | null,
): AuditedObject[] {
  const [old, now] = [new Map(Object.entries(before)), new Map(Object.entries(after))];
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((id): AuditedObject[] => {
    const [was, is] = [old.get(id), now.get(id)];
    const one = is ?? was;
    if (one === undefined || canonicalJson(was ?? null) === canonicalJson(is ?? null)) return [];
    const change = was === undefined ? 'created' : is === undefined ? 'removed' : 'changed';
    const fields = change === 'changed' ? differingPointers(was, is) : [];
    return [{ kind, id: one.id, role: roleOf(one), change, fields, version: null, grants: [] }];
  });
}

/** Sessions begin and end by themselves; what an operator does to a node's past and what is kept aside there doesn't. */
function epochObjects({ before, after, path }: Facts<'epochs'>): AuditedObject[] {
  if (before === null || after === null) return [];
  const fields = differingPointers(
    { gone: before.gone, keptAside: before.keptAside },
    { gone: after.gone, keptAside: after.keptAside },
  );
  if (fields.length === 0) return [];
  return [{ kind: 'node', id: path, role: null, change: 'changed', fields, version: null, grants: [] }];
}

const SIGNING = 'signing/';

/** By name alone: what it is made of is not even looked at. */
/** A secret that was set anew says something else, though its note may look the same. */
function noteObjects({ before, after, change }: Facts<'vault'>): AuditedObject[] {
  const note = after ?? before;
  if (note === null) return [];
  const isSet = after !== null && before !== null && after.version !== before.version;
  const fields = change === 'changed' ? [...(isSet ? ['/value'] : []), ...fieldsOf(before, after, IGNORED)] : [];
  return [{ kind: 'secret', id: note.name, role: note.role, change, fields, version: note.version, grants: [] }];
}

function secretObjects({ path, change }: Facts<'secrets'>): AuditedObject[] {
  const isKey = path.startsWith(SIGNING);
  const about = isKey
    ? ({ kind: 'signing-key', id: path.slice(SIGNING.length) } as const)
    : ({ kind: 'secret', id: path } as const);
  return [{ ...about, role: null, change, fields: [], version: null, grants: [] }];
}
