/**
 * Deletes volumes when the control plane says so, and nothing uses them, and tells it. What is to be deleted is read off the present
 * assignment: after a crash, or where the answer was lost, it is simply asked for again, and deleting what is gone is harmless.
 */
import type { VolumeId } from '../../shared/domain/ids.ts';
import { jitteredBackoffMs } from '../../shared/util/backoff.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import { unusedVolumes, type VolumeUse } from '../core/volumes.ts';
import { type Log, VolumeFault, type Volumes } from './contracts.ts';
import { ENGINE_BACKOFF } from './engine-view.ts';

export interface VolumeKeeperParts {
  readonly volumes: Volumes;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Who uses volumes; null: that can't be told now, or nobody has said lately what is wanted. */
  readonly use: () => VolumeUse | null;
  /** It is gone, and waits to be told to the control plane. */
  readonly onRemoved: (id: VolumeId) => void;
}

export class VolumeKeeper {
  readonly #parts: VolumeKeeperParts;
  #removing: ReadonlySet<VolumeId> = new Set();
  /** Of the session that {@link #removing} is of. */
  #epoch = 0;
  readonly #busy = new Set<VolumeId>();
  /** Told in this session. */
  readonly #told = new Set<VolumeId>();
  #failures = 0;
  #again: Timer | null = null;
  #isClosed = false;

  constructor(parts: VolumeKeeperParts) {
    this.#parts = parts;
  }

  /** What the assignment of this session says is to be deleted. */
  want(removing: readonly VolumeId[], epoch: number): void {
    this.#removing = new Set(removing);
    if (epoch !== this.#epoch) this.#told.clear();
    this.#epoch = epoch;
    for (const id of this.#told) if (!this.#removing.has(id)) this.#told.delete(id);
    this.look();
  }

  /** Something may be used no more. */
  look(): void {
    if (this.#isClosed || this.#again !== null || this.#removing.size === 0) return;
    const use = this.#parts.use();
    if (use === null) return;
    for (const id of unusedVolumes(this.#removing, use)) {
      if (this.#busy.has(id) || this.#told.has(id)) continue;
      this.#busy.add(id);
      void this.#remove(id);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#again?.cancel();
  }

  async #remove(id: VolumeId): Promise<void> {
    const { volumes, log, onRemoved } = this.#parts;
    try {
      await volumes.remove(id);
      this.#failures = 0;
      if (this.#isClosed) return;
      this.#told.add(id);
      log.info('deleted a volume', { volume: id });
      onRemoved(id);
    } catch (cause) {
      if (!(cause instanceof VolumeFault)) throw cause;
      this.#failed(id, cause);
    } finally {
      this.#busy.delete(id);
    }
  }

  #failed(id: VolumeId, cause: VolumeFault): void {
    if (this.#isClosed) return;
    const { clock, random, log } = this.#parts;
    const waitMs = jitteredBackoffMs(ENGINE_BACKOFF, this.#failures, random.next());
    this.#failures += 1;
    log.warn('could not delete a volume; it will be tried again', { volume: id, waitMs, cause: cause.message });
    this.#again ??= clock.setTimer(waitMs, () => {
      this.#again = null;
      this.look();
    });
  }
}
