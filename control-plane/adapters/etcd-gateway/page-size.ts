/**
 * How many keys to ask for, so that a reply is neither refused for its size nor cut into more pages than it must be. Old gateways
 * take no answer of more than 4 MiB from etcd, tunnels have caps of their own, and a Worker has little memory.
 */
import { RANGE_PAGE_MAX } from '../../store/contract.ts';

/** Of keys and values together; base64 makes a third more of it. */
export const PAGE_BYTES = 2 * 1024 * 1024;

/** What follows may be larger than what came, so a page grows by steps. */
const GROWTH_MAX = 4;

export interface ReadPage {
  /** How many keys were asked for. */
  readonly asked: number;
  /** How many came, and their length in all. */
  readonly keys: number;
  readonly bytes: number;
}

/** After a page that came. */
export function nextPageKeys(known: number, { asked, keys, bytes }: ReadPage): number {
  // Fewer came than were asked for: that was all, and says little of the rest.
  if (keys < asked) return known;
  const fitting = Math.floor((keys * PAGE_BYTES) / Math.max(1, bytes));
  // A caller may have wanted few, which speaks against nothing.
  return clamp(Math.min(fitting, Math.max(known, asked * GROWTH_MAX)));
}

/** After a page of `asked` keys was refused for its length; null when it can't be less. */
export function smallerPageKeys(asked: number): number | null {
  return asked === 1 ? null : Math.ceil(asked / 2);
}

function clamp(keys: number): number {
  return Math.min(RANGE_PAGE_MAX, Math.max(1, keys));
}
