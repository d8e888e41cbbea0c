/**
 * Who has to make room for whom. Two claims let a pending task displace what runs, when no node has room for it: its role holds less
 * than it is guaranteed, and others hold more than they are; or tasks of the very same role have a lower priority.
 *
 * Nothing is taken that doesn't give the task a place, on one node, with every filter that a placement asks. What is displaced ends
 * with its grace, and another attempt takes its place in the queue. It can't displace back: no role falls below its guarantee by
 * this, and priorities are compared strictly.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId, RolePath } from '../../shared/domain/ids.ts';
import type { DisplacementCause, StopRequest } from '../../shared/domain/job.ts';
import { type Claim, type ClaimInput, guaranteeClaims, levelsOf, priorityClaims } from './claims.ts';
import { type Demand, demandKey, demandOf } from './demand.ts';
import type { Holder } from './holder.ts';
import type { EndingPlaces } from './kept-places.ts';
import type { Alike } from './node-facts.ts';
import { departuresFor, isAnyShort, shortRoles } from './offer-shortage.ts';
import { type Contender, Outlook, type OutlookInput } from './outlook.ts';
import type { PlannedStop } from './plan.ts';
import { firstAdmitting, firstWithRoom, fitsFor } from './prospects.ts';
import type { Survey } from './survey.ts';
import { findDisplacement } from './victims.ts';
import type { Fit, OfferedPart } from './wait-memory.ts';
import type { WantedTask } from './wanted.ts';

export interface PreemptionInput extends OutlookInput {
  /** What the round leaves without a place, in the order of turns. */
  readonly unplaced: readonly WantedTask[];
  /** By task: what makes room for it already. It waits for that, and nothing more is displaced for it. */
  readonly ending: EndingPlaces;
}

/**
 * How often one round looks at any node for others that could make room. In small clusters it is hardly ever reached. Where it is,
 * who is looked at first changes from second to second, and so everybody comes to their turn.
 */
export const PREEMPTION_LOOKS_MAX = 60_000;

/** Up to which part of that each may go, in their order. What one leaves is there for the next. */
const LOOKS_UNTIL = { guarantee: 4 / 6, offers: 5 / 6, priority: 1 };

/** A node that would take no such task, whoever left, is passed over so much more quickly. */
const PASSED_OVER_PER_LOOK = 32;

/** Tasks that one round makes end for the sake of others; one more search may go beyond it. */
export const PREEMPTION_STOPS_MAX = 200;

export function planPreemptions(input: PreemptionInput): PlannedStop[] {
  const contenders = contendersOf(input);
  const isOfferShort = input.survey.cluster.frameworks.size > 0 && isAnyShort(input.survey, input.offers);
  if (contenders.length === 0 && !isOfferShort) return [];
  const preemption = new Preemption(input);
  const unsettled = contenders.filter((contender) => !preemption.waits(contender));
  // What a role is owed comes before what its tasks are owed of each other, which may not be needed any more by then.
  const settled = preemption.settleAll(unsettled, 'guarantee');
  if (isOfferShort) preemption.makesRoomForOffers();
  const left = unsettled.filter((contender) => !settled.has(contender));
  preemption.settleAll(left, 'priority');
  return preemption.stops;
}

/** Those that have, or may have, a claim to what others hold. Nearly always there is none, and nothing more is worked out. */
function contendersOf({ survey: { cluster }, unplaced, ending }: PreemptionInput): Contender[] {
  if (unplaced.length === 0) return [];
  const demands = new Map<string, Demand>();
  const outranks = lowestPriorities(cluster);
  return unplaced.flatMap((wanted) => {
    const { task, job } = wanted;
    const isGuaranteed = levelsOf(task.role).some(
      (role) => Object.keys(cluster.roles.get(role)?.guarantee ?? {}).length > 0,
    );
    const isOutranking = job.spec.priority > (outranks.get(task.role) ?? Number.POSITIVE_INFINITY);
    if (!isGuaranteed && !isOutranking && !ending.has(task.id)) return [];
    const key = demandKey(wanted);
    const demand = demands.get(key) ?? demandOf(wanted);
    demands.set(key, demand);
    return [{ wanted, demand }];
  });
}

