import { describe, expect, it } from 'vitest';
import { metricsSnapshot } from '../../../control-plane/facade-mesos/translate/metrics-snapshot.ts';
import { EVERYTHING, pickUp } from '../../../control-plane/services/inventory.ts';
import { advance } from '../../../shared/domain/task.ts';
import { MetricsRegistry } from '../../../shared/util/metrics.ts';
import {
  aFramework,
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  anOffer,
  aRole,
  aTask,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

function numbersOf(literal: ClusterLiteral = {}, rounds: readonly number[] = []) {
  const metrics = new MetricsRegistry();
  const seconds = metrics.histogram({ name: 'rounds', help: '', bounds: [0.001, 0.01, 0.1] });
  for (const took of rounds) seconds.observe(took);
  const inventory = pickUp(clusterOf(literal), { clusterId: 'c1', nowMs: T0 }, EVERYTHING);
  return metricsSnapshot(inventory, { uptimeSeconds: 5, rounds: metrics.summary('rounds') });
}

/** All that mesos_exporter looks up. It waits for ever for one that isn't there. */
function exporterNames(): string[] {
  const each = (pattern: string, ...lists: string[][]): string[] =>
    lists.reduce((names, list) => names.flatMap((name) => list.map((one) => name.replace('%', one))), [pattern]);
  const kinds = ['cpus', 'mem', 'disk'];
  const times = ['', '/min', '/max', '/p50', '/p90', '/p95', '/p99', '/p999', '/p9999'];
  const validity = ['valid', 'invalid'];
  return [
    ...each('master/%_%', kinds, ['total', 'used']),
    ...each('master/%_revocable_%', kinds, ['total', 'used']),
    ...['master/elected', 'master/uptime_secs', 'master/outstanding_offers'],
    ...each('master/slave_%', ['registrations', 'reregistrations', 'removals']),
    ...each('master/slave_shutdowns_%', ['scheduled', 'canceled', 'completed']),
    ...each('master/slaves_%', ['active', 'inactive', 'disconnected']),
    ...each('master/frameworks_%', ['active', 'inactive', 'disconnected']),
    ...each('master/tasks_%', ['error', 'failed', 'finished', 'killed', 'lost', 'running', 'staging', 'starting']),
    ...each('master/%_%_messages', validity, ['framework_to_executor', 'executor_to_framework']),
    ...each('master/%_status_update%', validity, ['s', '_acknowledgements']),
    ...each('master/event_queue_%', ['dispatches', 'http_requests', 'messages']),
    ...each('allocator/mesos/allocation_run%_ms%', ['', '_latency'], times),
    ...each('allocator/mesos/resources/%/%', kinds, ['total', 'offered_or_allocated']),
  ];
}

const job = aJob({ spec: { role: 'eng/ml', groups: [aGroup()] } });

describe('metrics under their names of Mesos', () => {
  it('are all there that exporters wait for, and numbers, though there is nothing', () => {
    const numbers = numbersOf();
    expect(exporterNames().filter((name) => typeof numbers[name] !== 'number')).toEqual([]);
    expect(Object.entries(numbers).filter(([, value]) => !Number.isFinite(value))).toEqual([]);
  });

  it('add up what nodes have, what tasks hold and what is offered', () => {
    const task = aTask(job, { state: 'running', node: 'edge-1' });
    const ledgers = [aLedger({ entries: [anEntry(job, task)], offers: [anOffer({ resources: { cpus: 2 } })] })];
    const nodes = [aNode(), aNode({ id: 'edge-2', resources: someResources({ cpus: 12, gpus: 2 }) })];
    expect(numbersOf({ nodes, ledgers, jobs: [job], tasks: [task] })).toMatchObject({
      'master/cpus_total': 16,
      'master/cpus_used': 1,
      'master/cpus_percent': 1 / 16,
      'master/gpus_total': 2,
      'master/mem_total': 8192,
      'master/mem_used': 100,
      'master/disk_total': 20_000,
      'master/outstanding_offers': 1,
      'allocator/mesos/resources/cpus/total': 16,
      'allocator/mesos/resources/cpus/offered_or_allocated': 3,
    });
  });

  it('count nodes by what can be done with them', () => {
    const ids = ['a', 'b', 'c', 'd', 'e'];
    const silent = { epoch: 1, unreachableSinceMs: null };
    expect(
      numbersOf({
        nodes: ids.map((id) => aNode({ id })),
        ledgers: [aLedger({ node: 'b', eligible: false })],
        dead: ['c', 'd'],
        epochs: { c: silent, d: { ...silent, unreachableSinceMs: T0 } },
      }),
    ).toMatchObject({
      'master/slaves_active': 2,
      'master/slaves_inactive': 1,
      'master/slaves_connected': 3,
      'master/slaves_disconnected': 1,
      'master/slaves_unreachable': 1,
    });
  });

  it("count frameworks, Berth's own among them", () => {
    const teardown = { atMs: T0, by: 'alice', reason: 'over' };
    const frameworks = [
      aFramework(),
      aFramework({ id: 'f000000000002' }),
      aFramework({ id: 'f000000000003', teardown }),
    ];
    expect(numbersOf({ frameworks, disconnected: ['f000000000002'] })).toMatchObject({
      'master/frameworks_active': 2,
      'master/frameworks_connected': 2,
      'master/frameworks_inactive': 0,
      'master/frameworks_disconnected': 1,
    });
  });

  it('count tasks by state, those with a place alone', () => {
    const states = ['pending', 'staging', 'running', 'running', 'finished', 'failed', 'lost'] as const;
    const stop = { atMs: T0, by: 'alice', reason: 'enough' };
    const tasks = [
      ...states.map((state, index) => aTask(job, { index, state, node: state === 'pending' ? null : 'edge-1' })),
      aTask(job, { index: 10, state: 'running', node: 'edge-1', stop }),
      aTask(job, { index: 11, state: 'running', node: 'edge-2' }),
      advance(aTask(job, { index: 12, state: 'running', node: 'edge-1' }), {
        ...{ state: 'failed', atMs: T0, reason: 'unhealthy', message: 'why' },
      }),
      ...(['engine-error', 'refused-by-node'] as const).map((reason, at) => {
        const task = aTask(job, { index: 20 + at, state: 'starting', node: 'edge-1' });
        return advance(task, { state: 'error', atMs: T0, reason, message: 'why' });
      }),
    ];
    const epochs = { 'edge-2': { epoch: 1, unreachableSinceMs: T0 } };
    const nodes = [aNode(), aNode({ id: 'edge-2' })];
    expect(numbersOf({ nodes, dead: ['edge-2'], epochs, jobs: [job], tasks })).toMatchObject({
      'master/tasks_staging': 1,
      'master/tasks_running': 2,
      'master/tasks_killing': 1,
      'master/tasks_unreachable': 1,
      'master/tasks_finished': 1,
      'master/tasks_failed': 2,
      'master/tasks_error': 1,
      'master/tasks_lost': 1,
      'master/tasks_killed': 1,
    });
  });

  it('say what roles are promised and hold, with all below them, and how many offers they have refused', () => {
    const task = aTask(job, { state: 'running', node: 'edge-1' });
    const filter = {
      ...{ framework: 'f000000000001', role: 'default', generation: 0, offer: '1-1-0', times: 1 },
      ...{ refused: someResources(), sinceMs: T0, untilMs: T0 + 1000, because: 'declined' as const },
    };
    const filters = [filter, { ...filter, untilMs: T0 }];
    const ledgers = [aLedger({ entries: [anEntry(job, task)], offers: [anOffer({ role: 'eng' })], filters })];
    const roles = [aRole('eng', { guarantee: { cpus: 2 }, limit: { memMiB: 500 } }), aRole('ops', { weight: 2 })];
    const numbers = numbersOf({ nodes: [aNode()], ledgers, jobs: [job], tasks: [task], roles });
    const quota = Object.entries(numbers).filter(([name]) => /quota|filters/.test(name));
    expect(Object.fromEntries(quota)).toEqual({
      'allocator/mesos/quota/roles/eng/resources/cpus/guarantee': 2,
      'allocator/mesos/quota/roles/eng/resources/cpus/offered_or_allocated': 2,
      'allocator/mesos/quota/roles/eng/resources/mem/limit': 500,
      'allocator/mesos/quota/roles/eng/resources/mem/offered_or_allocated': 200,
      'allocator/mesos/offer_filters/roles/*/active': 1,
    });
  });

  it('tell how long rounds take, as far as buckets tell', () => {
    expect(numbersOf({}, [0.002, 0.004, 0.02, 0.05])).toMatchObject({
      'allocator/mesos/allocation_runs': 4,
      'allocator/mesos/allocation_run_ms': 19,
      'allocator/mesos/allocation_run_ms/count': 4,
      'allocator/mesos/allocation_run_ms/min': 1,
      'allocator/mesos/allocation_run_ms/p50': 10,
      'allocator/mesos/allocation_run_ms/max': 100,
    });
  });
});
