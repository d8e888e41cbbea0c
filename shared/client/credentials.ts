/** Calls about tokens that have been handed out, and about the keys that they are signed with. */
import type { z } from 'zod';
import {
  type KeyView,
  keysViewSchema,
  keyViewSchema,
  type revokeTokenRequestSchema,
  type revokeTokensRequestSchema,
  type TokenRecordView,
  tokenRecordViewSchema,
} from '../protocol/tokens.ts';
import { type Page, pageOf } from '../protocol/views.ts';
import { get, type PageQuery, post } from './jobs.ts';
import type { Transport } from './transport.ts';

export interface TokenCalls {
  /** What is known of them: tokens to join with, what was revoked, what was made past all rights. */
  list(query?: PageQuery & { readonly type?: TokenRecordView['type'] | undefined }): Promise<Page<TokenRecordView>>;
  /** One of them. With the token of the client itself it needs no right. */
  revoke(id: string, request?: z.input<typeof revokeTokenRequestSchema>): Promise<TokenRecordView>;
  /** All of some sort that were issued before a time. */
  revokeBefore(request: z.input<typeof revokeTokensRequestSchema>): Promise<TokenRecordView>;
}

export interface KeyCalls {
  list(): Promise<readonly KeyView[]>;
  /** Makes the next one, or answers with the one that waits for its turn. */
  rotate(): Promise<KeyView>;
  /** One that is in the wrong hands, with all that it has signed. */
  retire(kid: string, request: { readonly reason?: string | undefined }): Promise<KeyView>;
}

export function tokenCalls(transport: Transport): TokenCalls {
  return {
    list: async (query = {}) =>
      (await transport.call({ ...get('/v1/tokens'), query: { ...query } }, pageOf(tokenRecordViewSchema))).body,
    revoke: async (id, request = {}) => {
      const call = post(transport, `/v1/tokens/${encodeURIComponent(id)}/revoke`, request);
      return (await transport.call(call, tokenRecordViewSchema)).body;
    },
    revokeBefore: async (request) =>
      (await transport.call(post(transport, '/v1/tokens/revoke', request), tokenRecordViewSchema)).body,
  };
}

export function keyCalls(transport: Transport): KeyCalls {
  return {
    list: async () => (await transport.call(get('/v1/keys'), keysViewSchema)).body.items,
    rotate: async () => (await transport.call(post(transport, '/v1/keys/rotate', {}), keyViewSchema)).body,
    retire: async (kid, request) => {
      const call = post(transport, `/v1/keys/${encodeURIComponent(kid)}/retire`, { now: true, ...request });
      return (await transport.call(call, keyViewSchema)).body;
    },
  };
}
