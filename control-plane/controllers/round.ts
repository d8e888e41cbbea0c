/**
 * Runs one round of the allocator: claims it, plans on a state that is at or past the claim, and commits the plan under the
 * claim as a fence. Whoever stalls between claim and commit finds the fence gone and commits nothing; a plan whose commit
 * was cut off half-way is planned again, and what did land is no longer pending.
 */
import type { JobUid, NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { RoundPlan } from '../scheduler/plan.ts';
import { planRound } from '../scheduler/round.ts';
import { type Compare, TRANSACTION_COMPARES_MAX } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { fitsTransaction, packTransactions } from '../store/transact.ts';
import { type NodeRound, type RoundUnit, roundUnit } from '../store/units.ts';
import type { ControllerContext } from './context.ts';

/** How long a round waits for its own claim to reach the mirror. */
const CATCH_UP_MS = 2000;

/** Leaves room in a transaction for the fence, the ledger and the record of the operation. */
const UNIT_COMPARES_MAX = TRANSACTION_COMPARES_MAX - 4;

export interface RoundOutcome {
  readonly placed: number;
  readonly swept: number;
  /** How many tasks were asked to make room for others. */
  readonly displaced: number;
  /** Something was lost to others or left for the next round: run one at once. */
  readonly again: boolean;
  /** When the next task becomes placeable, if nothing changes before. */
  readonly wakeAtMs: number | null;
}

const NOTHING: RoundOutcome = { placed: 0, swept: 0, displaced: 0, again: false, wakeAtMs: null };

/** Runs a round if there is anything to do. Throws StoreUnavailableError. */
export async function runRound(ctx: ControllerContext): Promise<RoundOutcome> {
  const forecast = plan(ctx);
  if (!isWorthClaiming(ctx, forecast)) return { ...NOTHING, wakeAtMs: forecast.wakeAtMs };
  const fence = await claimRound(ctx);
  if (fence === null) return { ...NOTHING, again: true };
  return commitRound(ctx, fence);
}

function plan(ctx: ControllerContext): RoundPlan {
  return planRound({ cluster: ctx.mirror.snapshot, nowMs: ctx.clock.now() });
}

/** A claim is a change, and every change has this looked at again: so none is made where nothing could be committed. */
function isWorthClaiming(ctx: ControllerContext, forecast: RoundPlan): boolean {
  const nowMs = ctx.clock.now();
  return roundsByNode(forecast).rounds.some((round) =>
    isCommittable(ctx, { round, unit: roundUnit(ctx.mirror.snapshot, round, nowMs) }),
  );
}

interface DraftedRound {
  readonly round: NodeRound;
  readonly unit: RoundUnit;
}

/**
 * Bounds on ledgers and records keep every unit within a transaction. Should one be too large all the same, then the round
 * goes on without that node, rather than end for all of them.
 */
function isCommittable({ log }: ControllerContext, { round, unit }: DraftedRound): boolean {
  if (fitsTransaction(unit, [LONGEST_FENCE])) return true;
  const { node, sweep } = round;
  log.error(
    { node, placements: round.place.length, sweeps: sweep.length },
    `what this round does on node ${node} is more than one transaction takes; nothing is placed or freed there until its ledger is smaller`,
  );
  return false;
}

const LONGEST_FENCE: Compare = { key: keys.currentRound, modRevision: Number.MAX_SAFE_INTEGER };

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
  const drafted = rounds
    .map((round) => ({ round, unit: roundUnit(snapshot, round, nowMs) }))
    .filter((draft) => isCommittable(ctx, draft));
  const cutOff = drafted.some(({ round, unit }) => unit.placed < round.place.length);
  let placed = 0;
  let swept = 0;
  let displaced = 0;
  const units = drafted.map(({ unit }) => unit);
  for (const { compares, writes, units: packed } of packTransactions(units, [fence])) {
    const result = await ctx.store.transact({ compares, writes });
    if (!result.committed) {
      await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
      return { placed, swept, displaced, again: true, wakeAtMs: decided.wakeAtMs };
    }
    for (const position of packed) {
      placed += drafted[position]?.unit.placed ?? 0;
      swept += drafted[position]?.round.sweep.length ?? 0;
      displaced += drafted[position]?.unit.displaced ?? 0;
    }
    await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
  }
  return { placed, swept, displaced, again: leftOver || cutOff || decided.isCutOff, wakeAtMs: decided.wakeAtMs };
}

/** The plan by node. What would be too much for one node's transaction is left for the next round. */
function roundsByNode(decided: RoundPlan): { rounds: NodeRound[]; leftOver: boolean } {
  const rounds = new Map<NodeId, NodeRoundDraft>();
  const roundOf = (node: NodeId) => {
    const round = rounds.get(node) ?? { node, sweep: [], place: [], jobs: new Set(), stop: [] };
    rounds.set(node, round);
    return round;
  };
  for (const { node, tasks } of decided.sweeps) roundOf(node).sweep = tasks;
  let leftOver = false;
  for (const { node, entry, why } of decided.placements) {
    const { place, jobs } = roundOf(node);
    if (place.length + jobs.size + 1 >= UNIT_COMPARES_MAX) {
      leftOver = true;
      continue;
    }
    place.push({ entry, why });
    jobs.add(entry.jobUid);
  }
  for (const { node, ...stopped } of decided.stops) {
    const { place, jobs, stop } = roundOf(node);
    // Each compares the task that ends and the one that gets its place.
    if (place.length + jobs.size + 2 * stop.length + 2 > UNIT_COMPARES_MAX) leftOver = true;
    else stop.push(stopped);
  }
  return { rounds: [...rounds.values()], leftOver };
}

interface NodeRoundDraft {
  readonly node: NodeId;
  sweep: readonly TaskId[];
  readonly place: NodeRound['place'][number][];
  readonly jobs: Set<JobUid>;
  readonly stop: NodeRound['stop'][number][];
}
