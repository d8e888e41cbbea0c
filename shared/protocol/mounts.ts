/** What a mount can't say, by its type. Pure. */
import { RESERVATION_ID_PATTERN } from '../domain/ids.ts';
import { INDEX_PLACEHOLDER, type MountSpec, volumeOf } from '../domain/job.ts';

interface MountFault {
  readonly field: 'source' | 'target';
  readonly message: string;
}

/** With the highest index that a task may have, so that an id is short enough for all of them. */
const INDEX_MAX = 9999;

/** `isPath`: whether the source is an absolute path without "..". */
export function mountFaults(mount: Omit<MountSpec, 'readOnly'>, isPath: boolean): MountFault[] {
  const faults: MountFault[] = [];
  if (mount.target.includes(INDEX_PLACEHOLDER)) {
    const message = `must not hold ${INDEX_PLACEHOLDER}: that stands in the source of a persistent mount only`;
    faults.push({ field: 'target', message });
  }
  const message = sourceFault(mount, isPath);
  return message === null ? faults : [...faults, { field: 'source', message }];
}

function sourceFault({ type, source }: Omit<MountSpec, 'readOnly'>, isPath: boolean): string | null {
  const namesIndex = source?.includes(INDEX_PLACEHOLDER) === true;
  if (type === 'tmpfs') return source === undefined ? null : 'is not used by a tmpfs mount';
  if (type === 'persistent') {
    if (RESERVATION_ID_PATTERN.test(volumeOf({ source }, INDEX_MAX))) return null;
    const id = 'must be the id of a persistent volume, such as `berth volume list` shows';
    return namesIndex ? `${id}, whatever index of a task stands for ${INDEX_PLACEHOLDER}` : id;
  }
  if (namesIndex) {
    return `must not hold ${INDEX_PLACEHOLDER}: only a persistent mount has a volume for each task; set its type to "persistent"`;
  }
  if (type === 'bind') return isPath ? null : 'must be an absolute path without ".." for a bind mount';
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/.test(source ?? '')
    ? null
    : 'must be the name of a volume: letters, digits, "_", "." and "-", 2 to 128 characters';
}
