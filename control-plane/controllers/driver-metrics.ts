/** How long rounds and passes take, and what comes of them. */
import type { Counter, Histogram, Metrics } from '../../shared/util/metrics.ts';

const BOUNDS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export interface DriverMetrics {
  /** From claim to commit; looks that found nothing to do aren't rounds. */
  readonly roundSeconds: Histogram;
  readonly passSeconds: Histogram;
  /** By outcome: `placed`, `offered`, `swept`, `displaced`. */
  readonly tasks: Counter;
  /** Rounds and passes that lost a compare to somebody else and were run again. */
  readonly lost: Counter;
  /** Records of who did what that were taken away, by cause: `expired`, or `room` for what the store had no room for any more. */
  readonly auditRemoved: Counter;
}

export function driverMetrics(metrics: Metrics): DriverMetrics {
  return {
    roundSeconds: metrics.histogram({
      name: 'berth_round_seconds',
      help: 'Time that a round of the allocator took, from its claim to its last commit.',
      bounds: BOUNDS_SECONDS,
    }),
    passSeconds: metrics.histogram({
      name: 'berth_pass_seconds',
      help: 'Time that a run of the reconcilers took.',
      bounds: BOUNDS_SECONDS,
    }),
    tasks: metrics.counter({
      name: 'berth_round_tasks_total',
      help: 'Tasks that rounds placed, and places that they took back.',
      labels: ['outcome'],
    }),
    lost: metrics.counter({
      name: 'berth_driver_conflicts_total',
      help: 'Rounds and passes that lost to another writer and were run again.',
      labels: ['kind'],
    }),
    auditRemoved: metrics.counter({
      name: 'berth_audit_removed_total',
      help: 'Records of who did what that were taken away: expired, or because the store was nearly full (room).',
      labels: ['cause'],
    }),
  };
}
