import { describe, expect, it } from 'vitest';
import { explainTask } from '../../../control-plane/scheduler/explain.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import { LEDGER_ENTRIES_MAX, type Ledger, TEMPLATES_BYTES_MAX } from '../../../shared/domain/ledger.ts';
import type { MaintenanceTime } from '../../../shared/domain/maintenance.ts';
import { type Epoch, NO_CONSENT, NO_ENGINE, type Node } from '../../../shared/domain/node.ts';
import { PLACEMENT_OBSTACLES, type PlacementObstacle } from '../../../shared/domain/placement-obstacle.ts';
import type { Reservation } from '../../../shared/domain/reservation.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import type { Role } from '../../../shared/domain/role.ts';
import type { TaskTarget } from '../../../shared/domain/task.ts';
import { present } from '../../../shared/util/assert.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aReservation,
  aRole,
  aTask,
  aVolume,
  aWindow,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

const other = aJob({ spec: { name: 'other', groups: [aGroup({ resources: { cpus: 0.001, memMiB: 1 } })] } });

const mounting = (source: string) => aGroup({ mounts: [{ type: 'bind', source, target: '/data', readOnly: true }] });

/** Each case refuses for exactly one reason; `cured` takes that reason away and nothing else. */
const CASES: readonly {
  readonly obstacle: PlacementObstacle;
  readonly refusing: Setup;
  readonly cured: Setup;
  readonly says: string;
  readonly sums: string;
}[] = [
  {
    obstacle: 'node-ineligible',
    refusing: { ledger: { eligible: false } },
    cured: { ledger: { eligible: true } },
    says: 'has been made ineligible for new tasks',
    sums: 'has been made ineligible for new tasks',
  },
  {
    obstacle: 'node-draining',
    refusing: { ledger: { drain: { startedAtMs: T0, deadlineMs: null, by: 'bob' } } },
    cured: { ledger: { drain: null } },
    says: 'is being drained by bob',
    sums: 'is draining',
  },
  {
    obstacle: 'maintenance',
    refusing: { window: { startsAtMs: T0, durationMs: 60_000 } },
    cured: { window: { startsAtMs: T0 - 60_000, durationMs: 60_000 } },
    says: 'is out of service for maintenance until 2026-01-01T00:01:00.000Z',
    sums: 'is out of service for maintenance',
  },
  {
    obstacle: 'node-unreachable',
    refusing: { dead: true },
    cured: { dead: false },
    says: 'is unreachable: its agent sends no heartbeats',
    sums: 'is unreachable',
  },
  {
    obstacle: 'node-ahead',
    refusing: { ahead: { incarnation: 1, generation: 7 } },
    cured: {},
    says: 'has seen a later state than this one: was the store restored? Then the cluster has to be recovered',
    sums: 'has seen a later state than this one: was the store restored?',
  },
  {
    obstacle: 'role-limit',
    refusing: { roles: [aRole('default', { limit: { cpus: 0.5 } })] },
    cured: { roles: [aRole('default', { limit: { cpus: 1 } })] },
    says: 'may be given no such task: the limit of role default is 0.5 cpus, of which it holds 0; 1 more are needed',
    sums: 'is out of the question, since default or a role above it would pass its limit',
  },
  {
    obstacle: 'no-engine',
    refusing: { node: { engine: NO_ENGINE } },
    cured: {
      node: { engine: NO_ENGINE, consent: { ...NO_CONSENT, processRuntime: true } },
      group: aGroup({ runtime: 'process' }),
    },
    says: 'has no container engine, and runs only tasks with the runtime "process"',
    sums: 'has no container engine',
  },
  {
    obstacle: 'no-consent',
    refusing: { group: mounting('/database'), node: { consent: { ...NO_CONSENT, hostMounts: ['/data'] } } },
    cured: { group: mounting('/data/base'), node: { consent: { ...NO_CONSENT, hostMounts: ['/data'] } } },
    says: "doesn't allow a mount of /database",
    sums: "doesn't allow all of: host-mounts",
  },
  {
    obstacle: 'other-node',
    refusing: { target: { node: 'edge-2', required: true } },
    cured: { target: { node: 'edge-2', required: false } },
    says: 'is not edge-2, which the task is made for',
    sums: 'is not edge-2, which the task is made for',
  },
  {
    obstacle: 'constraint',
    refusing: { group: aGroup({ constraints: [{ attribute: 'zone', operator: '=', value: 'a' }] }) },
    cured: {
      group: aGroup({ constraints: [{ attribute: 'zone', operator: '=', value: 'a' }] }),
      node: { attributes: { zone: 'a' } },
    },
    says: 'doesn\'t satisfy "zone = a" (it is not set there)',
    sums: "doesn't satisfy the constraints (zone = a)",
  },
  {
    obstacle: 'peers',
    refusing: { group: aGroup({ count: 2, constraints: [{ attribute: 'node', operator: 'unique' }] }), beside: 1 },
    cured: { group: aGroup({ count: 2, constraints: [{ attribute: 'node', operator: 'unique' }] }), beside: 0 },
    says: 'is taken: node edge-1 has 1 task of the group, and "node unique" allows one',
    sums: 'is out of the question where the other tasks of the group are (node unique)',
  },
  {
    obstacle: 'no-volume',
    refusing: {
      group: aGroup({ mounts: [{ type: 'persistent', source: 'data', target: '/data', readOnly: false }] }),
      reservations: [aReservation({ role: 'eng', scalars: { ...NO_SCALARS, diskMiB: 100 } })],
      ledger: { volumes: { data: aVolume() } },
    },
    cured: {
      group: aGroup({ mounts: [{ type: 'persistent', source: 'data', target: '/data', readOnly: false }] }),
      reservations: [aReservation({ role: 'default', scalars: { ...NO_SCALARS, diskMiB: 100 } })],
      ledger: { volumes: { data: aVolume() } },
    },
    says: 'has no volume "data" for role "default"',
    sums: "doesn't have all of its volumes for its role: data",
  },
  {
    obstacle: 'gpu-node-kept',
    refusing: { ledger: { total: someResources({ gpus: 1 }) } },
    cured: { group: aGroup({ resources: { gpus: 1 } }), ledger: { total: someResources({ gpus: 1 }) } },
    says: 'has GPUs, and is kept for tasks that ask for them',
    sums: 'has GPUs and is kept for tasks that ask for them',
  },
  {
    obstacle: 'ledger-full',
    refusing: { held: Array.from({ length: LEDGER_ENTRIES_MAX }, (_, index) => ({ index })) },
    cured: { held: Array.from({ length: LEDGER_ENTRIES_MAX - 1 }, (_, index) => ({ index })) },
    says: `holds ${LEDGER_ENTRIES_MAX} tasks already; ${LEDGER_ENTRIES_MAX} is the most`,
    sums: `holds as many tasks as a node may (${LEDGER_ENTRIES_MAX}, or fewer where their descriptions are long)`,
  },
  {
    obstacle: 'reserved',
    refusing: { reservations: [aReservation({ role: 'eng', scalars: { ...NO_SCALARS, cpus: 3.5 } })] },
    cured: { reservations: [aReservation({ role: 'default', scalars: { ...NO_SCALARS, cpus: 3.5 } })] },
    says: 'keeps 3.5 cpus for eng, for which that is reserved',
    sums: 'has room only in what is reserved for other roles',
  },
  {
    obstacle: 'cpus',
    refusing: { group: aGroup({ resources: { cpus: 4.001 } }) },
    cured: { group: aGroup({ resources: { cpus: 4 } }) },
    says: 'lacks 0.001 of 4.001 cpus, with 4 of 4 free',
    sums: 'has too few cpus free',
  },
  {
    obstacle: 'memory',
    refusing: { group: aGroup({ resources: { memMiB: 5000 } }) },
    cured: { group: aGroup({ resources: { memMiB: 4096 } }) },
    says: 'lacks 904 of 5000 MiB of memory, with 4096 of 4096 free',
    sums: 'has too little memory free',
  },
  {
    obstacle: 'disk',
    refusing: { group: aGroup({ resources: { diskMiB: 10_001 } }) },
    cured: { group: aGroup({ resources: { diskMiB: 10_000 } }) },
    says: 'lacks 1 of 10001 MiB of disk, with 10000 of 10000 free',
    sums: 'has too little disk free',
  },
  {
    obstacle: 'gpus',
    refusing: { group: aGroup({ resources: { gpus: 1 } }) },
    cured: { group: aGroup({ resources: { gpus: 1 } }), ledger: { total: someResources({ gpus: 1 }) } },
    says: 'lacks 1 of 1 GPUs, with 0 of 0 free',
    sums: 'has too few GPUs free',
  },
  {
    obstacle: 'custom-resource',
    // An inherited member of every object must not pass for an amount.
    refusing: { group: aGroup({ resources: { custom: { constructor: 2 } as Record<string, number> } }) },
    cured: {
      group: aGroup({ resources: { custom: { constructor: 2 } as Record<string, number> } }),
      ledger: { total: someResources({ custom: { constructor: 2 } as Record<string, number> }) },
    },
    says: 'lacks 2 of 2 constructor, with 0 of 0 free',
    sums: 'has too little constructor free',
  },
  {
    obstacle: 'port-out-of-range',
    refusing: { group: aGroup({ ports: [{ name: 'web', hostPort: 80, protocol: 'tcp' }] }) },
    cured: { group: aGroup({ ports: [{ name: 'web', hostPort: 31_999, protocol: 'tcp' }] }) },
    says: "doesn't offer port 80 but 31000-31999",
    sums: "doesn't offer port 80",
  },
  {
    obstacle: 'port-taken',
    refusing: {
      group: aGroup({ ports: [{ name: 'web', hostPort: 31_080, protocol: 'tcp' }] }),
      held: [{ ports: { http: 31_080 } }],
    },
    cured: {
      group: aGroup({ ports: [{ name: 'web', hostPort: 31_080, protocol: 'tcp' }] }),
      held: [{ ports: { http: 31_081 } }],
    },
    says: 'has given port 31080 to another task',
    sums: 'has given port 31080 to another task',
  },
  {
    obstacle: 'ports',
    // The one that is asked for by number is free, but then only one is left for the other two.
    refusing: {
      group: aGroup({
        ports: [
          { name: 'a', hostPort: 31_001, protocol: 'tcp' },
          { name: 'b', protocol: 'tcp' },
          { name: 'c', protocol: 'udp' },
        ],
      }),
      ledger: { total: someResources({ ports: [{ first: 31_000, last: 31_001 }] }) },
    },
    cured: {
      group: aGroup({
        ports: [
          { name: 'a', hostPort: 31_001, protocol: 'tcp' },
          { name: 'b', protocol: 'tcp' },
          { name: 'c', protocol: 'udp' },
        ],
      }),
      ledger: { total: someResources({ ports: [{ first: 31_000, last: 31_002 }] }) },
    },
    says: 'lacks 1 of 2 host ports, with 1 of 2 free',
    sums: 'has too few host ports free',
  },
  {
    obstacle: 'guarantee',
    refusing: { roles: [aRole('eng', { guarantee: { cpus: 3.5 } })] },
    cured: { roles: [aRole('default', { guarantee: { cpus: 3.5 } })] },
    says: 'has room, but 3.5 cpus of the cluster are kept back for what is guaranteed to roles, which leaves 0.5 to default where 1 are needed',
    sums: 'has room only in what is kept back for guarantees',
  },
];

