/** A node as `/master/state` shows its agents. Pure. */
import type { RolePath } from '../../../shared/domain/ids.ts';
import {
  isOpen,
  type Ledger,
  offeredResources,
  reservedScalars,
  usedResources,
} from '../../../shared/domain/ledger.ts';
import { addScalars, NO_SCALARS, type Scalars, subtractScalars } from '../../../shared/domain/resources.ts';
import type { Inventory, NodeItem } from '../../services/inventory.ts';
import type { ResourceSummary, StateSlave } from '../wire/state.ts';
import { AGENT_PORT, nodeAddress } from './addresses.ts';
import { resourceSummary } from './resources.ts';
import { plainWireRole } from './roles.ts';
import { seconds } from './state-task.ts';

const CAPABILITIES = ['MULTI_ROLE', 'HIERARCHICAL_ROLE', 'RESERVATION_REFINEMENT'];

/** Those that Mesos's master would still have: what it can't reach any more it only counts. */
export function reachableNodes({ nodes }: Pick<Inventory, 'nodes'>): NodeItem[] {
  return nodes.filter(({ unreachableSinceMs }) => unreachableSinceMs === null);
}

export function isActive({ state }: NodeItem): boolean {
  return state === 'ready';
}

export function stateSlave(
  { node, ledger, state }: NodeItem,
  { maySeeReservationsOf }: Pick<Inventory, 'maySeeReservationsOf'>,
): StateSlave {
  const { hostname, ip } = nodeAddress(node.id, {
    host: node.hostname,
    address: node.address,
    attributes: node.attributes,
  });
  const { ports } = ledger.total;
  return {
    id: node.id,
    hostname,
    port: AGENT_PORT,
    attributes: node.attributes,
    pid: `slave(1)@${ip}:${AGENT_PORT}`,
    registered_time: seconds(node.registeredAtMs),
    resources: resourceSummary(ledger.total),
    used_resources: resourceSummary(usedResources(ledger)),
    offered_resources: resourceSummary(offeredResources(ledger)),
    reserved_resources: reservedByRole(ledger, maySeeReservationsOf),
    unreserved_resources: resourceSummary({ ...subtractScalars(ledger.total, reservedScalars(ledger)), ports }),
    active: state === 'ready',
    deactivated: !isOpen(ledger),
    ...(ledger.drain !== null && {
      drain_info: { state: Object.keys(ledger.entries).length === 0 ? 'DRAINED' : 'DRAINING' },
    }),
    version: node.agentVersion,
    capabilities: CAPABILITIES,
  };
}

function reservedByRole(
  { reservations }: Ledger,
  maySee: (role: RolePath) => boolean,
): Readonly<Record<string, ResourceSummary>> {
  const sums = new Map<string, Scalars>();
  for (const { role, scalars } of Object.values(reservations)) {
    if (!maySee(role)) continue;
    const name = plainWireRole(role);
    sums.set(name, addScalars(sums.get(name) ?? NO_SCALARS, scalars));
  }
  return Object.fromEntries([...sums].map(([role, sum]) => [role, resourceSummary(sum)]));
}