/** By role, no more than the priority of anything that runs in it. What a framework has launched may have any. */
function lowestPriorities(cluster: ClusterView): Map<RolePath, number> {
  const lowest = new Map<RolePath, number>();
  for (const { spec } of cluster.unsettledJobs()) {
    lowest.set(spec.role, Math.min(spec.priority, lowest.get(spec.role) ?? spec.priority));
  }
  for (const { roles } of cluster.frameworks.values()) for (const role of roles) lowest.set(role, 0);
  return lowest;
}

/** No multiple of it comes near a whole number for long. */
const GOLDEN_RATIO = (1 + Math.sqrt(5)) / 2;

class Preemption implements ClaimInput {
  readonly stops: PlannedStop[] = [];
  readonly cluster: ClusterView;
  readonly outlook: Outlook;
  readonly #input: PreemptionInput;
  readonly #inVain = new Set<string>();
  #looks = 0;

  constructor(input: PreemptionInput) {
    this.#input = input;
    this.cluster = input.survey.cluster;
    this.outlook = new Outlook(input);
  }

  /** Whether the task waits for others that end for its sake, and will have a place then. */
  waits(contender: Contender): boolean {
    const places = this.#input.ending.get(contender.wanted.task.id);
    if (places === undefined) return false;
    const { demand } = contender;
    const first = places.find(({ room: { id } }) => this.outlook.admits(id, demand, { offered: 'free' }));
    if (first === undefined) return this.#hasPlace(contender, { fits: this.#fits(demand), offered: 'free' });
    this.outlook.promise(first.room.id, contender);
    return true;
  }

