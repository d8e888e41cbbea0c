/**
 * Runs one round of the allocator: claims it, plans on a state that is at or past the claim, and commits the plan under the
 * claim as a fence. Whoever stalls between claim and commit finds the fence gone and commits nothing; a plan whose commit
 * was cut off half-way is planned again, and what did land is no longer pending.
 */
import type { NodeId, RolePath } from '../../shared/domain/ids.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import { ancestorsOf } from '../../shared/domain/role.ts';
import type { EndedOffer, RoundPlan } from '../scheduler/plan.ts';
import { planRound } from '../scheduler/round.ts';
import { RoundMemory } from '../scheduler/round-memory.ts';
import { type Compare, TRANSACTION_COMPARES_MAX } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { claimRound } from '../store/round-claim.ts';
import { fitsTransaction, packTransactions } from '../store/transact.ts';
import { type NodeRound, type RoundUnit, roundUnit } from '../store/units.ts';
import type { ControllerContext } from './context.ts';

/** How long a round waits for its own writes to reach the mirror. */
const CATCH_UP_MS = 2000;

/** Leaves room in a transaction for the fence, the ledger and the record of the operation. */
const UNIT_COMPARES_MAX = TRANSACTION_COMPARES_MAX - 4;

export interface RoundOutcome {
  readonly placed: number;
  /** Places that tasks have given back, and offers that have ended. */
  readonly swept: number;
  readonly offered: number;
  /** Offers that ended for the sake of others. */
  readonly withdrawn: number;
  /** How many tasks were asked to make room for others. */
  readonly displaced: number;
  /** Something was lost to others or left for the next round: run one at once. */
  readonly again: boolean;
  /** When the next task becomes placeable, if nothing changes before. */
  readonly wakeAtMs: number | null;
}

export const NOTHING_DONE = { placed: 0, swept: 0, offered: 0, withdrawn: 0, displaced: 0 } as const;

/** How much it has changed; 0: nothing. */
export function doneBy({ placed, swept, offered, displaced }: RoundOutcome): number {
  return placed + swept + offered + displaced;
}

/** Runs a round if there is anything to do. Throws StoreUnavailableError. */
export async function runRound(ctx: ControllerContext, memory = new RoundMemory()): Promise<RoundOutcome> {
  // The round before this one may have made offers that stand: those of the forecast are told apart from them.
  const forecast = plan(ctx, memory, ctx.mirror.snapshot.roundNumber + 1);
  if (!isWorthClaiming(ctx, forecast)) return { ...NOTHING_DONE, again: false, wakeAtMs: forecast.wakeAtMs };
  const fence = await claimRound(ctx);
  if (fence === null) return { ...NOTHING_DONE, again: true, wakeAtMs: null };
  return commitRound(ctx, fence, memory);
}

function plan(ctx: ControllerContext, memory: RoundMemory, roundNumber: number): RoundPlan {
  return planRound({ cluster: ctx.mirror.snapshot, nowMs: ctx.clock.now(), roundNumber, memory });
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
    { node, placements: round.place.length, sweeps: sweep.length, offers: round.offer.length },
    `what this round does on node ${node} is more than one transaction takes; nothing is placed, offered or freed there until its ledger is smaller`,
  );
  return false;
}

const LONGEST_FENCE: Compare = { key: keys.currentRound, modRevision: Number.MAX_SAFE_INTEGER };

async function commitRound(ctx: ControllerContext, fence: Compare, memory: RoundMemory): Promise<RoundOutcome> {
  const { snapshot } = ctx.mirror;
  const decided = plan(ctx, memory, snapshot.roundNumber);
  const { wakeAtMs } = decided;
  const { rounds, leftOver } = roundsByNode(decided);
  const nowMs = ctx.clock.now();
  const drafting = (round: NodeRound) => ({ round, unit: roundUnit(snapshot, round, nowMs) });
  const drafted = rounds.map(drafting).filter((draft) => isCommittable(ctx, draft));
  const withdrawn = new Set(decided.sweeps.flatMap(({ offers }) => offers.filter(isForOthers).map(({ id }) => id)));
  const cutOff = drafted.some(({ round, unit }) => unit.placed < round.place.length);
  const done = { ...NOTHING_DONE } as Record<keyof typeof NOTHING_DONE, number>;
  const commit = (drafts: readonly DraftedRound[]) =>
    commitDrafts(ctx, drafts, fence, ({ round, unit }) => {
      done.placed += unit.placed;
      done.swept += round.sweep.length + round.withdraw.length;
      done.offered += round.offer.length;
      done.withdrawn += round.withdraw.filter(({ id }) => withdrawn.has(id)).length;
      done.displaced += unit.displaced;
    });
  const isWhole = await (packed(drafted, fence).length <= 1
    ? commit(drafted).then((revisions) => revisions !== null)
    : commitInTwo(drafted, drafting, commit));
  return { ...done, again: !isWhole || leftOver || cutOff || decided.isCutOff, wakeAtMs };
}

function isForOthers({ because }: EndedOffer): boolean {
  return because === 'unfair' || because === 'guarantee' || because === 'limit';
}

