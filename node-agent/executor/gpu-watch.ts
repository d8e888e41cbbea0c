/**
 * What GPUs the node has to give, from time to time looked at anew: cards fall off the bus, and drivers come up after the agent. When
 * they have changed the node registers again, so that nobody is given one that isn't there.
 */
import type { GpuDevice } from '../../shared/domain/node.ts';
import type { RegisterRequest } from '../../shared/protocol/agent.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import type { GpuSource, Log } from './contracts.ts';

const LOOK_INTERVAL_MS = 300_000;
/** A registration is a reason to look, unless somebody has only just done so. */
const LOOK_AGAIN_MS = 60_000;

export interface GpuWatchParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Absent: what the configuration says stands for good. */
  readonly gpus?: GpuSource | undefined;
  /** As it was when the agent began. */
  readonly node: RegisterRequest['node'];
  /** The node is another one than it has been registered as. */
  readonly onChange: () => void;
}

export class GpuWatch {
  readonly #parts: GpuWatchParts;
  #node: RegisterRequest['node'];
  #timer: Timer | null = null;
  #isClosed = false;
  #isLooking = false;
  #lookedAtMs: number;
  #told = '';

  constructor(parts: GpuWatchParts) {
    this.#parts = parts;
    this.#node = parts.node;
    this.#lookedAtMs = parts.clock.monotonicMs();
  }

  /** What to register with. It is not waited for what a look finds: a driver that hangs must not keep the node away. */
  get node(): RegisterRequest['node'] {
    if (this.#parts.clock.monotonicMs() - this.#lookedAtMs >= LOOK_AGAIN_MS) void this.#look();
    return this.#node;
  }

  open(): void {
    if (this.#parts.gpus !== undefined) this.#lookLater();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #lookLater(): void {
    this.#timer?.cancel();
    if (!this.#isClosed) this.#timer = this.#parts.clock.setTimer(LOOK_INTERVAL_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { gpus: source, clock } = this.#parts;
    if (source === undefined || this.#isLooking || this.#isClosed) return;
    this.#isLooking = true;
    const { gpus, complaints } = await source();
    this.#isLooking = false;
    this.#lookedAtMs = clock.monotonicMs();
    this.#lookLater();
    if (this.#isClosed) return;
    this.#tell(complaints);
    if (gpus !== null) this.#take(gpus);
  }

  /** Once for each that is different. */
  #tell(complaints: readonly string[]): void {
    const cause = complaints.join('; ');
    if (cause !== '' && cause !== this.#told) this.#parts.log.warn('something is wrong with GPUs', { cause });
    this.#told = cause;
  }

  #take(gpus: readonly GpuDevice[]): void {
    const before = this.#node.gpus;
    const gone = idsBeyond(before, gpus);
    const added = idsBeyond(gpus, before);
    if (gone === '' && added === '') return;
    this.#parts.log.warn('the GPUs of this node have changed; it registers anew', { gone, added });
    this.#node = { ...this.#node, gpus, resources: { ...this.#node.resources, gpus: gpus.length } };
    this.#parts.onChange();
  }
}

/** Of those among `some` that aren't among `others`. */
function idsBeyond(some: readonly GpuDevice[], others: readonly GpuDevice[]): string {
  const known = new Set(others.map(({ id }) => id));
  return some.flatMap(({ id }) => (known.has(id) ? [] : [id])).join(', ');
}
