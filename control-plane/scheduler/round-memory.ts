/**
 * What a planner keeps from round to round: what it has worked out of each ledger, the sums over all of them, and the short lists of
 * those that a round has to look at. Ledgers never change but are replaced, so each is told by its identity. Where the state says
 * which nodes and tasks have been touched since the last round, only those are looked at; else all are. Either way a round comes to
 * the same plan as one that remembers nothing.
 */
import type { ClusterView, TouchLog } from '../../shared/domain/cluster.ts';
import type { NodeId, RolePath, TaskId } from '../../shared/domain/ids.ts';
import { byText } from '../../shared/util/order.ts';
import { type Amounts, accumulate, atLeastNone, ScalarNames } from './amounts.ts';
import { EntryPlaces } from './entry-places.ts';
import { FirstExpiry } from './first-expiry.ts';
import { type Charge, clientKey, emptyCharge, type LedgerSums, sumLedger } from './ledger-sums.ts';
import { MaintenanceTurns } from './maintenance-turns.ts';
import { type NodeStanding, standingOf } from './node-standing.ts';
import { NodeWishes } from './node-wishes.ts';
import type { HeldSums, RoleTree } from './role-tree.ts';
import { RoleTrees } from './role-trees.ts';
import { nodeOfRow, withChanges } from './row-list.ts';
import { WaitMemory } from './wait-memory.ts';

/** Rows of which something has to be done, or may be; all in the order of their nodes' ids. */
export interface RowLists {
  readonly all: readonly LedgerSums[];
  /** Those that take new tasks. */
  readonly open: readonly LedgerSums[];
  /** Of these, those of which anything is free or reserved. */
  readonly giving: readonly LedgerSums[];
  readonly offering: readonly LedgerSums[];
  readonly filtered: readonly LedgerSums[];
  /** Those with tasks that are to end. */
  readonly ending: readonly LedgerSums[];
  /** With offers, though they take no new tasks. */
  readonly stranded: readonly LedgerSums[];
}

/** Which of the lists a row belongs to. */
const BELONGS: Readonly<Record<keyof RowLists, (row: LedgerSums, isOpen: boolean) => boolean>> = {
  all: () => true,
  open: (_, isOpen) => isOpen,
  giving: (row, isOpen) => isOpen && (row.hasFree || row.reserved.length > 0),
  offering: ({ offers }) => offers.length > 0,
  filtered: ({ ledger }) => ledger.filters.length > 0,
  ending: ({ isEnding }) => isEnding,
  stranded: ({ offers }, isOpen) => !isOpen && offers.length > 0,
};

const LIST_NAMES = ['all', 'open', 'giving', 'offering', 'filtered', 'ending', 'stranded'] as const;

/** The sums over all ledgers. */
export interface Usage extends HeldSums {
  readonly lists: RowLists;
  /** Tasks that have ended, by the node where they hold their places still. */
  readonly ended: ReadonlyMap<NodeId, readonly TaskId[]>;
  /** What is free on open ones. */
  readonly headroom: Amounts;
  /** When the first of all offers expires; infinite where there is none. */
  readonly firstExpiryMs: number;
  /** When a maintenance window begins or ends next; infinite where none does. */
  readonly nextTurnMs: number;
  /** How many of the nodes have joined. */
  readonly joined: number;
  readonly wishes: Pick<NodeWishes, 'of'>;
  /** What has been found out for tasks that wait for others to make room. */
  readonly waits: WaitMemory;
  /** What is known of a node that has a ledger. */
  standing(node: NodeId): NodeStanding | undefined;
  /** A tree of those who hold all this, until the next round of the same planner. */
  tree(): RoleTree;
}

export type FollowedView = Pick<
  ClusterView,
  'ledgers' | 'nodes' | 'epochs' | 'maintenance' | 'tasks' | 'isAlive' | 'touched' | 'roles' | 'settings'
>;

/** Where more nodes have been touched than this, new trees are cheaper than those that are kept. */
const TREES_KEPT_TOUCHES_MAX = 200;

/** The lists once these rows stand in the place of others. */
export function listWith(
  lists: RowLists,
  name: keyof RowLists,
  changed: readonly { readonly row: LedgerSums; readonly isOpen: boolean }[],
): readonly LedgerSums[] {
  const belongs = BELONGS[name];
  return withChanges(
    lists[name],
    changed.map(({ row, isOpen }) => ({ node: row.ledger.node, row: belongs(row, isOpen) ? row : null })),
    nodeOfRow,
  );
}

export class RoundMemory {
  readonly #names = new ScalarNames();
  readonly #standings = new Map<NodeId, NodeStanding>();
  readonly #ended = new Map<NodeId, readonly TaskId[]>();
  readonly #total: Amounts = [];
  readonly #headroom: Amounts = [];
  readonly #charges = new Map<string, Charge>();
  readonly #reserved = new Map<RolePath, Amounts>();
  readonly #places = new EntryPlaces();
  readonly #trees = new RoleTrees();
  readonly #firstExpiry = new FirstExpiry();
  readonly #turns = new MaintenanceTurns();
  readonly #wishes = new NodeWishes();
  readonly #waits = new WaitMemory();
  #lists: RowLists = { all: [], open: [], giving: [], offering: [], filtered: [], ending: [], stranded: [] };
  #joined = 0;
  #followed: { readonly log: TouchLog; readonly mark: number } | null = null;

