/** Which persistent volumes of a node a task may mount. */
import { type RolePath, roleWithin, type VolumeId } from './ids.ts';
import type { Ledger } from './ledger.ts';

/**
 * Those of the volumes that a task can't mount on this node, each as what is wrong with it, to follow "the node": `has no
 * volume "data"`. Empty: it has all of them, for this role.
 */
export function missingVolumes(
  ledger: Pick<Ledger, 'volumes' | 'reservations'>,
  ids: readonly VolumeId[],
  role: RolePath,
): string[] {
  return ids.flatMap((id) => whyMissing(ledger, id, role) ?? []);
}

function whyMissing(
  { volumes, reservations }: Pick<Ledger, 'volumes' | 'reservations'>,
  id: VolumeId,
  role: RolePath,
): string | null {
  // One of another role is as none: whoever names it learns no more of it.
  if (!isVolumeFor({ volumes, reservations }, id, role)) return `has no volume "${id}" for role "${role}"`;
  return volumes[id]?.removing ? `is deleting volume "${id}"` : null;
}

/** Whether there is such a volume that is for the role, or for one above it. */
export function isVolumeFor(
  { volumes, reservations }: Pick<Ledger, 'volumes' | 'reservations'>,
  id: VolumeId,
  role: RolePath,
): boolean {
  const volume = Object.hasOwn(volumes, id) ? volumes[id] : undefined;
  const owner = volume === undefined ? undefined : reservations[volume.reservation]?.role;
  return owner !== undefined && roleWithin(role, owner);
}
