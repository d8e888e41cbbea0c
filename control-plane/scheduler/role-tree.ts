/**
 * Who holds how much of the cluster, as a tree: roles below roles, and in each role its clients. Everything that competes for
 * resources is a member of it and has a share: the largest part that it holds of any scalar of the cluster, by its weight
 * (dominant resource fairness). What a round gives is charged here at once, so that every next decision sees it.
 *
 * A role's limit and its guarantee are kept here as well. Beside its child roles, a role's own clients compete as one group.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { DEFAULT_WEIGHT } from '../../shared/domain/role.ts';
import { type Amounts, accumulate, amountAt, type ScalarNames } from './amounts.ts';
import { type Charge, type ClientId, clientKey } from './ledger-sums.ts';

export class Member {
  /** The order among equals. */
  readonly name: string;
  readonly weight: number;
  /** What its share is made of. */
  readonly charged: Amounts = [];
  /** How many tasks and offers that is. */
  holdings = 0;
  /** By its weight. */
  share = 0;
  /** The share up to which it is to be served for now. */
  level = Number.POSITIVE_INFINITY;

  constructor(name: string, weight: number) {
    this.name = name;
    this.weight = weight;
  }
}

export class RoleNode extends Member {
  readonly path: RolePath;
  /** Null: it stands for the cluster. */
  readonly parent: RoleNode | null;
  /** Its own clients, as one beside its child roles. */
  readonly group: Member;
  /** Infinite where it has none. */
  readonly limit: Amounts;
  readonly guarantee: Amounts;
  /** What has to stay unallocated so that it and those below it can come to hold what is guaranteed to them. */
  readonly need: Amounts = [];
  /** The sum of the needs of its child roles. */
  readonly childNeed: Amounts = [];
  readonly clients = new Map<ClientId, Client>();

  constructor(path: RolePath, parent: RoleNode | null, terms: { weight: number; limit: Amounts; guarantee: Amounts }) {
    super(path, terms.weight);
    this.path = path;
    this.parent = parent;
    // Below every name, so before any child role that is as poor.
    this.group = new Member('', DEFAULT_WEIGHT);
    this.limit = terms.limit;
    this.guarantee = terms.guarantee;
  }
}

export class Client extends Member {
  /** How many of its holdings are offers. */
  offers = 0;
  readonly id: ClientId;
  readonly role: RoleNode;
  readonly key: string;

  constructor(id: ClientId, role: RoleNode) {
    super(id ?? '', DEFAULT_WEIGHT);
    this.key = clientKey(role.path, id);
    this.id = id;
    this.role = role;
  }
}

/** Infinite of everything. */
const UNBOUNDED: Amounts = [];

export interface Given {
  /** What the role is charged for. */
  readonly unreserved: Amounts;
  /** All of it, reserved or not. */
  readonly whole: Amounts;
  readonly holdings: number;
  /** How many of the holdings are offers. */
  readonly offers: number;
}

/** What all ledgers together hold. */
export interface HeldSums {
  readonly names: ScalarNames;
  /** What all nodes have. */
  readonly total: Amounts;
  readonly charges: ReadonlyMap<string, Charge>;
  /** All that is reserved, by role. */
  readonly reserved: ReadonlyMap<RolePath, Amounts>;
}

interface Change {
  readonly client: Client;
  readonly given: Given;
  readonly sign: 1 | -1;
}

export class RoleTree {
  readonly root: RoleNode;
  /** What is unallocated on nodes that take new tasks. */
  readonly headroom: Amounts = [];
  readonly total: Amounts;
  readonly #usage: HeldSums;
  readonly #cluster: Pick<ClusterView, 'roles' | 'settings'>;
  readonly #counted: readonly number[];
  readonly #roles = new Map<RolePath, RoleNode>();
  readonly #clients: Client[] = [];
  /** Whether any role has a limit, or a guarantee. */
  readonly hasLimits: boolean;
  readonly hasGuarantees: boolean;
  /** Until all that is held has been counted. */
  #isCounted = false;
  /** Beyond what is held, in the order in which it was charged. */
  #changes: Change[] = [];

  constructor(cluster: Pick<ClusterView, 'roles' | 'settings'>, usage: HeldSums) {
    this.#cluster = cluster;
    this.#usage = usage;
    // The sum itself changes while ledgers are counted anew.
    this.total = [...usage.total];
    const excluded = new Set(cluster.settings.excludedFromShares);
    this.#counted = usage.names.names.flatMap((name, place) =>
      excluded.has(name) || amountAt(usage.total, place) <= 0 ? [] : [place],
    );
    const records = [...cluster.roles.values()];
    this.hasLimits = records.some(({ limit }) => Object.keys(limit).length > 0);
    this.hasGuarantees = records.some(({ guarantee }) => Object.keys(guarantee).length > 0);
    this.root = this.#makeRole('', null);
    for (const path of cluster.roles.keys()) this.role(path);
    for (const [path, amounts] of usage.reserved) this.reserve(path, amounts);
    for (const charge of usage.charges.values()) this.recount(this.client(charge.role, charge.client), charge);
    this.#isCounted = true;
    if (this.hasGuarantees) for (const role of this.#roles.values()) this.#renewNeeds(role);
  }

