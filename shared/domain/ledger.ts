/**
 * The one record per node of everything that holds its resources. Whoever places, frees or stops something there changes
 * this record under a compare, so nothing is ever given away twice.
 */
import { invariant } from '../util/assert.ts';
import { utf8Length } from '../util/codec.ts';
import type { FrameworkId, JobUid, NodeId, OfferId, ReservationId, RolePath, TaskId, VolumeId } from './ids.ts';
import type { Offer, OfferFilter } from './offer.ts';
import { withFilter } from './offer-filters.ts';
import type { Reservation, Volume } from './reservation.ts';
import {
  addScalars,
  NO_SCALARS,
  type Resources,
  type Scalars,
  subtractResources,
  subtractScalars,
  sumResources,
} from './resources.ts';

/** Keeps the agent's work bounded. */
export const LEDGER_ENTRIES_MAX = 1000;

/**
 * What the entries of one ledger may take together, by {@link entryBytesMax}. A round puts the ledger and the records of the
 * tasks that it places in one transaction, so it gets less than half of what a transaction takes.
 */
export const LEDGER_BYTES_MAX = 640 * 1024;

/**
 * What the templates of a node's tasks may take together, each counted once: the agent is sent all of them with every change
 * of its assignment, and refuses answers of more than eight times as much.
 */
export const TEMPLATES_BYTES_MAX = 8 * 1024 * 1024;

/** What the reason of a stop mark may take as JSON; the task's own record keeps all of it. */
export const STOP_REASON_BYTES_MAX = 200;

/** What tells the agent to end a task. Once set it stays. */
export interface StopMark {
  readonly atMs: number;
  /** The polite signal comes so long after the mark. Absent: at once. */
  readonly delayMs?: number | undefined;
  readonly graceMs: number;
  /** Shortened to {@link STOP_REASON_BYTES_MAX}: a ledger holds many of them. */
  readonly reason: string;
}

export interface TaskEntry {
  readonly kind: 'task';
  readonly task: TaskId;
  readonly role: RolePath;
  readonly jobUid: JobUid;
  readonly jobVersion: number;
  readonly group: string;
  readonly resources: Resources;
  /** Host ports by the names that the group gives them; `resources.ports` holds the same numbers. */
  readonly ports: Readonly<Record<string, number>>;
  /** How much of `resources` comes from which reservation. */
  readonly reserved: Readonly<Record<ReservationId, Scalars>>;
  /** Ids of the GPUs that it holds, as many as `resources.gpus`; empty where the node doesn't name its devices. */
  readonly devices: readonly string[];
  /** Who launched it; null: a scheduler of Berth's own. */
  readonly framework: FrameworkId | null;
  /** It runs further tasks of its framework. */
  readonly isExecutor?: true | undefined;
  /** What the template takes as JSON: the group, in that version of the job. */
  readonly templateBytes: number;
  readonly stop: StopMark | null;
  /**
   * The task was given up while the node was away. The entry holds its resources until the agent confirms that nothing of
   * it runs; the task's end alone doesn't free it.
   */
  readonly disowned: boolean;
}

export type LedgerEntry = TaskEntry;

/** A node that is being emptied: no new tasks, and at the deadline what is left is stopped. */
export interface Drain {
  readonly startedAtMs: number;
  /** When what still runs is stopped; null lets everything run to its own end. */
  readonly deadlineMs: number | null;
  /** What is stopped gets no more than this between signal and kill, whatever it asks for. Absent: what it asks for. */
  readonly graceMsMax?: number | undefined;
  readonly by: string;
}

export interface Ledger {
  readonly node: NodeId;
  readonly total: Resources;
  /** Whether new tasks may be placed here. */
  readonly eligible: boolean;
  readonly drain: Drain | null;
  readonly entries: Readonly<Record<TaskId, LedgerEntry>>;
  readonly offers: Readonly<Record<OfferId, Offer>>;
  /** What frameworks don't want to be offered again for a while. */
  readonly filters: readonly OfferFilter[];
  readonly reservations: Readonly<Record<ReservationId, Reservation>>;
  readonly volumes: Readonly<Record<VolumeId, Volume>>;
  /** Rises when something changes that the agent has to act on. */
  readonly assignmentGeneration: number;
}

