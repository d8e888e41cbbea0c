/** What of a node is kept for one role, and the volumes on it that outlive tasks. Both are part of the node's ledger. */
import type { ReservationId, RolePath, VolumeId } from './ids.ts';
import type { Scalars } from './resources.ts';

/** `static`: the node's operator set it at the agent. `dynamic`: made over the API, by an operator or a framework. */
export const RESERVATION_SOURCES = ['static', 'dynamic'] as const;
export type ReservationSource = (typeof RESERVATION_SOURCES)[number];

/** Resources that only the role and those below it may use. It is charged for all of them, used or not. */
export interface Reservation {
  readonly id: ReservationId;
  readonly role: RolePath;
  readonly scalars: Scalars;
  readonly source: ReservationSource;
  readonly by: string;
  readonly atMs: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** What an agent was told to keep for a role. */
export type StaticReservation = Pick<Reservation, 'role' | 'scalars'>;

/** Roles that one agent keeps something for: half of what a ledger holds is left for others. */
export const STATIC_RESERVATIONS_MAX = 50;

/** A folder of the node that stays when tasks end, on disk that is reserved. */
export interface Volume {
  readonly id: VolumeId;
  readonly reservation: ReservationId;
  readonly sizeMiB: number;
  readonly by: string;
  readonly atMs: number;
  /** The agent is to delete it with all that is in it; the entry stays until it has. */
  readonly removing: boolean;
  /** For whoever made it. Absent: none. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** What the reservations of one agent may take as JSON, and what all of a ledger and its volumes may: it goes into one transaction with much else. */
export const STATIC_RESERVATIONS_BYTES_MAX = 32 * 1024;
export const LEDGER_RESERVATIONS_BYTES_MAX = 128 * 1024;

/** Keeps ledgers bounded. */
export const LEDGER_RESERVATIONS_MAX = 100;
export const LEDGER_VOLUMES_MAX = 100;
/** What the labels of one reservation, or of one volume, may take as JSON. */
export const RESERVATION_LABELS_BYTES_MAX = 1024;
