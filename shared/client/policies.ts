/** Calls about whom the cluster trusts, and who the caller is to it. */
import {
  type ExchangedToken,
  type ExchangeRequestInput,
  exchangedTokenSchema,
  type LoginsView,
  loginsViewSchema,
  type PolicyRequestInput,
  type PolicyView,
  policyViewSchema,
  type TrustTestRequestInput,
  type TrustTestView,
  trustTestViewSchema,
  type WhoamiView,
  whoamiSchema,
} from '../protocol/policies.ts';
import { type Page, pageOf } from '../protocol/views.ts';
import { conditional, type VersionCondition } from './roles.ts';
import type { ApiRequest, Transport } from './transport.ts';

export interface PolicyCalls {
  list(query?: { limit?: number; after?: string | null }): Promise<Page<PolicyView>>;
  get(name: string): Promise<PolicyView>;
  /** Replaces all of it. */
  set(name: string, request: PolicyRequestInput, condition?: VersionCondition): Promise<PolicyView>;
  remove(name: string, condition?: VersionCondition): Promise<PolicyView>;
}

export interface AuthCalls {
  /** Takes no token of the client's. */
  exchange(request: ExchangeRequestInput): Promise<ExchangedToken>;
  /** What an exchange would bring, and why. */
  test(request: TrustTestRequestInput): Promise<TrustTestView>;
  /** Where people can log in. Takes no token. */
  logins(): Promise<LoginsView>;
  whoami(): Promise<WhoamiView>;
}

export function policyCalls(transport: Transport): PolicyCalls {
  const at = (name: string) => `/v1/policies/${encodeURIComponent(name)}`;
  const call = async (request: ApiRequest) => (await transport.call(request, policyViewSchema)).body;
  return {
    list: async (query = {}) => {
      const request: ApiRequest = { method: 'GET', path: '/v1/policies', query: { ...query }, repeat: 'safe' };
      return (await transport.call(request, pageOf(policyViewSchema))).body;
    },
    get: (name) => call({ method: 'GET', path: at(name), repeat: 'safe' }),
    set: (name, body, condition = {}) => call({ method: 'PUT', path: at(name), body, ...conditional(condition) }),
    remove: (name, condition = {}) => call({ method: 'DELETE', path: at(name), ...conditional(condition) }),
  };
}

export function authCalls(transport: Transport): AuthCalls {
  return {
    exchange: async (body) => {
      // A token that is taken once may have been, though its answer was lost.
      const request: ApiRequest = { method: 'POST', path: '/v1/auth/exchange', body, repeat: 'unsent' };
      return (await transport.call(request, exchangedTokenSchema)).body;
    },
    test: async (body) => {
      const request: ApiRequest = { method: 'POST', path: '/v1/auth/test', body, repeat: 'safe' };
      return (await transport.call(request, trustTestViewSchema)).body;
    },
    logins: async () =>
      (await transport.call({ method: 'GET', path: '/v1/auth/logins', repeat: 'safe' }, loginsViewSchema)).body,
    whoami: async () =>
      (await transport.call({ method: 'GET', path: '/v1/auth/whoami', repeat: 'safe' }, whoamiSchema)).body,
  };
}
