/**
 * The cluster as it will be once everything that is ending has ended and what the round gives stands: what preemption decides on.
 * It changes as the plan does: places are taken from some tasks and promised to others.
 */
import { type ClusterView, templateOf } from '../../shared/domain/cluster.ts';
import { type NodeId, type RolePath, roleWithin, type TaskId } from '../../shared/domain/ids.ts';
import {
  addEntries,
  addOffers,
  type Ledger,
  removeEntries,
  type TaskEntry,
  unreservedPart,
} from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import { scalarOf } from '../../shared/domain/resources.ts';
import { ancestorsOf } from '../../shared/domain/role.ts';
import { isLasting } from '../../shared/domain/service.ts';
import { enteredAtMs, isTerminal, type Task } from '../../shared/domain/task.ts';
import { invariant, present } from '../../shared/util/assert.ts';
import { byText } from '../../shared/util/order.ts';
import { type Amounts, accumulate, amountAt, atLeastNone } from './amounts.ts';
import type { Demand } from './demand.ts';
import { BOUND_FILTERS, DEMAND_FILTERS, PEER_FILTERS } from './filters/all.ts';
import { consentFilter } from './filters/consent.ts';
import { constraintFilter } from './filters/constraints.ts';
import type { Filter } from './filters/filter.ts';
import { gpuNodeKeptFilter } from './filters/gpu-node-kept.ts';
import { portRangeFilter } from './filters/ports.ts';
import { targetFilter } from './filters/target.ts';
import type { Holder } from './holder.ts';
import { placeHolder } from './kept-places.ts';
import { type LedgerSums, sumLedger } from './ledger-sums.ts';
import { Peers } from './peers.ts';
import type { PlannedOffer, PlannedPlacement } from './plan.ts';
import type { RoleTree } from './role-tree.ts';
import { type Room, roomOf } from './room.ts';
import type { Usage } from './round-memory.ts';
import type { Survey } from './survey.ts';
import type { OfferedPart } from './wait-memory.ts';
import type { WantedTask } from './wanted.ts';

/** A pending task, and what it asks for. */
export interface Contender {
  readonly wanted: WantedTask;
  readonly demand: Demand;
}

/** Some that leave their node. */
export interface Departure {
  readonly node: NodeId;
  readonly holders: readonly Holder[];
}

export interface OutlookInput {
  readonly survey: Survey;
  /** What the survey was made from. */
  readonly usage: Usage;
  readonly placements: readonly PlannedPlacement[];
  readonly offers: readonly PlannedOffer[];
}

export class Outlook {
  readonly #survey: Survey;
  readonly #usage: Usage;
  readonly #cluster: ClusterView;
  readonly #nowMs: number;
  readonly #roles: RoleTree;
  readonly #peers: Peers;
  readonly #given: Given;
  /** Made when they are first looked at, but for those that won't be as they are. */
  readonly #known = new Map<NodeId, OpenNode>();
  readonly #passing = new Set<NodeId>();
  readonly #promised = new Map<RolePath, Amounts>();
  readonly #beyond = new Map<RolePath, number>();
  #nodes: readonly NodeId[] | null = null;
  #offered: Amounts | null = null;
  #isChanged = false;

