/**
 * Who did what to which object, from where, with which token, and what came of it. A record tells what has changed by name only:
 * a value may be a secret, and a record outlives whatever it tells of.
 */
import type { RefusalCode } from './errors.ts';
import type { RolePath } from './ids.ts';

/** What a record can be about. Each has an id that is unique among its kind, in its role where it has one. */
export const AUDITED_KINDS = [
  'cluster',
  'deployment',
  'framework',
  'job',
  'maintenance',
  'node',
  'policy',
  'reservation',
  'role',
  'secret',
  'settings',
  'signing-key',
  'task',
  'token',
  'volume',
] as const;
export type AuditedKind = (typeof AUDITED_KINDS)[number];

export const AUDITED_CHANGES = ['created', 'changed', 'removed', 'issued'] as const;
export type AuditedChange = (typeof AUDITED_CHANGES)[number];

export interface AuditedObject {
  readonly kind: AuditedKind;
  readonly id: string;
  /** Null: it belongs to the cluster as a whole. */
  readonly role: RolePath | null;
  readonly change: AuditedChange;
  /** JSON pointers to what differs now. Names, never values. */
  readonly fields: readonly string[];
  /** The version that stands now, of what has versions. */
  readonly version: number | null;
  /** What was granted, in words; of a token. */
  readonly grants: readonly string[];
}

/** `refused`: nothing was changed. */
export const AUDIT_OUTCOMES = ['done', 'refused'] as const;
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

export interface AuditRecord {
  /** Sorts by time. */
  readonly id: string;
  readonly atMs: number;
  /** Null: there was no token, or none that could be believed. */
  readonly who: AuditedCaller | null;
  /** What ties the record to an answer and to the log. */
  readonly requestId: string;
  /** The network address; null where it isn't known. */
  readonly address: string | null;
  /** What was called, such as `PUT /v1/jobs/{name}`. */
  readonly operation: string;
  readonly objects: readonly AuditedObject[];
  /** How many more there were than are named. */
  readonly moreObjects: number;
  /** Of all objects, named or not. Empty: it is about the cluster as a whole. */
  readonly roles: readonly RolePath[];
  readonly outcome: AuditOutcome;
  readonly refusal: AuditedRefusal | null;
  /** How often it happened: alike refusals of one minute are one record. */
  readonly count: number;
}

export interface AuditedCaller {
  readonly kind: string;
  readonly subject: string;
  readonly tokenId: string;
}

export interface AuditedRefusal {
  readonly code: RefusalCode;
  readonly message: string;
  /** The path that was called, with the names in it. */
  readonly target: string;
}

/** Digits of a time in an id, in milliseconds: enough for three hundred years. */
export const AUDIT_TIME_DIGITS = 13;

/** How every id of a record that was made at this time, or later in the same millisecond, begins. */
export function auditTimeText(atMs: number): string {
  return String(Math.max(0, Math.floor(atMs))).padStart(AUDIT_TIME_DIGITS, '0');
}

export function auditId(atMs: number, suffix: string): string {
  return `${auditTimeText(atMs)}-${suffix}`;
}

export const AUDIT_ID_PATTERN = /^\d{13}-[0-9a-f]{16}$/;

/** When the record was made. */
export function auditTimeMs(id: string): number {
  return Number(id.slice(0, AUDIT_TIME_DIGITS));
}
