/** 3. A round has one winner; a stale round commits nothing. */
import type { Transaction } from '../../../control-plane/store/contract.ts';
import { parseKey } from '../../../control-plane/store/keys.ts';
import type { Change } from '../../../control-plane/store/snapshot.ts';
import type { Commit } from '../faulty-store.ts';
import type { Revision } from '../truth.ts';
import { entryChanges, offerChanges, type Past } from './past.ts';
import { type Violation, violation } from './violation.ts';

export function checkRounds(revision: Revision, past: Past): Violation[] {
  return revision.changes.flatMap((change) => {
    if (change.kind === 'rounds') return checkClaim(change, past, revision.commit);
    if (revision.commit?.origin.framework !== undefined) return [];
    if (change.kind === 'ledger' && isRoundsWork(change)) return checkFence(change, past, revision.commit);
    return [];
  });
}

function checkClaim({ after }: Extract<Change, { kind: 'rounds' }>, past: Past, commit: Commit | null): Violation[] {
  const before = past.round?.number ?? 0;
  if (after === null) return [violation(3, 'the record of the current round is gone')];
  if (after.number !== before + 1) return [violation(3, `round ${after.number} was claimed after round ${before}`)];
  if (after.owner === commit?.origin.replica) return [];
  return [
    violation(3, `round ${after.number} was claimed for ${after.owner} by ${commit?.origin.replica ?? 'nobody'}`),
  ];
}

/** Places and offers are given by rounds alone, but for what frameworks make of their offers, and taken back by them unless they had been given up. */
function isRoundsWork(change: Extract<Change, { kind: 'ledger' }>): boolean {
  const { added, removed } = entryChanges(change);
  return (
    added.length > 0 ||
    offerChanges(change).added.length > 0 ||
    removed.some((task) => change.before?.entries[task]?.disowned === false)
  );
}

/** What a round commits was sent after its own claim; so nobody's claim, nor a later one of its own, lies in between. */
function checkFence(change: Extract<Change, { kind: 'ledger' }>, past: Past, commit: Commit | null): Violation[] {
  const { round } = past;
  const what = `a round of ${commit?.origin.replica ?? 'nobody'} changed the ledger of ${change.id}`;
  if (round === null || commit === null) return [violation(3, `${what} without any claim`)];
  if (commit.origin.replica !== round.owner) {
    return [violation(3, `${what}, though round ${round.number} is ${round.owner}'s`)];
  }
  if (commit.sentAtRevision >= round.revision) return [];
  return [violation(3, `${what} by what it had sent before it claimed round ${round.number}`)];
}

/** Whether a transaction claims a round. */
export function isClaim({ writes }: Pick<Transaction, 'writes'>): boolean {
  return writes.some(({ key }) => parseKey(key)?.[0] === 'rounds');
}
