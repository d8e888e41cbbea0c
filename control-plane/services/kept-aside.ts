/**
 * What nodes keep aside: containers from a part of history that is lost. They run until somebody decides; to decide is to put
 * a stop request on record, which goes to the agent with its assignment, over restarts of either side.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { StopRequest } from '../../shared/domain/job.ts';
import { renewAssignment } from '../../shared/domain/ledger.ts';
import type { Epoch } from '../../shared/domain/node.ts';
import type { NodeView } from '../../shared/protocol/views.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { ledgerUnit } from '../store/units.ts';
import { demand } from './access.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { mutate } from './mutation.ts';
import { knownNode, nodeReader } from './nodes.ts';
import { nodeView } from './views.ts';

export interface KeptAsideChoice {
  /** Null: all that the node keeps aside by now. */
  readonly tasks: readonly TaskId[] | null;
  readonly reason: string;
}

/** Asks for the end of what the node keeps aside. What has been asked for before stays as it was. */
export async function stopKeptAside(
  ctx: ServiceContext,
  call: Call,
  id: NodeId,
  { tasks, reason }: KeptAsideChoice,
): Promise<Answer<NodeView>> {
  demand(call.principal, 'node:write', null);
  return mutate(ctx, call, () => {
    const { snapshot } = ctx.mirror;
    const { node, ledger } = knownNode(ctx, id);
    const before = snapshot.epochs.get(id) ?? { epoch: 0, unreachableSinceMs: null };
    const stop = { atMs: ctx.clock.now(), by: call.principal.subject, reason };
    const after = withStops(id, before, { tasks, stop });
    const epochKey = keys.epoch(id);
    const unit = after === before ? null : ledgerUnit(snapshot, ledger, renewAssignment(ledger));
    const body = nodeView(snapshot, { node, ledger }, nodeReader(ctx, call.principal), { epoch: after });
    if (unit === null) return { status: 200, body, compares: [], writes: [] };
    return {
      status: 200,
      body,
      compares: [...unit.compares, { key: epochKey, modRevision: snapshot.modRevision(epochKey) }],
      writes: [...unit.writes, putRecord('epochs', epochKey, after)],
    };
  });
}

/** The same record where nothing changes. Throws a Refusal for what the node doesn't keep aside. */
function withStops(
  node: NodeId,
  epoch: Epoch,
  { tasks, stop }: { tasks: readonly TaskId[] | null; stop: StopRequest },
): Epoch {
  const { keptAside = [] } = epoch;
  if (epoch.ahead !== undefined) {
    throw new Refusal(
      'conflict',
      `node "${node}" has seen a later state than this one and follows nothing that is decided here; recover the cluster first: berth cluster recover`,
    );
  }
  const unknown = tasks?.find((task) => !keptAside.some((one) => one.task === task));
  if (unknown !== undefined) throw new Refusal('not-found', `node "${node}" keeps no task "${unknown}" aside`);
  const isMeant = (task: TaskId) => tasks === null || tasks.includes(task);
  if (!keptAside.some((one) => one.stop === null && isMeant(one.task))) return epoch;
  return {
    ...epoch,
    keptAside: keptAside.map((one) => (isMeant(one.task) ? { ...one, stop: one.stop ?? stop } : one)),
  };
}
