/**
 * What every use case works with. Made once by a main (or by a test, or the simulator) and handed in: services hold no
 * state of their own, so any replica can answer any request.
 */
import type { Clock } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import type { Random } from '../../shared/util/random.ts';
import type { Envelope } from '../auth/envelope.ts';
import type { Principal } from '../auth/principal.ts';
import type { Store } from '../store/contract.ts';
import type { Mirror } from '../store/mirror.ts';
import type { StoreRoom } from '../store/room.ts';
import type { OpLeases } from '../store/transact.ts';
import type { NodeSignals } from './node-signals.ts';
import type { Origin } from './origin.ts';

export interface ServiceConfig {
  /** A node whose heartbeats stop counts as gone after this time. */
  readonly leaseTtlMs: number;
  readonly heartbeatIntervalMs: number;
  /** How often a stream says at the least that it lives, which is also how it is found out that nobody reads it. Absent: 10 s. */
  readonly streamHeartbeatMs?: number;
  /** Under which others find what they verify tokens of tasks by. Absent: such tokens name the cluster instead. */
  readonly issuerUrl?: string | undefined;
  /** Of the software, as it is shown. */
  readonly version: string;
}

export interface ServiceContext {
  readonly store: Store;
  readonly mirror: Mirror;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly ops: OpLeases;
  readonly signals: NodeSignals;
  readonly room: StoreRoom;
  /** What is stored in confidence is sealed with it. Absent: nothing can be sealed here, nor opened. */
  readonly envelope?: Envelope | undefined;
  /** Where this replica can be reached by its peers. */
  readonly replica: { readonly id: string; readonly url: string };
  readonly config: ServiceConfig;
  /** Wakes whoever runs rounds and passes here; a hint, never needed for correctness. */
  readonly nudge: () => void;
}

/** One request to change something. */
export interface Call {
  readonly principal: Principal;
  readonly origin: Origin;
  /** The client's key, and a digest of what it asked for, so that a key isn't used for two different things. */
  readonly idempotency: { readonly key: string; readonly requestDigest: string } | null;
}

/** What a change came to. `replayed`: it had been carried out before, under the same idempotency key. */
export interface Answer<T> {
  readonly status: AnswerStatus;
  readonly body: T;
  readonly revision: number;
  readonly replayed: boolean;
}

export type AnswerStatus = 200 | 201 | 202;

/** Which part of a list is wanted: at most `limit` items after the cursor that the page before gave. */
export interface PageRequest {
  readonly limit: number;
  readonly after: string | null;
}
