/** What the state holds of tokens and of the keys that they are signed with, as the API takes and shows it. */
import { z } from 'zod';
import { TOKEN_KINDS } from '../domain/token-record.ts';
import { nodeIdSchema } from './agent-schemas.ts';
import { timeSchema } from './views.ts';

const TOKEN_ID_LENGTH_MAX = 256;
const SUBJECT_LENGTH_MAX = 1024;

/** Ids of tokens of other issuers may hold whatever those like. */
export const tokenIdSchema = z
  .string()
  .min(1)
  .max(TOKEN_ID_LENGTH_MAX)
  .refine((id) => !/[\p{Cc}\p{Cs}]/u.test(id), 'must not contain control characters');

const reason = z
  .string()
  .min(1)
  .max(1000)
  .refine((value) => !value.includes('\0'), 'must not contain NUL')
  .default('no reason given')
  .describe('As it will stand in records and events.');
const anyTime = z.iso.datetime({ offset: true, error: 'must be a time such as "2026-12-24T18:00:00Z"' });

export const revokeTokenRequestSchema = z
  .strictObject({
    reason,
    expiresAt: anyTime
      .optional()
      .describe(
        'When it would have expired: the record is kept until then. Absent: for as long as any token may live.',
      ),
  })
  .meta({ id: 'RevokeTokenRequest' });

export const revokeTokensRequestSchema = z
  .strictObject({
    before: anyTime.optional().describe('Tokens that were issued before this are revoked. Absent: before now.'),
    all: z.literal(true).optional().describe('Of everybody, agents and the caller included.'),
    subject: z.string().min(1).max(SUBJECT_LENGTH_MAX).optional().describe('Only of this subject.'),
    node: nodeIdSchema.optional().describe("Only this node's own, and join tokens for it alone."),
    kind: z.enum(TOKEN_KINDS).optional().describe('Only of this kind.'),
    reason,
  })
  .meta({ id: 'RevokeTokensRequest', description: 'Exactly one of `all`, `subject`, `node` and `kind` says which.' });

export const TOKEN_RECORD_TYPES = ['join', 'revoked', 'revoked-before', 'break-glass'] as const;

export const tokenRecordViewSchema = z
  .object({
    type: z.enum(TOKEN_RECORD_TYPES),
    id: z.string().nullable().describe('Of the token; null for `revoked-before`.'),
    subject: z.string().nullable().describe('Whom the token is for, or whose tokens are revoked; null: not one.'),
    kind: z.enum(TOKEN_KINDS).nullable().describe('Of which all were revoked; null: it is not by kind.'),
    node: z.string().nullable().describe('The only node that may join with it, or whose tokens are revoked.'),
    nodePattern: z.string().nullable().describe('What the ids of nodes that join with it have to match.'),
    before: timeSchema.nullable().describe('Tokens that were issued before this are revoked.'),
    usesMax: z.number().int().nullable().describe('How many nodes may join with it; null: nobody counts.'),
    usesLeft: z.number().int().nullable(),
    lastUse: z
      .object({ node: z.string(), at: timeSchema })
      .nullable()
      .describe('The node that joined with it last; null: none that is still known.'),
    reason: z.string().nullable(),
    at: timeSchema,
    by: z.string(),
    until: timeSchema.describe('From then on the record means nothing, and goes.'),
  })
  .meta({ id: 'TokenRecord', description: 'Tokens that are handed out are not kept; this is what is known of them.' });

export const keyViewSchema = z
  .object({
    kid: z.string(),
    state: z
      .enum(['next', 'signing', 'verifying', 'retired'])
      .describe('`next`: published, and waits for its turn. `retired`: what it signed does not count any more.'),
    createdAt: timeSchema,
    createdBy: z.string(),
    signsFrom: timeSchema,
    verifiesUntil: timeSchema.nullable().describe('By then nothing lives that it has signed, and it goes.'),
    retired: z.object({ at: timeSchema, by: z.string(), reason: z.string() }).nullable(),
  })
  .meta({ id: 'SigningKey' });

export const keysViewSchema = z.object({ items: z.array(keyViewSchema) }).meta({ id: 'SigningKeys' });

export const retireKeyRequestSchema = z
  .strictObject({
    now: z
      .literal(true)
      .describe('All that it has signed ends at once: agents have to join anew, everybody needs a new token.'),
    reason,
  })
  .meta({ id: 'RetireKeyRequest' });

export type RevokeTokenRequest = z.output<typeof revokeTokenRequestSchema>;
export type RevokeTokensRequest = z.output<typeof revokeTokensRequestSchema>;
export type TokenRecordView = z.output<typeof tokenRecordViewSchema>;
export type KeyView = z.output<typeof keyViewSchema>;
export type KeysView = z.output<typeof keysViewSchema>;
