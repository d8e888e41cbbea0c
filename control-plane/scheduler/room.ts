/**
 * What is left of each node while a round is being planned. It starts as what the ledgers say, less what the round sweeps,
 * and only ever shrinks from there: a node that has refused a task won't take it later in the same round.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { type NodeId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import {
  endOffers,
  entryBytesMax,
  type Ledger,
  removeEntries,
  type TaskEntry,
  TEMPLATES_BYTES_MAX,
  unreservedPart,
} from '../../shared/domain/ledger.ts';
import { isRunning, type MaintenanceTime } from '../../shared/domain/maintenance.ts';
import type { Node } from '../../shared/domain/node.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import {
  countPorts,
  NO_RESOURCES,
  type Resources,
  type Scalars,
  scalarOf,
  subtractResources,
  subtractScalars,
  toMilli,
} from '../../shared/domain/resources.ts';
import type { GpuNodePolicy } from '../../shared/domain/settings.ts';
import { accumulate } from './amounts.ts';
import { groupKey, type Template, templateKey } from './demand.ts';
import { chooseDevices, heldDevices } from './devices.ts';
import { type FreeReservation, type LedgerSums, sumLedger } from './ledger-sums.ts';
import type { Peers } from './peers.ts';
import type { Sweep } from './plan.ts';
import { drawReserved } from './reserved.ts';
import type { Client, RoleTree } from './role-tree.ts';

/** What is taken of a node at once. */
export type Part = Pick<Offer, 'resources' | 'reserved'>;

export interface Room {
  readonly id: NodeId;
  readonly node: Node;
  /** After the sweep, before any placement of this round. */
  readonly ledger: Ledger;
  readonly alive: boolean;
  /** Its agent has seen a later state than this one. */
  readonly ahead: boolean;
  /** Out of service at the time of the round; null: it isn't. */
  readonly maintenance: MaintenanceTime | null;
  /** For whom nodes that have GPUs are there, as the cluster's settings say. */
  readonly gpuNodes: GpuNodePolicy;
  /** What isn't reserved for any role. */
  readonly free: Resources;
  readonly freePorts: number;
  /** Reservations of which anything is left. */
  readonly reserved: readonly FreeReservation[];
  /** What the roles may still be given, whichever the node. */
  readonly roles: RoleTree;
  /** Where the tasks of a group are, whichever the node. */
  readonly peers: Peers;
  /** Tasks and offers. */
  readonly entries: number;
  readonly offers: number;
  /** What the entries take in the ledger, at the most. */
  readonly bytes: number;
  /** Rises whenever something is taken. */
  readonly version: number;
  /** How much of a scalar the role can get here: what is free, and what is reserved for it or for a role above it. */
  availableTo(role: RolePath, name: string): number;
  /** How much of a scalar is held by nobody, reserved or not. */
  unheld(name: string): number;
  /** How much of these scalars the role draws from reservations, the nearest role's first. */
  drawnBy(role: RolePath, scalars: Scalars): TaskEntry['reserved'];
  /** What offers hold of a scalar. */
  offered(name: string): number;
  /** What the templates of all its tasks take, each once, with this one beside them; or more, as long as it is not too much. */
  templateBytesWith(template: Template): number;
  /** How many tasks of the group with this key hold a place here, of all versions of the job. */
  tasksOf(group: string): number;
  /** Ids of the GPUs that a task of so many would get; see {@link chooseDevices}. */
  devicesFor(count: number): readonly string[];
  /** Gives the entry its place, and charges its role. The caller has asked the filters. */
  occupy(entry: TaskEntry): void;
  /** Takes what the client is offered, and charges its role. `isNew`: it adds to no other offer of this round. */
  hold(client: Client, part: Part, isNew: boolean): void;
}

/** The ledger of a node once the sweep is done. */
export function sweptLedger(ledger: Ledger, sweep: Sweep | undefined): Ledger {
  if (sweep === undefined) return ledger;
  const left = removeEntries(ledger, sweep.tasks);
  if (sweep.offers.length === 0) return left;
  return endOffers(
    left,
    sweep.offers.map(({ id }) => id),
    sweep.offers.flatMap(({ filter }) => filter ?? []),
  );
}

