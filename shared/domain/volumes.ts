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
  const volume = Object.hasOwn(volumes, id) ? volumes[id] : undefined;
  if (volume === undefined) return `has no volume "${id}"`;
  if (volume.removing) return `is deleting volume "${id}"`;
  const owner = reservations[volume.reservation]?.role;
  if (owner !== undefined && roleWithin(role, owner)) return null;
  return `has volume "${id}" for role "${owner}" only`;
}
