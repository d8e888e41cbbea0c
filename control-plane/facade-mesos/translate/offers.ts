/** Offers as Mesos makes them. What they hold is written by `resources.ts`. Pure. */
import type { OfferView } from '../../../shared/protocol/framework.ts';
import { byText } from '../../../shared/util/order.ts';
import type { WireAttribute, WireDomain, WireOffer } from '../wire/event.ts';
import { nodeAddress, nodeUrl } from './addresses.ts';
import { unavailabilityOf } from './maintenance.ts';
import type { WireFramework } from './wire-framework.ts';

/** A framework of one role, as they were before Mesos 1.4, knows nothing of `allocation_info`. */
export function wireOffer(
  offer: OfferView,
  { id, capabilities, wireRole }: WireFramework,
  resources: readonly object[],
): WireOffer {
  const address = nodeAddress(offer.node, offer);
  const attributes = wireAttributes(offer.attributes);
  const domain = domainOf(offer.attributes);
  return {
    id: { value: offer.id },
    framework_id: { value: id },
    agent_id: { value: offer.node },
    hostname: address.hostname,
    url: nodeUrl(address),
    ...(capabilities.has('MULTI_ROLE') && { allocation_info: { role: wireRole(offer.role) } }),
    ...(domain !== null && { domain }),
    resources,
    ...(attributes.length > 0 && { attributes }),
    ...(offer.maintenance !== null && { unavailability: unavailabilityOf(offer.maintenance) }),
  };
}

export function wireAttributes(attributes: Readonly<Record<string, string>>): WireAttribute[] {
  return Object.entries(attributes)
    .sort(([a], [b]) => byText(a, b))
    .map(([name, value]) => ({ name, type: 'TEXT', text: { value } }));
}

/** Of a node whose operator says both. */
export function domainOf(attributes: Readonly<Record<string, string>>): WireDomain | null {
  const [region, zone] = ['region', 'zone'].map((name) =>
    Object.hasOwn(attributes, name) ? attributes[name] : undefined,
  );
  if (region === undefined || zone === undefined) return null;
  return { fault_domain: { region: { name: region }, zone: { name: zone } } };
}
