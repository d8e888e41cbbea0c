/** What the door is made of; `app.ts` hands it in. */
import type { MetricsRegistry } from '../../shared/util/metrics.ts';
import type { Principal } from '../auth/principal.ts';
import type { Verifier } from '../auth/verify.ts';
import type { RefusalLog } from '../services/audit-refusals.ts';
import type { ServiceContext } from '../services/context.ts';
import type { FrameworkStreams } from '../services/framework-streams.ts';
import type { ClientAddress } from '../services/origin.ts';

export interface FacadeParts {
  readonly ctx: ServiceContext;
  readonly verifier: Verifier;
  /** Whom callers without credentials act as; null: they are refused. */
  readonly anonymous: Principal | null;
  readonly frameworkStreams: FrameworkStreams;
  readonly metrics: MetricsRegistry;
  readonly clientAddress: ClientAddress;
  readonly refusals: RefusalLog;
  /** Ends the replica: streams are brought to their end. */
  readonly signal: AbortSignal;
}
