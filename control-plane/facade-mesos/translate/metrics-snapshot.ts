/**
 * `/metrics/snapshot`: numbers under Mesos's names. Exporters wait for ever for a name that isn't there, so all that they ask for are
 * here; what Berth has no such thing of is 0. Pure.
 */
import type { RolePath } from '../../../shared/domain/ids.ts';
import { NO_SCALARS, type Scalars, toMilli } from '../../../shared/domain/resources.ts';
import { ancestorsOf } from '../../../shared/domain/role.ts';
import { isTerminal, type Task } from '../../../shared/domain/task.ts';
import type { Summary } from '../../../shared/util/metrics.ts';
import type { Inventory, NodeItem } from '../../services/inventory.ts';
import { plainWireRole } from './roles.ts';
import { ScalarSum } from './state-holdings.ts';
import { isEndedByCheck, isFailedLaunch } from './statuses.ts';

export interface ReplicaFacts {
  readonly uptimeSeconds: number;
  /** In seconds; null: this replica has run none. */
  readonly rounds: Summary | null;
}

type Numbers = Readonly<Record<string, number>>;

export function metricsSnapshot(inventory: Inventory, { uptimeSeconds, rounds }: ReplicaFacts): Numbers {
  const sums = sumUp(inventory);
  return {
    'master/elected': 1,
    'master/uptime_secs': uptimeSeconds,
    ...zeros(UNCOUNTED),
    ...resourceNumbers(sums),
    ...nodeNumbers(inventory.nodes),
    ...frameworkNumbers(inventory),
    ...taskNumbers(inventory),
    'master/outstanding_offers': sums.offers,
    'allocator/mesos/allocation_runs': rounds?.count ?? 0,
    ...timeNumbers('allocator/mesos/allocation_run_ms', rounds),
    ...timeNumbers('allocator/mesos/allocation_run_latency_ms', null),
    ...filterNumbers(inventory),
    ...quotaNumbers(inventory, sums.byRole),
  };
}

/** What Mesos's master counts and Berth doesn't, or has no such thing of. */
const UNCOUNTED = [
  ...['scheduled', 'canceled', 'completed'].map((what) => `slave_shutdowns_${what}`),
  ...['registrations', 'reregistrations', 'removals'].map((what) => `slave_${what}`),
  ...['framework_to_executor', 'executor_to_framework'].flatMap((way) => bothWays(`${way}_messages`)),
  ...bothWays('status_updates'),
  ...bothWays('status_update_acknowledgements'),
  ...['dispatches', 'http_requests', 'messages'].map((what) => `event_queue_${what}`),
  ...['cpus', 'gpus', 'mem', 'disk'].flatMap((name) =>
    ['total', 'used', 'percent'].map((what) => `${name}_revocable_${what}`),
  ),
].map((name) => `master/${name}`);

function bothWays(name: string): string[] {
  return [`valid_${name}`, `invalid_${name}`];
}

function zeros(names: readonly string[]): Numbers {
  return Object.fromEntries(names.map((name) => [name, 0]));
}

interface Sums {
  readonly total: Scalars;
  readonly used: Scalars;
  readonly offered: Scalars;
  readonly offers: number;
  /** What tasks and offers hold, of each role with all below it. */
  readonly byRole: ReadonlyMap<RolePath, Scalars>;
}

/** One look at every ledger. */
function sumUp({ nodes, maySeeOffer }: Pick<Inventory, 'nodes' | 'maySeeOffer'>): Sums {
  const [total, used, offered] = [new ScalarSum(), new ScalarSum(), new ScalarSum()];
  const byRole = new Map<RolePath, ScalarSum>();
  let offers = 0;
  const charge = (role: RolePath, scalars: Scalars) => {
    const sum = byRole.get(role) ?? new ScalarSum();
    sum.add(scalars);
    byRole.set(role, sum);
  };
  for (const { ledger } of nodes) {
    total.add(ledger.total);
    for (const { role, resources } of Object.values(ledger.entries)) {
      used.add(resources);
      charge(role, resources);
    }
    for (const offer of Object.values(ledger.offers)) {
      const { role, resources } = offer;
      if (maySeeOffer(offer)) offers += 1;
      offered.add(resources);
      charge(role, resources);
    }
  }
  return {
    total: total.scalars,
    used: used.scalars,
    offered: offered.scalars,
    offers,
    byRole: withRolesBelow(byRole),
  };
}

function withRolesBelow(byRole: ReadonlyMap<RolePath, ScalarSum>): ReadonlyMap<RolePath, Scalars> {
  const sums = new Map<RolePath, ScalarSum>();
  for (const [role, own] of byRole) {
    for (const path of [role, ...ancestorsOf(role)]) {
      const sum = sums.get(path) ?? new ScalarSum();
      sum.add(own.scalars);
      sums.set(path, sum);
    }
  }
  return new Map([...sums].map(([role, sum]) => [role, sum.scalars]));
}

const SCALARS = [
  ['cpus', 'cpus'],
  ['gpus', 'gpus'],
  ['mem', 'memMiB'],
  ['disk', 'diskMiB'],
] as const;

