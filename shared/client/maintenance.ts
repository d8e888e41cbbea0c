/** Calls about when nodes are to be taken out of service. */
import { type MaintenanceRequest, type MaintenanceView, maintenanceViewSchema } from '../protocol/maintenance.ts';
import { type NodeView, nodeViewSchema, type Page, pageOf } from '../protocol/views.ts';
import type { Transport } from './transport.ts';

export interface MaintenanceCalls {
  list(query?: { readonly limit?: number; readonly after?: string | null }): Promise<Page<MaintenanceView>>;
  /** In the place of what was said of the node before. */
  set(node: string, request: MaintenanceRequest): Promise<MaintenanceView>;
  clear(node: string): Promise<NodeView>;
}

export function maintenanceCalls(transport: Transport): MaintenanceCalls {
  const at = (node: string) => `/v1/nodes/${encodeURIComponent(node)}/maintenance`;
  return {
    list: async (query = {}) => {
      const request = { method: 'GET', path: '/v1/maintenance', query: { ...query }, repeat: 'safe' } as const;
      return (await transport.call(request, pageOf(maintenanceViewSchema))).body;
    },
    set: async (node, body) =>
      (await transport.call({ method: 'PUT', path: at(node), body, repeat: 'safe' }, maintenanceViewSchema)).body,
    clear: async (node) =>
      (await transport.call({ method: 'DELETE', path: at(node), repeat: 'safe' }, nodeViewSchema)).body,
  };
}
