/** Who did what, as the API shows it. */
import { z } from 'zod';
import { AUDIT_ID_PATTERN, AUDIT_OUTCOMES, AUDITED_CHANGES, AUDITED_KINDS } from '../domain/audit.ts';
import { REFUSAL_CODES } from '../domain/errors.ts';

export const AUDIT_ORDERS = ['newest', 'oldest'] as const;
export type AuditOrder = (typeof AUDIT_ORDERS)[number];

/** A kind and an id, such as `job/web` or `node/edge-1`. */
export const AUDITED_OBJECT_PATTERN = new RegExp(`^(${AUDITED_KINDS.join('|')})/.{1,200}$`);

export const auditIdSchema = z.string().regex(AUDIT_ID_PATTERN, 'must be the id of a record');

export const auditedObjectViewSchema = z.object({
  kind: z.enum(AUDITED_KINDS),
  id: z.string(),
  role: z.string().nullable().describe('Null: it belongs to the cluster as a whole.'),
  change: z.enum(AUDITED_CHANGES),
  fields: z.array(z.string()).describe('JSON pointers to what differs now. Names, never values.'),
  version: z.number().int().nullable().describe('That stands now, of what has versions.'),
  grants: z.array(z.string()).describe('What was granted, of a token.'),
});

export const auditViewSchema = z
  .object({
    id: z.string(),
    at: z.string(),
    who: z
      .object({ kind: z.string(), subject: z.string(), tokenId: z.string() })
      .nullable()
      .describe('Null: there was no token, or none that could be believed.'),
    requestId: z.string(),
    address: z.string().nullable().describe('Of the client, in the network.'),
    operation: z.string().describe('What was called.'),
    objects: z.array(auditedObjectViewSchema),
    moreObjects: z.number().int().describe('How many more there were than are named.'),
    outcome: z.enum(AUDIT_OUTCOMES),
    refusal: z.object({ code: z.enum(REFUSAL_CODES), message: z.string(), target: z.string() }).nullable(),
    count: z.number().int().describe('How often: alike refusals of one minute are one record.'),
  })
  .meta({ id: 'AuditRecord', description: 'Who did what, from where, with which token, and what came of it.' });

export type AuditView = z.output<typeof auditViewSchema>;
export type AuditedObjectView = z.output<typeof auditedObjectViewSchema>;
