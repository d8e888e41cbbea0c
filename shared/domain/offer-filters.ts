/**
 * What a framework said no to, as it stands in a node's ledger. A filter is made when an offer ends without being used up, in
 * the same put that takes the offer away; from then on it keeps the same from being offered again until it ends.
 */
import { utf8Length } from '../util/codec.ts';
import type { Framework } from './framework.ts';
import type { FrameworkId, OfferId, RolePath } from './ids.ts';
import {
  FILTER_MS_MIN,
  FILTER_SECONDS_MAX,
  type FilterCause,
  isCovered,
  LEDGER_FILTERS_BYTES_MAX,
  LEDGER_FILTERS_MAX,
  type OfferFilter,
} from './offer.ts';
import { isNothing, type Resources } from './resources.ts';

export interface Refusing {
  readonly framework: Framework;
  readonly role: RolePath;
  readonly offer: OfferId;
  /** What of the node it doesn't want. */
  readonly refused: Resources;
  readonly because: FilterCause;
  /** Kept to what a filter may last. */
  readonly seconds: number;
  readonly nowMs: number;
}

/** The filter that comes of it; null where nothing was left to refuse. `filters`: those of the node's ledger. */
export function filterFor(filters: readonly OfferFilter[], refusing: Refusing): OfferFilter | null {
  const { refused } = refusing;
  return isNothing(refused) && refused.ports.length === 0 ? null : filterOf(filters, refusing);
}

/** The same, also of nothing: such a one keeps nothing from being offered, and tells what became of the offer. */
export function filterOf(filters: readonly OfferFilter[], refusing: Refusing): OfferFilter {
  const { framework, role, offer, refused, because, seconds, nowMs } = refusing;
  const generation = generationOf(framework, role);
  return {
    framework: framework.id,
    role,
    generation,
    offer,
    refused,
    sinceMs: nowMs,
    untilMs: nowMs + filterLengthMs(seconds),
    because,
    times: 1 + timesBefore(filters, { framework: framework.id, role, generation, because }),
  };
}

/** How long a filter lasts that was asked for so many seconds. */
export function filterLengthMs(seconds: number): number {
  return Math.max(Math.round(Math.min(seconds, FILTER_SECONDS_MAX) * 1000), FILTER_MS_MIN);
}

/** What a filter of this role has to carry for it to count. */
export function generationOf({ filterGenerations }: Pick<Framework, 'filterGenerations'>, role: RolePath): number {
  // Own members only: `constructor` is a valid role.
  return Object.hasOwn(filterGenerations, role) ? (filterGenerations[role] ?? 0) : 0;
}

/** Whether a filter counts: it hasn't ended, and what it was made for hasn't been asked for again. */
export function isInForce(filter: OfferFilter, framework: Framework | undefined, nowMs: number): boolean {
  return filter.untilMs > nowMs && isOfPresent(filter, framework);
}

function isOfPresent({ role, generation }: OfferFilter, framework: Framework | undefined): boolean {
  return framework !== undefined && generation >= generationOf(framework, role);
}

/** After its end, one of an offer that expired still tells how many did in a row. */
const EXPIRED_REMEMBERED_MS = 600_000;

/** Without those that count no more and tell nothing: asked whenever a ledger is written anyway. */
export function rememberedFilters(
  filters: readonly OfferFilter[],
  frameworks: ReadonlyMap<FrameworkId, Framework>,
  nowMs: number,
): readonly OfferFilter[] {
  const kept = filters.filter((filter) => {
    const untilMs = filter.because === 'expired' ? filter.untilMs + EXPIRED_REMEMBERED_MS : filter.untilMs;
    return untilMs > nowMs && isOfPresent(filter, frameworks.get(filter.framework));
  });
  return kept.length === filters.length ? filters : kept;
}

/** How many in a row ended like this until now. A revive starts the count anew. */
function timesBefore(
  filters: readonly OfferFilter[],
  wanted: Pick<OfferFilter, 'framework' | 'role' | 'generation' | 'because'>,
): number {
  const own = filters.filter((filter) => isOfSame(filter, wanted));
  const last = own.reduce<OfferFilter | null>(
    (latest, filter) => (latest === null || filter.sinceMs >= latest.sinceMs ? filter : latest),
    null,
  );
  return last === null || last.because !== wanted.because || last.generation < wanted.generation ? 0 : last.times;
}

/**
 * The filters of a ledger with one more. It takes the place of earlier ones of its framework and role that count no more beside
 * it: they have ended, are void, or refuse no more than it does for no longer. Those of one answer stay together, since each says
 * what became of its offer. Where there are too many, those that end first go.
 */
export function withFilter(filters: readonly OfferFilter[], added: OfferFilter): readonly OfferFilter[] {
  const kept = filters.filter((filter) => !isOfSame(filter, added) || stillCounts(filter, added));
  return withinBounds([...kept, added]);
}

function stillCounts(filter: OfferFilter, added: OfferFilter): boolean {
  if (filter.generation < added.generation || filter.untilMs <= added.sinceMs) return false;
  if (filter.sinceMs === added.sinceMs) return true;
  return filter.untilMs > added.untilMs || !isCovered(filter.refused, added.refused);
}

function isOfSame(a: Pick<OfferFilter, 'framework' | 'role'>, b: Pick<OfferFilter, 'framework' | 'role'>): boolean {
  return a.framework === b.framework && a.role === b.role;
}

function withinBounds(filters: readonly OfferFilter[]): readonly OfferFilter[] {
  const bytes = filters.map((filter) => utf8Length(JSON.stringify(filter)));
  let left = filters.length;
  let leftBytes = bytes.reduce((sum, one) => sum + one, 0);
  if (left <= LEDGER_FILTERS_MAX && leftBytes <= LEDGER_FILTERS_BYTES_MAX) return filters;
  const gone = new Set<OfferFilter>();
  const endingFirst = filters.map((filter, place) => ({ filter, place })).sort((a, b) => byEnd(a.filter, b.filter));
  for (const { filter, place } of endingFirst) {
    if (left <= LEDGER_FILTERS_MAX && leftBytes <= LEDGER_FILTERS_BYTES_MAX) break;
    gone.add(filter);
    left -= 1;
    leftBytes -= bytes[place] ?? 0;
  }
  return filters.filter((filter) => !gone.has(filter));
}

function byEnd(a: OfferFilter, b: OfferFilter): number {
  return a.untilMs - b.untilMs;
}