/** What tasks hold, of reservations or not. Offers hold nothing that is in use yet. */
export function usedResources(ledger: Ledger): Resources {
  return sumResources(Object.values(ledger.entries).map((entry) => entry.resources));
}

/** What frameworks are offered, of reservations or not. */
export function offeredResources(ledger: Ledger): Resources {
  return sumResources(Object.values(ledger.offers).map((offer) => offer.resources));
}

/** What is kept for roles, used or not. */
export function reservedScalars(ledger: Ledger): Scalars {
  return Object.values(ledger.reservations)
    .map(({ scalars }) => scalars)
    .reduce(addScalars, NO_SCALARS);
}

/**
 * What can still be given to any role: neither held by tasks or offers, nor reserved. Scalars are negative where the node
 * shrank under what it holds.
 */
export function freeResources(ledger: Ledger): Resources {
  const held = [...Object.values(ledger.entries), ...Object.values(ledger.offers)].map(unreservedPart);
  const reserved = Object.values(ledger.reservations).map(({ scalars }) => ({ ...scalars, ports: [] }));
  return subtractResources(ledger.total, sumResources([...held, ...reserved]));
}

/** What is left of a reservation: neither held by tasks or volumes, nor offered. */
export function freeReserved(ledger: Ledger, { id, scalars }: Reservation): Scalars {
  const drawn = [...Object.values(ledger.entries), ...Object.values(ledger.offers)].flatMap(({ reserved }) =>
    // Own members only: `constructor` is a valid id.
    Object.hasOwn(reserved, id) ? (reserved[id] ?? []) : [],
  );
  const volumes = Object.values(ledger.volumes).flatMap(({ reservation, sizeMiB }) =>
    reservation === id ? { ...NO_SCALARS, diskMiB: sizeMiB } : [],
  );
  return subtractScalars(scalars, [...drawn, ...volumes].reduce(addScalars, NO_SCALARS));
}

/** What a task or an offer holds beside what comes from reservations. */
export function unreservedPart({ resources, reserved }: Pick<Offer, 'resources' | 'reserved'>): Resources {
  const parts = Object.values(reserved);
  if (parts.length === 0) return resources;
  return { ...subtractScalars(resources, parts.reduce(addScalars, NO_SCALARS)), ports: resources.ports };
}

/** A ledger of which nothing is held yet. */
export function emptyLedger(node: NodeId, total: Resources): Ledger {
  return {
    node,
    total,
    eligible: true,
    drain: null,
    entries: {},
    offers: {},
    filters: [],
    reservations: {},
    volumes: {},
    assignmentGeneration: 0,
  };
}

/** Takes offers away, and puts filters in their place. The agent has nothing to do about either. */
export function endOffers(ledger: Ledger, offers: readonly OfferId[], filters: readonly OfferFilter[] = []): Ledger {
  const gone = new Set(offers);
  return {
    ...ledger,
    offers: Object.fromEntries(Object.entries(ledger.offers).filter(([id]) => !gone.has(id))),
    filters: filters.reduce(withFilter, ledger.filters),
  };
}

export function addOffers(ledger: Ledger, offers: readonly Offer[]): Ledger {
  if (offers.length === 0) return ledger;
  const next: Record<OfferId, Offer> = { ...ledger.offers };
  for (const offer of offers) {
    invariant(next[offer.id] === undefined, `offer ${offer.id} stands already on node ${ledger.node}`);
    next[offer.id] = offer;
  }
  return { ...ledger, offers: next };
}

/** Whether the node takes new tasks at all. */
export function isOpen(ledger: Ledger): boolean {
  return ledger.eligible && ledger.drain === null;
}

