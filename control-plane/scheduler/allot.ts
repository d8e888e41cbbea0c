/**
 * Gives what is free to those who want it, a task or an offer at a time, always to whoever has the lowest share: first what is
 * reserved, then what is guaranteed, then the rest up to the level at which everybody is served alike. What is left then, since nodes aren't
 * as even as a pool or since some can't use them, is given the same way at the next level, and in the end as it comes.
 */
import { type FrameworkId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import type { OfferFilter } from '../../shared/domain/offer.ts';
import { isInForce } from '../../shared/domain/offer-filters.ts';
import { byText } from '../../shared/util/order.ts';
import { type Amounts, accumulate, amountAt, atLeastNone, GPUS_PLACE } from './amounts.ts';
import { batchFramework } from './batch-framework.ts';
import { demandKey, isOfItsOwnKind } from './demand.ts';
import type { BuiltInScheduler } from './framework.ts';
import { type HungryClient, hungryClients } from './hungry.ts';
import { clientKey, type LedgerSums } from './ledger-sums.ts';
import { type Pool, setLevels, setLevelsBelow } from './levels.ts';
import type { NodeWish } from './node-wishes.ts';
import { type DraftedOffer, Offering } from './offering.ts';
import type { PlannedPlacement } from './plan.ts';
import type { Client, RoleTree } from './role-tree.ts';
import { Shelf, ShelfNode } from './shelf.ts';
import { isEnough } from './slice.ts';
import type { Survey } from './survey.ts';
import { type Contender, Turns } from './turns.ts';
import type { LeftWanting } from './unfair-withdrawals.ts';
import { BUILT_IN_SUITOR, unofferableNodes } from './unofferable.ts';
import type { WantedTask } from './wanted.ts';

export interface Allotment {
  readonly placements: readonly PlannedPlacement[];
  readonly offers: readonly DraftedOffer[];
  /** It ended at a bound. */
  readonly isCutOff: boolean;
  /** Who is left with nothing, for want of room. */
  readonly left: LeftWanting;
}

export interface AllotInput {
  readonly survey: Survey;
  /** In the order of their turns. */
  readonly wanted: readonly WantedTask[];
  readonly throttled: ReadonlySet<FrameworkId>;
  readonly placementsMax: number;
  readonly offersMax: number;
}

/** How often levels are found anew for what is left. */
const LEVELS_MAX = 4;

export function allot(input: AllotInput): Allotment {
  return new Allotting(input).run();
}

/** Whoever takes turns: a scheduler of Berth's own with its tasks, or a framework. */
interface Taker {
  readonly client: Client;
  readonly scheduler: BuiltInScheduler | null;
  readonly hungry: HungryClient | null;
  /** What its tasks ask for together; null: as much as there is. */
  readonly demand: Amounts | null;
  /** What of it hasn't been given yet. */
  readonly unmet: Amounts | null;
  /** Nothing is left for it. */
  isDone: boolean;
}

/** What became of somebody's turn. */
type Turn = 'served' | 'at-level' | 'done';

class Allotting {
  readonly #survey: Survey;
  readonly #input: AllotInput;
  readonly #roles: RoleTree;
  readonly #takers: ReadonlyMap<Client, Taker>;
  readonly #offering: Offering;
  readonly #shelfNodes: readonly ShelfNode[];
  readonly #placements: PlannedPlacement[] = [];
  #isCutOff = false;

  constructor(input: AllotInput) {
    const { survey, throttled } = input;
    this.#survey = survey;
    this.#input = input;
    this.#roles = survey.roles;
    const hungry = hungryClients(survey, { throttled });
    this.#shelfNodes = hungry.length === 0 ? [] : usefulNodes(survey, { hungry, hasTasks: input.wanted.length > 0 });
    this.#offering = offeringOf(survey, this.#shelfNodes);
    const takers = [...builtInTakers(survey, input.wanted), ...hungry.map(frameworkTaker)];
    this.#takers = new Map(takers.map((taker) => [taker.client, taker]));
  }

  run(): Allotment {
    this.#giveReserved();
    if (this.#roles.hasGuarantees) this.#giveGuaranteed();
    for (let levels = 0; levels < LEVELS_MAX && this.#giveFair({ isLast: false }); levels += 1);
    this.#giveFair({ isLast: true });
    return {
      placements: this.#placements,
      offers: this.#offering.drafts,
      isCutOff: this.#isCutOff,
      left: this.#left(),
    };
  }

  #left(): LeftWanting {
    const placed = new Set(this.#placements.map(({ task }) => task));
    const served = new Set(this.#offering.drafts.map(({ client }) => client));
    const takers = [...this.#takers.values()];
    const unplaced = this.#isCutOff ? [] : this.#input.wanted.filter(({ task }) => !placed.has(task.id));
    return {
      survey: this.#survey,
      tasks: [...new Map(unplaced.toReversed().map((wanted) => [kindOf(wanted), wanted])).values()].reverse(),
      frameworks: takers.flatMap(({ hungry }) =>
        hungry === null || served.has(hungry.client) || hungry.allowance.offers <= 0 ? [] : [hungry],
      ),
      wanting: takers,
    };
  }

  /** The deepest roles first: what is reserved for one above them, others can use as well. */
  #giveReserved(): void {
    const nodes = this.#shelfNodes.filter(({ room }) => room.reserved.length > 0);
    const roles = new Set(nodes.flatMap(({ room }) => room.reserved.map(({ role }) => role)));
    for (const role of [...roles].sort(byText).reverse()) {
      this.#giveReservedOf(
        role,
        nodes.filter(({ room }) => room.reserved.some((one) => one.role === role)),
      );
    }
  }

  #giveReservedOf(role: RolePath, nodes: readonly ShelfNode[]): void {
    const frameworks = [...this.#takers.values()].filter(
      ({ client, hungry }) => hungry !== null && roleWithin(client.role.path, role),
    );
    /** How far each has looked: what it couldn't use then it can't use later. */
    const seen = new Map<Client, number>();
    this.#takeTurns(frameworks, ({ client, hungry }) => {
      if (hungry === null || hungry.allowance.offers <= 0) return false;
      for (let place = seen.get(client) ?? 0; place < nodes.length; place += 1) {
        seen.set(client, place);
        const node = nodes[place];
        if (node !== undefined && this.#offering.giveReserved(hungry, node)) return true;
      }
      seen.set(client, nodes.length);
      return false;
    });
  }

  #giveGuaranteed(): void {
    const short = [...this.#takers.values()].filter(({ client }) => this.#roles.isShort(client.role));
    this.#takeTurns(short, (taker) => {
      if (!this.#roles.isShort(taker.client.role)) return false;
      return taker.hungry === null ? this.#place(taker) : this.#offering.giveGuaranteed(taker.hungry);
    });
    this.#offering.startOver();
  }

  /** False: nobody got anything. That may be since those below the level can't use what is left, so others still can. */
  #giveFair({ isLast }: { readonly isLast: boolean }): boolean {
    if (this.#isCutOff) return false;
    const takers = [...this.#takers.values()].filter((taker) => this.#mayTake(taker));
    if (takers.length === 0) return false;
    const pool = this.#pool();
    const turns = new Turns(
      this.#roles.root,
      takers.map(({ client }) => client),
      (contender, isLastTime) => {
        if (isLastTime) liftLevelsBelow(contender);
        else setLevelsBelow(this.#roles, contender, pool);
        this.#offering.startOver();
      },
    );
    if (isLast) liftLevelsBelow(turns.root);
    else setLevels(this.#roles, turns.root, pool);
    this.#offering.startOver();
    const hasTasks = takers.some(({ scheduler }) => scheduler !== null);
    return this.#play(
      turns,
      (taker) => this.#giveToLevel(taker),
      () => !hasTasks && this.#offering.isEmpty,
    );
  }

  #giveToLevel(taker: Taker): Turn {
    if (!isBelowLevel(taker.client)) return 'at-level';
    const isGiven = taker.hungry === null ? this.#place(taker) : this.#giveOffer(taker.hungry);
    // Rooms only shrink: what is of no use to it now won't be later.
    if (!isGiven) taker.isDone = true;
    return isGiven ? 'served' : 'done';
  }

  #mayTake({ hungry, isDone }: Taker): boolean {
    if (isDone) return false;
    return hungry === null || (hungry.allowance.offers > 0 && !this.#offering.isEmpty);
  }

  #giveOffer(hungry: HungryClient): boolean {
    if (this.#offering.drafts.length < this.#input.offersMax) return this.#offering.giveFair(hungry);
    this.#isCutOff = true;
    return false;
  }

  #place(taker: Taker): boolean {
    if (taker.isDone || taker.scheduler === null) return false;
    if (this.#placements.length >= this.#input.placementsMax) {
      this.#isCutOff = true;
      return false;
    }
    const placement = taker.scheduler.placeNext();
    if (placement === null) {
      taker.isDone = true;
      return false;
    }
    this.#placements.push(placement);
    if (taker.unmet !== null) accumulate(taker.unmet, this.#roles.names.amountsOf(placement.entry.resources), -1);
    const room = this.#survey.roomById(placement.node);
    if (room !== null) this.#offering.touched(room);
    return true;
  }

  #takeTurns(takers: readonly Taker[], give: (taker: Taker) => boolean): boolean {
    if (takers.length === 0) return false;
    return this.#play(
      new Turns(
        this.#roles.root,
        takers.map(({ client }) => client),
      ),
      (taker) => (give(taker) ? 'served' : 'done'),
    );
  }

  /** `isOver`: nothing is left for anybody, whoever still waits for a turn. */
  #play(turns: Turns, give: (taker: Taker) => Turn, isOver: () => boolean = () => false): boolean {
    let hasGiven = false;
    for (let client = turns.first(); client !== null && !isOver(); client = turns.first()) {
      const taker = this.#takers.get(client);
      const turn = taker === undefined ? 'done' : give(taker);
      if (turn === 'served') turns.served();
      else if (turn === 'at-level') turns.rest();
      else turns.drop();
      hasGiven ||= turn === 'served';
    }
    return hasGiven;
  }

  /** What can still be given, beside what is kept for guarantees. */
  #pool(): Pool {
    const amounts: Amounts = [];
    if (this.#shelfNodes.length === 0) accumulate(amounts, atLeastNone(this.#roles.headroom));
    for (const { free } of this.#shelfNodes) accumulate(amounts, free);
    const left = amounts.map((amount, place) => Math.max(0, amount - amountAt(this.#roles.root.need, place)));
    const reachable = new Map<NodeWish, number>();
    return {
      amounts: left,
      partMax: ({ client }) => {
        const taker = client === null ? undefined : this.#takers.get(client);
        const wish = taker?.hungry?.wish ?? null;
        if (wish !== null) {
          const part = reachable.get(wish) ?? this.#partOf(this.#freeFor(wish), left);
          reachable.set(wish, part);
          return part;
        }
        return taker === undefined || taker.unmet === null ? 1 : this.#partOf(taker.unmet, left);
      },
    };
  }

  /** On the nodes that are wanted. */
  #freeFor(wish: NodeWish): Amounts {
    const amounts: Amounts = [];
    for (const { room, free } of this.#shelfNodes) if (wish.wants(room.node)) accumulate(amounts, free);
    return amounts;
  }

  #partOf(demand: Amounts, pool: Amounts): number {
    let part = 0;
    for (const place of this.#roles.counted) {
      const amount = amountAt(pool, place);
      if (amount > 0) part = Math.max(part, amountAt(demand, place) / amount);
    }
    return Math.min(1, part);
  }
}

/** The same for tasks that ask for the same. Most are told apart by their group, at less cost. */
function kindOf(wanted: WantedTask): unknown {
  return isOfItsOwnKind(wanted) ? demandKey(wanted) : wanted.group;
}

function isBelowLevel({ level, share, role }: Client): boolean {
  if (share >= level || role.group.share >= role.group.level) return false;
  for (let node = role; node.parent !== null; node = node.parent) if (node.share >= node.level) return false;
  return true;
}

function liftLevelsBelow({ below }: Contender): void {
  for (const one of below) {
    one.member.level = Number.POSITIVE_INFINITY;
    liftLevelsBelow(one);
  }
}

function frameworkTaker(hungry: HungryClient): Taker {
  return { client: hungry.client, scheduler: null, hungry, demand: null, unmet: null, isDone: false };
}

function builtInTakers(survey: Survey, wanted: readonly WantedTask[]): Taker[] {
  if (wanted.length === 0) return [];
  const { roles } = survey;
  const offer = { rooms: survey.givingRooms(), nodesTotal: survey.joined };
  return [...Map.groupBy(wanted, ({ job }) => job.spec.role)].map(([role, tasks]) => {
    const demand = demandOfAll(tasks, roles);
    return {
      client: roles.client(role, null),
      scheduler: batchFramework(offer, tasks),
      hungry: null,
      demand,
      unmet: [...demand],
      isDone: false,
    };
  });
}

function demandOfAll(tasks: readonly WantedTask[], { names }: RoleTree): Amounts {
  const sum: Amounts = [];
  const byGroup = new Map<object, Amounts>();
  for (const { group } of tasks) {
    const amounts = byGroup.get(group) ?? names.amountsOf(group.resources);
    byGroup.set(group, amounts);
    accumulate(sum, amounts);
  }
  return sum;
}

/** Open nodes of which there is enough for anybody, reserved or not. */
function shelfNodes(survey: Survey, hungry: readonly HungryClient[]): ShelfNode[] {
  const { roles } = survey;
  const minimums = distinctMinimums(hungry);
  return survey.list('giving').flatMap((row) => {
    const isUseful = row.reserved.length > 0 || (row.hasFree && minimums.some((one) => isEnough(row.freeAmounts, one)));
    if (!isUseful) return [];
    const room = survey.room(row);
    return room === null ? [] : [new ShelfNode(room, row, { filters: filtersInForce(survey, row), roles })];
  });
}

/** Without those that can be offered to none of the frameworks, unless there are tasks that may have use for them. */
function usefulNodes(
  survey: Survey,
  { hungry, hasTasks }: { readonly hungry: readonly HungryClient[]; readonly hasTasks: boolean },
): ShelfNode[] {
  const nodes = shelfNodes(survey, hungry);
  const suitors = hasTasks ? [...hungry, BUILT_IN_SUITOR] : hungry;
  const isUnofferable = unofferableNodes(survey.cluster, suitors);
  if (isUnofferable === null) return nodes;
  return nodes.filter(({ room, total }) => !isUnofferable(room.node, amountAt(total, GPUS_PLACE) > 0));
}

/** Most frameworks share one list of them. */
function distinctMinimums(hungry: readonly HungryClient[]): (readonly Amounts[])[] {
  const lists = new Set(hungry.map(({ minimums }) => minimums));
  return [...new Map([...lists].map((minimums) => [JSON.stringify(minimums), minimums])).values()];
}

const NO_FILTERS: ReadonlyMap<string, readonly OfferFilter[]> = new Map();

function filtersInForce(
  { cluster, nowMs }: Survey,
  { ledger }: LedgerSums,
): ReadonlyMap<string, readonly OfferFilter[]> {
  if (ledger.filters.length === 0) return NO_FILTERS;
  const active = ledger.filters.filter((filter) => isInForce(filter, cluster.frameworks.get(filter.framework), nowMs));
  return Map.groupBy(active, ({ role, framework }) => clientKey(role, framework));
}

function offeringOf({ roles, cluster }: Survey, nodes: readonly ShelfNode[]): Offering {
  const { gpuNodes, minAllocatable } = cluster.settings;
  const hasGpus = ({ total }: ShelfNode) => gpuNodes !== 'unrestricted' && amountAt(total, GPUS_PLACE) > 0;
  return new Offering(roles, {
    plain: new Shelf(nodes.filter((node) => !hasGpus(node))),
    withGpus: new Shelf(nodes.filter(hasGpus)),
    gpuNodes,
    usualMinimums: minAllocatable.map((one) => roles.names.ofNamed(one, 0)),
  });
}
