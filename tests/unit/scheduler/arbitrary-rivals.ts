/**
 * Clusters in which jobs and frameworks of roles at several levels compete, and nothing but their shares decides who gets what: no
 * limit, guarantee, reservation or filter binds. What differs are weights, sizes, and what everybody holds already. For properties.
 */
import fc from 'fast-check';
import { freeResources, type Ledger } from '../../../shared/domain/ledger.ts';
import { missingScalars } from '../../../shared/domain/resources.ts';
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
  someResources,
  T0,
} from '../../support/builders.ts';

/** Three levels deep, with roles that have clients of their own beside those below them. */
const RIVAL_ROLES = ['a', 'a/x', 'a/x/p', 'a/y', 'b', 'b/z', 'c'] as const;

const rolePath = fc.constantFrom(...RIVAL_ROLES);
const milli = (max: number) => fc.integer({ min: 1, max: max * 1000 }).map((amount) => amount / 1000);

/** Some hungry for cores, some for memory. */
const size = fc.oneof(
  fc.record({ cpus: milli(4), memMiB: fc.integer({ min: 1, max: 4000 }) }),
  fc.record({ cpus: milli(4), memMiB: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ cpus: milli(0.2), memMiB: fc.integer({ min: 500, max: 4000 }) }),
  fc.constantFrom({ cpus: 1, memMiB: 1000 }, { cpus: 2, memMiB: 1000 }, { cpus: 1, memMiB: 2000 }),
);

const nodeSize = fc.oneof(
  fc.record({ cpus: milli(12), memMiB: fc.integer({ min: 100, max: 12_000 }) }),
  fc.constantFrom({ cpus: 4, memMiB: 4000 }, { cpus: 8, memMiB: 8000 }, { cpus: 2, memMiB: 8000 }),
);

const jobShape = fc.record({ role: rolePath, count: fc.integer({ min: 1, max: 8 }), size });

const frameworkShape = fc.record({
  roles: fc.uniqueArray(rolePath, { minLength: 1, maxLength: 2 }),
  least: fc.constantFrom(null, null, [], [{ cpus: 1 }], [{ memMiB: 700, cpus: 0.5 }, { cpus: 3 }]),
});

/** What somebody holds already: a task of a job or of a framework, or an offer. */
const holdingShape = fc.record({
  node: fc.nat(4),
  kind: fc.constantFrom('task' as const, 'task' as const, 'offer' as const),
  role: rolePath,
  framework: fc.nat(3),
  size,
});

type Shapes = typeof shapes extends fc.Arbitrary<infer S> ? S : never;
const shapes = fc.record({
  nodes: fc.array(nodeSize, { minLength: 1, maxLength: 5 }),
  weights: fc.uniqueArray(fc.record({ path: rolePath, weight: fc.constantFrom(0.1, 0.5, 1, 2, 3) }), {
    maxLength: RIVAL_ROLES.length,
    selector: ({ path }) => path,
  }),
  jobs: fc.array(jobShape, { maxLength: 5 }),
  frameworks: fc.array(frameworkShape, { maxLength: 4 }),
  holdings: fc.array(holdingShape, { maxLength: 4 }),
});

export type Rivals = Required<Pick<ClusterLiteral, 'nodes' | 'ledgers' | 'jobs' | 'tasks' | 'frameworks' | 'roles'>>;

export const arbitraryRivals: fc.Arbitrary<Rivals> = shapes.map((all) => {
  const frameworks = all.frameworks.map(({ roles, least }, at) =>
    aFramework({
      id: `f00000000000${at}`,
      roles,
      minAllocatable: least === null ? {} : Object.fromEntries(roles.map((path) => [path, least])),
    }),
  );
  const jobs = all.jobs.map(({ role, count, size: resources }, at) =>
    aJob({ spec: { name: `job${at}`, role, groups: [aGroup({ count, resources })] } }),
  );
  const pending = jobs.flatMap((job) =>
    Array.from({ length: job.spec.groups[0]?.count ?? 0 }, (_, index) => aTask(job, { index })),
  );
  const nodes = all.nodes.map((amounts, at) =>
    aNode({ id: `n${at}`, resources: someResources({ ...amounts, diskMiB: 0, ports: [] }) }),
  );
  const old = aJob({ spec: { name: 'old' } });
  const held = nodes.map(({ id, resources }, at) => {
    const there = all.holdings.map((holding, index) => ({ ...holding, index })).filter(({ node }) => node === at);
    const bare: Held = { ledger: aLedger({ node: id, total: resources }), tasks: [] };
    return there.reduce((before, holding) => heldWith(before, { holding, frameworks, old }), bare);
  });
  return {
    nodes,
    ledgers: held.map(({ ledger }) => ledger),
    jobs: [...jobs, old],
    tasks: [...pending, ...held.flatMap(({ tasks }) => tasks)],
    frameworks,
    roles: all.weights.map(({ path, weight }) => aRole(path, { weight })),
  };
});

interface Held {
  readonly ledger: Ledger;
  readonly tasks: readonly ReturnType<typeof aTask>[];
}

interface Holder {
  readonly holding: Shapes['holdings'][number] & { readonly index: number };
  readonly frameworks: Rivals['frameworks'];
  readonly old: ReturnType<typeof aJob>;
}

/** As before where there is no room for it. */
function heldWith(before: Held, { holding, frameworks, old }: Holder): Held {
  const { ledger, tasks } = before;
  const { index } = holding;
  const resources = someResources({ ...holding.size, diskMiB: 0, ports: [] });
  if (missingScalars(resources, freeResources(ledger)).length > 0) return before;
  const owner = frameworks[holding.framework];
  if (holding.kind === 'task') {
    const role = owner?.roles[0] ?? holding.role;
    const task = aTask(old, { index, state: 'running', node: ledger.node, id: `old-${index}`, role });
    const entry = anEntry(old, task, { resources, framework: owner?.id ?? null });
    return { ledger: { ...ledger, entries: { ...ledger.entries, [task.id]: entry } }, tasks: [...tasks, task] };
  }
  if (owner === undefined) return before;
  const id = `1-0-${index}`;
  const offer = anOffer({ id, framework: owner.id, role: owner.roles[0] ?? '', resources, madeAtMs: T0 - index });
  return { ledger: { ...ledger, offers: { ...ledger.offers, [id]: offer } }, tasks };
}
