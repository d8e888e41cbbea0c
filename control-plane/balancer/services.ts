/**
 * Endpoints by the service that they belong to: one per role, job, group and port that is published. A service that has lost its last
 * endpoint is kept for a while, so that a job of one task that is being replaced answers "not now" in place of "unknown", and
 * haproxy needn't be reloaded twice for it.
 */
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import { byText } from '../../shared/util/order.ts';

/** For how long a service without any endpoint is still known. */
export const LINGER_MS = 10 * 60_000;

export type Publish = NonNullable<EndpointView['publish']>;

export interface Service {
  /** `role/job/group/port`. */
  readonly key: string;
  readonly publish: Publish;
  readonly endpoints: readonly EndpointView[];
  /** When it last had an endpoint, in milliseconds of the wall clock. */
  readonly seenMs: number;
}

export function servicesOf(
  endpoints: readonly EndpointView[],
  { known, nowMs }: { known: readonly Service[]; nowMs: number },
): readonly Service[] {
  const services = new Map<string, Service>();
  for (const service of known) {
    if (nowMs - service.seenMs <= LINGER_MS) services.set(service.key, { ...service, endpoints: [] });
  }
  const published = endpoints.filter(({ publish, protocol }) => publish !== null && protocol === 'tcp');
  for (const [key, own] of Map.groupBy(published, keyOf)) {
    const publish = decisivePublish(own);
    if (publish === null) continue;
    services.set(key, { key, publish, endpoints: own.toSorted((a, b) => byText(a.id, b.id)), seenMs: nowMs });
  }
  return [...services.values()].sort((a, b) => byText(a.key, b.key));
}

function keyOf({ role, job, group, portName }: EndpointView): string {
  return `${role}/${job}/${group}/${portName}`;
}

/** While a job is rolled its versions may say different things: the newest one that has a ready endpoint counts. */
function decisivePublish(endpoints: readonly EndpointView[]): Publish | null {
  const ready = endpoints.filter(({ state }) => state === 'ready');
  const candidates = ready.length > 0 ? ready : endpoints;
  return candidates.reduce((newest, each) => (each.version > newest.version ? each : newest)).publish;
}