export function addEntries(ledger: Ledger, entries: readonly LedgerEntry[]): Ledger {
  if (entries.length === 0) return ledger;
  const next: Record<TaskId, LedgerEntry> = { ...ledger.entries };
  for (const entry of entries) {
    invariant(next[entry.task] === undefined, `task ${entry.task} already holds a place on node ${ledger.node}`);
    next[entry.task] = entry;
  }
  return { ...ledger, entries: next, assignmentGeneration: ledger.assignmentGeneration + 1 };
}

export function removeEntries(ledger: Ledger, tasks: readonly TaskId[]): Ledger {
  const gone = new Set(tasks.filter((task) => ledger.entries[task] !== undefined));
  if (gone.size === 0) return ledger;
  const kept = Object.entries(ledger.entries).filter(([task]) => !gone.has(task));
  return {
    ...ledger,
    entries: Object.fromEntries(kept),
    assignmentGeneration: ledger.assignmentGeneration + 1,
  };
}

/** The agent is to look at its assignment again, for something that is told with it has changed. */
export function renewAssignment(ledger: Ledger): Ledger {
  return { ...ledger, assignmentGeneration: ledger.assignmentGeneration + 1 };
}

/** Sets a stop mark where there is none yet. Returns the same ledger when nothing changes. */
export function markStop(ledger: Ledger, task: TaskId, stop: StopMark, disowned = false): Ledger {
  const entry = ledger.entries[task];
  if (entry === undefined) return ledger;
  if (entry.stop !== null && (entry.disowned || !disowned)) return ledger;
  const marked = { ...entry, stop: entry.stop ?? withShortReason(stop), disowned: entry.disowned || disowned };
  return {
    ...ledger,
    entries: { ...ledger.entries, [task]: marked },
    assignmentGeneration: ledger.assignmentGeneration + 1,
  };
}

/**
 * At least the bytes that the entry takes in its ledger's JSON, now and once it has a stop mark. Worked out from lengths,
 * since a round asks it of every entry there is.
 */
export function entryBytesMax(entry: LedgerEntry): number {
  const { task, role, jobUid, group, resources, ports, devices, stop } = entry;
  let bytes = ENTRY_FRAME_BYTES + stopBytesMax(stop) + 2 * task.length + role.length + jobUid.length + group.length;
  for (const name of Object.keys(resources.custom)) bytes += name.length + AMOUNT_BYTES;
  for (const name of Object.keys(ports)) bytes += name.length + PORT_BYTES;
  for (const device of devices) bytes += device.length + DEVICE_BYTES;
  return bytes + resources.ports.length * PORT_RANGE_BYTES;
}

/** The names of an entry's members, its marks and its numbers, whose size the API bounds. */
const ENTRY_FRAME_BYTES = 256;
/** A named amount of up to 10^12 with three decimals: `"":1000000000000.001,`. */
const AMOUNT_BYTES = 24;
/** `"":65535,` */
const PORT_BYTES = 10;
/** `"",` */
const DEVICE_BYTES = 3;
/** `{"first":65535,"last":65535},` */
const PORT_RANGE_BYTES = 30;
/** A stop mark without its reason: `{"atMs":1767225600000,"delayMs":3600000,"graceMs":3600000,"reason":""}`. */
const STOP_FRAME_BYTES = 80;

function stopBytesMax(stop: StopMark | null): number {
  return STOP_FRAME_BYTES + Math.max(STOP_REASON_BYTES_MAX, stop === null ? 0 : jsonBytes(stop.reason));
}

function withShortReason(stop: StopMark): StopMark {
  if (jsonBytes(stop.reason) <= STOP_REASON_BYTES_MAX) return stop;
  let reason = '';
  let bytes = jsonBytes(ELLIPSIS);
  for (const character of stop.reason) {
    bytes += jsonBytes(character);
    if (bytes > STOP_REASON_BYTES_MAX) break;
    reason += character;
  }
  return { ...stop, reason: reason + ELLIPSIS };
}

const ELLIPSIS = '…';

/** Bytes of the text in JSON, without the quotes around it. */
function jsonBytes(text: string): number {
  return utf8Length(JSON.stringify(text)) - 2;
}