/** By node: the revision at which its part was committed. */
type Revisions = ReadonlyMap<NodeId, number>;

/**
 * What takes several transactions. All that is given back goes first, of every node, and by itself: a round may count on it where it
 * gives, and a role must not pass its limit if the rest of the round is lost in between. What is given then on a node that has given
 * something back goes into the ledger that this has made, and into no other: it may be for somebody that others have made room for, of
 * which nothing tells a later round. False: others came first.
 */
async function commitInTwo(
  drafted: readonly DraftedRound[],
  drafting: (round: NodeRound) => DraftedRound,
  commit: (drafts: readonly DraftedRound[]) => Promise<Revisions | null>,
): Promise<boolean> {
  const freeing = drafted.filter(({ round }) => frees(round));
  const freed = await commit(freeing.map(({ round }) => drafting({ ...round, place: [], offer: [], stop: [] })));
  if (freed === null) return false;
  const giving = drafted.filter(({ round }) => gives(round)).map((draft) => followUp(draft, freed));
  return (await commit(giving)) !== null;
}

function frees({ sweep, withdraw }: NodeRound): boolean {
  return sweep.length + withdraw.length > 0;
}

function gives({ place, offer, stop }: NodeRound): boolean {
  return place.length + offer.length + stop.length > 0;
}

/** The rest of a node's part, which leaves the same ledger as all of it. */
function followUp({ round, unit }: DraftedRound, freed: Revisions): DraftedRound {
  const ledger = keys.ledger(round.node);
  const compares = unit.compares.map(({ key, modRevision }) => ({
    key,
    modRevision: (key === ledger ? freed.get(round.node) : undefined) ?? modRevision,
  }));
  return { round: { ...round, sweep: [], withdraw: [] }, unit: { ...unit, compares } };
}

/** Null: others came first, and the mirror has been given the time to see it. What was committed before that stands. */
async function commitDrafts(
  { store, mirror }: ControllerContext,
  drafted: readonly DraftedRound[],
  fence: Compare,
  onCommitted: (draft: DraftedRound) => void,
): Promise<Revisions | null> {
  const revisions = new Map<NodeId, number>();
  for (const { compares, writes, drafts } of packed(drafted, fence)) {
    const { committed, revision } = await store.transact({ compares, writes });
    await mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS });
    if (!committed) return null;
    for (const draft of drafts) {
      onCommitted(draft);
      revisions.set(draft.round.node, revision);
    }
  }
  return revisions;
}

function packed(drafts: readonly DraftedRound[], fence: Compare) {
  const transactions = packTransactions(
    drafts.map(({ unit }) => unit),
    [fence],
  );
  return transactions.map(({ compares, writes, units }) => ({
    compares,
    writes,
    drafts: units.flatMap((position) => drafts[position] ?? []),
  }));
}

/** The plan by node. What would be too much for one node's transaction is left for the next round. */
function roundsByNode(decided: RoundPlan): { rounds: NodeRound[]; leftOver: boolean } {
  const drafts = new Map<NodeId, NodeDraft>();
  const draftOf = (node: NodeId) => {
    const draft = drafts.get(node) ?? new NodeDraft(node);
    drafts.set(node, draft);
    return draft;
  };
  for (const { node, tasks, offers } of decided.sweeps) {
    const draft = draftOf(node);
    draft.sweep = tasks;
    draft.withdraw = offers;
  }
  let leftOver = false;
  for (const { node, entry, why } of decided.placements) {
    const { jobUid, role } = entry;
    if (draftOf(node).takes([entry.task, jobUid], role)) draftOf(node).place.push({ entry, why });
    else leftOver = true;
  }
  for (const { node, offer } of decided.offers) {
    if (draftOf(node).takes([offer.framework], offer.role)) draftOf(node).offer.push(offer);
    else leftOver = true;
  }
  for (const { node, ...stopped } of decided.stops) {
    const { task, stop } = stopped;
    if (draftOf(node).takes([task, stop.displacedBy?.task ?? task], null)) draftOf(node).stop.push(stopped);
    else leftOver = true;
  }
  return { rounds: [...drafts.values()], leftOver };
}

/** One node's part, while it is put together. */
class NodeDraft implements NodeRound {
  readonly node: NodeId;
  sweep: NodeRound['sweep'] = [];
  withdraw: NodeRound['withdraw'] = [];
  readonly place: NodeRound['place'][number][] = [];
  readonly offer: Offer[] = [];
  readonly stop: NodeRound['stop'][number][] = [];
  readonly #compared = new Set<string>();

  constructor(node: NodeId) {
    this.node = node;
  }

  /** Counts what is compared for it, if a transaction has room for that. False: it hasn't. */
  takes(ids: readonly string[], role: RolePath | null): boolean {
    const roles = role === null ? [] : [role, ...ancestorsOf(role)];
    const added = [...ids, ...roles.map((path) => `role ${path}`)];
    const isNew = added.filter((id) => !this.#compared.has(id));
    if (this.#compared.size + isNew.length > UNIT_COMPARES_MAX) return false;
    for (const id of isNew) this.#compared.add(id);
    return true;
  }
}
