/** Where the balancer has the endpoints from. */
import type { EndpointView } from '../../shared/protocol/endpoints.ts';

export interface EndpointSource {
  /**
   * The whole list, and again whenever it has changed, until the signal is aborted. Whatever keeps it from being had is waited out
   * inside, for as long as a retry may help; what it throws is final.
   */
  watch(signal: AbortSignal): AsyncIterable<readonly EndpointView[]>;
}
