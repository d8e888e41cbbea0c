/** An agent's session and nothing else: it joins, keeps its lease, and joins anew when it is told to, as real agents do. */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { heartbeat, registerNode } from '../../control-plane/services/agents.ts';
import type { ServiceContext } from '../../control-plane/services/context.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import { sleep } from '../../shared/util/clock.ts';
import { JOINER, nodeOf } from './replica.ts';

const RETRY_MS = 200;

export class BeatingAgent {
  readonly node: string;
  readonly #replica: () => ServiceContext | null;
  readonly #clock = new SystemClock();
  readonly #end = new AbortController();
  #epoch: number | null = null;
  #running: Promise<void> = Promise.resolve();

  /** `replica`: whichever it can reach now; null for none. */
  constructor(node: string, replica: () => ServiceContext | null) {
    this.node = node;
    this.#replica = replica;
  }

  /** Of its session; null while it has none. */
  get epoch(): number | null {
    return this.#epoch;
  }

  start(): void {
    this.#running = this.#run(this.#end.signal);
  }

  /** No further heartbeat, and no goodbye. */
  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const ctx = this.#replica();
      const pauseMs = ctx === null ? RETRY_MS : await this.#call(ctx);
      await sleep(this.#clock, pauseMs, signal);
    }
  }

  /** How long to wait before the next call. */
  async #call(ctx: ServiceContext): Promise<number> {
    try {
      if (this.#epoch === null) {
        const joined = await registerNode(ctx, JOINER, { node: nodeOf(this.node), seen: null, tasks: [] });
        this.#epoch = joined.epoch;
      } else await heartbeat(ctx, { node: this.node, epoch: this.#epoch });
      return ctx.config.heartbeatIntervalMs;
    } catch (error) {
      if (error instanceof Refusal && error.code === 'stale-epoch') this.#epoch = null;
      return RETRY_MS;
    }
  }
}
