/**
 * Persistent volumes as folders of the agent's state folder, one for each. Who a task runs as is up to its image, so a volume is open
 * to everybody who can see it; on the node itself that is nobody but the agent's own user, since the folder above is.
 */
import { chmod, lstat, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RESERVATION_ID_PATTERN, type VolumeId } from '../../../shared/domain/ids.ts';
import { VolumeFault, type Volumes } from '../../executor/contracts.ts';

const FOLDER_MODE = 0o700;
const VOLUME_MODE = 0o777;

export class FolderVolumes implements Volumes {
  readonly #dir: string;

  /** `dir` is made with the first volume. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  async ensure(id: VolumeId): Promise<string> {
    const path = this.#pathOf(id);
    try {
      await mkdir(this.#dir, { mode: FOLDER_MODE, recursive: true });
      // What it is made with is lessened by the process's mask.
      if (await isMade(path)) await chmod(path, VOLUME_MODE);
      // Never a link: what it leads to would be mounted in its place.
      if (!(await lstat(path)).isDirectory()) throw new Error(`${path} is no folder`);
    } catch (cause) {
      throw new VolumeFault(`make the folder of volume ${id}: ${words(cause)}`, { cause });
    }
    return path;
  }

  async remove(id: VolumeId): Promise<void> {
    try {
      // Links are removed as links; what they lead to stays.
      await rm(this.#pathOf(id), { recursive: true, force: true });
    } catch (cause) {
      throw new VolumeFault(`delete volume ${id}: ${words(cause)}`, { cause });
    }
  }

  /** Ids come from the control plane, and a path that leads elsewhere would be deleted as well. */
  #pathOf(id: VolumeId): string {
    if (!RESERVATION_ID_PATTERN.test(id)) throw new VolumeFault(`find volume ${JSON.stringify(id)}: that is no id`);
    return join(this.#dir, id);
  }
}

/** False: there was something already. */
async function isMade(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return false;
    throw cause;
  }
}

function words(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
