/**
 * Which operations come next on one stream to a framework: those that were carried out, again and again until they are acknowledged.
 * Level-triggered as the rest of the stream is. Decides and does nothing; its only state is what has been told.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { FinishedOperation } from '../../shared/domain/finished-operation.ts';
import type { FrameworkId } from '../../shared/domain/ids.ts';
import type { FrameworkEvent } from '../../shared/protocol/framework.ts';
import { type BackoffPolicy, backoffMs } from '../../shared/util/backoff.ts';
import { finishedView } from './operation-views.ts';

interface OperationFacts {
  readonly cluster: ClusterView;
  readonly monotonicMs: number;
}

interface OperationStep {
  readonly events: readonly FrameworkEvent[];
  /** By the steady clock, when the first is to be told again; null: none is outstanding. */
  readonly wakeAtMs: number | null;
}

interface ToldOperation {
  readonly times: number;
  readonly againAtMs: number;
}

export class OperationNews {
  readonly #framework: FrameworkId;
  readonly #resend: BackoffPolicy;
  /** By the ids of their statuses. */
  readonly #told = new Map<string, ToldOperation>();
  #hasMoved = true;

  constructor(framework: FrameworkId, resend: BackoffPolicy) {
    this.#framework = framework;
    this.#resend = resend;
  }

  /** One has come, or was acknowledged. */
  moved(): void {
    this.#hasMoved = true;
  }

  /** At most so many events; what is left comes with the next step. */
  step({ cluster, monotonicMs }: OperationFacts, max: number): OperationStep {
    const isDue = this.#wakeAtMs() <= monotonicMs;
    const events =
      this.#hasMoved || isDue ? this.#tell([...cluster.operationsOf(this.#framework)], monotonicMs, max) : [];
    const wakeAtMs = this.#wakeAtMs();
    return { events, wakeAtMs: wakeAtMs === Number.POSITIVE_INFINITY ? null : wakeAtMs };
  }

  #tell(outstanding: readonly FinishedOperation[], monotonicMs: number, max: number): FrameworkEvent[] {
    const left = new Set(outstanding.map(({ id }) => id));
    for (const id of this.#told.keys()) if (!left.has(id)) this.#told.delete(id);
    const due = outstanding.filter(({ id }) => (this.#told.get(id)?.againAtMs ?? monotonicMs) <= monotonicMs);
    const next = due.slice(0, Math.max(0, max));
    this.#hasMoved = next.length < due.length;
    return next.map((operation) => {
      const { times } = this.#told.get(operation.id) ?? { times: 0 };
      this.#told.set(operation.id, { times: times + 1, againAtMs: monotonicMs + backoffMs(this.#resend, times) });
      return { type: 'operation', operation: finishedView(operation) };
    });
  }

  #wakeAtMs(): number {
    return [...this.#told.values()].reduce(
      (first, { againAtMs }) => Math.min(first, againAtMs),
      Number.POSITIVE_INFINITY,
    );
  }
}
