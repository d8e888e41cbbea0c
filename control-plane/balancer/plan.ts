/** What haproxy is to do, decided from the endpoints and from what was decided before. Pure. */
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import { byText } from '../../shared/util/order.ts';
import { claimsOf, type Holders, hostClaim, portClaim, settleClaims, type Trouble } from './claims.ts';
import { type Addresses, servedEndpoints } from './served-endpoint.ts';
import { type Service, servicesOf } from './services.ts';
import type { BalancerSettings } from './settings.ts';
import { nextSlots, type Slot } from './slots.ts';

export interface Backend {
  /** The service's key, in the characters that haproxy takes; no two keys give the same. */
  readonly name: string;
  readonly service: string;
  readonly mode: 'http' | 'tcp';
  readonly slots: readonly Slot[];
}

/** A port that belongs to one service. */
export interface ServicePort {
  readonly port: number;
  readonly backend: string;
  readonly mode: 'http' | 'tcp';
}

/** Requests for a virtual host whose path begins so. */
export interface Route {
  /** A name, or `*.` and a domain. */
  readonly host: string;
  readonly path: string;
  readonly backend: string;
}

export interface Plan {
  readonly backends: readonly Backend[];
  readonly ports: readonly ServicePort[];
  /** Those of one host together, the longest path first. */
  readonly routes: readonly Route[];
  readonly troubles: readonly Trouble[];
  /** For the next plan. */
  readonly services: readonly Service[];
  readonly holders: Holders;
}

export const EMPTY_PLAN: Plan = {
  backends: [],
  ports: [],
  routes: [],
  troubles: [],
  services: [],
  holders: new Map(),
};

export interface PlanInput {
  readonly endpoints: readonly EndpointView[];
  readonly addresses: Addresses;
  /** Ports that can't be listened on, with the reason. */
  readonly refused: ReadonlyMap<number, string>;
  readonly settings: BalancerSettings;
  readonly before: Plan;
  readonly nowMs: number;
}

export function nextPlan({ endpoints, addresses, refused, settings, before, nowMs }: PlanInput): Plan {
  const services = servicesOf(endpoints, { known: before.services, nowMs });
  const claims = settleClaims(services, { before: before.holders, settings, refused, nowMs });
  const troubles = [...claims.troubles];
  const slotsBefore = new Map(before.backends.map(({ name, slots }) => [name, slots]));
  const backends: Backend[] = [];
  for (const service of services) {
    if (!claimsOf(service).some((claim) => claims.holders.get(claim) === service.key)) continue;
    const found = servedEndpoints(service.key, service.endpoints, addresses);
    troubles.push(...found.troubles);
    const name = backendName(service.key);
    const slots = nextSlots(slotsBefore.get(name) ?? [], found.served, nowMs);
    backends.push({ name, service: service.key, mode: service.publish.mode, slots });
  }
  return {
    backends,
    ports: services.flatMap((service) => servicePort(service, claims.holders)),
    routes: services.flatMap((service) => routesOf(service, claims.holders)).sort(byHostThenLength),
    troubles,
    services,
    holders: claims.holders,
  };
}

/** Roles and names hold lower-case letters, digits and hyphens, so a colon can stand for the slash between them. */
export function backendName(key: string): string {
  return key.replaceAll('/', ':').replaceAll(/[^a-z0-9:-]/g, (odd) => `_${odd.codePointAt(0)?.toString(16)}_`);
}

function servicePort({ key, publish }: Service, holders: Holders): readonly ServicePort[] {
  if (publish.port === undefined || holders.get(portClaim(publish.port)) !== key) return [];
  return [{ port: publish.port, backend: backendName(key), mode: publish.mode }];
}

function routesOf({ key, publish }: Service, holders: Holders): readonly Route[] {
  const path = publish.path ?? '/';
  const won = [...new Set(publish.hosts)].filter((host) => holders.get(hostClaim(host, path)) === key);
  return won.map((host) => ({ host, path, backend: backendName(key) }));
}

function byHostThenLength(a: Route, b: Route): number {
  return byText(a.host, b.host) || b.path.length - a.path.length || byText(a.path, b.path);
}
