/** Mesos plans maintenance for machines, which it tells by host name and address; Berth plans it for nodes. Pure. */
import type { NodeId } from '../../../shared/domain/ids.ts';
import type { MaintenanceView } from '../../../shared/protocol/maintenance.ts';
import type { NodeItem } from '../../services/inventory.ts';
import type { WantedWindow } from '../../services/maintenance.ts';
import type { WireUnavailability } from '../wire/event.ts';
import type { WireMachine, WireSchedule } from '../wire/operator-call.ts';
import { isIpv4, nodeIp } from './addresses.ts';
import { unavailabilityOf } from './maintenance.ts';
import { WireFault } from './wire-fault.ts';

const NANOSECONDS_PER_MS = 1_000_000;

/** What is planned for one node. */
export interface NodePlan {
  readonly node: NodeId;
  readonly machine: WireMachine;
  /** DRAINING: it is planned, and frameworks are asked to leave. DOWN: an operator has said that it has begun. */
  readonly mode: 'DRAINING' | 'DOWN';
  readonly window: MaintenanceView;
}

export function machineOf({ node: { hostname, attributes } }: Pick<NodeItem, 'node'>): WireMachine {
  const ip = nodeIp({ host: hostname, attributes });
  return { hostname, ...(ip !== null && { ip }) };
}

/** One is down while its window lasts and it is emptied: an operator does both at once when a machine is taken down. */
export function plansOf(windows: readonly MaintenanceView[], nodes: readonly NodeItem[]): NodePlan[] {
  const known = new Map(nodes.map((item) => [item.node.id, item]));
  return windows.flatMap((window): NodePlan[] => {
    const item = known.get(window.node);
    if (item === undefined || window.state === 'over') return [];
    const isDown = window.state === 'running' && item.ledger.drain !== null;
    return [{ node: window.node, machine: machineOf(item), mode: isDown ? 'DOWN' : 'DRAINING', window }];
  });
}

export interface WrittenSchedule {
  readonly windows?: readonly {
    readonly machine_ids: readonly WireMachine[];
    readonly unavailability: WireUnavailability;
  }[];
}

/** Machines that go at the same time for as long are one window. */
export function scheduleOf(plans: readonly NodePlan[]): WrittenSchedule {
  const groups = Map.groupBy(plans, ({ window }) => JSON.stringify([window.startsAt, window.durationSeconds]));
  const windows = [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    return [{ machine_ids: machinesOf(group), unavailability: unavailabilityOf(first.window) }];
  });
  return windows.length === 0 ? {} : { windows };
}

/** Several nodes may be on one machine. */
export function machinesOf(plans: readonly NodePlan[]): WireMachine[] {
  return [...new Map(plans.map(({ machine }) => [machineText(machine), machine])).values()];
}

/** The windows that a schedule asks for. Throws a {@link WireFault} in Mesos's words. */
export function wantedWindows(
  { windows }: WireSchedule,
  { nodes, plans }: { readonly nodes: readonly NodeItem[]; readonly plans: readonly NodePlan[] },
): WantedWindow[] {
  const named = new Set<string>();
  const wanted = new Map<NodeId, WantedWindow>();
  for (const { machine_ids: machines, unavailability } of windows) {
    if (machines.length === 0) throw new WireFault('List of machines in the maintenance window is empty');
    const time = timeOf(unavailability);
    for (const machine of machines) {
      demandNewMachine(machine, named);
      for (const node of knownNodes(machine, nodes)) {
        if (wanted.has(node)) throw twice(machine);
        wanted.set(node, { node, ...time });
      }
    }
  }
  const removed = plans.find(({ node, mode }) => mode === 'DOWN' && !wanted.has(node));
  if (removed === undefined) return [...wanted.values()];
  throw new WireFault(
    `Machine '${machineText(removed.machine)}' is deactivated and cannot be removed from the schedule`,
  );
}

function timeOf({ start, duration }: WireSchedule['windows'][number]['unavailability']) {
  if (duration !== undefined && duration.nanoseconds < 0) throw new WireFault("Unavailability 'duration' is negative");
  const durationMs = duration === undefined ? null : Math.max(1, Math.round(duration.nanoseconds / NANOSECONDS_PER_MS));
  return { startsAtMs: Math.round(start.nanoseconds / NANOSECONDS_PER_MS), durationMs };
}

