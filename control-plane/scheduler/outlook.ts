/**
 * The cluster as it will be once everything that is ending has ended and the round's placements stand: what preemption decides on.
 * It changes as the plan does: places are taken from some tasks and given to others.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { templateOf } from '../../shared/domain/cluster.ts';
import type { NodeId, RolePath, TaskId } from '../../shared/domain/ids.ts';
import { addEntries, type Ledger, removeEntries, type TaskEntry, unreservedPart } from '../../shared/domain/ledger.ts';
import { type Scalars, scalarNames, scalarOf, toMilli } from '../../shared/domain/resources.ts';
import { DEFAULT_WEIGHT } from '../../shared/domain/role.ts';
import { enteredAtMs, isTerminal } from '../../shared/domain/task.ts';
import { present } from '../../shared/util/assert.ts';
import { byText } from '../../shared/util/order.ts';
import type { Demand } from './demand.ts';
import { DEMAND_FILTERS } from './filters/all.ts';
import { consentFilter } from './filters/consent.ts';
import { constraintFilter } from './filters/constraints.ts';
import type { Filter } from './filters/filter.ts';
import { portRangeFilter } from './filters/ports.ts';
import { placeHolder } from './kept-places.ts';
import type { PlannedPlacement } from './plan.ts';
import { RoleHoldings } from './role-holdings.ts';
import { type Room, roomWith } from './room.ts';
import type { WantedTask } from './wanted.ts';

/** A task that could be made to give its place to another one. */
export interface Holder {
  readonly task: TaskId;
  readonly role: RolePath;
  readonly priority: number;
  readonly placedAtMs: number;
  /** What comes free for everybody when it goes. */
  readonly frees: Scalars;
}

export interface OutlookInput {
  readonly cluster: ClusterView;
  /** The nodes that take new tasks, as the round found them after its sweeps. */
  readonly rooms: readonly Room[];
  /** All nodes: what roles hold counts on every one. */
  readonly allRooms: readonly Room[];
  readonly placements: readonly PlannedPlacement[];
}

export class Outlook {
  readonly #cluster: ClusterView;
  readonly #nodes: ReadonlyMap<NodeId, OpenNode>;
  readonly #holdings = new RoleHoldings();
  readonly #promised = new RoleHoldings();
  readonly #totals = new Map<string, number>();
  readonly #beyond = new Map<RolePath, number>();

  constructor({ cluster, rooms, allRooms, placements }: OutlookInput) {
    this.#cluster = cluster;
    const placed = Map.groupBy(placements, ({ node }) => node);
    const open = new Set(rooms.map(({ id }) => id));
    const nodes: OpenNode[] = [];
    for (const room of allRooms) {
      const entries = (placed.get(room.id) ?? []).map(({ entry }) => entry);
      const ledger = addEntries(withoutEnding(room.ledger), entries);
      this.#count(ledger);
      if (open.has(room.id)) nodes.push({ id: room.id, before: room, ledger, room: null, holders: null });
    }
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
  }

  /** In the order of their ids. */
  nodes(): Iterable<NodeId> {
    return this.#nodes.keys();
  }

  /** What a role and those below it will hold. */
  held(role: RolePath, scalar: string): number {
    return this.#holdings.of(role, scalar);
  }