  /** The places of the scalars that count in shares. */
  get counted(): readonly number[] {
    return this.#counted;
  }

  get clients(): Iterable<Client> {
    return this.#clients;
  }

  get roles(): Iterable<RoleNode> {
    return this.#roles.values();
  }

  role(path: RolePath): RoleNode {
    const known = this.#roles.get(path);
    if (known !== undefined) return known;
    const end = path.lastIndexOf('/');
    const made = this.#makeRole(path, end < 0 ? this.root : this.role(path.slice(0, end)));
    this.#roles.set(path, made);
    return made;
  }

  client(path: RolePath, id: ClientId): Client {
    const role = this.role(path);
    const known = role.clients.get(id);
    if (known !== undefined) return known;
    const made = new Client(id, role);
    role.clients.set(id, made);
    this.#clients.push(made);
    return made;
  }

  get clientsTotal(): number {
    return this.#clients.length;
  }

  /** `sign` -1 takes it back. */
  charge(client: Client, given: Given, sign: 1 | -1 = 1): void {
    this.#changes.push({ client, given, sign });
    this.recount(client, given, sign);
  }

  /** As it was before anything was charged beyond what is held; nothing is taken for unallocated, and nobody has a level. */
  rewind(): void {
    for (const { client, given, sign } of this.#changes.reverse()) this.recount(client, given, sign === 1 ? -1 : 1);
    this.#changes = [];
    this.headroom.length = 0;
    for (const role of [this.root, ...this.#roles.values()]) {
      role.level = Number.POSITIVE_INFINITY;
      role.group.level = Number.POSITIVE_INFINITY;
    }
    for (const client of this.#clients) client.level = Number.POSITIVE_INFINITY;
  }

  /** What is held has become more or less by this. */
  recount(client: Client, given: Given, sign: 1 | -1 = 1): void {
    accumulate(client.charged, given.whole, sign);
    client.holdings += sign * given.holdings;
    client.offers += sign * given.offers;
    this.#renewShare(client);
    const { group } = client.role;
    accumulate(group.charged, given.whole, sign);
    group.holdings += sign * given.holdings;
    this.#renewShare(group);
    this.#charge(client.role, given, sign);
  }

  /** What is reserved for a role has become more or less by this. */
  reserve(path: RolePath, amounts: Amounts, sign: 1 | -1 = 1): void {
    this.#charge(this.role(path), { unreserved: amounts, whole: [], holdings: 0, offers: 0 }, sign);
  }

  shareOf(amounts: Amounts): number {
    let most = 0;
    for (const place of this.#counted) most = Math.max(most, amountAt(amounts, place) / amountAt(this.total, place));
    return most;
  }

  /** How much more of each scalar, reserved ones apart, the role may be given: its limits, and what is kept for others. */
  spareOf(role: RoleNode): Amounts {
    if (!this.hasGuarantees) return this.hasLimits ? this.limitLeft(role) : UNBOUNDED;
    const spare = this.limitLeft(role);
    const kept = this.guaranteeLeft(role);
    return spare.map((amount, place) => Math.min(amount, kept[place] ?? Number.POSITIVE_INFINITY));
  }

  /** What the limits of the role and of those above it leave; infinite where there is none. */
  limitLeft(role: RoleNode): Amounts {
    const left = this.#usage.names.names.map(() => Number.POSITIVE_INFINITY);
    for (let node: RoleNode | null = role; node !== null; node = node.parent) {
      for (let place = 0; place < node.limit.length; place += 1) {
        const limit = node.limit[place] ?? Number.POSITIVE_INFINITY;
        if (limit === Number.POSITIVE_INFINITY) continue;
        const own = Math.max(0, limit - amountAt(node.charged, place));
        left[place] = Math.min(left[place] ?? own, own);
      }
    }
    return left;
  }

  /**
   * What the guarantees of others leave the role: what is unallocated beyond all needs, and what is kept for itself. Infinite where
   * nothing is kept back.
   *
   * With `s` more in this role, the need of all becomes the largest, over the roles on its path, of what is guaranteed there and
   * the needs beside the path above it. `s` is bounded by the term in which it replaces no need: the sum of all needs beside the path.
   */
  guaranteeLeft(role: RoleNode): Amounts {
    const { need: all } = this.root;
    return this.#usage.names.names.map((_, place) => {
      if (amountAt(all, place) <= 0) return Number.POSITIVE_INFINITY;
      let beside = amountAt(role.childNeed, place);
      let top = role;
      for (let node = role; node.parent !== null; node = node.parent) {
        top = node;
        if (node.parent.parent === null) break;
        beside += amountAt(node.parent.childNeed, place) - amountAt(node.need, place);
      }
      const slack = Math.max(0, amountAt(this.headroom, place) - amountAt(all, place));
      return Math.max(0, amountAt(top.need, place) + slack - beside);
    });
  }

  /** {@link limitLeft} of one scalar, in its own unit. */
  limitLeftOf(path: RolePath, name: string): number {
    return this.#amountOf(this.limitLeft(this.role(path)), name);
  }

  /** {@link guaranteeLeft} of one scalar, in its own unit. */
  guaranteeLeftOf(path: RolePath, name: string): number {
    return this.#amountOf(this.guaranteeLeft(this.role(path)), name);
  }

  /** The role on the path whose limit leaves least of the scalar; null where none limits it. */
  limitingRole(path: RolePath, name: string): RoleNode | null {
    const place = this.#usage.names.placeOf(name);
    let found: RoleNode | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (let node: RoleNode | null = this.role(path); node !== null; node = node.parent) {
      const left = (node.limit[place] ?? Number.POSITIVE_INFINITY) - amountAt(node.charged, place);
      if (left >= least) continue;
      least = left;
      found = node;
    }
    return found;
  }

  /** Of one of the role's own vectors, in the scalar's own unit. */
  amountOf(amounts: Amounts, name: string): number {
    return amountAt(amounts, this.#usage.names.placeOf(name)) / 1000;
  }

  #amountOf(left: Amounts, name: string): number {
    return (left[this.#usage.names.placeOf(name)] ?? Number.POSITIVE_INFINITY) / 1000;
  }

  get names(): ScalarNames {
    return this.#usage.names;
  }

  /** Whether the role, or one above it, holds less of something than is guaranteed to it. */
  isShort(role: RoleNode): boolean {
    if (!this.hasGuarantees) return false;
    for (let node: RoleNode | null = role; node !== null; node = node.parent) {
      if (node.guarantee.some((amount, place) => amount > amountAt(node.charged, place))) return true;
    }
    return false;
  }

  /** How much of each scalar the role, and those above it, hold less than is guaranteed. */
  shortageOf(role: RoleNode): Amounts {
    const short: Amounts = this.#usage.names.names.map(() => 0);
    for (let node: RoleNode | null = role; node !== null; node = node.parent) {
      for (let place = 0; place < node.guarantee.length; place += 1) {
        const lacks = amountAt(node.guarantee, place) - amountAt(node.charged, place);
        short[place] = Math.max(short[place] ?? 0, lacks);
      }
    }
    return short;
  }

  #makeRole(path: RolePath, parent: RoleNode | null): RoleNode {
    const record = this.#cluster.roles.get(path);
    const { names } = this.#usage;
    return new RoleNode(path, parent, {
      weight: record?.weight ?? DEFAULT_WEIGHT,
      limit: record === undefined ? [] : names.ofNamed(record.limit, Number.POSITIVE_INFINITY),
      guarantee: record === undefined ? [] : names.ofNamed(record.guarantee, 0),
    });
  }

  #charge(role: RoleNode, { unreserved, holdings }: Given, sign: 1 | -1): void {
    for (let node: RoleNode | null = role; node !== null; node = node.parent) {
      accumulate(node.charged, unreserved, sign);
      node.holdings += sign * holdings;
      this.#renewShare(node);
    }
    if (this.hasGuarantees && this.#isCounted) this.#renewNeeds(role);
  }

  #renewShare(member: Member): void {
    member.share = this.shareOf(member.charged) / member.weight;
  }

  #renewNeeds(role: RoleNode): void {
    for (let node = role; node.parent !== null; node = node.parent) {
      const { parent } = node;
      const places = Math.max(node.guarantee.length, node.childNeed.length);
      for (let place = 0; place < places; place += 1) {
        const own = Math.max(0, amountAt(node.guarantee, place) - amountAt(node.charged, place));
        const need = Math.max(own, amountAt(node.childNeed, place));
        const before = amountAt(node.need, place);
        if (need === before) continue;
        node.need[place] = need;
        parent.childNeed[place] = amountAt(parent.childNeed, place) + need - before;
        if (parent.parent === null) parent.need[place] = amountAt(parent.childNeed, place);
      }
    }
  }
}
