/** Where a bug can be planted: every seam between the product and the simulated world may be wrapped. */
import type { Principal } from '../../../control-plane/auth/principal.ts';
import type { ServiceContext } from '../../../control-plane/services/context.ts';
import type { NodeSession } from '../../../control-plane/services/session-check.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import type { Mirror } from '../../../control-plane/store/mirror.ts';
import type { ControlPlane, Fence, Journal, Runtime } from '../../../node-agent/executor/contracts.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import type { Origin } from '../faulty-store.ts';
import type { SeededRandom } from '../seeded-random.ts';

/** Everything that it leaves out stays as it is. */
export interface Plant {
  /** What a replica's code gets as its store; made anew for each origin. */
  readonly store?: (store: Store, place: StorePlace) => Store;
  /** Where a watch that broke off is taken up again, given the revision that comes next and the one that the store has. */
  readonly resumeWatch?: (next: number, reached: number) => number;
  /** The session under which a replica serves an agent's call. */
  readonly session?: (ctx: ServiceContext, session: NodeSession) => NodeSession;
  /** Whether a replica waits until it has seen what the client has seen. */
  readonly catchesUp?: boolean;
  /** As whom a replica takes a client. */
  readonly principal?: (principal: Principal) => Principal;
  /** The context in which a replica serves a framework's call of a session. */
  readonly acting?: (ctx: ServiceContext, acting: NonNullable<Origin['framework']>) => ServiceContext;
  /** What a replica's driver plans on. */
  readonly driverMirror?: (mirror: Mirror) => Mirror;
  /** After which revision a replica takes a stream of events up. */
  readonly resumeEvents?: (after: number) => number;
  /** What an agent's process gets as its control plane, engine, journal and fence. */
  readonly agent?: (seams: AgentSeams) => AgentSeams;
}

export interface StorePlace {
  readonly random: SeededRandom;
  readonly origin: Origin;
  /** Of the replica's process. */
  readonly clock: Clock;
  /** Lasts as long as the replica's process. */
  readonly memory: Map<string, number>;
}

export interface AgentSeams {
  readonly controlPlane: ControlPlane;
  readonly runtime: Runtime;
  readonly journal: Journal;
  readonly fence: Fence;
}

export const NO_BUG: Plant = {};