interface Setup {
  readonly group?: GroupSpec;
  readonly node?: Partial<Node>;
  readonly ledger?: Partial<Omit<Ledger, 'entries' | 'offers' | 'reservations'>>;
  readonly held?: readonly { readonly ports?: Record<string, number>; readonly index?: number }[];
  readonly dead?: boolean;
  readonly ahead?: Epoch['ahead'];
  readonly window?: MaintenanceTime;
  readonly roles?: readonly Role[];
  readonly reservations?: readonly Reservation[];
  readonly target?: TaskTarget;
  /** So many tasks of the same group run there. */
  readonly beside?: number;
}

function setUp({ group = aGroup(), node = {}, ledger = {}, held = [], dead = false, ahead, window, ...rest }: Setup) {
  const job = aJob({ spec: { groups: [group] } });
  const task = aTask(job, { target: rest.target ?? null });
  const holding = held.map((change) => aTask(other, { state: 'running', node: 'edge-1', ...change }));
  const beside = Array.from({ length: rest.beside ?? 0 }, (_, at) =>
    aTask(job, { index: 1 + at, state: 'running', node: 'edge-1' }),
  );
  const cluster = clusterOf({
    nodes: [aNode(node)],
    ledgers: [
      aLedger({
        ...ledger,
        entries: holding.map((running) => anEntry(other, running)),
        reservations: rest.reservations ?? [],
      }),
    ],
    roles: rest.roles ?? [],
    jobs: [job, other],
    tasks: [task, ...holding, ...beside],
    maintenance: window === undefined ? [] : [aWindow(window)],
    dead: dead ? ['edge-1'] : [],
    epochs: { 'edge-1': { epoch: 1, unreachableSinceMs: null, ahead } },
  });
  return { cluster, task, nowMs: T0 };
}