/** The node as it would be with another ledger. */
export function roomWith(room: Room, ledger: Ledger): Room {
  return new LedgerRoom(room, sumLedger(ledger, room.roles.names));
}

type RoomFacts = Pick<Room, 'node' | 'alive' | 'ahead' | 'maintenance' | 'gpuNodes' | 'roles' | 'peers'>;

/** Null for a node that hasn't joined. */
export function roomOf(
  cluster: ClusterView,
  { sums, nowMs }: { readonly sums: LedgerSums; readonly nowMs: number },
  { roles, peers }: Pick<Room, 'roles' | 'peers'>,
): Room | null {
  const { node: id } = sums.ledger;
  const node = cluster.nodes.get(id);
  if (node === undefined) return null;
  const ahead = cluster.epochs.get(id)?.ahead !== undefined;
  const window = cluster.maintenance.get(id);
  const maintenance = window !== undefined && isRunning(window, nowMs) ? window : null;
  const { gpuNodes } = cluster.settings;
  return new LedgerRoom({ node, alive: cluster.isAlive(id), ahead, maintenance, gpuNodes, roles, peers }, sums);
}

class LedgerRoom implements Room {
  readonly node: Node;
  readonly ledger: Ledger;
  readonly alive: boolean;
  readonly ahead: boolean;
  readonly maintenance: MaintenanceTime | null;
  readonly gpuNodes: GpuNodePolicy;
  readonly roles: RoleTree;
  readonly peers: Peers;
  free: Resources;
  reserved: readonly FreeReservation[];
  entries: number;
  offers: number;
  bytes: number;
  version = 0;
  /** Told apart when a task first asks: a round that only makes offers doesn't. */
  #templates: HeldTemplates | null = null;
  /** Counted when it is first asked for: only jobs that spread want to know. */
  #tasksByGroup: Map<string, number> | null = null;
  /** Collected when they are first asked for: most nodes have none. */
  #devicesHeld: Set<string> | null = null;

  constructor({ node, alive, ahead, maintenance, gpuNodes, roles, peers }: RoomFacts, sums: LedgerSums) {
    this.node = node;
    this.ledger = sums.ledger;
    this.alive = alive;
    this.ahead = ahead;
    this.maintenance = maintenance;
    this.gpuNodes = gpuNodes;
    this.roles = roles;
    this.peers = peers;
    this.free = sums.free;
    this.reserved = sums.reserved;
    this.entries = sums.entries;
    this.offers = sums.offers.length;
    this.bytes = sums.bytes;
  }

  get id(): NodeId {
    return this.ledger.node;
  }

  get freePorts(): number {
    return countPorts(this.free.ports);
  }

  availableTo(role: RolePath, name: string): number {
    let amount = scalarOf(this.free, name);
    for (const one of this.reserved)
      if (roleWithin(role, one.role)) amount = toMilli(amount + scalarOf(one.free, name));
    return amount;
  }

  unheld(name: string): number {
    let amount = scalarOf(this.free, name);
    for (const one of this.reserved) amount = toMilli(amount + scalarOf(one.free, name));
    return amount;
  }

  drawnBy(role: RolePath, scalars: Scalars): TaskEntry['reserved'] {
    if (this.reserved.length === 0) return {};
    return drawReserved(this.reserved, role, scalars);
  }

  offered(name: string): number {
    const held = Object.values(this.ledger.offers).reduce((sum, { resources }) => sum + scalarOf(resources, name), 0);
    return toMilli(held);
  }

  tasksOf(group: string): number {
    this.#tasksByGroup ??= countByGroup(this.ledger);
    return this.#tasksByGroup.get(group) ?? 0;
  }

