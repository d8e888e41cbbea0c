/**
 * What everybody would be due if no offer stood: the levels at which all that is free or offered would be shared. Those above
 * theirs hold more than their share; those below it are owed something.
 */
import { unreservedPart } from '../../shared/domain/ledger.ts';
import { type Amounts, accumulate, amountAt, atLeastNone, GPUS_PLACE } from './amounts.ts';
import type { LedgerSums } from './ledger-sums.ts';
import { setLevels } from './levels.ts';
import type { NodeWish } from './node-wishes.ts';
import type { Client, Member, RoleTree } from './role-tree.ts';
import type { Survey } from './survey.ts';
import { contendersOf } from './turns.ts';
import { BUILT_IN_SUITOR, type Suitor, unofferableNodes } from './unofferable.ts';

/** A client that wants more, and how much; null: as much as there is. */
export interface Wanting {
  readonly client: Client;
  readonly demand: Amounts | null;
}

/** How far above or below its level a share may lie before anything is withdrawn for it: offers must come to rest. */
const TOLERANCE = 0.1;

export class FairShares {
  /** The cluster as it was before the round gave anything, without any offers. */
  readonly #bare: RoleTree;

  constructor(survey: Survey, wanting: readonly Wanting[]) {
    const bare = survey.again();
    const offered = offersTakenOut(bare);
    const pool = poolOf(bare, offered, wanting);
    const demands = new Map<Client, Amounts | null>();
    for (const [client, held] of offered) demands.set(client, held);
    for (const { client, demand } of wanting) demands.set(bare.roles.client(client.role.path, client.id), demand);
    const reachable = new Map<NodeWish, Amounts>();
    const partMax = ({ client }: { readonly client: Client | null }) => {
      const demand = client === null ? null : (demands.get(client) ?? reachOf(bare, client, reachable));
      return demand === null ? 1 : partOf(demand, pool, bare.roles.counted);
    };
    const root = contendersOf(bare.roles.root, demands.keys());
    setLevels(bare.roles, root, { amounts: pool, partMax });
    this.#bare = bare.roles;
  }

  /** It, or something above it, holds more than it is due. */
  isAbove(client: Client): boolean {
    for (const { member, level } of this.#levelsOf(client)) if (member.share > level * (1 + TOLERANCE)) return true;
    return false;
  }

  /** How much of the cluster it is owed; 0 where it is only a little. */
  owed(client: Client): number {
    let owed = Number.POSITIVE_INFINITY;
    for (const { member, level } of this.#levelsOf(client)) {
      if (member.share > level * (1 - TOLERANCE)) return 0;
      owed = Math.min(owed, (level - member.share) * member.weight);
    }
    return owed;
  }

  /**
   * How much the client needs, in whole steps: none if it misses only a little of its due, one if less than half, two otherwise,
   * and one more while it holds no offer. What is given only lessens it.
   */
  need(client: Client): number {
    let missing = 1;
    for (const { member, level } of this.#levelsOf(client)) {
      if (member.share > level * (1 - TOLERANCE)) return 0;
      if (level > 0) missing = Math.min(missing, 1 - member.share / level);
    }
    return (missing < 0.5 ? 1 : 2) + (client.offers === 0 ? 1 : 0);
  }

  /** Of the client and all above it. Those that have none can be given all that they want. */
  *#levelsOf(client: Client): Generator<{ readonly member: Member; readonly level: number }> {
    const bare = this.#bare.client(client.role.path, client.id);
    yield { member: client, level: bare.level };
    yield { member: client.role.group, level: bare.role.group.level };
    let role = client.role;
    for (let other = bare.role; role.parent !== null && other.parent !== null; other = other.parent) {
      yield { member: role, level: other.level };
      role = role.parent;
    }
  }
}

/** What each client holds in offers. The tree no longer charges for it. */
function offersTakenOut(survey: Survey): Map<Client, Amounts> {
  const offered = survey.offeredByClient();
  for (const [client, sum] of offered) survey.roles.charge(client, sum, -1);
  return new Map([...offered].map(([client, { unreserved }]) => [client, unreserved]));
}

function partOf(demand: Amounts, pool: Amounts, counted: readonly number[]): number {
  let part = 0;
  for (const place of counted) {
    const amount = amountAt(pool, place);
    if (amount > 0) part = Math.max(part, amountAt(demand, place) / amount);
  }
  return Math.min(1, part);
}

/** What is free or offered on the nodes that a framework wants. Null: it wants any. */
function reachOf(bare: Survey, client: Client, known: Map<NodeWish, Amounts>): Amounts | null {
  const { wish } = suitorOf(bare, client);
  if (wish === null) return null;
  const before = known.get(wish);
  if (before !== undefined) return before;
  const reach: Amounts = [];
  const isWanted = ({ ledger }: LedgerSums) => {
    const node = bare.cluster.nodes.get(ledger.node);
    return node !== undefined && wish.wants(node);
  };
  for (const row of bare.list('giving')) if (isWanted(row)) accumulate(reach, atLeastNone(row.freeAmounts));
  for (const row of bare.list('offering')) {
    if (!isWanted(row)) continue;
    for (const offer of row.offers) accumulate(reach, bare.roles.names.amountsOf(unreservedPart(offer)));
  }
  known.set(wish, reach);
  return reach;
}

function suitorOf(survey: Survey, { id, role }: Client): Suitor {
  const framework = id === null ? undefined : survey.cluster.frameworks.get(id);
  return framework === undefined ? BUILT_IN_SUITOR : { framework, wish: survey.nodeWish(framework, role.path) };
}

function poolOf(survey: Survey, offered: ReadonlyMap<Client, Amounts>, wanting: readonly Wanting[]): Amounts {
  const pool = [...survey.roles.headroom];
  for (const amounts of offered.values()) accumulate(pool, amounts);
  const clients = [...offered.keys(), ...wanting.map(({ client }) => client)];
  const isUnofferable = unofferableNodes(
    survey.cluster,
    clients.map((client) => suitorOf(survey, client)),
  );
  if (isUnofferable !== null) {
    for (const { ledger, total, freeAmounts } of survey.list('giving')) {
      const node = survey.cluster.nodes.get(ledger.node);
      if (node === undefined || !isUnofferable(node, amountAt(total, GPUS_PLACE) > 0)) continue;
      accumulate(pool, atLeastNone(freeAmounts), -1);
    }
  }
  return pool.map((amount, place) => Math.max(0, amount - amountAt(survey.roles.root.need, place)));
}
