/** Clusters of every shape that rounds have to cope with: small, crowded, half broken. For properties. */
import fc from 'fast-check';
import type { GroupSpec, Job } from '../../shared/domain/job.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { Node } from '../../shared/domain/node.ts';
import type { Task } from '../../shared/domain/task.ts';
import { aGroup, aJob, aLedger, aNode, anEntry, aTask, type ClusterLiteral, someResources, T0 } from './builders.ts';

const FIRST_PORT = 31_000;
/** Few, so that tasks compete for them. */
const PORTS = 6;

const thousandths = (max: number) => fc.integer({ min: 0, max: max * 1000 }).map((milli) => milli / 1000);
const port = fc.integer({ min: FIRST_PORT, max: FIRST_PORT + PORTS });

const group: fc.Arbitrary<GroupSpec> = fc
  .record({
    cpus: thousandths(2),
    memMiB: fc.integer({ min: 1, max: 600 }),
    gpus: fc.constantFrom(0, 0, 1),
    slots: fc.constantFrom(0, 0.1, 0.2),
    anyPorts: fc.integer({ min: 0, max: 2 }),
    fixedPort: fc.option(port, { nil: undefined, freq: 4 }),
    zone: fc.constantFrom(undefined, undefined, 'a', 'b'),
    privileged: fc.constantFrom(false, false, false, true),
  })
  .map(({ cpus, memMiB, gpus, slots, anyPorts, fixedPort, zone, privileged }) => {
    const fixed = fixedPort === undefined ? [] : [{ name: 'fixed', hostPort: fixedPort, protocol: 'tcp' as const }];
    const any = Array.from({ length: anyPorts }, (_, place) => ({ name: `p${place}`, protocol: 'tcp' as const }));
    return aGroup({
      resources: { cpus, memMiB, gpus, custom: slots === 0 ? {} : { slots } },
      ports: [...any, ...fixed],
      constraints: zone === undefined ? [] : [{ attribute: 'zone', operator: '=', value: zone }],
      privileged,
    });
  });

interface NodeShape {
  readonly node: Node;
  readonly ledger: Ledger;
  readonly dead: boolean;
}

const nodeShape: fc.Arbitrary<NodeShape> = fc
  .record({
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    cpus: thousandths(4),
    memMiB: fc.integer({ min: 0, max: 1500 }),
    gpus: fc.integer({ min: 0, max: 2 }),
    slots: fc.constantFrom(0, 0.3, 1),
    ports: fc.integer({ min: 0, max: PORTS }),
    zone: fc.constantFrom('a', 'b'),
    privileged: fc.boolean(),
    eligible: fc.constantFrom(true, true, true, false),
    draining: fc.constantFrom(false, false, false, true),
    dead: fc.constantFrom(false, false, false, true),
  })
  .map(({ id, cpus, memMiB, gpus, slots, ports, zone, privileged, eligible, draining, dead }) => {
    const resources = someResources({
      cpus,
      memMiB,
      gpus,
      custom: slots === 0 ? {} : { slots },
      ports: ports === 0 ? [] : [{ first: FIRST_PORT, last: FIRST_PORT + ports - 1 }],
    });
    const node = aNode({ id, resources, attributes: { zone } });
    const drain = draining ? { startedAtMs: T0, deadlineMs: null, by: 'bob' } : null;
    return {
      node: { ...node, consent: { ...node.consent, privileged } },
      ledger: aLedger({ node: id, total: resources, eligible, drain }),
      dead,
    };
  });

interface JobShape {
  readonly job: Job;
  readonly tasks: readonly Task[];
}

const jobShape: fc.Arbitrary<JobShape> = fc
  .record({
    name: fc.stringMatching(/^[a-z]{1,4}$/),
    group,
    count: fc.integer({ min: 1, max: 4 }),
    priority: fc.constantFrom(10, 50),
    placement: fc.constantFrom('pack', 'spread'),
    atMs: fc.constantFrom(T0, T0 + 1),
    waits: fc.constantFrom(false, false, false, true),
    stopped: fc.constantFrom(false, false, false, true),
  })
  .map(({ name, group: template, count, priority, placement, atMs, waits, stopped }) => {
    const job = aJob({
      spec: { name, priority, placement, groups: [{ ...template, count }] },
      stop: stopped ? { atMs: T0, by: 'alice', reason: 'enough' } : null,
    });
    const notBeforeMs = waits ? T0 + 60_000 : 0;
    return { job, tasks: Array.from({ length: count }, (_, index) => aTask(job, { index, atMs, notBeforeMs })) };
  });

/** What holds places already, which may be more than a node has, as when one of its devices has died. */
const holders = fc.array(
  fc.record({
    place: fc.nat(4),
    cpus: thousandths(1),
    port: fc.option(port, { nil: undefined }),
    state: fc.constantFrom<Task['state']>('running', 'finished', 'lost'),
    disowned: fc.boolean(),
  }),
  { maxLength: 6 },
);

export const arbitraryCluster: fc.Arbitrary<
  Required<Pick<ClusterLiteral, 'nodes' | 'ledgers' | 'jobs' | 'tasks' | 'dead'>>
> = fc
  .record({
    shapes: fc.uniqueArray(nodeShape, { maxLength: 5, selector: ({ node }) => node.id }),
    jobs: fc.uniqueArray(jobShape, { maxLength: 6, selector: ({ job }) => job.uid }),
    holders,
  })
  .map(({ shapes, jobs, holders: held }) => {
    const old = aJob({ spec: { name: 'holders' } });
    const holding = held.flatMap((shape, index) => {
      const node = shapes[shape.place]?.node.id;
      return node === undefined ? [] : [{ ...shape, node, task: aTask(old, { index, state: shape.state, node }) }];
    });
    const entriesOn = (node: string) =>
      holding
        .filter((holder) => holder.node === node)
        .map(({ task, cpus, port: taken, disowned }) => {
          const ports = taken === undefined ? [] : [{ first: taken, last: taken }];
          const resources = someResources({ cpus, memMiB: 10, diskMiB: 0, ports });
          return [task.id, anEntry(old, task, { resources, disowned })] as const;
        });
    return {
      nodes: shapes.map(({ node }) => node),
      ledgers: shapes.map(({ ledger }) => ({ ...ledger, entries: Object.fromEntries(entriesOn(ledger.node)) })),
      dead: shapes.filter(({ dead }) => dead).map(({ node }) => node.id),
      jobs: [...jobs.map(({ job }) => job), old],
      tasks: [...jobs.flatMap(({ tasks }) => tasks), ...holding.map(({ task }) => task)],
    };
  });
