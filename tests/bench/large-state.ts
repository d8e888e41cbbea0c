/** A large cluster at rest, on a memory store: nodes that hold tasks of Berth's own jobs and of frameworks of Mesos clients. */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { keys } from '../../control-plane/store/keys.ts';
import { putRecord } from '../../control-plane/store/records.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { Job } from '../../shared/domain/job.ts';
import type { Task } from '../../shared/domain/task.ts';
import { aFramework, aGroup, aJob, aLedger, aNode, anEntry, aTask, someResources, T0 } from '../support/builders.ts';
import { launchedTask } from '../support/frameworks.ts';

export const NODES = 2000;
export const TASKS = 20_000;
const TASKS_PER_JOB = 10;
const FRAMEWORKS = 5;
const LEASE_SECONDS = 3600;
const BATCH = 100;

const PORTS = [{ name: 'http', containerPort: 80, protocol: 'tcp' as const }];
const TASK_NOTES = {
  name: 'paint',
  labels: [{ key: 'team', value: 'art' }],
  discovery: { visibility: 'CLUSTER', name: 'paint' },
};

export async function largeState(): Promise<MemoryStore> {
  const store = new MemoryStore({ clock: new SystemClock() });
  const jobs = Array.from({ length: TASKS / 2 / TASKS_PER_JOB }, (_, at) => jobOf(at));
  const frameworks = Array.from({ length: FRAMEWORKS }, (_, at) => frameworkOf(at));
  const tasks = Array.from({ length: TASKS }, (_, at) => taskOf(at, jobs, frameworks));
  const byNode = Map.groupBy(tasks, ({ node }) => node ?? '');
  const lease = await store.grantLease(LEASE_SECONDS);
  const writes = [
    ...jobs.flatMap((job) => {
      const version = {
        jobUid: job.uid,
        version: 1,
        spec: job.spec,
        createdAtMs: T0,
        createdBy: 'bench',
        change: 'created' as const,
        templates: {},
      };
      const key = keys.job({ role: job.spec.role, name: job.spec.name });
      return [putRecord('jobs', key, job), putRecord('versions', keys.version(job.uid, 1), version)];
    }),
    ...frameworks.map((framework) => putRecord('frameworks', keys.framework(framework.id), framework)),
    ...tasks.map((task) => putRecord('tasks', keys.task(task.id), task)),
    ...Array.from({ length: NODES }, (_, at) => nodeId(at)).flatMap((id) => {
      const resources = someResources({ cpus: 64, memMiB: 131_072 });
      const node = aNode({ id, resources, attributes: { ip: '10.0.0.1', rack: 'r1', zone: 'z1' } });
      const entries = (byNode.get(id) ?? []).map((task) =>
        anEntry(aJob(), task, { jobUid: task.jobUid, framework: task.framework?.id ?? null }),
      );
      return [
        putRecord('nodes', keys.node(id), node),
        putRecord('epochs', keys.epoch(id), { epoch: 1, unreachableSinceMs: null }),
        putRecord('alive', keys.alive(id), { epoch: 1 }, lease),
        putRecord('ledger', keys.ledger(id), aLedger({ node: id, total: resources, entries })),
      ];
    }),
  ];
  for (let from = 0; from < writes.length; from += BATCH) {
    await store.transact({ compares: [], writes: writes.slice(from, from + BATCH) });
  }
  return store;
}

export function nodeId(at: number): string {
  return `node-${at % NODES}`;
}

function jobOf(at: number): Job {
  const groups = [aGroup({ count: TASKS_PER_JOB, ports: PORTS })];
  return aJob({ spec: { name: `job-${at}`, labels: { team: 'web', tier: 'front' }, groups } });
}

function frameworkOf(at: number): Framework {
  const info = { name: `Painter ${at}`, user: 'root', capabilities: [{ type: 'PARTITION_AWARE' }] };
  return aFramework({
    id: `f00000000000${at}`,
    name: `painter-${at}`,
    annotations: { mesos: JSON.stringify({ info, roles: { default: '*' } }) },
  });
}

/** Half of them of jobs. */
function taskOf(at: number, jobs: readonly Job[], frameworks: readonly Framework[]): Task {
  const [place, job] = [Math.floor(at / 2), jobs[Math.floor(at / 2 / TASKS_PER_JOB)]];
  const placed = { state: 'running' as const, node: nodeId(at), ports: { http: 31_000 + (at % 900) } };
  if (at % 2 === 0 && job !== undefined) return aTask(job, { index: place % TASKS_PER_JOB, ...placed });
  const framework = frameworks[place % FRAMEWORKS] ?? aFramework();
  const task = launchedTask(framework.id, `paint-${at}`, placed);
  const annotations = { mesos: JSON.stringify(TASK_NOTES) };
  return { ...task, framework: { ...launchedBy(framework), name: `paint-${at}`, annotations } };
}

function launchedBy({ id }: Framework) {
  return { id, acknowledged: 2, labels: {}, together: null };
}
