/**
 * Follows what happens in the cluster, as a client of the event stream does: it takes up the stream from whichever replica is
 * up, is cut off, and goes on elsewhere from the last revision that it got. Where a replica no longer remembers, it begins anew.
 */
import type { Principal } from '../../control-plane/auth/principal.ts';
import type { ServiceContext } from '../../control-plane/services/context.ts';
import { type EventBatch, watchEvents } from '../../control-plane/services/events.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import { FIRST_INCARNATION } from '../../shared/domain/node.ts';
import { sleep } from '../../shared/util/clock.ts';
import { checkEvents } from './invariants/events.ts';
import type { Violation } from './invariants/violation.ts';
import { type Network, NetworkFault } from './network.ts';
import type { Plant } from './plants/plant.ts';
import type { Replica } from './replica.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { Truth } from './truth.ts';

export interface EventReaderParts {
  readonly process: SimulatedProcess;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly random: SeededRandom;
  readonly plant: Plant;
  readonly truth: Truth;
  readonly onViolation: (violation: Violation) => void;
}

const TIMEOUT_MS = 20_000;
/** For how long it stays with a replica. */
const STAY_MS: readonly [number, number] = [200, 6000];
const PAUSE_MS: readonly [number, number] = [10, 1500];

const ANY_EVENT = { types: null, role: null, job: null, task: null, node: null } as const;

export class EventReader {
  readonly #parts: EventReaderParts;
  readonly #principal: Principal;
  /** Null: from whenever the next stream begins. */
  #after: number | null = null;
  #isStopped = false;

  constructor(parts: EventReaderParts) {
    this.#parts = parts;
    const subject = parts.process.name;
    this.#principal = {
      kind: 'user',
      subject,
      tokenId: 'simulated',
      grants: [{ roles: ['*'], actions: ['*'] }],
      node: null,
    };
  }

  stop(): void {
    this.#isStopped = true;
  }

  async run(): Promise<void> {
    const { process, random } = this.#parts;
    while (!this.#isStopped) {
      for (const batch of await this.#read()) this.#take(batch);
      await sleep(process.clock, random.between(...PAUSE_MS));
    }
  }

  #take(batch: EventBatch): void {
    const { process, truth, onViolation } = this.#parts;
    if (this.#after !== null) {
      for (const violation of checkEvents(process.name, this.#after, batch, truth)) onViolation(violation);
    }
    this.#after = batch.revision;
  }

  /** Nothing where nobody answers. */
  async #read(): Promise<readonly EventBatch[]> {
    const { process, network, random, replicas } = this.#parts;
    const replica = random.pick(replicas);
    const stayMs = random.between(...STAY_MS);
    try {
      return await network.call({
        from: process,
        to: replica.process,
        timeoutMs: TIMEOUT_MS,
        work: (gone) => this.#collect(replica.context, stayMs, gone),
      });
    } catch (error) {
      if (error instanceof Refusal && error.code === 'history-gone') this.#after = null;
      else if (!(error instanceof NetworkFault || error instanceof Refusal)) throw error;
      return [];
    }
  }

  /** At the replica: what the stream brings until the reader moves on. */
  async #collect(ctx: ServiceContext | null, stayMs: number, gone: AbortSignal): Promise<readonly EventBatch[]> {
    if (ctx === null) throw new Refusal('unavailable', 'the replica is starting');
    const over = new AbortController();
    const end = () => over.abort();
    gone.addEventListener('abort', end, { once: true });
    const timer = ctx.clock.setTimer(stayMs, end);
    const batches: EventBatch[] = [];
    try {
      const { resumeEvents } = this.#parts.plant;
      const revision = this.#after === null ? null : (resumeEvents?.(this.#after) ?? this.#after);
      // Nothing is restored here, so there is one history.
      const after = revision === null ? null : { incarnation: FIRST_INCARNATION, revision };
      const wanted = { after, filter: ANY_EVENT, signal: over.signal };
      for await (const batch of watchEvents(ctx, this.#principal, wanted)) batches.push(batch);
    } finally {
      timer.cancel();
      gone.removeEventListener('abort', end);
    }
    return batches;
  }
}