  usageOf(cluster: FollowedView, nowMs: number): Usage {
    this.#trees.rewind();
    this.#wishes.turn();
    this.#follow(cluster, nowMs);
    const sums: HeldSums = {
      names: this.#names,
      total: this.#total,
      charges: this.#charges,
      reserved: this.#reserved,
    };
    return {
      ...sums,
      lists: this.#lists,
      ended: this.#ended,
      headroom: this.#headroom,
      firstExpiryMs: this.#firstExpiry.of(this.#lists.offering),
      nextTurnMs: this.#turns.nextMs,
      joined: this.#joined,
      wishes: this.#wishes,
      waits: this.#waits,
      standing: (node) => this.#standings.get(node),
      tree: () => this.#trees.take(cluster, sums),
    };
  }

  #follow(cluster: FollowedView, nowMs: number): void {
    const touched = this.#touchedIn(cluster);
    const turned = this.#turnedIn(cluster, touched, nowMs);
    const seen = touched ?? new Set([...cluster.ledgers.keys(), ...this.#standings.keys()]);
    const nodes = turned.length === 0 ? seen : new Set([...seen, ...turned]);
    if (touched === null || nodes.size > TREES_KEPT_TOUCHES_MAX) this.#trees.forget();
    this.#waits.follow(cluster.settings, touched === null ? null : nodes);
    const changed = new Map<NodeId, NodeStanding | null>();
    for (const node of nodes) this.#look({ cluster, nowMs }, node, changed);
    this.#list(changed);
  }

  /** Nodes whose maintenance has begun or ended. */
  #turnedIn({ maintenance }: FollowedView, touched: ReadonlySet<NodeId> | null, nowMs: number): readonly NodeId[] {
    if (touched === null) this.#turns.keepOnly(maintenance);
    for (const node of touched ?? maintenance.keys()) this.#turns.learn(node, maintenance.get(node));
    return this.#turns.moveTo(nowMs);
  }

  /** Null: any node may be another one. */
  #touchedIn({ touched: log }: FollowedView): ReadonlySet<NodeId> | null {
    const before = this.#followed;
    this.#followed = log === undefined ? null : { log, mark: log.mark };
    const since = log !== undefined && before?.log === log ? log.since(before.mark) : null;
    if (since === null) {
      this.#places.forget();
      return null;
    }
    this.#places.learn(() => Array.from(this.#standings.values(), ({ row }) => row.ledger));
    const nodes = new Set(since.nodes);
    for (const task of since.tasks) for (const node of this.#places.of(task)) nodes.add(node);
    return nodes;
  }

  #look(
    { cluster, nowMs }: { readonly cluster: FollowedView; readonly nowMs: number },
    node: NodeId,
    changed: Map<NodeId, NodeStanding | null>,
  ): void {
    const before = this.#standings.get(node);
    const ledger = cluster.ledgers.get(node);
    if (ledger === undefined) {
      if (before === undefined) return;
      this.#count(before, -1);
      this.#standings.delete(node);
      this.#ended.delete(node);
      this.#places.replace(before.row.ledger, null);
      changed.set(node, null);
      return;
    }
    const row = before?.row.ledger === ledger ? before.row : sumLedger(ledger, this.#names);
    const standing = standingOf(cluster, { row, nowMs }, before);
    if (standing === before) return;
    if (before !== undefined) this.#count(before, -1);
    this.#count(standing, 1);
    this.#standings.set(node, standing);
    if (standing.ended.length > 0) this.#ended.set(node, standing.ended);
    else this.#ended.delete(node);
    this.#places.replace(before?.row.ledger ?? null, ledger);
    changed.set(node, standing);
  }

  #list(changed: ReadonlyMap<NodeId, NodeStanding | null>): void {
    if (changed.size === 0) return;
    const lists: Partial<Record<keyof RowLists, readonly LedgerSums[]>> = {};
    if (2 * changed.size > this.#standings.size) {
      const standings = [...this.#standings.values()].sort((a, b) => byText(a.row.ledger.node, b.row.ledger.node));
      for (const name of LIST_NAMES) {
        lists[name] = standings.flatMap(({ row, isOpen }) => (BELONGS[name](row, isOpen) ? row : []));
      }
    } else {
      for (const name of LIST_NAMES) {
        const rows = [...changed].map(([node, standing]) => {
          const isListed = standing !== null && BELONGS[name](standing.row, standing.isOpen);
          return { node, row: isListed ? standing.row : null };
        });
        lists[name] = withChanges(this.#lists[name], rows, nodeOfRow);
      }
    }
    this.#lists = { ...this.#lists, ...lists };
  }

  #count({ row, isOpen, isJoined }: NodeStanding, sign: 1 | -1): void {
    if (isJoined) this.#joined += sign;
    if (sign === 1) this.#firstExpiry.add(row);
    else this.#firstExpiry.remove(row);
    accumulate(this.#total, atLeastNone(row.total), sign);
    if (isOpen) accumulate(this.#headroom, atLeastNone(row.freeAmounts), sign);
    for (const { role, amounts } of row.reservations) {
      const sum = this.#reserved.get(role) ?? [];
      this.#reserved.set(role, sum);
      accumulate(sum, amounts, sign);
      this.#trees.reserve(role, amounts, sign);
    }
    for (const charge of row.charges) this.#countCharge(charge, sign);
  }

  #countCharge(charge: Charge, sign: 1 | -1): void {
    this.#trees.charge(charge, sign);
    const key = clientKey(charge.role, charge.client);
    const sum = this.#charges.get(key) ?? emptyCharge(charge.role, charge.client);
    accumulate(sum.unreserved, charge.unreserved, sign);
    accumulate(sum.whole, charge.whole, sign);
    sum.holdings += sign * charge.holdings;
    sum.offers += sign * charge.offers;
    accumulate(sum.offered.unreserved, charge.offered.unreserved, sign);
    accumulate(sum.offered.whole, charge.offered.whole, sign);
    if (sum.holdings === 0) this.#charges.delete(key);
    else this.#charges.set(key, sum);
  }
}
