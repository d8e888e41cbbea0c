/**
 * Who is admitted under a node's name. Pure. A node's agent shows with a stamp that it has the memory of the one that was here
 * last; a copy of that memory (a cloned disk, a restored backup) falls behind as soon as either of the two has registered, and an
 * empty one (a replaced disk) has no stamp at all. Which of two copies is the true one can't be told from stamps, so while the
 * holder of the session may still live, another process with the same memory has to wait and see whether it does.
 */
import { type Epoch, FIRST_INCARNATION } from '../../shared/domain/node.ts';
import type { AssignmentPosition, Stamp } from '../../shared/protocol/agent.ts';
import { isSameSecret } from '../../shared/util/same-secret.ts';

export interface Newcomer {
  /** Of the state. */
  readonly incarnation: number;
  /** The node's record as it stands; undefined for a node that the state doesn't know. */
  readonly before: Epoch | undefined;
  /** Whether the node's lease is held. */
  readonly isAlive: boolean;
  /** Whether it comes with a join token, rather than with the node's own. */
  readonly isJoin: boolean;
  readonly seen: AssignmentPosition | null;
  /** Whether it has seen more than the state has ever come to. */
  readonly isAhead: boolean;
  /** Undefined for an agent that knows of none. */
  readonly stamp: Stamp | undefined;
}

/**
 * `contested`: it has the memory, but its process isn't the one that holds the session, which may still live. `mismatch`: it hasn't
 * the memory. `gone`: it belongs to a machine that was declared gone.
 */
export type Admission = 'admitted' | 'contested' | 'mismatch' | 'gone';

export function admissionOf(newcomer: Newcomer): Admission {
  const { before, stamp, isAlive } = newcomer;
  if (before === undefined) return 'admitted';
  if (before.gone !== undefined) return newcomer.isJoin && isBlank(newcomer) ? 'admitted' : 'gone';
  const { holder, scrapped } = before;
  if (holder !== undefined && !isNextOf(holder.stamp, stamp)) {
    // First: its ledger was longer than that of its successor, which isn't because of a restore.
    if (scrapped !== undefined && isNextOf(scrapped, stamp)) return 'gone';
    if (!isFromLostHistory(newcomer, before)) return 'mismatch';
  }
  return isAlive && holder !== undefined && holder.instance !== stamp?.instance ? 'contested' : 'admitted';
}

/** What the record says of who holds the session from now on. */
export function holderOf({ before, stamp }: Pick<Newcomer, 'before' | 'stamp'>): Pick<Epoch, 'holder' | 'scrapped'> {
  const scrapped = before?.gone?.stamp ?? before?.scrapped;
  return {
    ...(stamp !== undefined && { holder: { stamp: stamp.next, instance: stamp.instance } }),
    ...(scrapped !== undefined && { scrapped }),
  };
}

/** An agent that remembers nothing of any cluster. */
function isBlank({ seen, stamp }: Newcomer): boolean {
  return seen === null && (stamp === undefined || stamp.last === null);
}

/** The step after the one that was accepted last, or that one again: the answer to it may have been lost. */
function isNextOf(accepted: string, stamp: Stamp | undefined): boolean {
  if (stamp === undefined) return false;
  return (stamp.last !== null && isSameSecret(stamp.last, accepted)) || isSameSecret(stamp.next, accepted);
}

/**
 * After a restore from an older snapshot the state knows an older stamp than every agent's. It shows in epochs that have gone
 * back, in a ledger that has, or in a recovery since. Each is so for one registration: it brings the record up to date.
 */
function isFromLostHistory({ incarnation, seen, stamp, isAhead }: Newcomer, before: Epoch): boolean {
  if (stamp === undefined) return false;
  const begunUnder = before.incarnation ?? FIRST_INCARNATION;
  if (begunUnder < incarnation) return seen !== null && seen.incarnation < incarnation;
  return stamp.epoch > before.epoch || (isAhead && before.ahead === undefined);
}
