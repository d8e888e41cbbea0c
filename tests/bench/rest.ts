/**
 * Pauses between measurements, in which nothing of ours has anything to do. What the machine does in them it does for
 * somebody else, and would have done during the measurements as well: a run is worth as much as these are quiet.
 */
import { availableParallelism } from 'node:os';
import { pause } from './child.ts';
import { machineBusyMs } from './processor-time.ts';

export class Rest {
  #restedMs = 0;
  #busyMs = 0;

  async take(milliseconds: number): Promise<void> {
    const [beganAtMs, busyBeforeMs] = [performance.now(), machineBusyMs()];
    await pause(milliseconds);
    this.#restedMs += performance.now() - beganAtMs;
    this.#busyMs += machineBusyMs() - busyBeforeMs;
  }

  /** Of all processors together. */
  get busyPercent(): number {
    return (100 * this.#busyMs) / (this.#restedMs * availableParallelism());
  }
}
