/**
 * When a member of the store is worth being defragmented: it answers nobody while that lasts, so only when there is much to
 * be gained or nothing to be lost any more, one member at a time, and never while another one is away. Followers come before
 * the leader.
 */
import type { StoreMember } from '../store/contract.ts';
import { IN_USE_SHARE_MAX, SIZE_SHARE_MAX } from '../store/room.ts';

export interface DefragmentationOptions {
  /** Of the store. */
  readonly quotaBytes: number;
  /** A smaller file is left alone, … */
  readonly sizeMinBytes: number;
  /** … and so is one of which less than this share is free … */
  readonly freeShareMin: number;
  /** … unless the file takes this share of the quota, … */
  readonly tightShare: number;
  /** … when this much free is enough. */
  readonly tightFreeShareMin: number;
  /** Two defragmentations are this far apart, in milliseconds. */
  readonly intervalMs: number;
  /** How often to look whether there is something to do, in milliseconds. */
  readonly lookMs: number;
}

export const DEFRAGMENTATION_DEFAULTS: Omit<DefragmentationOptions, 'quotaBytes'> = {
  sizeMinBytes: 64 * 1024 ** 2,
  freeShareMin: 0.5,
  tightShare: 0.75,
  tightFreeShareMin: 0.2,
  intervalMs: 600_000,
  lookMs: 60_000,
};

/** The one that is next; null while none is worth the trouble. */
export function memberToDefragment(
  members: readonly StoreMember[],
  options: DefragmentationOptions,
): StoreMember | null {
  const worthIt = members
    .filter((member) => isWorthIt(member, options))
    .sort((a, b) => Number(a.isLeader) - Number(b.isLeader) || freeBytes(b) - freeBytes(a));
  return worthIt[0] ?? null;
}

/** Whether so much is in use that new work is refused. */
export function isNearlyFull(members: readonly StoreMember[], { quotaBytes }: DefragmentationOptions): boolean {
  return members.some(
    ({ dbSizeBytes, dbSizeInUseBytes }) => (dbSizeInUseBytes ?? dbSizeBytes) >= quotaBytes * IN_USE_SHARE_MAX,
  );
}

function freeBytes({ dbSizeBytes, dbSizeInUseBytes }: StoreMember): number {
  return dbSizeBytes - (dbSizeInUseBytes ?? dbSizeBytes);
}

function isWorthIt(member: StoreMember, options: DefragmentationOptions): boolean {
  const { dbSizeBytes: size } = member;
  if (size < options.sizeMinBytes) return false;
  // A full store may have no further commit to tell of what has become free.
  if (size >= options.quotaBytes * SIZE_SHARE_MAX) return true;
  const isTight = size >= options.quotaBytes * options.tightShare;
  return freeBytes(member) >= size * (isTight ? options.tightFreeShareMin : options.freeShareMin);
}
