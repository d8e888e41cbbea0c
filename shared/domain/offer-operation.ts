/** What a framework does with the resources of an offer that it accepts. */
import type { ReservationId, VolumeId } from './ids.ts';
import type { Reservation, Volume } from './reservation.ts';
import type { Scalars } from './resources.ts';
import type { TaskTemplate } from './task.ts';

/** A task as its framework describes it. */
export interface LaunchRequest {
  /** What the framework calls it; no two of its tasks on record have the same name. */
  readonly name: string;
  /** Its group's name is the framework's name for the task, as it can stand in ids; its count is 1, and nothing retries it. */
  readonly template: TaskTemplate;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** How much of its resources comes from which reservation. Null: as much as the offer has reserved, then the rest of it. */
  readonly reserved: Readonly<Record<ReservationId, Scalars>> | null;
  /** What the framework calls the executor that is to run it, on the same node; null: none does. */
  readonly executor: string | null;
}

/**
 * `launch` starts each task that can be started; the others end as `error`. `launch-group` starts all of them or none, and they
 * end together: when one ends in another way than `finished`, the others are stopped. The others change what is reserved; what they give back can be used by the operations after them.
 */
export type OfferOperation =
  | { readonly type: 'launch' | 'launch-group'; readonly tasks: readonly LaunchRequest[] }
  | (Named & { readonly type: 'reserve'; readonly reservation: Pick<Reservation, 'id' | 'scalars' | 'labels'> })
  | (Named & { readonly type: 'unreserve'; readonly reservation: ReservationId; readonly scalars: Scalars | null })
  | (Named & { readonly type: 'create'; readonly volume: Pick<Volume, 'id' | 'reservation' | 'sizeMiB' | 'labels'> })
  | (Named & { readonly type: 'destroy'; readonly volume: VolumeId });

interface Named {
  /** What the framework calls it, which then hears that it was carried out; see `finished-operation.ts`. */
  readonly operation?: string | undefined;
}

/** Tasks of all operations of one accept: they are put in one transaction. */
export const LAUNCHES_MAX = 100;
/** Offers of one node that are accepted together. */
export const ACCEPTED_OFFERS_MAX = 100;
export const OPERATIONS_MAX = 100;