  /** The same without what it is to get only when others have ended. */
  heldFirmly(role: RolePath, scalar: string): number {
    return toMilli(this.held(role, scalar) - this.#promised.of(role, scalar));
  }

  /** Whether a node that these tasks have left would take one more with such a demand. */
  admits(node: NodeId, demand: Demand, without: readonly Holder[] = []): boolean {
    const room = this.#roomOf(node, without);
    return DEMAND_FILTERS.every((filter) => !filter.applies(demand) || filter.admits(room, demand));
  }

  /** False: whoever left the node, it wouldn't take a task with such a demand. */
  mayAdmit(node: NodeId, demand: Demand): boolean {
    const { before } = this.#open(node);
    return LASTING_FILTERS.every((filter) => !filter.applies(demand) || filter.admits(before, demand));
  }

  /** What will be free on the node. */
  free(node: NodeId): Scalars {
    return this.#roomOf(node, []).free;
  }

  /**
   * Who could make room on the node: lowest priority first, then of the role that is most beyond its guarantee, then whoever has
   * run for the shortest time. Neither what ends already nor what this round has placed.
   */
  holders(node: NodeId): readonly Holder[] {
    const open = this.#open(node);
    open.holders ??= this.#holdersIn(open.before.ledger);
    return open.holders;
  }

  /** The task will have a place there. */
  give(node: NodeId, { wanted, demand }: { wanted: WantedTask; demand: Demand }): void {
    const open = this.#open(node);
    const entry = placeHolder(wanted, demand, { scalars: demand.scalars, room: this.#roomOf(node, []) });
    open.ledger = addEntries(open.ledger, [entry]);
    open.room = null;
    this.#holdings.add(wanted.task.role, demand.scalars);
    this.#promised.add(wanted.task.role, demand.scalars);
  }

  /** These will have left it. */
  take(node: NodeId, holders: readonly Holder[]): void {
    const open = this.#open(node);
    const gone = new Set(idsOf(holders));
    open.ledger = removeEntries(open.ledger, [...gone]);
    open.room = null;
    open.holders = this.holders(node).filter(({ task }) => !gone.has(task));
    for (const { role, frees } of holders) this.#holdings.remove(role, frees);
  }

  #open(node: NodeId): OpenNode {
    return present(this.#nodes.get(node), `the open node ${node}`);
  }

  #roomOf(node: NodeId, without: readonly Holder[]): Room {
    const open = this.#open(node);
    if (without.length > 0) return roomWith(open.before, removeEntries(open.ledger, idsOf(without)));
    open.room ??= roomWith(open.before, open.ledger);
    return open.room;
  }

  #count(ledger: Ledger): void {
    for (const entry of Object.values(ledger.entries)) this.#holdings.add(entry.role, unreservedPart(entry));
    for (const offer of Object.values(ledger.offers)) this.#holdings.add(offer.role, unreservedPart(offer));
    for (const { role, scalars } of Object.values(ledger.reservations)) this.#holdings.add(role, scalars);
    for (const name of scalarNames(ledger.total)) {
      this.#totals.set(name, (this.#totals.get(name) ?? 0) + scalarOf(ledger.total, name));
    }
  }

  #holdersIn({ entries }: Ledger): Holder[] {
    return Object.values(entries)
      .flatMap((entry) => this.#holderOf(entry) ?? [])
      .sort(
        (a, b) =>
          a.priority - b.priority ||
          this.#beyondOf(b.role) - this.#beyondOf(a.role) ||
          b.placedAtMs - a.placedAtMs ||
          byText(a.task, b.task),
      );
  }

  #holderOf(entry: TaskEntry): Holder | undefined {
    const task = this.#cluster.tasks.get(entry.task);
    if (entry.stop !== null || entry.disowned) return undefined;
    if (task === undefined || task.stop !== null || isTerminal(task.state)) return undefined;
    return {
      task: task.id,
      role: entry.role,
      priority: templateOf(this.#cluster, task)?.priority ?? LOWEST_PRIORITY,
      placedAtMs: enteredAtMs(task, 'staging') ?? 0,
      frees: unreservedPart(entry),
    };
  }

  /** How much more the role holds than it is promised: the largest share of the cluster's scalars, divided by its weight. */
  #beyondOf(role: RolePath): number {
    const known = this.#beyond.get(role);
    if (known !== undefined) return known;
    const { guarantee = {}, weight = DEFAULT_WEIGHT } = this.#cluster.roles.get(role) ?? {};
    const shares = [...this.#totals].map(([name, total]) => {
      const promised = Object.hasOwn(guarantee, name) ? (guarantee[name] ?? 0) : 0;
      return total > 0 ? (this.held(role, name) - promised) / total : 0;
    });
    const beyond = Math.max(0, ...shares) / weight;
    this.#beyond.set(role, beyond);
    return beyond;
  }
}

/** Those that ask what a node is, rather than what it holds. */
const LASTING_FILTERS: readonly Filter[] = [consentFilter, constraintFilter, portRangeFilter];

/** Of a task whose version is on record no more. */
const LOWEST_PRIORITY = 0;

interface OpenNode {
  readonly id: NodeId;
  /** As the round found it. */
  readonly before: Room;
  ledger: Ledger;
  /** Made when it is first asked for. */
  room: Room | null;
  holders: readonly Holder[] | null;
}

/** A place that was given up on a node that was lost doesn't come free by any stop. */
function withoutEnding(ledger: Ledger): Ledger {
  const ending = Object.values(ledger.entries).filter(({ stop, disowned }) => stop !== null && !disowned);
  return removeEntries(
    ledger,
    ending.map(({ task }) => task),
  );
}

function idsOf(holders: readonly Holder[]): TaskId[] {
  return holders.map(({ task }) => task);
}
