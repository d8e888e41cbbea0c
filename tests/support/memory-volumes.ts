/** Persistent volumes that are only names. */
import { VolumeFault, type Volumes } from '../../node-agent/executor/contracts.ts';

export class MemoryVolumes implements Volumes {
  readonly folders = new Set<string>();
  /** Of every deletion that was asked for, also of what wasn't there. */
  readonly removed: string[] = [];
  /** So many calls fail. */
  failures = 0;

  async ensure(id: string): Promise<string> {
    this.#fail();
    this.folders.add(id);
    return `/volumes/${id}`;
  }

  async remove(id: string): Promise<void> {
    this.#fail();
    this.removed.push(id);
    this.folders.delete(id);
  }

  #fail(): void {
    if (this.failures === 0) return;
    this.failures -= 1;
    throw new VolumeFault('reach the disk: it is full');
  }
}