  devicesFor(count: number): readonly string[] {
    if (count === 0) return [];
    this.#devicesHeld ??= heldDevices(this.ledger);
    return chooseDevices({ devices: this.node.gpus, held: this.#devicesHeld, count });
  }

  templateBytesWith(template: Template): number {
    return this.#heldTemplates().bytesWith(template);
  }

  occupy(entry: TaskEntry): void {
    this.#take(this.roles.client(entry.role, entry.framework), entry, { holdings: 1, offers: 0 });
    this.entries += 1;
    this.bytes += entryBytesMax(entry);
    this.#heldTemplates().add(entry);
    this.peers.add(entry, this.node);
    if (this.#devicesHeld !== null) for (const device of entry.devices) this.#devicesHeld.add(device);
    this.#tasksByGroup ??= countByGroup(this.ledger);
    const key = groupKey(entry.jobUid, entry.group);
    this.#tasksByGroup.set(key, (this.#tasksByGroup.get(key) ?? 0) + 1);
  }

  hold(client: Client, part: Part, isNew: boolean): void {
    const count = isNew ? 1 : 0;
    this.#take(client, part, { holdings: count, offers: count });
    if (!isNew) return;
    this.entries += 1;
    this.offers += 1;
    this.bytes += OFFER_BYTES_MAX;
  }

  #take(client: Client, part: Part, counts: { holdings: number; offers: number }): void {
    const { roles } = this;
    const taken = unreservedPart(part);
    this.free = taken === this.free ? NO_RESOURCES : subtractResources(this.free, taken);
    this.version += 1;
    const whole = roles.names.amountsOf(part.resources);
    const unreserved = taken === part.resources ? whole : roles.names.amountsOf(taken);
    roles.charge(client, { unreserved, whole, ...counts });
    accumulate(roles.headroom, unreserved, -1);
    if (taken === part.resources) return;
    this.reserved = this.reserved.map((one) => {
      const drawn = Object.hasOwn(part.reserved, one.id) ? part.reserved[one.id] : undefined;
      return drawn === undefined ? one : { ...one, free: subtractScalars(one.free, drawn) };
    });
  }

  #heldTemplates(): HeldTemplates {
    this.#templates ??= new HeldTemplates(Object.values(this.ledger.entries));
    return this.#templates;
  }
}

/** What one offer may take in the ledger; one with more has no place there. */
export const OFFER_BYTES_MAX = 2048;

/** The templates of a node's tasks. Nearly always even all tasks together stay below the bound, and nothing needs telling apart. */
class HeldTemplates {
  readonly #entries: TaskEntry[];
  /** As if no two tasks shared a template. */
  #bytesAtMost: number;
  /** Made when it is first needed. */
  #distinct: { readonly keys: Set<string>; bytes: number } | null = null;

  constructor(entries: readonly TaskEntry[]) {
    this.#entries = [...entries];
    this.#bytesAtMost = entries.reduce((sum, entry) => sum + entry.templateBytes, 0);
  }

  bytesWith({ key, bytes }: Template): number {
    const atMost = this.#bytesAtMost + bytes;
    if (atMost <= TEMPLATES_BYTES_MAX) return atMost;
    const distinct = this.#tellApart();
    return distinct.keys.has(key) ? distinct.bytes : distinct.bytes + bytes;
  }

  add(entry: TaskEntry): void {
    this.#entries.push(entry);
    this.#bytesAtMost += entry.templateBytes;
    if (this.#distinct !== null) count(this.#distinct, entry);
  }

  #tellApart(): { readonly keys: Set<string>; bytes: number } {
    if (this.#distinct !== null) return this.#distinct;
    const distinct = { keys: new Set<string>(), bytes: 0 };
    for (const entry of this.#entries) count(distinct, entry);
    this.#distinct = distinct;
    return distinct;
  }
}

function count(distinct: { readonly keys: Set<string>; bytes: number }, entry: TaskEntry): void {
  const key = keyOf(entry);
  if (distinct.keys.has(key)) return;
  distinct.keys.add(key);
  distinct.bytes += entry.templateBytes;
}

function keyOf({ jobUid, jobVersion, group }: TaskEntry): string {
  return templateKey(jobUid, jobVersion, group);
}

function countByGroup(ledger: Ledger): Map<string, number> {
  const counts = new Map<string, number>();
  for (const entry of Object.values(ledger.entries)) {
    const key = groupKey(entry.jobUid, entry.group);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}
