/** The schema of what is on record of callers; part of `schemas.ts`. */
import { z } from 'zod';
import { AUDIT_ID_PATTERN, AUDIT_OUTCOMES, AUDITED_CHANGES, AUDITED_KINDS } from '../../shared/domain/audit.ts';
import { REFUSAL_CODES } from '../../shared/domain/errors.ts';

const count = z.int().min(0);
const texts = z.array(z.string());

const auditedObject = z.object({
  kind: z.enum(AUDITED_KINDS),
  id: z.string(),
  role: z.string().nullable(),
  change: z.enum(AUDITED_CHANGES),
  fields: texts,
  version: count.nullable(),
  grants: texts,
});

export const auditRecord = z.object({
  id: z.string().regex(AUDIT_ID_PATTERN),
  atMs: z.number(),
  who: z.object({ kind: z.string(), subject: z.string(), tokenId: z.string() }).nullable(),
  requestId: z.string(),
  address: z.string().nullable(),
  operation: z.string(),
  objects: z.array(auditedObject),
  moreObjects: count,
  roles: texts,
  outcome: z.enum(AUDIT_OUTCOMES),
  refusal: z.object({ code: z.enum(REFUSAL_CODES), message: z.string(), target: z.string() }).nullable(),
  count,
});