describe('a ledger that is full by bytes', () => {
  it('says how much such a task takes and what is left', () => {
    const ports = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`${'p'.repeat(60)}${at}`, 31_000]));
    const held = Array.from({ length: 9 }, (_, index) => ({ index, ports }));
    const { refusals, closest } = explainTask(setUp({ held }));
    expect(refusals.map(({ code }) => code)).toEqual(['ledger-full']);
    expect(closest?.message).toMatch(
      /^edge-1 has \d+ of 655360 bytes left in its ledger, where such a task takes \d+$/,
    );
    expect(planRound(setUp({ held })).placements).toEqual([]);
    expect(planRound(setUp({ held: held.slice(1) })).placements).toHaveLength(1);
  });
});

describe('a node whose tasks have long descriptions', () => {
  const held = (templateBytes: number, count: number, sharing: boolean) => {
    const jobs = Array.from({ length: count }, (_, place) => aJob({ spec: { name: `old${sharing ? 0 : place}` } }));
    const tasks = jobs.map((job, index) => aTask(job, { index, state: 'running', node: 'edge-1' }));
    const entries = jobs.map((job, place) =>
      anEntry(job, present(tasks[place], 'task'), {
        templateBytes,
        resources: someResources({ cpus: 0, memMiB: 0, diskMiB: 0, ports: [] }),
      }),
    );
    const job = aJob();
    const task = aTask(job);
    const ledgers = [aLedger({ entries })];
    return {
      cluster: clusterOf({ nodes: [aNode()], ledgers, jobs: [...jobs, job], tasks: [...tasks, task] }),
      task,
      nowMs: T0,
    };
  };

  it('takes no further ones when all of them together are too much for its agent', () => {
    const full = held(TEMPLATES_BYTES_MAX / 32, 32, false);
    expect(planRound(full).placements).toEqual([]);
    expect(explainTask(full).closest?.message).toMatch(
      /^edge-1 holds tasks whose descriptions would take 838\d{4} bytes together with this one's; 8388608 is the most$/,
    );
    expect(planRound(held(TEMPLATES_BYTES_MAX / 32, 31, false)).placements).toHaveLength(1);
  });

  it('counts a description once, however many tasks share it', () => {
    expect(planRound(held(TEMPLATES_BYTES_MAX / 2, 500, true)).placements).toHaveLength(1);
  });
});

