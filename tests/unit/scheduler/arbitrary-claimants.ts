/** Clusters in which tasks want the places of others, by guarantees and by priorities: many of them in vain. For properties. */
import fc from 'fast-check';
import type { Job } from '../../../shared/domain/job.ts';
import { addEntries, freeResources, type Ledger, markStop } from '../../../shared/domain/ledger.ts';
import { hasPort, missingScalars, NO_SCALARS } from '../../../shared/domain/resources.ts';
import type { Role } from '../../../shared/domain/role.ts';
import type { Task } from '../../../shared/domain/task.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aReservation,
  aRole,
  aTask,
  someResources,
  T0,
} from '../../support/builders.ts';
import type { Market } from './arbitrary-market.ts';

const ROLES = ['a', 'a/x', 'b', 'c'] as const;
const PORT = 31_001;

/** The same ones in each cluster, so that parts of one can stand in another. */
const JOBS: readonly Job[] = ROLES.flatMap((role, at) =>
  [
    { name: 'low', priority: 10, cpus: 1, memMiB: 100 },
    { name: 'mid', priority: 50, cpus: 0.5 + at / 2, memMiB: 300 },
    { name: 'high', priority: 90, cpus: 2, memMiB: 200, zone: true, port: true },
    { name: 'large', priority: 90, cpus: 3, memMiB: 100 },
  ].map(({ name, priority, cpus, memMiB, ...some }) => {
    const ports = 'port' in some ? [{ name: 'p', hostPort: PORT, protocol: 'tcp' as const }] : [];
    const constraints = 'zone' in some ? [{ attribute: 'zone', operator: '=' as const, value: 'z1' }] : [];
    const group = aGroup({ count: 9, resources: { cpus, memMiB }, ports, constraints });
    return aJob({ spec: { name: `${role.replace('/', '')}-${name}`, role, priority, groups: [group] } });
  }),
);
const jobAt = fc.nat(JOBS.length - 1);
const wantedAt = fc.oneof(jobAt, fc.constantFrom(...JOBS.flatMap(({ spec }, at) => (spec.priority < 90 ? [] : at))));

const amount = fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined, freq: 2 });

const role: fc.Arbitrary<Role> = fc
  .record({ path: fc.constantFrom(...ROLES), guarantee: amount, limit: amount, memory: fc.boolean() })
  .map(({ path, guarantee, limit, memory }) =>
    aRole(path, {
      limit: limit === undefined ? {} : { cpus: limit + (guarantee ?? 0) },
      guarantee: guarantee === undefined ? {} : { cpus: guarantee, ...(memory ? { memMiB: guarantee * 100 } : {}) },
    }),
  );

const nodeShape = fc.record({
  cpus: fc.integer({ min: 1, max: 5 }),
  memMiB: fc.constantFrom(200, 600, 1000),
  zone: fc.constantFrom('z1', 'z2'),
  gpus: fc.constantFrom(0, 0, 0, 1),
  closed: fc.constantFrom(false, false, false, false, true),
  reserved: fc.constantFrom(null, null, null, ...ROLES),
  tasks: fc.array(
    fc.record({ job: jobAt, ageSeconds: fc.nat(90), ending: fc.constantFrom(false, false, false, true) }),
    { minLength: 2, maxLength: 6 },
  ),
});

type NodeShape = typeof nodeShape extends fc.Arbitrary<infer T> ? T : never;

export const arbitraryClaimants: fc.Arbitrary<Market> = fc
  .record({
    shapes: fc.array(nodeShape, { minLength: 1, maxLength: 5 }),
    roles: fc.uniqueArray(role, { maxLength: 4, selector: ({ path }) => path }),
    waiting: fc.array(wantedAt, { minLength: 1, maxLength: 6 }),
  })
  .map(({ shapes, roles, waiting }) => {
    const built = shapes.map((shape, at) => nodeOf(shape, `n${at}`));
    const pending = waiting.map((at, index) => aTask(jobOf(at), { index }));
    return {
      nodes: built.map(({ node }) => node),
      ledgers: built.map(({ ledger }) => ledger),
      dead: [],
      jobs: [...JOBS],
      tasks: [...pending, ...built.flatMap(({ tasks }) => tasks)],
      frameworks: [],
      roles,
      settings: {},
      disconnected: [],
    };
  });

function jobOf(at: number): Job {
  return JOBS[at] ?? aJob();
}

function nodeOf({ cpus, memMiB, zone, gpus, closed, reserved, tasks: shapes }: NodeShape, id: string) {
  const total = someResources({ cpus, memMiB, gpus });
  const scalars = { ...NO_SCALARS, cpus: 1, memMiB: 100 };
  const reservations = reserved === null ? [] : [aReservation({ id: `r-${id}`, role: reserved, scalars })];
  let ledger: Ledger = aLedger({ node: id, total, eligible: !closed, reservations });
  const tasks: Task[] = [];
  for (const [at, { job: place, ageSeconds, ending }] of shapes.entries()) {
    const job = jobOf(place);
    const [port] = job.spec.groups[0]?.ports ?? [];
    const atMs = T0 - ageSeconds * 1000;
    const ports = port === undefined ? {} : { [port.name]: PORT };
    const task = aTask(job, { id: `${id}-${at}`, index: at, state: 'running', node: id, ports, atMs });
    const entry = anEntry(job, task);
    const free = freeResources(ledger);
    if (missingScalars(entry.resources, free).length > 0 || (port !== undefined && !hasPort(free.ports, PORT)))
      continue;
    tasks.push(task);
    ledger = addEntries(ledger, [entry]);
    if (ending) ledger = markStop(ledger, task.id, { atMs: T0, graceMs: 0, reason: 'enough' });
  }
  return { node: aNode({ id, resources: total, attributes: { zone } }), ledger, tasks };
}
