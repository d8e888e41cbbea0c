/** What the API is made of; a main hands it in. */
import type { MetricsRegistry } from '../../shared/util/metrics.ts';
import type { KeyRing } from '../auth/keys.ts';
import type { OutsideIssuer } from '../auth/outside-issuer.ts';
import type { OutsideTokens } from '../auth/outside-tokens.ts';
import type { RateLimits } from '../auth/rate-limits.ts';
import type { TokenMint } from '../auth/tokens.ts';
import type { Verifier } from '../auth/verify.ts';
import type { RefusalLog } from '../services/audit-refusals.ts';
import type { ServiceContext } from '../services/context.ts';
import type { EndpointTable } from '../services/endpoint-table.ts';
import type { FrameworkStreams } from '../services/framework-streams.ts';
import type { LogRelay } from '../services/log-relay.ts';
import type { ClientAddress } from '../services/origin.ts';
import type { StreamMeeting } from '../services/stream-meeting.ts';

export interface ApiOptions {
  readonly ctx: ServiceContext;
  readonly verifier: Verifier;
  readonly mint: TokenMint;
  readonly ring: KeyRing;
  /** Checks what is to be exchanged. */
  readonly outsideTokens: OutsideTokens;
  /** Of the replica's own configuration; absent: none. */
  readonly outsideIssuers?: readonly OutsideIssuer[];
  /** Reaches other replicas. */
  readonly fetch: typeof fetch;
  /** Ends the replica: streams and long requests are brought to their end. */
  readonly signal: AbortSignal;
  readonly frameworkStreams: FrameworkStreams;
  readonly clientAddress: ClientAddress;
  readonly refusals: RefusalLog;
  /** Where streams meet that no process serves from end to end. Absent: on the replica where they are read. */
  readonly meeting?: StreamMeeting;
  /** What other parts of the replica count into, so that it is exposed together. Absent: the API counts alone. */
  readonly metrics?: MetricsRegistry;
  /** How much one caller may ask. */
  readonly limits: RateLimits;
}

/** The same, with what the API adds for its own endpoints. */
export interface ApiParts extends Omit<ApiOptions, 'metrics'> {
  readonly relay: LogRelay;
  /** Where tasks of services are reached. */
  readonly endpoints: EndpointTable;
  readonly metrics: MetricsRegistry;
}
