/**
 * The fence of everything that grows what a role uses. Whoever puts `rounds/current` last may commit, nobody else: a round that
 * was planned before finds its fence gone. Claimed by rounds, and by the changes that must not overlap with one.
 */
import type { Clock } from '../../shared/util/clock.ts';
import type { Compare, Store } from './contract.ts';
import { keys } from './keys.ts';
import type { Mirror } from './mirror.ts';
import { putRecord } from './records.ts';

export interface Claimant {
  readonly store: Store;
  readonly mirror: Mirror;
  readonly clock: Clock;
  readonly replica: { readonly id: string };
}

/** How long a claim may take to reach the mirror. */
const CATCH_UP_MS = 2000;

/**
 * Claims the next round. What is decided from the mirror from then on is decided from a state that is at or past the claim, and
 * is committed under the compare that comes back. Null: another claim came first, or has come since, or the mirror doesn't follow.
 */
export async function claimRound({ store, mirror, clock, replica }: Claimant): Promise<Compare | null> {
  const { snapshot } = mirror;
  const key = keys.currentRound;
  const claim = { number: (snapshot.round?.number ?? 0) + 1, owner: replica.id, claimedAtMs: clock.now() };
  const result = await store.transact({
    compares: [{ key, modRevision: snapshot.modRevision(key) }],
    writes: [putRecord('rounds', key, claim)],
  });
  const caughtUp = await mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
  if (!result.committed || !caughtUp) return null;
  // With another claim the mirror may show what was decided under that: the number of this one has been used by then.
  return mirror.snapshot.modRevision(key) === result.revision ? { key, modRevision: result.revision } : null;
}
