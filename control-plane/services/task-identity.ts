/**
 * Hands the agent of a node the tokens that a task there has asked for about itself. What they say is read off the state: an agent names
 * a task, and neither its audience nor anything else; and only one that holds a place in its own node's ledger and has not ended.
 */
import { templateOf } from '../../shared/domain/cluster.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { TaskIdentityResponse } from '../../shared/protocol/agent.ts';
import { present } from '../../shared/util/assert.ts';
import type { KeyRing } from '../auth/keys.ts';
import { ownIssuer } from '../auth/tokens.ts';
import { mintWorkloadToken } from '../auth/workload-tokens.ts';
import type { ServiceContext } from './context.ts';
import { catchUp, checkEpoch, currentSession, type NodeSession } from './session-check.ts';

/** Throws `not-found` for a task that isn't the node's to run. */
export async function identityOfTask(
  ctx: ServiceContext,
  ring: KeyRing,
  session: NodeSession,
  id: TaskId,
): Promise<TaskIdentityResponse> {
  await currentSession(ctx, session);
  // That a task isn't there may only mean that this mirror is behind the replica that placed it.
  if (runningTask(ctx, session.node, id) === null) {
    await catchUp(ctx, session.node);
    checkEpoch(ctx, session);
  }
  const task = runningTask(ctx, session.node, id);
  if (task === null) {
    throw new Refusal('not-found', `node "${session.node}" runs no task "${id}", so it gets no tokens of one`);
  }
  const uses = templateOf(ctx.mirror.snapshot, task)?.group.identity ?? [];
  const cluster = present(ctx.mirror.snapshot.cluster, 'the cluster').id;
  const options = { issuer: workloadIssuer(ctx, cluster), ring, clock: ctx.clock, random: ctx.random };
  const { role, jobName: job, jobUid, group, framework } = task;
  const workload = {
    ...{ cluster, role, jobUid, group, task: id, node: session.node },
    job: framework === null ? job : null,
    framework: framework?.id ?? null,
  };
  return { tokens: await Promise.all(uses.map((use) => mintWorkloadToken(options, workload, use))) };
}

/** As others know it: a URL, where one is configured. */
export function workloadIssuer({ config }: Pick<ServiceContext, 'config'>, cluster: string): string {
  return config.issuerUrl ?? ownIssuer(cluster);
}

/** Also one that is being stopped: its last words may need a token. */
function runningTask({ mirror: { snapshot } }: ServiceContext, node: NodeId, id: TaskId): Task | null {
  const ledger = snapshot.ledgers.get(node);
  const entry = ledger !== undefined && Object.hasOwn(ledger.entries, id) ? ledger.entries[id] : undefined;
  const task = snapshot.tasks.get(id);
  if (entry === undefined || entry.disowned || task === undefined) return null;
  return task.node !== node || isTerminal(task.state) ? null : task;
}