describe('filters', () => {
  it('are covered by the cases below, every one of them', () => {
    expect(CASES.map(({ obstacle }) => obstacle)).toEqual([...PLACEMENT_OBSTACLES]);
  });

  it.each(CASES)('$obstacle: refuses, says so, and nothing else stands in the way', (testCase) => {
    const refusing = setUp(testCase.refusing);
    expect(planRound(refusing).placements).toEqual([]);
    const explanation = explainTask(refusing);
    expect(explanation.placeable).toBe(false);
    expect(explanation.refusals).toEqual([{ code: testCase.obstacle, nodes: 1, message: `1 node ${testCase.sums}` }]);
    expect(explanation.closest?.message).toBe(`edge-1 ${testCase.says}`);

    const cured = setUp(testCase.cured);
    expect(explainTask(cured)).toMatchObject({ placeable: true, refusals: [], closest: null });
    expect(planRound(cured).placements.map(({ node }) => node)).toEqual(['edge-1']);
  });

  it('speak of several nodes in the plural', () => {
    const job = aJob({ spec: { groups: [aGroup({ resources: { memMiB: 9000 } })] } });
    const task = aTask(job);
    const cluster = clusterOf({ nodes: [aNode(), aNode({ id: 'edge-2' })], jobs: [job], tasks: [task] });
    expect(explainTask({ cluster, task, nowMs: T0 }).refusals).toEqual([
      { code: 'memory', nodes: 2, message: '2 nodes have too little memory free' },
    ]);
  });

  it("take the job's constraints together with the group's", () => {
    const job = aJob({
      spec: {
        constraints: [{ attribute: 'arch', operator: '=', value: 'arm64' }],
        groups: [aGroup({ constraints: [{ attribute: 'zone', operator: 'exists' }] })],
      },
    });
    const task = aTask(job);
    const cluster = clusterOf({ nodes: [aNode()], jobs: [job], tasks: [task] });
    expect(explainTask({ cluster, task, nowMs: T0 }).closest?.message).toBe(
      'edge-1 doesn\'t satisfy "arch = arm64" (it is x64 there) and "zone exists" (it is not set there)',
    );
  });

  it('let a task without need of a device onto a node that has lost one', () => {
    const other = aJob({ spec: { name: 'other', groups: [aGroup({ resources: { gpus: 2 } })] } });
    const running = aTask(other, { state: 'running', node: 'edge-1' });
    const job = aJob();
    const cluster = clusterOf({
      nodes: [aNode()],
      ledgers: [aLedger({ total: someResources({ gpus: 1 }), entries: [anEntry(other, running)] })],
      jobs: [other, job],
      tasks: [running, aTask(job)],
      settings: { gpuNodes: 'unrestricted' },
    });
    expect(planRound({ cluster, nowMs: T0 }).placements).toHaveLength(1);
  });
});
