/** Clusters in which frameworks, roles and tasks compete: for properties. */
import fc from 'fast-check';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import { freeResources, type Ledger } from '../../../shared/domain/ledger.ts';
import type { OfferFilter } from '../../../shared/domain/offer.ts';
import type { Reservation } from '../../../shared/domain/reservation.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import type { Role } from '../../../shared/domain/role.ts';
import {
  aFramework,
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  anOffer,
  aReservation,
  aRole,
  aTask,
  type ClusterLiteral,
  someResources,
  T0,
} from '../../support/builders.ts';

const ROLES = ['a', 'a/x', 'a/y', 'b', 'c'] as const;
const frameworkId = (at: number) => `f00000000000${at}`;
const rolePath = fc.constantFrom(...ROLES);
const amounts = (max: number) =>
  fc.record(
    { cpus: fc.integer({ min: 0, max }), memMiB: fc.integer({ min: 0, max: max * 500 }) },
    { requiredKeys: [] },
  );

const role: fc.Arbitrary<Role> = fc
  .record({
    path: rolePath,
    weight: fc.constantFrom(1, 1, 2, 0.5),
    limit: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: amounts(12) }),
    guarantee: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: amounts(6) }),
  })
  .map(({ path, ...change }) => aRole(path, change));

/** Nodes are in zones `a` and `b` by turns. */
const WANTS: readonly (readonly (readonly Constraint[])[])[] = [
  [[{ attribute: 'zone', operator: '=', value: 'a' }]],
  [[{ attribute: 'zone', operator: 'notMatches', value: '[bc]' }], [{ attribute: 'node', operator: '=', value: 'n1' }]],
  [[{ attribute: 'node', operator: 'in', values: ['n0', 'n3'] }]],
  [[{ attribute: 'zone', operator: 'notExists' }]],
];

const framework: fc.Arbitrary<Omit<Framework, 'id'>> = fc
  .record({
    roles: fc.uniqueArray(rolePath, { minLength: 1, maxLength: 2 }),
    suppresses: fc.constantFrom(false, false, false, true),
    gpus: fc.boolean(),
    least: fc.constantFrom(null, null, null, [], [{ cpus: 2 }], [{ memMiB: 700, cpus: 1 }, { gpus: 1 }]),
    torn: fc.constantFrom(false, false, false, false, true),
    revived: fc.boolean(),
    wants: fc.constantFrom(null, null, null, ...WANTS),
  })
  .map(({ roles, suppresses, gpus, least, torn, revived, wants }) => {
    const [first = 'a'] = roles;
    return aFramework({
      roles,
      capabilities: gpus ? ['gpus'] : [],
      suppressed: suppresses ? [first] : [],
      minAllocatable: least === null ? {} : { [first]: least },
      nodeConstraints: wants === null ? {} : { [first]: wants },
      filterGenerations: revived ? { [first]: 1 } : {},
      teardown: torn ? { atMs: T0, by: 'alice', reason: 'enough' } : null,
    });
  });

/** Something that stands on a node: an offer or a task of one of the frameworks, or a filter. */
const standing = fc.record({
  kind: fc.constantFrom('offer' as const, 'offer' as const, 'task' as const, 'filter' as const),
  framework: fc.nat(4),
  cpus: fc.integer({ min: 0, max: 3000 }).map((milli) => milli / 1000),
  memMiB: fc.integer({ min: 0, max: 1500 }),
  ageSeconds: fc.integer({ min: 0, max: 70 }),
  because: fc.constantFrom('declined' as const, 'expired' as const),
});

const nodeShape = fc.record({
  cpus: fc.integer({ min: 0, max: 8 }),
  memMiB: fc.integer({ min: 0, max: 4000 }),
  gpus: fc.constantFrom(0, 0, 0, 2),
  slots: fc.constantFrom(0, 0, 3),
  ports: fc.constantFrom(0, 5),
  eligible: fc.constantFrom(true, true, true, false),
  dead: fc.constantFrom(false, false, false, false, true),
  reserved: fc.option(fc.record({ role: rolePath, cpus: fc.nat(2), memMiB: fc.nat(500) }), { nil: null }),
  standing: fc.array(standing, { maxLength: 3 }),
});

type NodeShape = typeof nodeShape extends fc.Arbitrary<infer T> ? T : never;

const jobShape = fc.record({
  role: rolePath,
  count: fc.integer({ min: 1, max: 4 }),
  cpus: fc.integer({ min: 1, max: 3000 }).map((milli) => milli / 1000),
  memMiB: fc.integer({ min: 1, max: 900 }),
});

export type Market = Required<
  Pick<
    ClusterLiteral,
    'nodes' | 'ledgers' | 'jobs' | 'tasks' | 'frameworks' | 'roles' | 'dead' | 'settings' | 'disconnected'
  >
>;

