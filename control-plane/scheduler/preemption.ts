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
import { type Demand, demandOf, groupKey } from './demand.ts';
import type { EndingPlaces } from './kept-places.ts';
import { departuresFor, isAnyShort, shortRoles } from './offer-shortage.ts';
import { type Contender, type Holder, type OfferedPart, Outlook, type OutlookInput } from './outlook.ts';
import type { PlannedStop } from './plan.ts';
import type { Survey } from './survey.ts';
import { findDisplacement } from './victims.ts';
import type { WantedTask } from './wanted.ts';

export interface PreemptionInput extends OutlookInput {
  /** What the round leaves without a place, in the order of turns. */
  readonly unplaced: readonly WantedTask[];
  /** By task: what makes room for it already. It waits for that, and nothing more is displaced for it. */
  readonly ending: EndingPlaces;
}

/** How often one round looks at any node for others that could make room. In small clusters it is hardly ever reached. */
export const PREEMPTION_LOOKS_MAX = 60_000;

/** Tasks that one round makes end for the sake of others; one more search may go beyond it. */
export const PREEMPTION_STOPS_MAX = 200;

export function planPreemptions(input: PreemptionInput): PlannedStop[] {
  const contenders = contendersOf(input);
  const isOfferShort = input.survey.cluster.frameworks.size > 0 && isAnyShort(input.survey, input.offers);
  if (contenders.length === 0 && !isOfferShort) return [];
  const preemption = new Preemption(input);
  const unsettled = contenders.filter((contender) => !preemption.waits(contender));
  // What a role is owed comes before what its tasks are owed of each other, which may not be needed any more by then.
  const left = unsettled.filter((contender) => !preemption.settles(contender, 'guarantee'));
  if (isOfferShort) preemption.makesRoomForOffers();
  for (const contender of left) preemption.settles(contender, 'priority');
  return preemption.stops;
}

/** Those that have, or may have, a claim to what others hold. Nearly always there is none, and nothing more is worked out. */
function contendersOf({ survey: { cluster }, unplaced, ending }: PreemptionInput): Contender[] {
  if (unplaced.length === 0) return [];
  const demands = new Map<string, Demand>();
  const outranks = lowestPriorities(cluster);
  return unplaced.flatMap((wanted) => {
    const { task, job, group } = wanted;
    const isGuaranteed = levelsOf(task.role).some(
      (role) => Object.keys(cluster.roles.get(role)?.guarantee ?? {}).length > 0,
    );
    const isOutranking = job.spec.priority > (outranks.get(task.role) ?? Number.POSITIVE_INFINITY);
    if (!isGuaranteed && !isOutranking && !ending.has(task.id)) return [];
    const key = groupKey(job.uid, group.name);
    const demand = demands.get(key) ?? demandOf(job, group);
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
    const nodes = [...places.map(({ room }) => room.id), ...this.outlook.nodes()];
    const node = nodes.find((id) => this.outlook.admits(id, demand, { offered: 'free' }));
    if (node === undefined) return false;
    this.outlook.promise(node, contender);
    return true;
  }

  /** Whether there will be a place for the task: of what ends anyway, or of what is made to end. */
  settles(contender: Contender, because: DisplacementCause): boolean {
    const key = `${because} ${contender.demand.key}`;
    if (this.#inVain.has(key) || this.#isExhausted()) return false;
    const claims = because === 'guarantee' ? guaranteeClaims(this, contender) : priorityClaims(contender);
    const [first] = claims;
    if (first === undefined) return false;
    this.#looks += this.outlook.nodesTotal;
    if (this.#hasPlace(contender, first.offered)) return true;
    const room = this.#roomFor(contender.demand, first.offered);
    const isFound = claims.some((claim) => this.#displaces(contender, claim, room));
    if (!isFound) this.#inVain.add(key);
    return isFound;
  }

  /** For frameworks whose roles are below what they are guaranteed. */
  makesRoomForOffers(): void {
    const { survey, offers } = this.#input;
    for (const short of shortRoles(survey, this.outlook, offers)) {
      if (this.#isExhausted()) return;
      this.#looks += this.outlook.nodesTotal;
      for (const departure of departuresFor(this, short)) {
        this.outlook.take(departure);
        const { node, holders } = departure;
        for (const { task } of holders) this.stops.push({ node, task, stop: stopForOffers(short.role, survey) });
      }
    }
  }

  #isExhausted(): boolean {
    return this.#looks >= PREEMPTION_LOOKS_MAX || this.stops.length >= PREEMPTION_STOPS_MAX;
  }

  #hasPlace(contender: Contender, offered: OfferedPart): boolean {
    for (const node of this.outlook.nodes()) {
      if (!this.outlook.admits(node, contender.demand, { offered })) continue;
      this.outlook.promise(node, contender);
      return true;
    }
    return false;
  }

  #roomFor(demand: Demand, offered: OfferedPart): NodeId | null {
    for (const node of this.outlook.nodes()) if (this.outlook.hasRoom(node, demand, offered)) return node;
    return null;
  }

  #displaces(contender: Contender, claim: Claim, room: NodeId | null): boolean {
    const { cluster, outlook } = this;
    const { nowMs } = this.#input.survey;
    const found = findDisplacement({ cluster, outlook, nowMs, contender, claim, room });
    if (found === null) return false;
    outlook.take(found);
    outlook.promise(room ?? found.node, contender);
    for (const victim of found.holders) {
      this.stops.push({ node: found.node, task: victim.task, stop: stopOf(victim, { contender, claim, nowMs }) });
    }
    return true;
  }
}

function stopOf(
  victim: Holder,
  { contender, claim, nowMs }: { contender: Contender; claim: Claim; nowMs: number },
): StopRequest {
  const displacedBy = { because: claim.because, role: claim.role, task: contender.wanted.task.id };
  return { atMs: nowMs, by: 'berth', reason: claim.explain(victim), displaced: true, displacedBy };
}

function stopForOffers(role: RolePath, { cluster, nowMs }: Survey): StopRequest {
  const amounts = Object.entries(cluster.roles.get(role)?.guarantee ?? {}).map(([name, amount]) => `${amount} ${name}`);
  const reason = `displaced for offers to frameworks of role ${role}, which is below its guarantee of ${amounts.join(', ')}`;
  const displacedBy = { because: 'guarantee', role, task: null } as const;
  return { atMs: nowMs, by: 'berth', reason, displaced: true, displacedBy };
}
