/** Tasks, executors, frameworks, agents and roles as operators see them over v1, from what `/master/state` is made from. Pure. */
import type { FrameworkId } from '../../../shared/domain/ids.ts';
import { isOpen } from '../../../shared/domain/ledger.ts';
import { addScalars } from '../../../shared/domain/resources.ts';
import type { RoleView } from '../../../shared/protocol/roles.ts';
import type { Inventory, NodeItem, TaskItem } from '../../services/inventory.ts';
import type { WireTime } from '../wire/event.ts';
import type {
  OperatorAgent,
  OperatorExecutor,
  OperatorFramework,
  OperatorFrameworkInfo,
  OperatorOffer,
  OperatorRole,
  OperatorTask,
  OperatorTaskStatus,
} from '../wire/operator.ts';
import type { StateStatus } from '../wire/state.ts';
import { nodeAddress, nodeUrl } from './addresses.ts';
import { domainOf, wireAttributes } from './offers.ts';
import { allocatedList, plainList, scalarList, totalList } from './operator-resources.ts';
import { OWN_FRAMEWORK_ID } from './own-framework.ts';
import { plainWireRole } from './roles.ts';
import type { FrameworkFacts } from './state-framework.ts';
import type { Holding, NodeOffer } from './state-holdings.ts';
import type { RoleUsers } from './state-roles.ts';
import { isActive, stateSlave } from './state-slave.ts';
import {
  describedBy,
  holdsOf,
  type KnownTask,
  knownOf,
  presentState,
  statusesOf,
  type TaskOwner,
  type TaskPlace,
} from './state-task.ts';

const NANOSECONDS_PER_MS = 1_000_000;

export function wireTime(atMs: number): WireTime {
  return { nanoseconds: Math.round(atMs) * NANOSECONDS_PER_MS };
}

export function operatorTask(item: TaskItem, owner: TaskOwner, place: TaskPlace): OperatorTask {
  const known = knownOf(item);
  const { task, group } = known;
  const { labels, ...described } = describedBy(known);
  return {
    name: known.name,
    task_id: { value: known.id },
    framework_id: { value: owner.id },
    ...executorOf(known),
    agent_id: { value: task.node ?? '' },
    state: presentState(task, owner, place),
    resources: plainList(holdsOf(known), owner.wireRole(task.role)),
    statuses: statusesOf(task, owner, place).map((status) => operatorStatus(known, status)),
    ...(labels !== undefined && { labels: { labels } }),
    ...described,
    ...(group?.user !== undefined && { user: group.user }),
  };
}

/** The present one. */
export function latestStatus(item: TaskItem, owner: TaskOwner, place: TaskPlace): OperatorTaskStatus {
  const known = knownOf(item);
  const last = statusesOf(known.task, owner, place).at(-1);
  return operatorStatus(known, last ?? { state: presentState(known.task, owner, place), timestamp: 0 });
}

function operatorStatus(known: KnownTask, status: StateStatus): OperatorTaskStatus {
  const { node } = known.task;
  return {
    task_id: { value: known.id },
    ...(node !== null && { agent_id: { value: node } }),
    ...executorOf(known),
    ...status,
  };
}

function executorOf({ notes }: KnownTask): { readonly executor_id?: { readonly value: string } } {
  return notes.executor_id === undefined ? {} : { executor_id: { value: notes.executor_id } };
}

export function operatorExecutor(item: TaskItem, owner: TaskOwner): OperatorExecutor {
  const known = knownOf(item);
  const { task, group } = known;
  const words = [...(group?.command ?? []), ...(group?.args ?? [])];
  return {
    executor_info: {
      type: 'CUSTOM',
      executor_id: { value: known.id },
      framework_id: { value: owner.id },
      name: known.name,
      command: { shell: false, ...(words.length > 0 && { value: words[0] ?? '', arguments: words }) },
      resources: plainList(holdsOf(known), owner.wireRole(task.role)),
    },
    agent_id: { value: task.node ?? '' },
  };
}