export const arbitraryMarket: fc.Arbitrary<Market> = fc
  .record({
    shapes: fc.array(nodeShape, { maxLength: 5 }),
    frameworks: fc.array(framework, { maxLength: 5 }),
    roles: fc.uniqueArray(role, { maxLength: 4, selector: ({ path }) => path }),
    jobs: fc.array(jobShape, { maxLength: 3 }),
    gpuNodes: fc.constantFrom('restricted' as const, 'preferred' as const, 'unrestricted' as const),
    away: fc.constantFrom(null, null, null, 0),
  })
  .map(({ shapes, frameworks: bare, roles, jobs: jobShapes, gpuNodes, away }) => {
    const frameworks = bare.map((one, at) => ({ ...one, id: frameworkId(at) }));
    const jobs = jobShapes.map(({ role: path, count, cpus, memMiB }, at) =>
      aJob({ spec: { name: `job${at}`, role: path, groups: [aGroup({ count, resources: { cpus, memMiB } })] } }),
    );
    const pending = jobs.flatMap((job) =>
      Array.from({ length: job.spec.groups[0]?.count ?? 0 }, (_, index) => aTask(job, { index })),
    );
    const old = aJob({ spec: { name: 'old' } });
    const built = shapes.map((shape, at) => ledgerOf(shape, { id: `n${at}`, frameworks, old }));
    return {
      nodes: built.map(({ ledger }) => aNode({ id: ledger.node, resources: ledger.total, attributes: zoneOf(ledger) })),
      ledgers: built.map(({ ledger }) => ledger),
      dead: built.flatMap(({ ledger }, at) => (shapes[at]?.dead === true ? [ledger.node] : [])),
      jobs: [...jobs, old],
      tasks: [...pending, ...built.flatMap(({ tasks }) => tasks)],
      frameworks,
      roles,
      settings: { gpuNodes },
      disconnected: away === null || frameworks[away] === undefined ? [] : [frameworks[away].id],
    };
  });

/** An odd one out is in none. */
function zoneOf({ node, total }: Ledger): Record<string, string> {
  if (total.custom['slots'] !== undefined) return {};
  return { zone: Number(node.slice(1)) % 2 === 0 ? 'a' : 'b' };
}

function ledgerOf(
  shape: NodeShape,
  { id, frameworks, old }: { id: string; frameworks: readonly Framework[]; old: ReturnType<typeof aJob> },
) {
  const { cpus, memMiB, gpus, slots, ports, eligible, reserved } = shape;
  const total = someResources({
    cpus,
    memMiB,
    diskMiB: 0,
    gpus,
    custom: slots === 0 ? {} : { slots },
    ports: ports === 0 ? [] : [{ first: 31_000, last: 31_000 + ports - 1 }],
  });
  const reservations: Reservation[] = [];
  if (reserved !== null && reserved.cpus <= cpus && reserved.memMiB <= memMiB) {
    const scalars = { ...NO_SCALARS, cpus: reserved.cpus, memMiB: reserved.memMiB };
    reservations.push(aReservation({ id: `r-${id}`, role: reserved.role, scalars }));
  }
  const tasks: ReturnType<typeof aTask>[] = [];
  let ledger: Ledger = aLedger({ node: id, total, eligible, reservations });
  for (const [at, one] of shape.standing.entries()) {
    const owner = frameworks[one.framework];
    if (owner === undefined) continue;
    const [path = 'a'] = owner.roles;
    const resources = someResources({ cpus: one.cpus, memMiB: one.memMiB, diskMiB: 0, ports: [] });
    if (one.kind === 'filter') {
      ledger = { ...ledger, filters: [...ledger.filters, filterOf(owner, { path, resources, because: one.because })] };
      continue;
    }
    const free = freeResources(ledger);
    if (one.cpus > free.cpus || one.memMiB > free.memMiB) continue;
    if (one.kind === 'offer') {
      const madeAtMs = T0 - one.ageSeconds * 1000;
      const offer = anOffer({ id: `1-0-${at}${id.slice(1)}`, framework: owner.id, role: path, resources, madeAtMs });
      ledger = { ...ledger, offers: { ...ledger.offers, [offer.id]: { ...offer, expiresAtMs: madeAtMs + 60_000 } } };
      continue;
    }
    const task = aTask(old, { index: at, state: 'running', node: id, id: `task-${id}-${at}`, role: path });
    tasks.push(task);
    ledger = {
      ...ledger,
      entries: { ...ledger.entries, [task.id]: anEntry(old, task, { resources, framework: owner.id }) },
    };
  }
  return { ledger, tasks };
}

function filterOf(
  { id }: Framework,
  { path, resources, because }: { path: string; resources: OfferFilter['refused']; because: OfferFilter['because'] },
): OfferFilter {
  const ends = { sinceMs: T0 - 1000, untilMs: T0 + 4000, times: 1 };
  return { framework: id, role: path, generation: 0, offer: '1-1-77', refused: resources, because, ...ends };
}

/** Nodes and frameworks that have nothing yet, and nothing that keeps any of them from anything: what differs are sizes and weights. */
export const evenMarket: fc.Arbitrary<Required<Pick<ClusterLiteral, 'nodes' | 'frameworks' | 'roles'>>> = fc
  .record({
    sizes: fc.array(fc.record({ cpus: fc.integer({ min: 1, max: 16 }), memMiB: fc.integer({ min: 100, max: 9000 }) }), {
      minLength: 1,
      maxLength: 8,
    }),
    weights: fc.array(fc.constantFrom(1, 1, 2, 3, 0.5), { minLength: 1, maxLength: 6 }),
  })
  .map(({ sizes, weights }) => ({
    nodes: sizes.map(({ cpus, memMiB }, at) =>
      aNode({ id: `n${at}`, resources: someResources({ cpus, memMiB, diskMiB: 0 }) }),
    ),
    frameworks: weights.map((_, at) => aFramework({ id: frameworkId(at), roles: [`r${at}`] })),
    roles: weights.map((weight, at) => aRole(`r${at}`, { weight })),
  }));
