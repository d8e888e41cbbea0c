/** Calls about secrets. What one says is sent, and never comes back. */
import {
  type ResealView,
  resealViewSchema,
  type SecretRequestInput,
  type SecretView,
  secretViewSchema,
} from '../protocol/secrets.ts';
import { type Page, pageOf } from '../protocol/views.ts';
import type { ApiRequest, Transport } from './transport.ts';

/** A secret by its name within its role. */
export interface SecretName {
  readonly role: string;
  readonly name: string;
}

export interface SecretConditions {
  /** Only if this is still its version. */
  readonly ifVersion?: number | undefined;
}

export interface SecretCalls {
  /** `role`: this one and those below it; absent: all that the token may see. */
  list(query?: { limit?: number; after?: string | null; role?: string | undefined }): Promise<Page<SecretView>>;
  get(secret: SecretName): Promise<SecretView>;
  set(secret: SecretName, request: SecretRequestInput, condition?: SecretConditions): Promise<SecretView>;
  /** `force`: also while jobs name it. */
  remove(secret: SecretName, options?: SecretConditions & { force?: boolean }): Promise<SecretView>;
  /** Brings some more of what is sealed under the first envelope key: again until nothing is left. */
  reseal(): Promise<ResealView>;
}

export function secretCalls(transport: Transport): SecretCalls {
  const at = ({ role, name }: SecretName) => ({ path: `/v1/secrets/${encodeURIComponent(name)}`, query: { role } });
  const call = async (request: ApiRequest) => (await transport.call(request, secretViewSchema)).body;
  return {
    list: async (query = {}) => {
      const request: ApiRequest = { method: 'GET', path: '/v1/secrets', query: { ...query }, repeat: 'safe' };
      return (await transport.call(request, pageOf(secretViewSchema))).body;
    },
    get: (secret) => call({ method: 'GET', ...at(secret), repeat: 'safe' }),
    // A copy that arrives late would be one more version, and might undo the next setting.
    set: (secret, body, condition = {}) =>
      call({ method: 'PUT', ...at(secret), body, ...headersOf(condition), repeat: 'unsent' }),
    remove: (secret, { force = false, ...condition } = {}) => {
      const { path, query } = at(secret);
      return call({ method: 'DELETE', path, query: { ...query, force }, ...headersOf(condition), repeat: 'unsent' });
    },
    reseal: async () => {
      const request: ApiRequest = { method: 'POST', path: '/v1/cluster/reseal', body: {}, repeat: 'safe' };
      return (await transport.call(request, resealViewSchema)).body;
    },
  };
}

function headersOf({ ifVersion }: SecretConditions): Pick<ApiRequest, 'headers'> {
  return ifVersion === undefined ? {} : { headers: { 'If-Match': `"${ifVersion}"` } };
}
