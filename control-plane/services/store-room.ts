/** Keeps what is left of the store for what must go on: nothing new is begun while room is tight. */
import { Refusal } from '../../shared/domain/errors.ts';
import { IN_USE_SHARE_MAX } from '../store/room.ts';
import type { ServiceContext } from './context.ts';

/** Throws `limit-exceeded` while the store is nearly full. */
export function demandRoom({ room }: Pick<ServiceContext, 'room'>): void {
  if (!room.isTight || room.size === null) return;
  const { sizeBytes, inUseBytes } = room.size;
  const share = `${Math.round(IN_USE_SHARE_MAX * 100)} %`;
  throw new Refusal(
    'limit-exceeded',
    `the store is nearly full: ${mib(inUseBytes)} in use, in a file of ${mib(sizeBytes)}, of a quota of ${mib(room.quotaBytes)}; ` +
      `beyond ${share} no new jobs are taken, and what runs goes on. Delete jobs, keep ended ones for a shorter time ` +
      '(--keep-ended of the control plane), or raise the quota: --quota-backend-bytes of etcd and --etcd-quota-bytes of the control plane',
  );
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