  /** Those for which there will be a place: of what ends anyway, or of what is made to end. */
  settleAll(contenders: readonly Contender[], because: DisplacementCause): ReadonlySet<Contender> {
    const inTurn = this.#inTurn(contenders, because);
    return new Set(inTurn.filter((contender) => this.#settles(contender, because)));
  }

  /** For frameworks whose roles are below what they are guaranteed. */
  makesRoomForOffers(): void {
    const { survey, offers } = this.#input;
    const { nodesTotal } = this.outlook;
    const firstOf = (count: number) => (count * nodesTotal <= this.#looksLeft('offers') ? 0 : this.#firstOf(count));
    for (const short of shortRoles(survey, this.outlook, { planned: offers, firstOf })) {
      if (this.#isExhausted('offers')) return;
      this.#looks += nodesTotal;
      for (const departure of departuresFor(this, short)) {
        this.outlook.take(departure);
        const { node, holders } = departure;
        for (const { task } of holders) this.stops.push({ node, task, stop: stopForOffers(short.role, survey) });
      }
    }
  }

  /** All, or of as many groups as can be looked at; in their order. */
  #inTurn(contenders: readonly Contender[], because: DisplacementCause): readonly Contender[] {
    const groups = [...Map.groupBy(contenders, ({ demand }) => demand.key).values()];
    const most = this.#looksLeft(because);
    if (groups.length * this.outlook.nodesTotal <= most) return contenders;
    const first = this.#firstOf(groups.length);
    const chosen = new Set<string>();
    let looks = 0;
    for (const [contender] of [...groups.slice(first), ...groups.slice(0, first)]) {
      if (looks >= most) break;
      if (contender === undefined || this.#claimsOf(contender, because).length === 0) continue;
      looks += this.#looksFor(countOf(this.#fits(contender.demand)));
      chosen.add(contender.demand.key);
    }
    return contenders.filter(({ demand }) => chosen.has(demand.key));
  }

  /** Another one each second, and over time each as often as any other, at whatever intervals rounds follow. */
  #firstOf(count: number): number {
    const second = Math.floor(this.#input.survey.nowMs / 1000);
    return Math.floor(((second * GOLDEN_RATIO) % 1) * count);
  }

  #settles(contender: Contender, because: DisplacementCause): boolean {
    const key = `${because} ${contender.demand.key}`;
    if (this.#inVain.has(key) || this.#isExhausted(because)) return false;
    const claims = this.#claimsOf(contender, because);
    const [first] = claims;
    if (first === undefined) return false;
    const fits = this.#fits(contender.demand);
    const admitting = countOf(fits);
    this.#looks += this.#looksFor(admitting);
    const { offered } = first;
    if (this.#hasPlace(contender, { fits, offered })) return true;
    const room = firstWithRoom(this.outlook, { fits, demand: contender.demand, offered });
    // Those who have to go may be on any node then.
    if (room !== null) this.#looks += this.outlook.nodesTotal - admitting;
    const isFound = admitting > 0 && claims.some((claim) => this.#displaces(contender, claim, room));
    if (!isFound) this.#inVain.add(key);
    return isFound;
  }

  #claimsOf(contender: Contender, because: DisplacementCause): Claim[] {
    return because === 'guarantee' ? guaranteeClaims(this, contender) : priorityClaims(contender);
  }

  #fits(demand: Demand): readonly Alike<Fit>[] {
    return fitsFor(this.outlook, this.#input.usage.waits, demand);
  }

  /** What would be looked at if nothing were remembered: what is, must make no difference. */
  #looksFor(admitting: number): number {
    return admitting + (this.outlook.nodesTotal - admitting) / PASSED_OVER_PER_LOOK;
  }

  #looksLeft(phase: keyof typeof LOOKS_UNTIL): number {
    return PREEMPTION_LOOKS_MAX * LOOKS_UNTIL[phase] - this.#looks;
  }

  #isExhausted(phase: keyof typeof LOOKS_UNTIL): boolean {
    return this.#looksLeft(phase) <= 0 || this.stops.length >= PREEMPTION_STOPS_MAX;
  }

  #hasPlace(
    contender: Contender,
    { fits, offered }: { readonly fits: readonly Alike<Fit>[]; readonly offered: OfferedPart },
  ): boolean {
    const node = firstAdmitting(this.outlook, { fits, demand: contender.demand, offered });
    if (node === null) return false;
    this.outlook.promise(node, contender);
    return true;
  }

  #displaces(contender: Contender, claim: Claim, room: NodeId | null): boolean {
    const { cluster, outlook } = this;
    const { survey, usage } = this.#input;
    const { nowMs } = survey;
    const found = findDisplacement({ cluster, outlook, nowMs, waits: usage.waits, contender, claim, room });
    if (found === null) return false;
    outlook.take(found);
    outlook.promise(room ?? found.node, contender);
    for (const victim of found.holders) {
      this.stops.push({ node: found.node, task: victim.task, stop: stopOf(victim, { contender, claim, nowMs }) });
    }
    return true;
  }
}

function countOf(fits: readonly Alike<Fit>[]): number {
  return fits.reduce((sum, { nodes }) => sum + nodes.length, 0);
}

function stopOf(
  victim: Holder,
  { contender, claim, nowMs }: { contender: Contender; claim: Claim; nowMs: number },
): StopRequest {
  const displacedBy = { because: claim.because, role: claim.role, task: contender.wanted.task.id };
  return { atMs: nowMs, by: 'berth', reason: claim.explain(victim), displaced: true, displacedBy };
}

function stopForOffers(role: RolePath, { nowMs }: Survey): StopRequest {
  const reason = 'displaced for offers to frameworks of another role, which comes first by a guarantee';
  const displacedBy = { because: 'guarantee', role, task: null } as const;
  return { atMs: nowMs, by: 'berth', reason, displaced: true, displacedBy };
}
