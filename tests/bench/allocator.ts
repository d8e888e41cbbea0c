/**
 * How long a round of the allocator thinks when many frameworks compete: pure, no store. Beside the sizes that are asked for, cost
 * against nodes and against frameworks over three decades with the exponent that fits (1 is linear), a round in which little has
 * changed, and the floor under it all: one pass over every ledger that sums up what is free.
 */
import type { RoundPlan } from '../../control-plane/scheduler/plan.ts';
import { planRound } from '../../control-plane/scheduler/round.ts';
import { RoundMemory } from '../../control-plane/scheduler/round-memory.ts';
import { SnapshotTouches } from '../../control-plane/store/touch-log.ts';
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { addOffers, endOffers, freeResources, type Ledger } from '../../shared/domain/ledger.ts';
import { present } from '../../shared/util/assert.ts';
import { applyRound } from '../support/apply-plan.ts';
import {
  aFramework,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aRole,
  aTask,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../support/builders.ts';
import { costOfAccept } from './accept-cost.ts';
import { costOfPlacing, type PlacingCost } from './placing.ts';
import { ProcessorMeter, usedMs } from './processor-time.ts';
import type { Figure, Section, Table } from './report.ts';
import { Rest } from './rest.ts';
import { distributionOf, median } from './statistics.ts';
import { costOfWaiting, type VainCost } from './waiting-in-vain.ts';

const ROUNDS = 7;
const REST_MS = 1000;
const ASKED_MS = 500;
const ASKED_WITH_GUARANTEES_MS = 1000;
/** Few enough for a round not to end at its bound on offers, which would make it look cheap. */
/** Where two tasks wait in vain, and where a framework accepts an offer: against the same without them, and in a cluster of 100 nodes. */
const ASKED_OF_WAITING_MS = 5;
const ASKED_OF_ACCEPT_RATIO = 2;
const NODE_DECADES = [10, 100, 1000, 10_000];
const FRAMEWORK_DECADES = [5, 50, 500, 5000];
const CHANGED_DECADES = [1, 10, 100, 1000, 10_000];
const NODES_BESIDE = 1000;
const FRAMEWORKS_BESIDE = 1000;

export async function measureAllocator(): Promise<Section> {
  const rest = new Rest();
  await rest.take(REST_MS);
  const meter = new ProcessorMeter([]);
  meter.resume();
  const wide = hungryMarket({ nodes: 10_000, frameworks: 1000 });
  const hungry = timesOf(() => void planRound({ cluster: wide, nowMs: T0 }));
  const floor = timesOf(() => void sumOfAll(wide));
  const guaranteed = hungryMarket({ nodes: 3000, frameworks: 3000, guaranteed: true });
  const kept = timesOf(() => void planRound({ cluster: guaranteed, nowMs: T0 }));
  const hogged = heldMarket(3000);
  const displacing = timesOf(() => void planRound({ cluster: hogged, nowMs: T0 }));
  const afterChange = changedMarket(wide);
  const byChanges = CHANGED_DECADES.map((count) => [count, afterChange(count)] as const);
  const little = byChanges.slice(0, 1).map(([, ms]) => ms);
  const byNodes = NODE_DECADES.map((nodes) => [nodes, costOf({ nodes, frameworks: FRAMEWORKS_BESIDE })] as const);
  const byFrameworks = FRAMEWORK_DECADES.map(
    (count) => [count, costOf({ nodes: NODES_BESIDE, frameworks: count })] as const,
  );
  const vain = costOfWaiting(10_000, CHANGED_DECADES);
  const placing = costOfPlacing();
  // The first one warms up.
  await costOfAccept(100);
  const accept = { small: await costOfAccept(100), large: await costOfAccept(10_000) };
  meter.pause();
  await rest.take(REST_MS);
  const floorMs = distributionOf(floor).p50;
  const figures: Figure[] = [
    figure('allocator: 10,000 nodes × 1,000 frameworks, all hungry', hungry, { target: ASKED_MS, floorMs }),
    figure('allocator: 3,000 nodes, roles and frameworks, all guaranteed', kept, {
      target: ASKED_WITH_GUARANTEES_MS,
      floorMs,
    }),
    figure('allocator: 3,000 of each, all short of their guarantees, others hold everything', displacing, {
      target: ASKED_WITH_GUARANTEES_MS,
      floorMs,
    }),
    figure('allocator: one of 10,000 nodes has changed', little, { target: null, floorMs }),
    vainFigure(vain),
    placingFigure(placing),
    acceptFigure(accept),
  ];
  return {
    name: 'allocator',
    figures,
    tables: [
      timesTable({ hungry, kept, displacing, floor }),
      growthTable('Cost against nodes that have changed (10,000 nodes, 1,000 frameworks)', 'changed', byChanges),
      growthTable(
        'Cost against nodes that have changed, two tasks wait in vain (10,000 nodes)',
        'changed',
        vain.withTasks,
      ),
      growthTable('The same without these tasks', 'changed', vain.without),
      growthTable('Cost against nodes (1,000 frameworks)', 'nodes', byNodes),
      growthTable('Cost against frameworks (1,000 nodes)', 'frameworks', byFrameworks),
    ],
    processor: meter.use(0),
    othersPercent: rest.busyPercent,
  };
}

function figure(
  name: string,
  times: readonly number[],
  { target, floorMs }: { target: number | null; floorMs: number },
): Figure {
  const measured = median(times);
  return {
    name,
    unit: 'ms',
    measured,
    target,
    note: `${(measured / floorMs).toFixed(1)} × one pass over 10,000 ledgers`,
  };
}

function vainFigure({ withTasks, without }: VainCost): Figure {
  const [measured = Number.NaN, other = Number.NaN] = [withTasks, without].map(([first]) => first?.[1]);
  return {
    name: 'allocator: one of 10,000 nodes has changed, two tasks wait in vain',
    unit: 'ms',
    measured,
    target: ASKED_OF_WAITING_MS,
    note: `${(measured / other).toFixed(1)} × the same without them (${other.toFixed(2)} ms)`,
  };
}

function placingFigure({ service, batch }: PlacingCost): Figure {
  return {
    name: 'allocator: 1,000 tasks of a service onto 1,000 nodes, spread and grouped',
    unit: 'ms',
    measured: service,
    target: null,
    note: `${(service / batch).toFixed(1)} × as many of a batch job (${batch.toFixed(1)} ms)`,
  };
}

function acceptFigure({ small, large }: { readonly small: number; readonly large: number }): Figure {
  return {
    name: 'offers: an accept at 10,000 nodes against one at 100',
    unit: '×',
    measured: large / small,
    target: ASKED_OF_ACCEPT_RATIO,
    note: `${large.toFixed(2)} ms against ${small.toFixed(2)} ms, two offers on each node, store in memory`,
  };
}

/** The first rounds only warm up. */
function timesOf(work: () => void, rounds = ROUNDS): number[] {
  work();
  return Array.from({ length: rounds }, () => {
    const beganAtMs = usedMs();
    work();
    return usedMs() - beganAtMs;
  });
}

function costOf(size: MarketSize): number {
  const cluster = hungryMarket(size);
  return median(timesOf(() => void planRound({ cluster, nowMs: T0 }), 3));
}

function sumOfAll({ ledgers }: ClusterView): number {
  let cpus = 0;
  for (const ledger of ledgers.values()) cpus += freeResources(ledger).cpus;
  return cpus;
}

/**
 * Everything is offered; then, time and again, the offers of so many nodes are given back, so that their ledgers are new ones, and a
 * round offers them anew. The planner remembers, and hears of what has changed, as it does beside a mirror.
 */
function changedMarket(cluster: ClusterView): (count: number) => number {
  const memory = new RoundMemory();
  const touched = new SnapshotTouches();
  const full = connected(applyRound(cluster, planRound({ cluster, nowMs: T0 }), T0));
  const ledgers = new Map(full.ledgers);
  const watched: ClusterView = { ...full, ledgers, touched };
  const set = (ledger: Ledger) => {
    ledgers.set(ledger.node, ledger);
    touched.node(ledger.node);
  };
  const nodes = [...ledgers.keys()];
  let rounds = 0;
  const round = () => planRound({ cluster: watched, nowMs: T0, roundNumber: ROUNDS_BEFORE + rounds++, memory });
  const answered = ({ offers }: RoundPlan) => {
    for (const [node, some] of Map.groupBy(offers, (one) => one.node)) {
      set(
        addOffers(
          present(ledgers.get(node), node),
          some.map(({ offer }) => offer),
        ),
      );
    }
  };
  answered(round());
  let next = 0;
  const changeAndPlan = (count: number) => {
    for (let left = count; left > 0; left -= 1, next += 1) {
      const ledger = present(ledgers.get(nodes[next % nodes.length] ?? ''), 'a ledger');
      set(endOffers(ledger, Object.keys(ledger.offers)));
    }
    const beganAtMs = usedMs();
    const plan = round();
    const tookMs = usedMs() - beganAtMs;
    answered(plan);
    return tookMs;
  };
  return (count) => {
    const runs = count < 1000 ? RUNS_OF_SMALL : ROUNDS;
    for (let run = 0; run < runs; run += 1) changeAndPlan(count);
    const times = Array.from({ length: runs }, () => changeAndPlan(count));
    return times.reduce((sum, ms) => sum + ms, 0) / runs;
  };
}

/** The processor's clock ticks in steps of some milliseconds, so only the mean of many rounds says anything. */
const RUNS_OF_SMALL = 60;

/** So that no offer gets the id of one that stands. */
const ROUNDS_BEFORE = 1000;

interface MarketSize {
  readonly nodes: number;
  readonly frameworks: number;
  readonly guaranteed?: boolean;
}

/** Nodes of sixty sizes, and frameworks in as many roles. */
function hungryMarket({ nodes, frameworks, guaranteed = false }: MarketSize): ClusterView {
  return connected(
    clusterOf({
      nodes: Array.from({ length: nodes }, (_, at) =>
        aNode({ id: `node-${at}`, resources: someResources({ cpus: 2 + (at % 15), memMiB: 4096 * (1 + (at % 4)) }) }),
      ),
      ...hungryFrameworks(frameworks, guaranteed),
    }),
  );
}

/** Each in a role of its own. */
function hungryFrameworks(count: number, guaranteed: boolean): Required<Pick<ClusterLiteral, 'frameworks' | 'roles'>> {
  const places = Array.from({ length: count }, (_, at) => at);
  const role = (at: number) => `role-${at}`;
  return {
    frameworks: places.map((at) => aFramework({ id: `f${String(at).padStart(12, '0')}`, roles: [role(at)] })),
    roles: guaranteed ? places.map((at) => aRole(role(at), { guarantee: { cpus: 1, memMiB: 512 } })) : [],
  };
}

/** Roles are guaranteed what tasks of another role hold, so that some of those have to make room. */
function heldMarket(size: number): ClusterView {
  const job = aJob({ spec: { name: 'hog', role: 'hog' } });
  const resources = someResources({ cpus: 2, memMiB: 1024, diskMiB: 0, ports: [] });
  const total = someResources({ cpus: 8, memMiB: 4096, diskMiB: 0, ports: [] });
  const nodes = Array.from({ length: size }, (_, at) => aNode({ id: `node-${at}`, resources: total }));
  const tasks = nodes.flatMap(({ id }, at) =>
    [0, 1, 2, 3].map((index) =>
      aTask(job, { id: `${id}-${index}`, index: 4 * at + index, state: 'running', node: id }),
    ),
  );
  const byNode = Map.groupBy(tasks, ({ node }) => node);
  const ledgers = nodes.map(({ id }) => {
    const entries = (byNode.get(id) ?? []).map((task) => anEntry(job, task, { resources }));
    return aLedger({ node: id, total, entries });
  });
  const { frameworks, roles } = hungryFrameworks(size, true);
  return connected(clusterOf({ nodes, ledgers, tasks, jobs: [job], frameworks, roles }));
}

/** The literal's own answer goes through all frameworks each time. */
function connected(cluster: ClusterView): ClusterView {
  return { ...cluster, isConnected: (id) => cluster.frameworks.has(id) };
}

function timesTable(times: Readonly<Record<'hungry' | 'kept' | 'displacing' | 'floor', readonly number[]>>): Table {
  const row = (name: string, list: readonly number[]) => {
    const { p50, min, max } = distributionOf(list);
    return [name, p50, min, max];
  };
  return {
    title: 'One round, ms of processor time',
    columns: ['', 'p50', 'min', 'max'],
    rows: [
      row('10,000 nodes × 1,000 frameworks', times.hungry),
      row('3,000 of each, guaranteed', times.kept),
      row('3,000 of each, guaranteed, held by others', times.displacing),
      row('floor: one pass over 10,000 ledgers', times.floor),
    ],
  };
}

function growthTable(title: string, what: string, costs: readonly (readonly [number, number])[]): Table {
  const all = exponentOf(costs).toFixed(2);
  const last = exponentOf(costs.slice(-2)).toFixed(2);
  return {
    title: `${title}: grows with the power ${all}, in the last decade ${last}`,
    columns: [what, 'ms', 'µs each', ''],
    rows: costs.map(([size, ms]) => [String(size), ms, (1000 * ms) / size, bar(ms)]),
  };
}

/** Two marks for each doubling. */
function bar(ms: number): string {
  return '▇'.repeat(Math.max(1, Math.round(2 * Math.log2(1 + ms))));
}

/** The slope of the line through the logarithms that lies closest to them. */
function exponentOf(costs: readonly (readonly [number, number])[]): number {
  const points = costs.map(([size, ms]) => [Math.log(size), Math.log(ms)] as const);
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const above = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return above / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}
