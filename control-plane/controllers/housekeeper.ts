/**
 * Keeps the store from growing without end: its history, the records of what has ended long ago, the space that they took. Each chore has a pace
 * of its own and does a bounded amount of work at a time, so that calling it often costs nothing and a backlog holds up
 * nobody's placement. None of it needs room in the store, so it is done for a full one as well.
 */

import type { Counter } from '../../shared/util/metrics.ts';
import { RETENTION_DEFAULTS, type RetentionPolicy } from '../reconcile/retention-pass.ts';
import { QUOTA_DEFAULT_BYTES } from '../store/room.ts';
import { AuditKeeper } from './audit-keeper.ts';
import type { ControllerContext } from './context.ts';
import { DEFRAGMENTATION_DEFAULTS, type DefragmentationOptions } from './defragmentation.ts';
import { Defragmenter } from './defragmenter.ts';
import { HistoryKeeper } from './history-keeper.ts';
import { runRetention } from './pass.ts';

/** Runs of the retention pass are this far apart, … */
export const RETENTION_INTERVAL_MS = 10_000;

/** … or this while there is a backlog. */
export const RETENTION_BACKLOG_INTERVAL_MS = 1000;

export interface HousekeepingOptions {
  readonly retention: RetentionPolicy;
  readonly defragmentation: DefragmentationOptions;
}

export const HOUSEKEEPING_DEFAULTS: HousekeepingOptions = {
  retention: RETENTION_DEFAULTS,
  defragmentation: { ...DEFRAGMENTATION_DEFAULTS, quotaBytes: QUOTA_DEFAULT_BYTES },
};

export class Housekeeper {
  readonly #ctx: ControllerContext;
  readonly #options: HousekeepingOptions;
  readonly #history = new HistoryKeeper();
  readonly #audit: AuditKeeper;
  readonly #defragmenter: Defragmenter;
  #retentionDueMs = 0;

  /** `auditRemoved` counts records of who did what that are taken away, by cause. */
  constructor(ctx: ControllerContext, options: HousekeepingOptions, auditRemoved: Counter | null = null) {
    this.#ctx = ctx;
    this.#options = options;
    this.#audit = new AuditKeeper(ctx, options.defragmentation.quotaBytes, auditRemoved);
    this.#defragmenter = new Defragmenter(ctx, options.defragmentation);
  }

  /** Does what is due. Throws StoreUnavailableError. */
  async run(): Promise<void> {
    await this.#forgetHistory();
    await this.#forgetEnded();
    await this.#audit.run();
    this.#defragmenter.look();
  }

  async #forgetHistory(): Promise<void> {
    const { store, mirror, clock, log } = this.#ctx;
    const revision = this.#history.due(clock.monotonicMs(), mirror.revision);
    if (revision === null) return;
    await store.compact(revision);
    log.debug({ revision }, 'history before this revision is forgotten');
  }

  async #forgetEnded(): Promise<void> {
    const { clock } = this.#ctx;
    if (clock.monotonicMs() < this.#retentionDueMs) return;
    this.#retentionDueMs = clock.monotonicMs() + RETENTION_INTERVAL_MS;
    const more = await runRetention(this.#ctx, this.#options.retention);
    if (more) this.#retentionDueMs = clock.monotonicMs() + RETENTION_BACKLOG_INTERVAL_MS;
  }
}