/**
 * What is planned for the machines, all of which have to be in one of these modes. Throws a {@link WireFault} in Mesos's words.
 */
export function plannedFor(
  machines: readonly WireMachine[],
  {
    nodes,
    plans,
    mode,
    verb,
  }: {
    readonly nodes: readonly NodeItem[];
    readonly plans: readonly NodePlan[];
    readonly mode: NodePlan['mode'];
    /** What can't be done in another mode: `brought down`. */
    readonly verb: string;
  },
): NodePlan[] {
  if (machines.length === 0) throw new WireFault('List of machines is empty');
  const named = new Set<string>();
  for (const machine of machines) demandNewMachine(machine, named);
  return machines.flatMap((machine) => {
    const matching = new Set(matchingNodes(machine, nodes));
    const own = plans.filter(({ node }) => matching.has(node));
    const text = machineText(machine);
    if (own.length === 0) throw new WireFault(`Machine '${text}' is not part of a maintenance schedule`);
    if (own.every((plan) => plan.mode === mode)) return own;
    throw new WireFault(`Machine '${text}' is not in ${mode} mode and cannot be ${verb}`);
  });
}

/** Throws for one that isn't well-formed or has been named before. */
function demandNewMachine(machine: WireMachine, named: Set<string>): void {
  const { hostname = '', ip = '' } = machine;
  if (hostname === '' && ip === '') throw new WireFault("Both 'hostname' and 'ip' for a machine are empty");
  if (ip !== '' && !isIpv4(ip)) throw new WireFault(`Failed to parse the IP '${ip}' of a machine`);
  const key = JSON.stringify([hostname, ip]);
  if (named.has(key)) throw twice(machine);
  named.add(key);
}

function twice(machine: WireMachine): WireFault {
  return new WireFault(`Machine '${machineText(machine)}' appears more than once in the schedule`);
}

function knownNodes(machine: WireMachine, nodes: readonly NodeItem[]): NodeId[] {
  const found = matchingNodes(machine, nodes);
  if (found.length > 0) return found;
  throw new WireFault(
    `Machine '${machineText(machine)}' is not known: maintenance is planned for machines with an agent`,
  );
}

/** By all that is said of it. An address that nobody has told Berth doesn't stand against the host name. */
function matchingNodes({ hostname = '', ip = '' }: WireMachine, nodes: readonly NodeItem[]): NodeId[] {
  return nodes
    .filter((item) => {
      const known = machineOf(item);
      if (hostname === '') return known.ip === ip;
      return known.hostname === hostname && (ip === '' || known.ip === undefined || known.ip === ip);
    })
    .map(({ node }) => node.id);
}

function machineText(machine: WireMachine): string {
  return JSON.stringify(machine);
}

/** What frameworks have said to the maintenance of machines that are to go, and the machines that are gone. */
export function clusterStatus(plans: readonly NodePlan[], wireIds: ReadonlyMap<string, string>): object {
  const draining = plans.filter(({ mode }) => mode === 'DRAINING');
  const down = machinesOf(plans.filter(({ mode }) => mode === 'DOWN'));
  return {
    ...(draining.length > 0 && {
      draining_machines: machinesOf(draining).map((id) => {
        const statuses = draining
          .filter(({ machine }) => machineText(machine) === machineText(id))
          .flatMap(({ window }) => answersOf(window, wireIds));
        return { id, ...(statuses.length > 0 && { statuses }) };
      }),
    }),
    ...(down.length > 0 && { down_machines: down }),
  };
}

function answersOf({ frameworks, setAt }: MaintenanceView, wireIds: ReadonlyMap<string, string>): object[] {
  return frameworks.flatMap(({ framework, answer, answeredAt }) => {
    const id = wireIds.get(framework);
    if (id === undefined) return [];
    const status = answer === null ? 'UNKNOWN' : answer === 'accepts' ? 'ACCEPT' : 'DECLINE';
    const timestamp = { nanoseconds: Date.parse(answeredAt ?? setAt) * NANOSECONDS_PER_MS };
    return [{ status, framework_id: { value: id }, timestamp }];
  });
}
