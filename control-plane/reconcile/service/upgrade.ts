/**
 * How many tasks of a group are started and stopped next, so that old ones are exchanged for new ones: Marathon's arithmetic, told
 * as what follows from a state rather than as a sequence. Old ones are those of another version, and those on nodes that are being
 * emptied. It gives two promises and always comes to an end if new tasks become healthy:
 *
 * - What is stopped leaves at least {@link Bounds.healthyMin} that work, as long as there were so many.
 * - What is started makes no more than {@link Bounds.liveMax} that live.
 *
 * A task that doesn't work is no loss, but it may be about to: it goes only where something is there in its place, or within
 * what may be missing anyway.
 */
import type { UpdatePolicy } from '../../../shared/domain/service.ts';

export interface Bounds {
  readonly healthyMin: number;
  readonly liveMax: number;
}

/** Where two can't be in one place at a time, so that an old one has to go before its successor can come. */
export interface BoundsRule {
  readonly isStopFirst: boolean;
}

/** Where the shares leave no room to move, it is made: one more at a time, or one less where an old one has to go first. */
export function boundsOf(
  count: number,
  { minHealthy, maxOver }: Pick<UpdatePolicy, 'minHealthy' | 'maxOver'>,
  { isStopFirst }: BoundsRule,
): Bounds {
  const healthyMin = Math.ceil(tidy(count * minHealthy));
  if (isStopFirst) return { healthyMin: Math.max(0, Math.min(healthyMin, count - 1)), liveMax: count };
  const liveMax = Math.floor(tidy(count * (1 + maxOver)));
  return { healthyMin, liveMax: healthyMin >= liveMax ? healthyMin + 1 : liveMax };
}

/** Shares are decimal fractions, which a float misses by a hair: 3 × 1.1 is to be 3.3, and 10 × 0.7 is to be 7. */
function tidy(product: number): number {
  return Math.round(product * 1e9) / 1e9;
}

/** How many there are of what; those that have been asked to end are only in `ending`. */
export interface ExchangeState {
  /** Wanted in all. */
  readonly count: number;
  /** New ones that count, and others. */
  readonly fresh: { readonly counting: number; readonly coming: number };
  /** Old ones that work, that don't, and that have no place yet. */
  readonly old: { readonly ready: number; readonly unready: number; readonly unplaced: number };
  readonly ending: number;
}

export interface ExchangeStep {
  readonly start: number;
  readonly stopReady: number;
  readonly stopUnready: number;
  /** New ones beyond what is wanted. */
  readonly surplus: number;
}

/**
 * `comingMax`: so many new ones that don't count yet at the most, for as long as there are old ones that they may turn out to be worse
 * than. Old ones without a place all go: nothing is lost with them.
 */
export function nextExchange(
  { count, fresh, old, ending }: ExchangeState,
  { healthyMin, liveMax }: Bounds,
  comingMax = Number.POSITIVE_INFINITY,
): ExchangeStep {
  const staying = fresh.counting + fresh.coming;
  const held = old.ready + old.unready;
  const spare = Math.max(0, fresh.counting + old.ready - healthyMin);
  const replaced = Math.max(0, held - Math.max(0, count - fresh.counting));
  const missing = Math.max(0, count - staying - held) + fresh.coming;
  const lossy = Math.max(1, count - healthyMin) - missing;
  const stopsMax = Math.max(replaced, spare, lossy);
  const stopUnready = Math.min(old.unready, stopsMax);
  const stopReady = Math.max(0, Math.min(old.ready, spare, stopsMax - stopUnready));
  // One without a place may get it before it is asked to go, so what takes its place waits for that.
  const room = liveMax - staying - held - old.unplaced - ending;
  return {
    start: Math.max(0, Math.min(count - staying, room, held > 0 ? comingMax - fresh.coming : count)),
    stopReady,
    stopUnready,
    surplus: Math.max(0, staying - count),
  };
}
