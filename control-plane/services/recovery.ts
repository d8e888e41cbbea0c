/**
 * What an operator does after the store was restored from an older snapshot. The incarnation rises, and with it everybody can
 * tell that lower revisions are meant: sessions are over, so agents join anew and say what they run before they follow the
 * state again, and clients forget what they saw of the history that is no more.
 */
import { FIRST_INCARNATION } from '../../shared/domain/node.ts';
import type { RecoveryView } from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { demand } from './access.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { mutate } from './mutation.ts';

/** Raises the incarnation above every one that any agent has seen. */
export async function recoverCluster(ctx: ServiceContext, call: Call): Promise<Answer<RecoveryView>> {
  demand(call.principal, 'cluster:recover', null);
  return mutate(ctx, call, () => {
    const { snapshot } = ctx.mirror;
    const before = present(snapshot.cluster, 'the cluster record');
    const incarnation = highestIncarnation(snapshot) + 1;
    const after = { ...before, incarnation, recoveredAtMs: ctx.clock.now() };
    return {
      status: 200,
      body: { cluster: before.id, incarnation, nodes: snapshot.nodes.size },
      compares: [{ key: keys.cluster, modRevision: snapshot.modRevision(keys.cluster) }],
      writes: [putRecord('cluster', keys.cluster, after)],
    };
  });
}

function highestIncarnation(snapshot: Snapshot): number {
  const seen = [...snapshot.epochs.values()].map(({ ahead }) => ahead?.incarnation ?? FIRST_INCARNATION);
  return seen.reduce((a, b) => Math.max(a, b), snapshot.incarnation);
}
