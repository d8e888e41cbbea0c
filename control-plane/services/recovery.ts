/**
 * What an operator does after the store was restored from an older snapshot. The incarnation rises, and with it everybody can
 * tell that lower revisions are meant: sessions are over, so agents join anew and say what they run before they follow the
 * state again, and clients hear that what they saw belongs to a history that is no more.
 */
import type { RecoveryView } from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { demand } from './access.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { mutate } from './mutation.ts';

/** How long the answer waits for this replica to show what it tells of. */
const CATCH_UP_MS = 2000;

/** Begins a new incarnation. Answers once this replica lives in it. */
export async function recoverCluster(ctx: ServiceContext, call: Call): Promise<Answer<RecoveryView>> {
  demand(call.principal, 'cluster:recover', null);
  const answer = await mutate(ctx, call, () => {
    const { snapshot } = ctx.mirror;
    const before = present(snapshot.cluster, 'the cluster record');
    const incarnation = nextIncarnation(snapshot, ctx.clock.now());
    const after = { ...before, incarnation, recoveredAtMs: ctx.clock.now() };
    return {
      status: 200,
      body: { cluster: before.id, incarnation, nodes: snapshot.nodes.size },
      compares: [{ key: keys.cluster, modRevision: snapshot.modRevision(keys.cluster) }],
      writes: [putRecord('cluster', keys.cluster, after)],
    };
  });
  const { incarnation, nodes } = answer.body;
  if (!answer.replayed) {
    ctx.log.warn({ incarnation, nodes, by: call.principal.subject }, 'the cluster was recovered; all nodes join anew');
  }
  await ctx.mirror.waitFor(answer.revision, { timeoutMs: CATCH_UP_MS });
  return answer;
}

/**
 * The time in seconds, or one more than any incarnation that is known of. A state that is restored a second time may know
 * nothing of the first recovery; the time tells the two apart all the same.
 */
function nextIncarnation(snapshot: Snapshot, nowMs: number): number {
  const seen = [...snapshot.epochs.values()].map(({ ahead }) => ahead?.incarnation ?? 0);
  const known = seen.reduce((a, b) => Math.max(a, b), snapshot.incarnation);
  return Math.max(known + 1, Math.floor(nowMs / 1000));
}
