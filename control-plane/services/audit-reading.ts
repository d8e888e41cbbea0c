/**
 * What is on record of callers, for whoever may read it: pages from either end, and a stream that can be taken up again after any record
 * that is still kept, on any replica.
 *
 * Whoever may read it for some roles reads what was done to objects of these, and nothing of others, not even how many there were. What
 * belongs to the cluster as a whole takes the right to read all.
 */
import { type AuditedKind, type AuditOutcome, type AuditRecord, auditTimeText } from '../../shared/domain/audit.ts';
import { type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import type { AuditOrder, AuditView } from '../../shared/protocol/audit.ts';
import type { Page } from '../../shared/protocol/views.ts';
import type { Principal } from '../auth/principal.ts';
import { type AuditSpan, newestFirst, oldestFirst } from '../store/audit-log.ts';
import type { KeyValue } from '../store/contract.ts';
import { decodeRecord } from '../store/records.ts';
import { demand, mayRead, mayReadAll } from './access.ts';
import type { ServiceContext } from './context.ts';
import { timeView } from './views.ts';

/** Records that one page looks through at the most; with what is left, its `next` goes on. */
const SCANNED_MAX = 5000;
const RANGE_MIN = 100;
const RANGE_MAX = 500;

export interface AuditFilter {
  readonly role: RolePath | null;
  readonly subject: string | null;
  readonly token: string | null;
  readonly object: { readonly kind: AuditedKind; readonly id: string } | null;
  /** A part of it. */
  readonly operation: string | null;
  readonly outcome: AuditOutcome | null;
}

export interface AuditQuery {
  readonly filter: AuditFilter;
  readonly sinceMs: number | null;
  /** Excluded. */
  readonly untilMs: number | null;
  readonly order: AuditOrder;
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after: string | null;
}

/** Sorts after every id. */
const END = '~';

/** A page may be empty and still have a next one: a page looks through so many records and no more. */
export async function readAudit(
  ctx: ServiceContext,
  principal: Principal,
  query: AuditQuery,
): Promise<Page<AuditView>> {
  const viewOf = viewer(principal, query.filter);
  const { order, limit } = query;
  const read = order === 'newest' ? newestFirst : oldestFirst;
  const items: AuditView[] = [];
  let scanned = 0;
  const pageMax = Math.min(RANGE_MAX, Math.max(RANGE_MIN, limit));
  for await (const page of read(ctx.store, spanOf(query), pageMax)) {
    for (const keyValue of page) {
      const record = recordOf(keyValue);
      scanned += 1;
      const view = viewOf(record);
      if (view !== null) items.push(view);
      if (items.length === limit || scanned === SCANNED_MAX) return { items, next: record.id };
    }
  }
  return { items, next: null };
}

function spanOf({ sinceMs, untilMs, order, after }: AuditQuery): AuditSpan {
  const start = sinceMs === null ? '' : auditTimeText(sinceMs);
  const end = untilMs === null ? END : auditTimeText(untilMs);
  if (after === null) return { after: start, before: end };
  return order === 'oldest'
    ? { after: after > start ? after : start, before: end }
    : { after: start, before: after < end ? after : end };
}

function recordOf({ key, value }: KeyValue): AuditRecord {
  return decodeRecord('audit', key, value);
}

/** How a record shows itself to the principal; null: it doesn't, or the filter leaves it out. */
export function viewer(principal: Principal, filter: AuditFilter): (record: AuditRecord) => AuditView | null {
  demand(principal, 'audit:read', null);
  const readsAll = mayReadAll(principal, 'audit:read');
  return (record) => {
    const isReadable = (role: RolePath | null) => readsAll || (role !== null && mayRead(principal, 'audit:read', role));
    const { objects, moreObjects, roles } = record;
    if (!readsAll && !roles.some(isReadable)) return null;
    const shown = {
      ...record,
      objects: objects.filter(({ role }) => isReadable(role)),
      roles: roles.filter(isReadable),
    };
    return passes(shown, filter) ? auditView({ ...shown, moreObjects: readsAll ? moreObjects : 0 }) : null;
  };
}

function passes({ who, objects, roles, operation, outcome }: AuditRecord, filter: AuditFilter): boolean {
  const { role, subject, token, object } = filter;
  return (
    (role === null || roles.some((one) => roleWithin(one, role))) &&
    (subject === null || who?.subject === subject) &&
    (token === null || who?.tokenId === token) &&
    (object === null || objects.some(({ kind, id }) => kind === object.kind && id === object.id)) &&
    (filter.operation === null || operation.toLowerCase().includes(filter.operation.toLowerCase())) &&
    (filter.outcome === null || outcome === filter.outcome)
  );
}

function auditView({ atMs, roles: _roles, objects, ...record }: AuditRecord): AuditView {
  const { id, ...rest } = record;
  return { id, at: timeView(atMs), ...rest, objects: objects.map(copied) };
}

function copied({ fields, grants, ...object }: AuditRecord['objects'][number]): AuditView['objects'][number] {
  return { ...object, fields: [...fields], grants: [...grants] };
}