function resourceNumbers({ total, used, offered }: Sums): Numbers {
  const numbers: Record<string, number> = {};
  for (const [name, own] of SCALARS) {
    numbers[`master/${name}_total`] = total[own];
    numbers[`master/${name}_used`] = used[own];
    numbers[`master/${name}_percent`] = total[own] > 0 ? used[own] / total[own] : 0;
    numbers[`allocator/mesos/resources/${name}/total`] = total[own];
    numbers[`allocator/mesos/resources/${name}/offered_or_allocated`] = toMilli(used[own] + offered[own]);
  }
  return numbers;
}

function nodeNumbers(nodes: readonly NodeItem[]): Numbers {
  const count = (isIt: (item: NodeItem) => boolean) => nodes.filter(isIt).length;
  const isConnected = ({ state }: NodeItem) => state !== 'unreachable';
  const active = count(({ state }) => state === 'ready');
  const unreachable = count(({ unreachableSinceMs }) => unreachableSinceMs !== null);
  const connected = count(isConnected);
  return {
    'master/slaves_active': active,
    'master/slaves_inactive': connected - active,
    'master/slaves_connected': connected,
    'master/slaves_disconnected': nodes.length - connected - unreachable,
    'master/slaves_unreachable': unreachable,
  };
}

/** Berth's own jobs, which count as one framework, are never away. */
function frameworkNumbers({ frameworks }: Inventory): Numbers {
  const standing = frameworks.filter(
    ({ framework, tasks }) => framework.teardown === null || tasks.some(({ task }) => !isTerminal(task.state)),
  );
  const connected = standing.filter(({ isConnected }) => isConnected).length;
  const active = standing.filter(({ isConnected, framework }) => isConnected && framework.teardown === null).length;
  return {
    'master/frameworks_active': active + 1,
    'master/frameworks_inactive': connected - active,
    'master/frameworks_connected': connected + 1,
    'master/frameworks_disconnected': standing.length - connected,
  };
}

const TASK_NUMBERS = [
  'staging',
  'starting',
  'running',
  'killing',
  'unreachable',
  'finished',
  'failed',
  'killed',
  'error',
  'lost',
] as const;

function numberOf({ state, stop, history }: Task): string {
  if (state === 'running' && stop !== null) return 'killing';
  const reason = history.at(-1)?.reason ?? null;
  if (isEndedByCheck(state, reason)) return 'killed';
  return state === 'error' && isFailedLaunch(reason) ? 'failed' : state;
}

/** Those on record that have or had a place. */
function taskNumbers({ frameworks, tasksOfJobs, everyNode }: Inventory): Numbers {
  const counts = new Map<string, number>(TASK_NUMBERS.map((name) => [name, 0]));
  for (const tasks of [tasksOfJobs, ...frameworks.map((item) => item.tasks)]) {
    for (const { task } of tasks) {
      if (task.node === null) continue;
      const isAway = !isTerminal(task.state) && (everyNode.get(task.node)?.unreachableSinceMs ?? null) !== null;
      const name = isAway ? 'unreachable' : numberOf(task);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return Object.fromEntries([...counts].map(([name, count]) => [`master/tasks_${name}`, count]));
}

const PERCENTILES = [
  ['min', 0],
  ['max', 1],
  ['p50', 0.5],
  ['p90', 0.9],
  ['p95', 0.95],
  ['p99', 0.99],
  ['p999', 0.999],
  ['p9999', 0.9999],
] as const;

function timeNumbers(name: string, times: Summary | null): Numbers {
  const milliseconds = (seconds: number | undefined) => toMilli((seconds ?? 0) * 1000);
  return {
    [name]: milliseconds(times?.mean),
    [`${name}/count`]: times?.count ?? 0,
    ...Object.fromEntries(
      PERCENTILES.map(([label, share]) => [`${name}/${label}`, milliseconds(times?.quantile(share))]),
    ),
  };
}

function filterNumbers({ nodes, nowMs }: Inventory): Numbers {
  const counts: Record<string, number> = {};
  for (const { ledger } of nodes) {
    for (const { role, untilMs } of ledger.filters) {
      if (untilMs <= nowMs) continue;
      const name = `allocator/mesos/offer_filters/roles/${plainWireRole(role)}/active`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
  }
  return counts;
}

/** Of roles that something is promised to, or bounded. */
function quotaNumbers({ roles }: Inventory, byRole: ReadonlyMap<RolePath, Scalars>): Numbers {
  const numbers: Record<string, number> = {};
  for (const { path, guarantee, limit } of roles) {
    const held = byRole.get(path) ?? NO_SCALARS;
    for (const [name, own] of SCALARS) {
      const [promised, bound] = [guarantee[own], limit[own]];
      if (promised === undefined && bound === undefined) continue;
      const about = `allocator/mesos/quota/roles/${plainWireRole(path)}/resources/${name}`;
      if (promised !== undefined) numbers[`${about}/guarantee`] = promised;
      if (bound !== undefined) numbers[`${about}/limit`] = bound;
      numbers[`${about}/offered_or_allocated`] = held[own];
    }
  }
  return numbers;
}
