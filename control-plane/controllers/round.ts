/**
 * Runs one round of the allocator: claims it, plans on a state that is at or past the claim, and commits the plan under the
 * claim as a fence. Whoever stalls between claim and commit finds the fence gone and commits nothing; a plan whose commit
 * was cut off half-way is planned again, and what did land is no longer pending.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import type { RoundPlan } from '../scheduler/plan.ts';
import { planRound } from '../scheduler/round.ts';
import { type Compare, TRANSACTION_COMPARES_MAX } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { packTransactions } from '../store/transact.ts';
import { type NodeRound, roundUnit } from '../store/units.ts';
import type { ControllerContext } from './context.ts';

/** How long a round waits for its own claim to reach the mirror. */
const CATCH_UP_MS = 2000;

/** Leaves room in a transaction for the fence, the ledger and the record of the operation. */
const UNIT_COMPARES_MAX = TRANSACTION_COMPARES_MAX - 4;

export interface RoundOutcome {
  readonly placed: number;
  readonly swept: number;
  /** Something was lost to others or left for the next round: run one at once. */
  readonly again: boolean;
  /** When the next task becomes placeable, if nothing changes before. */
  readonly wakeAtMs: number | null;
}

/** Runs a round if there is anything to do. Throws StoreUnavailableError. */
export async function runRound(ctx: ControllerContext): Promise<RoundOutcome> {
  const forecast = plan(ctx);
  if (isEmpty(forecast)) return { placed: 0, swept: 0, again: false, wakeAtMs: forecast.wakeAtMs };
  const fence = await claimRound(ctx);
  if (fence === null) return { placed: 0, swept: 0, again: true, wakeAtMs: null };
  return commitRound(ctx, fence);
}

function plan(ctx: ControllerContext): RoundPlan {
  return planRound({ cluster: ctx.mirror.snapshot, nowMs: ctx.clock.now() });
}

function isEmpty({ sweeps, placements }: RoundPlan): boolean {
  return sweeps.length === 0 && placements.length === 0;
}

/** Null: another replica claimed one at the same time, or the mirror doesn't follow. */
async function claimRound(ctx: ControllerContext): Promise<Compare | null> {
  const { snapshot } = ctx.mirror;
  const key = keys.currentRound;
  const claim = { number: (snapshot.round?.number ?? 0) + 1, owner: ctx.replica.id, claimedAtMs: ctx.clock.now() };
  const result = await ctx.store.transact({
    compares: [{ key, modRevision: snapshot.modRevision(key) }],
    writes: [putRecord('rounds', key, claim)],
  });
  const caughtUp = await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
  return result.committed && caughtUp ? { key, modRevision: result.revision } : null;
}

async function commitRound(ctx: ControllerContext, fence: Compare): Promise<RoundOutcome> {
  const { snapshot } = ctx.mirror;
  const decided = plan(ctx);
  const { rounds, leftOver } = roundsByNode(decided);
  const nowMs = ctx.clock.now();
  const units = rounds.map((round) => roundUnit(snapshot, round, nowMs));
  let placed = 0;
  let swept = 0;
  for (const { compares, writes, units: packed } of packTransactions(units, [fence])) {
    const result = await ctx.store.transact({ compares, writes });
    if (!result.committed) {
      await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
      return { placed, swept, again: true, wakeAtMs: decided.wakeAtMs };
    }
    for (const position of packed) {
      placed += rounds[position]?.place.length ?? 0;
      swept += rounds[position]?.sweep.length ?? 0;
    }
    await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
  }
  return { placed, swept, again: leftOver, wakeAtMs: decided.wakeAtMs };
}

/** The plan by node. What would be too much for one node's transaction is left for the next round. */
function roundsByNode(decided: RoundPlan): { rounds: NodeRound[]; leftOver: boolean } {
  const rounds = new Map<NodeId, { -readonly [K in keyof NodeRound]: NodeRound[K] }>();
  const roundOf = (node: NodeId) => {
    const round = rounds.get(node) ?? { node, sweep: [], place: [] };
    rounds.set(node, round);
    return round;
  };
  for (const { node, tasks } of decided.sweeps) roundOf(node).sweep = tasks;
  let leftOver = false;
  for (const { node, entry, why } of decided.placements) {
    const round = roundOf(node);
    const compares =
      new Set([...round.place.map((placed) => placed.entry.jobUid), entry.jobUid]).size + round.place.length;
    if (compares >= UNIT_COMPARES_MAX) leftOver = true;
    else round.place = [...round.place, { entry, why }];
  }
  return { rounds: [...rounds.values()], leftOver };
}
