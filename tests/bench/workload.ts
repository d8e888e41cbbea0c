/** What is run: the same container, asked for through Berth and asked for from the engine itself. */
import { hostname } from 'node:os';
import { containerOptions, LABELS } from '../../node-agent/adapters/docker/container-options.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import { type JobSpecInput, jobSpecSchema } from '../../shared/protocol/job.ts';
import type { Network } from './arguments.ts';
import { BENCH_NODE } from './cluster.ts';
import type { ContainerBody, Engine } from './engine.ts';

export const IMAGE = 'berth/busybox:local';

/** The node's name in the labels of containers that the benchmark makes itself: no agent takes them for its own. */
const BARE_NODE = 'berth-bench-bare';

export interface Workload {
  readonly name: string;
  readonly network: Network;
  readonly count: number;
}

/** Sleepers with limits. As the first process of a container, `sleep` ignores SIGTERM, so they are killed at once. */
export function jobOf({ name, network, count }: Workload): JobSpecInput {
  const resources = { cpus: 0.5, memMiB: 64 };
  const command = ['sleep', '3600'];
  return { name, groups: [{ count, image: IMAGE, command, network, resources, killGraceSeconds: 0 }] };
}

/** What the agent would send to the engine for the tasks of that job. */
export function containersOf(workload: Workload): ContainerBody[] {
  const spec = jobSpecSchema.parse(jobOf(workload));
  return spec.groups.flatMap((group) =>
    Array.from({ length: group.count }, (_, index) => {
      const assigned: AssignedTask = {
        ...{ id: `${spec.name}-${index}`, jobUid: 'bench', jobName: spec.name, jobVersion: 1, role: spec.role },
        ...{
          groupName: group.name,
          index,
          attempt: 0,
          run: 0,
          group,
          ports: {},
          stopAfterDisconnectMs: null,
          stop: null,
          disowned: false,
        },
        state: 'staging',
      };
      const owner = { nodeId: BARE_NODE, hostname: hostname() };
      const options = containerOptions(owner, { assigned, epoch: 1, run: 0, mountSources: new Map() });
      return { ...options, name: `${BARE_NODE}-${assigned.id}` };
    }),
  );
}

/** The container of a task that Berth runs. */
export async function containerOfTask(engine: Engine, task: string): Promise<string> {
  const [id] = await engine.withLabel(`${LABELS.task}=${task}`);
  if (id === undefined) throw new Error(`the engine has no container for task ${task}`);
  return id;
}

/** Removes whatever this or an earlier run has left at the engine. */
export async function removeContainers(engine: Engine): Promise<void> {
  for (const node of [BENCH_NODE, BARE_NODE]) await engine.remove(await engine.withLabel(`${LABELS.node}=${node}`));
}