export function frameworkInfo(facts: FrameworkFacts): OperatorFrameworkInfo {
  const { capabilities, roles, labels } = facts;
  return {
    user: facts.user,
    name: facts.name,
    id: { value: facts.id },
    failover_timeout: facts.failoverTimeoutSeconds,
    checkpoint: facts.isCheckpointing,
    ...(capabilities.has('MULTI_ROLE') ? { roles } : { role: roles[0] ?? '*' }),
    hostname: facts.hostname,
    principal: facts.principal,
    ...(facts.webuiUrl !== '' && { webui_url: facts.webuiUrl }),
    ...(capabilities.size > 0 && { capabilities: [...capabilities].map((type) => ({ type })) }),
    ...(labels.length > 0 && { labels: { labels } }),
  };
}

export function operatorFramework(
  facts: FrameworkFacts,
  holding: Holding,
  everyNode: Inventory['everyNode'],
): OperatorFramework {
  const { subscribedAgainAtMs, endedAtMs } = facts;
  const offers = holding.offers.map((offer) => operatorOffer(offer, facts, everyNode));
  const allocated = scalarList(holding.used.scalars);
  const offered = scalarList(holding.offered.scalars);
  return {
    framework_info: frameworkInfo(facts),
    active: facts.isActive,
    connected: facts.isActive,
    recovered: false,
    registered_time: wireTime(facts.registeredAtMs),
    ...(subscribedAgainAtMs !== null && { reregistered_time: wireTime(subscribedAgainAtMs) }),
    ...(endedAtMs !== null && { unregistered_time: wireTime(endedAtMs) }),
    ...(offers.length > 0 && { offers }),
    ...(allocated.length > 0 && { allocated_resources: allocated }),
    ...(offered.length > 0 && { offered_resources: offered }),
  };
}

function operatorOffer(
  { node: id, offer }: NodeOffer,
  { id: framework, wireRole }: FrameworkFacts,
  everyNode: Inventory['everyNode'],
): OperatorOffer {
  const { hostname = null, address: stated = null, attributes = {} } = everyNode.get(id)?.node ?? {};
  const address = nodeAddress(id, { host: hostname, address: stated, attributes });
  const role = wireRole(offer.role);
  return {
    id: { value: offer.id },
    framework_id: { value: framework },
    agent_id: { value: id },
    hostname: address.hostname,
    url: nodeUrl(address),
    allocation_info: { role },
    resources: plainList(offer.resources, role),
  };
}

export function operatorAgent(
  item: NodeItem,
  sight: Pick<Inventory, 'maySeeReservationsOf' | 'maySeeTasksOf' | 'maySeeOffer'>,
): OperatorAgent {
  const { node, ledger } = item;
  const { hostname, port, pid, drain_info: drain, capabilities } = stateSlave(item, sight);
  const attributes = wireAttributes(node.attributes);
  const domain = domainOf(node.attributes);
  const allocated = allocatedList(Object.values(ledger.entries), ledger, sight.maySeeTasksOf);
  const offered = allocatedList(Object.values(ledger.offers).filter(sight.maySeeOffer), ledger, () => true);
  return {
    agent_info: {
      hostname,
      port,
      resources: plainList(ledger.total, null),
      ...(attributes.length > 0 && { attributes }),
      id: { value: node.id },
      ...(domain !== null && { domain }),
    },
    active: isActive(item),
    deactivated: !isOpen(ledger),
    version: node.agentVersion,
    pid,
    registered_time: wireTime(node.registeredAtMs),
    total_resources: totalList(ledger, sight.maySeeReservationsOf),
    ...(allocated.length > 0 && { allocated_resources: allocated }),
    ...(offered.length > 0 && { offered_resources: offered }),
    ...(drain !== undefined && { drain_info: drain }),
    ...(ledger.drain !== null && { estimated_drain_start_time: wireTime(ledger.drain.startedAtMs) }),
    capabilities: capabilities.map((type) => ({ type })),
  };
}

export function operatorRole({ path, weight, held, frameworks }: RoleView, { wireIds, own }: RoleUsers): OperatorRole {
  const ids = [
    ...(own.has(path) ? [OWN_FRAMEWORK_ID] : []),
    ...frameworks.flatMap((id: FrameworkId) => wireIds.get(id) ?? []),
  ];
  const resources = scalarList(addScalars(held.tasks, held.offers));
  return {
    name: plainWireRole(path),
    weight,
    ...(ids.length > 0 && { frameworks: ids.map((value) => ({ value })) }),
    ...(resources.length > 0 && { resources }),
  };
}
