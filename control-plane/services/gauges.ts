/** The cluster in numbers, for whoever watches over it. */
import type { GrantResource } from '../../shared/domain/grant-resource.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { JOB_STATES, type JobView, NODE_STATES, type NodeView, type TaskCounts } from '../../shared/protocol/views.ts';
import type { Principal } from '../auth/principal.ts';
import type { StoreSize } from '../store/room.ts';
import { demandAny, jobResource, mayRead, taskResource } from './access.ts';
import type { ServiceContext } from './context.ts';
import { countTasks, jobSummary, nodeState } from './views.ts';

/** Jobs and tasks are those of the roles that the token reaches: what others run is theirs to count. */
export interface Gauges {
  readonly nodes: Readonly<Record<NodeView['state'], number>>;
  readonly jobs: Readonly<Record<JobView['state'], number>>;
  readonly tasks: TaskCounts;
  readonly revision: number;
  /** The number of the last round. */
  readonly round: number;
  readonly replicas: number;
  /** Whether this replica is the one that usually runs rounds and passes. */
  readonly drives: boolean;
  /** Null while the store doesn't say. */
  readonly database: StoreSize | null;
  readonly quotaBytes: number;
}

export async function readGauges(ctx: ServiceContext, principal: Principal): Promise<Gauges> {
  demandAny(principal, 'metrics:read');
  const database = await databaseSize(ctx);
  const { snapshot } = ctx.mirror;
  const nodeStates = [...snapshot.nodes.values()].flatMap((node) => {
    const ledger = snapshot.ledgers.get(node.id);
    return ledger === undefined ? [] : [nodeState(snapshot, ledger)];
  });
  const may = (role: RolePath, resource: GrantResource) => mayRead(principal, 'metrics:read', role, resource);
  const jobStates = [...snapshot.jobs.values()]
    .filter(({ spec }) => may(spec.role, jobResource(spec.name)))
    .map((job) => jobSummary(snapshot, job).state);
  const tasks = [...snapshot.tasks.values()].filter((task) => may(task.role, taskResource(task)));
  return {
    nodes: countEach(NODE_STATES, nodeStates),
    jobs: countEach(JOB_STATES, jobStates),
    tasks: countTasks(tasks),
    revision: snapshot.revision,
    round: snapshot.round?.number ?? 0,
    replicas: snapshot.replicas.size,
    drives: snapshot.driver?.replica === ctx.replica.id,
    database,
    quotaBytes: ctx.room.quotaBytes,
  };
}

/** Whether this replica can serve: the store answers. Null when it does, else a sentence. */
export async function unreadiness(ctx: Pick<ServiceContext, 'store'>): Promise<string | null> {
  try {
    await ctx.store.status();
    return null;
  } catch {
    return 'the store does not answer';
  }
}

async function databaseSize({ room }: Pick<ServiceContext, 'room'>): Promise<StoreSize | null> {
  try {
    return await room.read();
  } catch {
    // A store that is away is seen by this metric's absence; the others are still worth reading.
    return null;
  }
}

function countEach<S extends string>(states: readonly S[], found: readonly S[]): Record<S, number> {
  const counts = Object.fromEntries(states.map((state) => [state, 0])) as Record<S, number>;
  for (const state of found) counts[state] += 1;
  return counts;
}
