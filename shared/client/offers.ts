/** Calls about offers: who holds them, and what a framework answers to its own. */
import {
  type AcceptedView,
  type AcceptInput,
  acceptedSchema,
  type DeclinedView,
  type DeclineInput,
  declinedSchema,
  type HeldOfferView,
  heldOfferSchema,
  type OfferWishesView,
  type OfferWishRequest,
  offerWishesSchema,
} from '../protocol/offers.ts';
import { type Page, pageOf } from '../protocol/views.ts';
import { randomId } from '../util/random.ts';
import type { ApiRequest, Transport } from './transport.ts';

export interface OfferQuery {
  readonly framework?: string | undefined;
  readonly node?: string | undefined;
  /** This role and those below it; absent: all that the token may see. */
  readonly role?: string | undefined;
  readonly limit?: number;
  readonly after?: string | null;
}

export interface OfferCalls {
  list(query?: OfferQuery): Promise<Page<HeldOfferView>>;
  /** Throws an ApiError with the code `offer-gone` where one of the offers doesn't stand any more. */
  accept(framework: string, request: AcceptInput): Promise<AcceptedView>;
  decline(framework: string, request: DeclineInput): Promise<DeclinedView>;
  revive(framework: string, request: OfferWishRequest): Promise<OfferWishesView>;
  suppress(framework: string, request: OfferWishRequest): Promise<OfferWishesView>;
}

export function offerCalls(transport: Transport): OfferCalls {
  /** Carries a key of its own, which makes all copies of it one call. */
  const answer = (framework: string, call: string, body: unknown): ApiRequest => ({
    method: 'POST',
    path: `/v1/frameworks/${encodeURIComponent(framework)}/${call}`,
    body,
    headers: { 'Idempotency-Key': randomId(transport.options.random, 26) },
    repeat: 'safe',
  });
  return {
    list: async (query = {}) => {
      const request: ApiRequest = { method: 'GET', path: '/v1/offers', query: { ...query }, repeat: 'safe' };
      return (await transport.call(request, pageOf(heldOfferSchema))).body;
    },
    accept: async (id, request) => (await transport.call(answer(id, 'accept', request), acceptedSchema)).body,
    decline: async (id, request) => (await transport.call(answer(id, 'decline', request), declinedSchema)).body,
    revive: async (id, request) => (await transport.call(answer(id, 'revive', request), offerWishesSchema)).body,
    suppress: async (id, request) => (await transport.call(answer(id, 'suppress', request), offerWishesSchema)).body,
  };
}
