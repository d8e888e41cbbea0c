/**
 * Frameworks of every temper beside jobs, in roles with weights and terms, on nodes of different sizes: what is played over many
 * rounds. For properties.
 */
import fc from 'fast-check';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import type { JobUid } from '../../../shared/domain/ids.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import {
  aFramework,
  aGroup,
  aJob,
  aLedger,
  aNode,
  aReservation,
  aRole,
  aTask,
  type ClusterLiteral,
  someResources,
} from '../../support/builders.ts';
import type { Model } from './model-frameworks.ts';

const ROLES = ['a', 'a/x', 'a/y', 'b', 'c'] as const;
const rolePath = fc.constantFrom(...ROLES);

const nodeShape = fc.record({
  cpus: fc.integer({ min: 1, max: 8 }),
  memMiB: fc.integer({ min: 5, max: 80 }).map((hundreds) => hundreds * 100),
  reserved: fc.option(
    fc.record({ role: rolePath, cpus: fc.integer({ min: 1, max: 2 }), memMiB: fc.constantFrom(0, 300) }),
    { nil: null, freq: 3 },
  ),
  zone: fc.constantFrom('a', 'a', 'b'),
});

const amounts = (min: number, max: number) =>
  fc.record(
    { cpus: fc.integer({ min, max }), memMiB: fc.integer({ min, max }).map((thousands) => thousands * 1000) },
    { requiredKeys: [] },
  );
const seldom = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, arbitrary);

const roleShape = fc.record({
  path: rolePath,
  weight: fc.constantFrom(0.5, 1, 1, 2, 3),
  limit: seldom(amounts(2, 12)),
  guarantee: seldom(amounts(1, 4)),
});

const size = fc.record({
  cpus: fc.constantFrom(0.5, 1, 1, 2, 4),
  memMiB: fc.constantFrom(100, 100, 500, 1000, 3000),
});

const frameworkShape = fc.record({
  role: rolePath,
  answers: fc.constantFrom('takes' as const, 'takes' as const, 'declines' as const, 'hoards' as const),
  task: size,
  wants: fc.integer({ min: 1, max: 6 }),
  /** Whether it asks for offers that hold a task of it at least. */
  asksForItsSize: fc.boolean(),
  refuseSeconds: fc.constantFrom(0, 1, 5, 60, 3600),
  zone: fc.constantFrom(null, null, null, 'a', 'b'),
});

const jobShape = fc.record({
  role: rolePath,
  count: fc.integer({ min: 1, max: 12 }),
  size,
  lifeSeconds: fc.constantFrom(null, 1, 7, 60),
});

/** Whoever wants something refuses what it can't use for so long, at least: in this time it has been offered every node once. */
export const REFUSE_SECONDS_MIN = 5;
export const OFFER_TIMEOUT_SECONDS = 10;
export const HOARDERS_MAX = 2;

const inZone = (value: string): Constraint => ({ attribute: 'zone', operator: '=', value });

export interface Contest {
  readonly literal: ClusterLiteral;
  readonly models: readonly Model[];
  readonly lifeMs: ReadonlyMap<JobUid, number>;
}

export const arbitraryContest: fc.Arbitrary<Contest> = fc
  .record({
    nodes: fc.array(nodeShape, { minLength: 1, maxLength: 5 }),
    roles: fc.uniqueArray(roleShape, { maxLength: 4, selector: ({ path }) => path }),
    frameworks: fc.array(frameworkShape, { minLength: 1, maxLength: 5 }),
    jobs: fc.array(jobShape, { maxLength: 3 }),
  })
  .map(({ nodes, roles, frameworks, jobs: shapes }) => {
    const models = frameworks
      .map(({ role, task, asksForItsSize, refuseSeconds, zone, ...rest }, at): Model => {
        const minAllocatable = asksForItsSize ? { [role]: [task] } : {};
        const nodeConstraints = zone === null ? {} : { [role]: [[inZone(zone)]] };
        const wishes = { roles: [role], minAllocatable, nodeConstraints };
        const framework = aFramework({ id: `f00000000000${at}`, name: `model${at}`, ...wishes });
        const least = rest.answers === 'takes' ? REFUSE_SECONDS_MIN : 0;
        return { ...rest, task, framework, refuseSeconds: Math.max(least, refuseSeconds) };
      })
      .filter(({ answers }, at, all) => {
        return answers !== 'hoards' || all.slice(0, at).filter((one) => one.answers === 'hoards').length < HOARDERS_MAX;
      });
    const jobs = shapes.map(({ role, count, size: resources }, at) =>
      aJob({ spec: { name: `job${at}`, role, groups: [aGroup({ count, resources })] } }),
    );
    const ledgers = nodes.map(({ cpus, memMiB, reserved }, at) => {
      const total = someResources({ cpus, memMiB, diskMiB: 0, ports: [] });
      const scalars = { ...NO_SCALARS, cpus: Math.min(cpus, reserved?.cpus ?? 0), memMiB: reserved?.memMiB ?? 0 };
      const reservations = reserved === null ? [] : [aReservation({ id: `r${at}`, role: reserved.role, scalars })];
      return aLedger({ node: `n${at}`, total, reservations });
    });
    return {
      literal: {
        nodes: ledgers.map(({ node: id, total }, at) => {
          return aNode({ id, resources: total, attributes: { zone: nodes[at]?.zone ?? '' } });
        }),
        ledgers,
        roles: roles.map(({ path, ...terms }) => aRole(path, terms)),
        frameworks: models.map(({ framework }) => framework),
        jobs,
        tasks: jobs.flatMap((job, at) =>
          Array.from({ length: shapes[at]?.count ?? 0 }, (_, index) => aTask(job, { index })),
        ),
        settings: { offerTimeoutSeconds: OFFER_TIMEOUT_SECONDS },
      },
      models,
      lifeMs: new Map(
        shapes.flatMap(({ lifeSeconds }, at) => {
          const uid = jobs[at]?.uid;
          return lifeSeconds === null || uid === undefined ? [] : [[uid, lifeSeconds * 1000] as const];
        }),
      ),
    };
  });