  constructor({ survey, usage, placements, offers }: OutlookInput) {
    this.#survey = survey;
    this.#usage = usage;
    this.#cluster = survey.cluster;
    this.#nowMs = survey.nowMs;
    this.#roles = usage.tree();
    this.#given = { placed: Map.groupBy(placements, nodeOf), offered: Map.groupBy(offers, nodeOf) };
    this.#peers = peersToBe(survey, placements);
    accumulate(this.#roles.headroom, usage.headroom);
    for (const { node } of [...survey.sweeps, ...placements, ...offers]) this.#passing.add(node);
    const ending = survey.list('ending').map(({ ledger }) => ledger.node);
    for (const node of new Set([...this.#passing, ...ending])) this.#foresee(node);
  }

  /** Those that take new tasks, in the order of their ids. */
  nodes(): readonly NodeId[] {
    this.#nodes ??= this.#survey.list('open').map(({ ledger }) => ledger.node);
    return this.#nodes;
  }

  get nodesTotal(): number {
    return this.#survey.list('open').length;
  }

  /** Whether the node takes new tasks. */
  isOpen(node: NodeId): boolean {
    return this.#usage.standing(node)?.isOpen === true;
  }

  /** Nodes that are something else than what their ledgers come to, by what this round does with them. */
  get passing(): ReadonlySet<NodeId> {
    return this.#passing;
  }

  /** What a role and those below it will hold of a scalar. */
  held(role: RolePath, scalar: string): number {
    return this.#roles.amountOf(this.#roles.role(role).charged, scalar);
  }

  /** The same without what it is to get only when others have ended. */
  heldFirmly(role: RolePath, scalar: string): number {
    return this.held(role, scalar) - this.#roles.amountOf(this.#promised.get(role) ?? [], scalar);
  }

  /** How much less of a scalar is free, or offered, than all roles need to come to what is guaranteed to them. */
  needed(scalar: string): number {
    const { root, headroom } = this.#roles;
    this.#offered ??= this.#allOffered();
    const [need, free, offered] = [root.need, headroom, this.#offered].map((one) => this.#roles.amountOf(one, scalar));
    return (need ?? 0) - (free ?? 0) - (offered ?? 0);
  }

  /** How much of a scalar the demand's role could get on the node. */
  available(node: NodeId, demand: Demand, { scalar, offered }: { scalar: string; offered: OfferedPart }): number {
    return this.#roomOf(this.#open(node), offered).availableTo(demand.role, scalar);
  }

  /** How much of a scalar is reserved for nobody on the node, and free or offered. */
  free(node: NodeId, scalar: string): number {
    return scalarOf(this.#roomOf(this.#open(node), 'free').free, scalar);
  }

  /** False: whoever left the node, it wouldn't take a task with such a demand. */
  mayAdmit(node: NodeId, demand: Demand): boolean {
    return asks(LASTING_FILTERS, this.#roomOf(this.#open(node), 'held'), demand);
  }

  /** Whether the other tasks of its group are where such a task may be beside them. */
  hasFittingPeers(node: NodeId, demand: Demand): boolean {
    return asks(PEER_FILTERS, this.#roomOf(this.#open(node), 'held'), demand);
  }

  /** Whether the node has room for such a task, whatever its role may be given and wherever others of its group are. */
  hasRoom(node: NodeId, demand: Demand, offered: OfferedPart): boolean {
    return asks(DEMAND_FILTERS, this.#roomOf(this.#open(node), offered), demand);
  }

  /** The same once these have left. */
  hasRoomWithout({ node, holders }: Departure, demand: Demand, offered: OfferedPart): boolean {
    return asks(DEMAND_FILTERS, this.#roomWithout(this.#open(node), holders, offered), demand);
  }

  hasOffers(node: NodeId): boolean {
    return this.#open(node).sums.offers.length > 0;
  }

  /** Whether anything of the node is reserved for the role. */
  isAnyReserved(node: NodeId, role: RolePath): boolean {
    const { reservations } = this.#open(node).sums;
    return reservations.some((one) => roleWithin(role, one.role));
  }

  /** How much more of a scalar the role may be given, beside what is reserved for it; infinite where nothing bounds it. */
  mayBeGiven(role: RolePath, scalar: string): number {
    return Math.min(this.#roles.limitLeftOf(role, scalar), this.#roles.guaranteeLeftOf(role, scalar));
  }

  /** Whether the task could be placed there, once these have left. */
  admits(node: NodeId, demand: Demand, { gone, offered }: { gone?: Departure; offered: OfferedPart }): boolean {
    const open = this.#open(node);
    if (gone === undefined) return asks(PLACING_FILTERS, this.#roomOf(open, offered), demand);
    const isHere = gone.node === node;
    const room = isHere ? this.#roomWithout(open, gone.holders, offered) : this.#roomOf(open, offered);
    for (const { entry } of gone.holders) this.#charge(entry, -1);
    const admits = asks(PLACING_FILTERS, room, demand);
    for (const { entry } of gone.holders) this.#charge(entry, 1);
    return admits;
  }

  /**
   * Who could make room on the node: lowest priority first, then of the role that is most beyond its guarantee, then whoever has
   * run for the shortest time. Neither what ends already nor what this round has placed.
   */
  holders(node: NodeId): readonly Holder[] {
    const open = this.#open(node);
    open.holders ??= this.#holdersIn(open.found);
    return open.holders;
  }

  /** The task will have a place there. */
  promise(node: NodeId, { wanted, demand }: Contender): void {
    const open = this.#openToChange(node);
    const entry = placeHolder(wanted, demand, { scalars: demand.scalars, room: this.#roomOf(open, 'free') });
    this.#renew(open, addEntries(open.sums.ledger, [entry]));
    this.#charge(entry, 1);
    this.#peers.add(entry, present(this.#cluster.nodes.get(node), `node ${node}`));
    const amounts = this.#roles.names.amountsOf(unreservedPart(entry));
    for (const level of [entry.role, ...ancestorsOf(entry.role)]) {
      const sum = this.#promised.get(level) ?? [];
      this.#promised.set(level, sum);
      accumulate(sum, amounts);
    }
  }

  /** These will have left. */
  take({ node, holders }: Departure): void {
    const open = this.#openToChange(node);
    const gone = new Set(idsOf(holders));
    open.holders = this.holders(node).filter(({ task }) => !gone.has(task));
    this.#renew(open, removeEntries(open.sums.ledger, [...gone]));
    for (const { entry } of holders) this.#charge(entry, -1);
  }

  #open(node: NodeId): OpenNode {
    const known = this.#known.get(node);
    if (known !== undefined) return known;
    invariant(this.isOpen(node), `node ${node} takes new tasks`);
    const open = this.#toBe(present(this.#survey.row(node), `the ledger of ${node}`));
    this.#known.set(node, open);
    return open;
  }

  #openToChange(node: NodeId): OpenNode {
    this.#passing.add(node);
    // Who has to go first is told by how things stood before anybody had to.
    if (!this.#isChanged) for (const { path } of this.#roles.roles) this.#beyondOf(path);
    this.#isChanged = true;
    return this.#open(node);
  }

  /** Charges for the node as it will be. */
  #foresee(node: NodeId): void {
    const [standing, row] = [this.#usage.standing(node), this.#survey.row(node)];
    if (standing === undefined || row === undefined) return;
    const open = this.#toBe(row);
    this.#recharge(standing.row, open.sums);
    if (!standing.isOpen) return;
    accumulate(this.#roles.headroom, atLeastNone(standing.row.freeAmounts), -1);
    accumulate(this.#roles.headroom, atLeastNone(open.sums.freeAmounts));
    this.#known.set(node, open);
  }

  #toBe(row: LedgerSums): OpenNode {
    const ledger = ledgerToBe(row.ledger, this.#given);
    const sums = ledger === row.ledger ? row : sumLedger(ledger, this.#roles.names);
    return { found: row.ledger, sums, rooms: new Map(), holders: null };
  }

  /** What offers hold, those of this round among them. */
  #allOffered(): Amounts {
    const all: Amounts = [];
    const add = (offer: Offer) => accumulate(all, this.#roles.names.amountsOf(unreservedPart(offer)));
    for (const { offers } of this.#survey.list('offering')) for (const offer of offers) add(offer);
    for (const offers of this.#given.offered.values()) for (const { offer } of offers) add(offer);
    return all;
  }

  #renew(open: OpenNode, ledger: Ledger): void {
    open.sums = sumLedger(ledger, this.#roles.names);
    open.rooms.clear();
  }

  #roomOf(open: OpenNode, offered: OfferedPart): Room {
    const known = open.rooms.get(offered);
    if (known !== undefined) return known;
    if (offered === 'free' && open.sums.offers.length === 0) return this.#roomOf(open, 'held');
    const made = offered === 'held' ? this.#room(open.sums) : this.#roomWithout(open, [], offered);
    open.rooms.set(offered, made);
    return made;
  }

  #roomWithout({ sums }: OpenNode, holders: readonly Holder[], offered: OfferedPart): Room {
    const left = removeEntries(sums.ledger, idsOf(holders));
    return this.#room(sumLedger(offered === 'held' ? left : { ...left, offers: {} }, this.#roles.names));
  }

  #room(sums: LedgerSums): Room {
    return present(
      roomOf(this.#cluster, { sums, nowMs: this.#nowMs }, { roles: this.#roles, peers: this.#peers }),
      `node ${sums.ledger.node}`,
    );
  }

  #recharge(before: LedgerSums, after: LedgerSums): void {
    if (before === after) return;
    for (const charge of before.charges) {
      this.#roles.charge(this.#roles.client(charge.role, charge.client), charge, -1);
    }
    for (const charge of after.charges) this.#roles.charge(this.#roles.client(charge.role, charge.client), charge);
  }

  #charge(entry: TaskEntry, sign: 1 | -1): void {
    const { names, headroom } = this.#roles;
    const unreserved = names.amountsOf(unreservedPart(entry));
    const given = { unreserved, whole: names.amountsOf(entry.resources), holdings: 1, offers: 0 };
    this.#roles.charge(this.#roles.client(entry.role, entry.framework), given, sign);
    accumulate(headroom, unreserved, sign === 1 ? -1 : 1);
  }

  #holdersIn({ entries }: Ledger): Holder[] {
    return Object.values(entries)
      .flatMap((entry) => this.#holderOf(entry) ?? [])
      .sort((a, b) => this.compare(a, b));
  }

  /** Who of two would have to go first. */
  compare(a: Holder, b: Holder): number {
    return (
      a.priority - b.priority ||
      this.#beyondOf(b.role) - this.#beyondOf(a.role) ||
      b.placedAtMs - a.placedAtMs ||
      byText(a.task, b.task)
    );
  }

  #holderOf(entry: TaskEntry): Holder | undefined {
    const task = this.#cluster.tasks.get(entry.task);
    if (entry.stop !== null || entry.disowned) return undefined;
    if (task === undefined || task.stop !== null || isTerminal(task.state)) return undefined;
    return {
      task: task.id,
      role: entry.role,
      priority: priorityOf(this.#cluster, task),
      placedAtMs: enteredAtMs(task, 'staging') ?? 0,
      entry,
      frees: unreservedPart(entry),
    };
  }

  /** How large a share of the cluster the role holds beyond what it is guaranteed, by its weight. */
  #beyondOf(role: RolePath): number {
    const known = this.#beyond.get(role);
    if (known !== undefined) return known;
    const { charged, guarantee, weight } = this.#roles.role(role);
    const excess = charged.map((amount, place) => Math.max(0, amount - amountAt(guarantee, place)));
    const beyond = this.#roles.shareOf(excess) / weight;
    this.#beyond.set(role, beyond);
    return beyond;
  }
}

/** Those that ask what a node is, rather than what it holds. */
const LASTING_FILTERS: readonly Filter[] = [
  consentFilter,
  targetFilter,
  constraintFilter,
  gpuNodeKeptFilter,
  portRangeFilter,
];

const PLACING_FILTERS: readonly Filter[] = [...DEMAND_FILTERS, ...PEER_FILTERS, ...BOUND_FILTERS];

/** Of a task whose version is on record no more. */
const LOWEST_PRIORITY = 0;

/** A change of a lasting job's priority holds for the tasks that it has, which it doesn't replace. */
function priorityOf(cluster: ClusterView, task: Task): number {
  const spec = cluster.jobs.get(task.jobUid)?.spec;
  if (spec !== undefined && isLasting(spec.kind)) return spec.priority;
  return templateOf(cluster, task)?.priority ?? LOWEST_PRIORITY;
}

interface OpenNode {
  /** As the round found it, after its sweeps. */
  readonly found: Ledger;
  sums: LedgerSums;
  /** Made when they are first asked for. */
  readonly rooms: Map<OfferedPart, Room>;
  holders: readonly Holder[] | null;
}

interface Given {
  readonly placed: ReadonlyMap<NodeId, readonly PlannedPlacement[]>;
  readonly offered: ReadonlyMap<NodeId, readonly PlannedOffer[]>;
}

/** Once what ends has ended. A place that was given up on a node that was lost doesn't come free by any stop. */
function ledgerToBe(ledger: Ledger, { placed, offered }: Given): Ledger {
  const ending: TaskId[] = [];
  for (const id in ledger.entries) {
    const entry = ledger.entries[id];
    if (entry !== undefined && entry.stop !== null && !entry.disowned) ending.push(id);
  }
  const entries = (placed.get(ledger.node) ?? []).map(({ entry }) => entry);
  const offers = (offered.get(ledger.node) ?? []).map(({ offer }) => offer);
  return addOffers(addEntries(removeEntries(ledger, ending), entries), offers);
}

/** Those that are to end don't count any more. */
function peersToBe(survey: Survey, placements: readonly PlannedPlacement[]): Peers {
  const { cluster } = survey;
  const peers = new Peers({ cluster, openNodes: () => survey.openNodes(), isGone: ({ stop }) => stop !== null });
  for (const { entry, node } of placements) {
    peers.add(entry, present(cluster.nodes.get(node), `node ${node}`));
  }
  return peers;
}

function nodeOf({ node }: { readonly node: NodeId }): NodeId {
  return node;
}

function idsOf(holders: readonly Holder[]): TaskId[] {
  return holders.map(({ task }) => task);
}

function asks(filters: readonly Filter[], room: Room, demand: Demand): boolean {
  return filters.every((filter) => !filter.applies(demand) || filter.admits(room, demand));
}
