/** An endpoint as servers are made of it: its address is one that haproxy can connect to without asking anybody. */
import { isIP } from 'node:net';
import type { ENDPOINT_STATES, EndpointView } from '../../shared/protocol/endpoints.ts';
import type { Trouble } from './claims.ts';

export type EndpointState = (typeof ENDPOINT_STATES)[number];

export interface ServedEndpoint {
  readonly id: string;
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  readonly state: EndpointState;
}

/** Names of nodes with the IP addresses that they were found to have. */
export type Addresses = ReadonlyMap<string, string>;

/** The names among the addresses of endpoints, which somebody has to look up. */
export function namesToLookUp(endpoints: readonly EndpointView[]): readonly string[] {
  const names = endpoints.filter(({ publish, address }) => publish !== null && isIP(address) === 0);
  return [...new Set(names.map(({ address }) => address))].sort();
}

export function servedEndpoints(
  service: string,
  endpoints: readonly EndpointView[],
  addresses: Addresses,
): { readonly served: readonly ServedEndpoint[]; readonly troubles: readonly Trouble[] } {
  const served: ServedEndpoint[] = [];
  const unknown = new Set<string>();
  for (const { id, address, port, state } of endpoints) {
    const ip = isIP(address) === 0 ? addresses.get(address) : address;
    if (ip === undefined) unknown.add(address);
    else served.push({ id, address: ip, port, state });
  }
  const troubles = [...unknown].map((name) => ({
    service,
    message: `has tasks on ${JSON.stringify(name)}, which has no IP address here; have its agent tell one`,
  }));
  return { served, troubles };
}
