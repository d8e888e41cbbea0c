/** For how long a framework doesn't want what it refuses, as Mesos reads it. Pure. */
import { FILTER_SECONDS_DEFAULT, FILTER_SECONDS_MAX } from '../../../shared/domain/offer.ts';
import type { WireFilters } from '../wire/call.ts';

/** What makes no sense is the default, and what is too long is as long as it may be. */
export function refuseSecondsOf(filters: WireFilters): number {
  const seconds = filters?.refuse_seconds ?? FILTER_SECONDS_DEFAULT;
  return seconds >= 0 ? Math.min(seconds, FILTER_SECONDS_MAX) : FILTER_SECONDS_DEFAULT;
}
