/** When nodes are to be taken out of service, as Mesos tells its frameworks. Pure. */
import type { MaintenanceNotice } from '../../../shared/protocol/framework.ts';
import type { WireInverseOffer, WireUnavailability } from '../wire/event.ts';
import { nodeAddress, nodeUrl } from './addresses.ts';

const NANOSECONDS_PER_MS = 1_000_000;
const NANOSECONDS_PER_SECOND = 1_000_000_000;

/** Nanoseconds since 1970 pass what a number holds exactly: a window is told to the microsecond. */
export function unavailabilityOf({
  startsAt,
  durationSeconds,
}: Pick<MaintenanceNotice, 'startsAt' | 'durationSeconds'>): WireUnavailability {
  return {
    start: { nanoseconds: Date.parse(startsAt) * NANOSECONDS_PER_MS },
    ...(durationSeconds !== null && { duration: { nanoseconds: durationSeconds * NANOSECONDS_PER_SECOND } }),
  };
}

/** `attributes`: those of the node, which say more of where it is. */
export function inverseOfferOf(
  notice: MaintenanceNotice,
  wireFramework: string,
  attributes: Readonly<Record<string, string>>,
): WireInverseOffer {
  const { id, node, host } = notice;
  return {
    id: { value: id },
    framework_id: { value: wireFramework },
    agent_id: { value: node },
    url: nodeUrl(nodeAddress(node, { host, attributes })),
    unavailability: unavailabilityOf(notice),
  };
}
