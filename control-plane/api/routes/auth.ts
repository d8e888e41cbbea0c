/** `/v1/auth`: tokens for tokens of others, and what a token is. */
import {
  exchangedTokenSchema,
  exchangeRequestSchema,
  loginsViewSchema,
  trustTestRequestSchema,
  trustTestViewSchema,
  whoamiSchema,
} from '../../../shared/protocol/policies.ts';
import { exchangeToken, listLogins, testTrust, whoami } from '../../services/exchange.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';

const base = { tag: 'Access' } as const;
const NO_STORE = { 'cache-control': 'no-store' };

export function authEndpoints({ ctx, mint, outsideTokens, outsideIssuers = [] }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/auth/exchange',
        admits: ['user'],
        isOpen: true,
        summary: 'Exchange a token of an outside issuer for one of this cluster',
        description:
          "Takes no token but the one in the body: an OIDC token of a CI job, say, of an issuer that a trust policy names, for the audience of that policy and no other. What is given allows what the rules say that hold for it; `roles` and `actions` make it less, and never more. It holds for 15 minutes unless another time is asked for, whenever the outside token ends. 401: nobody here trusts the token; 403: it is genuine, and doesn't bring what it is to bring.",
        body: exchangeRequestSchema,
        answers: { 200: { description: 'The token. It is shown only now.', schema: exchangedTokenSchema } },
      },
      async ({ body, call }) => {
        const exchanged = await exchangeToken(ctx, { mint, outsideTokens, outsideIssuers }, call, body);
        return { status: 200, body: exchanged, headers: NO_STORE };
      },
    ),
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/auth/logins',
        admits: ['user'],
        isOpen: true,
        summary: 'List where people can log in',
        description: 'The issuers that trust policies name a public client of, for `berth login`. Takes no token.',
        answers: { 200: { description: 'By policy.', schema: loginsViewSchema } },
      },
      () => ({ status: 200, body: listLogins(ctx) }),
    ),
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/auth/whoami',
        admits: ['user', 'join', 'node', 'peer'],
        summary: 'Read who the token stands for',
        description: 'And what it allows, and until when. Takes any token.',
        answers: { 200: { description: 'What the token is.', schema: whoamiSchema } },
      },
      ({ token }) => ({ status: 200, body: whoami(token), headers: NO_STORE }),
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/auth/test',
        admits: ['user'],
        summary: 'Say what an exchange would bring, and why',
        description:
          'Of a token, or of the claims that one would have: which rules of which policies hold, and of the others which claims are in the way. Nothing is given, and nothing is used up. Takes `policy:read`.',
        body: trustTestRequestSchema,
        answers: { 200: { description: 'Every rule, and how it stands.', schema: trustTestViewSchema } },
      },
      async ({ principal, body }) => ({
        status: 200,
        body: await testTrust(ctx, { outsideTokens }, principal, body),
        headers: NO_STORE,
      }),
    ),
  ];
}
