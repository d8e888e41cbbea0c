/** Calls about roles and the cluster's settings. */
import {
  type RoleRequestInput,
  type RoleView,
  roleViewSchema,
  type SettingsRequestInput,
  type SettingsView,
  settingsViewSchema,
} from '../protocol/roles.ts';
import { type Page, pageOf } from '../protocol/views.ts';
import type { ApiRequest, Transport } from './transport.ts';

/** `ifVersion`: only if this is still the version of what is set. */
export interface VersionCondition {
  readonly ifVersion?: number | undefined;
}

export interface RoleCalls {
  /** `role`: this one and those below it; absent: all that the token may see. */
  list(query?: { limit?: number; after?: string | null; role?: string | undefined }): Promise<Page<RoleView>>;
  get(path: string): Promise<RoleView>;
  /** Replaces all that was set for it. */
  set(path: string, request: RoleRequestInput, condition?: VersionCondition): Promise<RoleView>;
  unset(path: string, condition?: VersionCondition): Promise<RoleView>;
}

export interface SettingsCalls {
  get(): Promise<SettingsView>;
  /** Replaces all of them. */
  set(request: SettingsRequestInput, condition?: VersionCondition): Promise<SettingsView>;
}

export function roleCalls(transport: Transport): RoleCalls {
  // The slashes stay as they are: some proxies refuse escaped ones, and no other character of a path needs escaping.
  const at = (path: string) => `/v1/roles/${path.split('/').map(encodeURIComponent).join('/')}`;
  const call = async (request: ApiRequest) => (await transport.call(request, roleViewSchema)).body;
  return {
    list: async (query = {}) => {
      const request: ApiRequest = { method: 'GET', path: '/v1/roles', query: { ...query }, repeat: 'safe' };
      return (await transport.call(request, pageOf(roleViewSchema))).body;
    },
    get: (path) => call({ method: 'GET', path: at(path), repeat: 'safe' }),
    set: (path, body, condition = {}) => call({ method: 'PUT', path: at(path), body, ...conditional(condition) }),
    unset: (path, condition = {}) => call({ method: 'DELETE', path: at(path), ...conditional(condition) }),
  };
}

export function settingsCalls(transport: Transport): SettingsCalls {
  const path = '/v1/settings';
  const call = async (request: ApiRequest) => (await transport.call(request, settingsViewSchema)).body;
  return {
    get: () => call({ method: 'GET', path, repeat: 'safe' }),
    set: (body, condition = {}) => call({ method: 'PUT', path, body, ...conditional(condition) }),
  };
}

/** Without a condition a second time changes nothing. With one, a copy that arrived would make the next look refused. */
export function conditional({ ifVersion }: VersionCondition): Pick<ApiRequest, 'headers' | 'repeat'> {
  if (ifVersion === undefined) return { repeat: 'safe' };
  return { headers: { 'If-Match': `"${ifVersion}"` }, repeat: 'unsent' };
}
