/**
 * Puts on record who did what. A change and its record are written in one transaction, so that neither is there without the other.
 * `mutate` sees to it by itself; what commits in another way asks for the write here and puts it beside its own.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { type AuditedCaller, type AuditedObject, type AuditRecord, auditId } from '../../shared/domain/audit.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { hexEncode, utf8Encode } from '../../shared/util/codec.ts';
import type { Principal } from '../auth/principal.ts';
import type { Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { type Changed, objectsOf } from './audit-objects.ts';
import type { Call, ServiceContext } from './context.ts';
import type { Origin } from './origin.ts';

/** Bounds of one record, which together keep it below what `pack.ts` leaves free for it. */
const OBJECTS_NAMED_MAX = 20;
const ROLES_MAX = 64;
const FIELDS_MAX = 40;
const GRANTS_MAX = 20;
const TEXT_LENGTH_MAX = 160;

const SUFFIX_LENGTH = 16;

type AuditContext = Pick<ServiceContext, 'clock' | 'mirror'>;
export type Act = Pick<Call, 'principal' | 'origin'>;

/**
 * The write that puts a change on record, beside the writes of the change itself; none where nothing of it counts. To be called before
 * anything is awaited after the change was decided. `unique`: differs from that of any other change.
 */
export function auditWrites(ctx: AuditContext, act: Act, changed: Changed, unique: string): Write[] {
  return auditWritesOf(ctx, act, objectsOf(changed, ctx.mirror.snapshot), unique);
}

/** The same, of objects that are known already. */
export function auditWritesOf(
  { clock }: Pick<ServiceContext, 'clock'>,
  { principal, origin }: Act,
  objects: readonly AuditedObject[],
  unique: string,
): Write[] {
  if (objects.length === 0) return [];
  const atMs = clock.now();
  const record: AuditRecord = {
    ...{ id: idOf(atMs, unique), atMs },
    ...originPart(origin),
    ...objectsPart(objects),
    ...{ who: callerOf(principal), outcome: 'done', refusal: null, count: 1 },
  };
  return [auditPut(record)];
}

export function auditPut(record: AuditRecord): Write {
  return putRecord('audit', keys.audit(record.id), record);
}

/** Of the same time and text, the same: a write that is tried anew is the same record. */
export function idOf(atMs: number, unique: string): string {
  return auditId(atMs, hexEncode(sha256(utf8Encode(unique))).slice(0, SUFFIX_LENGTH));
}

export function callerOf({ kind, subject, tokenId }: Principal): AuditedCaller {
  return { kind, subject: clipped(subject), tokenId: clipped(tokenId) };
}

export function originPart({ requestId, address, operation }: Origin) {
  return { requestId, address, operation: clipped(operation) };
}

/** Large changes name the first objects and count the rest; who may read a record is told by all of them. */
function objectsPart(objects: readonly AuditedObject[]): Pick<AuditRecord, 'objects' | 'moreObjects' | 'roles'> {
  const roles = [...new Set(objects.flatMap(({ role }): RolePath[] => (role === null ? [] : [role])))];
  let fieldsLeft = FIELDS_MAX;
  const named = objects.slice(0, OBJECTS_NAMED_MAX).map((object) => {
    const fields = object.fields.slice(0, fieldsLeft).map(clipped);
    fieldsLeft -= fields.length;
    return { ...object, id: clipped(object.id), fields, grants: object.grants.slice(0, GRANTS_MAX).map(clipped) };
  });
  return { objects: named, moreObjects: objects.length - named.length, roles: roles.slice(0, ROLES_MAX) };
}

export function clipped(text: string): string {
  return text.length <= TEXT_LENGTH_MAX ? text : `${text.slice(0, TEXT_LENGTH_MAX - 1)}…`;
}
