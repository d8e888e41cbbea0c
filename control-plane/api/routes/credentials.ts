/** `/v1/tokens` and `/v1/keys`: what is known of tokens, taking them back, and the keys that they are signed with. */
import { z } from 'zod';
import {
  keysViewSchema,
  keyViewSchema,
  retireKeyRequestSchema,
  revokeTokenRequestSchema,
  revokeTokensRequestSchema,
  TOKEN_RECORD_TYPES,
  tokenIdSchema,
  tokenRecordViewSchema,
} from '../../../shared/protocol/tokens.ts';
import { pageOf } from '../../../shared/protocol/views.ts';
import { listTokenRecords, revokeToken, revokeTokens } from '../../services/revocations.ts';
import { listKeys, retireKey, rotateKeys } from '../../services/signing-keys.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { pageOfQuery, pageQuery, replyTo } from './answers.ts';

const base = { tag: 'Cluster', admits: ['user'] } as const;
const KID_LENGTH_MAX = 64;

export function credentialEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...tokenEndpoints(parts), ...keyEndpoints(parts)];
}

function tokenEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/tokens',
        summary: 'List what is known of tokens',
        description:
          'Tokens to join with, what has been revoked, and tokens that were made past all rights. Others are not kept: who made one has its id. Takes `token:read`.',
        query: z.strictObject({ ...pageQuery, type: z.enum(TOKEN_RECORD_TYPES).optional() }),
        answers: { 200: { description: 'One page of records.', schema: pageOf(tokenRecordViewSchema) } },
      },
      ({ principal, query }) => {
        const types = query.type === undefined ? null : [query.type];
        return { status: 200, body: listTokenRecords(ctx, principal, { types }, pageOfQuery(query)) };
      },
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/tokens/revoke',
        summary: 'Revoke all tokens of some sort that were issued before a time',
        description:
          'Requests with them are refused from then on, and what they have opened ends at once, on every replica as soon as it hears of it. Agents whose tokens are among them have to join anew. Takes `token:revoke`.',
        body: revokeTokensRequestSchema,
        repeatable: true,
        answers: { 200: { description: 'What stands now.', schema: tokenRecordViewSchema } },
      },
      async ({ call, body }) => replyTo(await revokeTokens(ctx, call, body)),
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/tokens/{id}/revoke',
        summary: 'Revoke one token',
        description:
          "With a node's token goes all that it was renewed to, with a token to join its record. Takes `token:revoke`; nothing for the token that the request comes with.",
        params: z.object({ id: tokenIdSchema }),
        body: revokeTokenRequestSchema,
        bodyOptional: true,
        repeatable: true,
        answers: { 200: { description: 'What stands now.', schema: tokenRecordViewSchema } },
      },
      async ({ call, params: { id }, body, token }) => {
        // Another issuer may give its tokens ids that are ours.
        const isOwn = token.kid !== null && token.principal.tokenId === id;
        return replyTo(await revokeToken(ctx, call, { id, isOwn }, body));
      },
    ),
  ];
}

function keyEndpoints({ ctx, mint, ring }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/keys',
        summary: 'List the signing keys',
        description:
          'Where each stands, the newest first. Takes `key:read`. `/.well-known/jwks.json` has their public halves.',
        answers: { 200: { description: 'The keys.', schema: keysViewSchema } },
      },
      ({ principal }) => ({ status: 200, body: { items: listKeys(ctx, principal) } }),
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/keys/rotate',
        summary: 'Make the next signing key',
        description:
          'It is published at once and signs some minutes later, when whoever verifies tokens has it. What was signed before is good until it expires. While one waits for its turn, that one is the answer (200). Takes `key:rotate`.',
        body: z.strictObject({}).meta({ id: 'RotateKeysRequest' }),
        bodyOptional: true,
        repeatable: true,
        answers: {
          200: { description: 'The key that waits for its turn already.', schema: keyViewSchema },
          201: { description: 'The new key.', schema: keyViewSchema },
        },
      },
      async ({ call }) => replyTo(await rotateKeys(ctx, mint.lifetimes, call)),
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/keys/{kid}/retire',
        summary: 'End a signing key that is in the wrong hands',
        description:
          'All tokens that it has signed end at once, with what they have opened, the one of the request perhaps among them. If it is the one that signs, the next takes its place at once. Takes `key:rotate`.',
        params: z.object({ kid: z.string().min(1).max(KID_LENGTH_MAX) }),
        body: retireKeyRequestSchema,
        repeatable: true,
        answers: { 200: { description: 'The key.', schema: keyViewSchema } },
      },
      async ({ call, params: { kid }, body: { reason } }) => {
        const { lifetimes } = mint;
        return replyTo(await retireKey(ctx, { ring, lifetimes }, call, { kid, reason }));
      },
    ),
  ];
}
