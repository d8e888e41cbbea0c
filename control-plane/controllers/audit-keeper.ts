/**
 * Takes what is on record of callers away when its time is over, as much at a time as one look may take. A store that is nearly full gives
 * up the oldest before their time, since a full one takes no change at all and so no record of one either; that is said aloud, and the
 * last day always stays.
 */
import { auditTimeMs } from '../../shared/domain/audit.ts';
import type { Counter } from '../../shared/util/metrics.ts';
import { oldestFirst, spanOfTimes } from '../store/audit-log.ts';
import type { KeyValue } from '../store/contract.ts';
import { parseKey } from '../store/keys.ts';
import { IN_USE_SHARE_MAX } from '../store/room.ts';
import type { ControllerContext } from './context.ts';

const DAY_MS = 24 * 3600_000;

/** Looks are this far apart, … */
const LOOK_INTERVAL_MS = 60_000;

/** … or this while there is a backlog. */
const BACKLOG_INTERVAL_MS = 1000;

/** Records that one transaction takes away, and transactions of one look. */
const RECORDS_PER_STEP = 120;
const STEPS_PER_LOOK = 10;

/** However full the store is, what is younger stays: whoever fills it can't wipe out how. */
const KEPT_ALWAYS_MS = DAY_MS;

/** Why records go: their time is over, or the store needs the room. */
type Cause = 'expired' | 'room';

export class AuditKeeper {
  readonly #ctx: ControllerContext;
  readonly #quotaBytes: number;
  readonly #removed: Counter | null;
  #dueMs = 0;

  constructor(ctx: ControllerContext, quotaBytes: number, removed: Counter | null) {
    this.#ctx = ctx;
    this.#quotaBytes = quotaBytes;
    this.#removed = removed;
  }

  /** Does what is due. Throws StoreUnavailableError. */
  async run(): Promise<void> {
    const { clock, mirror } = this.#ctx;
    if (clock.monotonicMs() < this.#dueMs) return;
    this.#dueMs = clock.monotonicMs() + LOOK_INTERVAL_MS;
    const keepMs = mirror.snapshot.settings.auditKeepDays * DAY_MS;
    const isAllGone = await this.#removeBefore(clock.now() - keepMs, 'expired');
    const hasRoom =
      isAllGone && ((await this.#hasRoom()) || (await this.#removeBefore(clock.now() - KEPT_ALWAYS_MS, 'room')));
    if (!hasRoom) this.#dueMs = clock.monotonicMs() + BACKLOG_INTERVAL_MS;
  }

  async #hasRoom(): Promise<boolean> {
    const { dbSizeBytes, dbSizeInUseBytes } = await this.#ctx.store.status();
    return (dbSizeInUseBytes ?? dbSizeBytes) < this.#quotaBytes * IN_USE_SHARE_MAX;
  }

  /** Whether nothing is left that was made before. */
  async #removeBefore(toMs: number, cause: Cause): Promise<boolean> {
    const { store } = this.#ctx;
    let steps = 0;
    for await (const page of oldestFirst(store, spanOfTimes(0, toMs), RECORDS_PER_STEP)) {
      if (steps === STEPS_PER_LOOK) return false;
      steps += 1;
      await store.transact({ compares: [], writes: page.map(({ key }) => ({ type: 'delete', key })) });
      this.#tell(page, cause);
    }
    return true;
  }

  #tell(page: readonly KeyValue[], cause: Cause): void {
    this.#removed?.add(page.length, [cause]);
    if (cause === 'expired') return;
    const last = parseKey(page.at(-1)?.key ?? '')?.[1] ?? '';
    this.#ctx.log.warn(
      { records: page.length, until: new Date(auditTimeMs(last)).toISOString() },
      'the store is nearly full: what is on record of callers goes before its time; give the store a larger quota, or set auditKeepDays lower',
    );
  }
}
