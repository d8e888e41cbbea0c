/**
 * How long rounds wait after a recovery, or after the store has become another one or has gone back in time, as it does when it
 * is restored from an older snapshot. What looks as if it had no place may run on a node that hasn't said so yet: each gets one
 * lease time for that. Which store the state lives in is on record in the state itself, so that replicas which weren't there
 * notice it as well; one that keeps its identity over a restore is noticed by those that were.
 */
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { ControllerContext } from './context.ts';

/**
 * How far the wall clocks of two replicas may lie apart for one that begins only after a recovery to tell that it was of late. Those
 * that were there measure by themselves.
 */
export const REPLICA_CLOCKS_APART_MAX_MS = 60_000;

export class Settling {
  readonly #ctx: ControllerContext;
  readonly #leaseTtlMs: number;
  #revision: number;
  #incarnation: number;
  /** When this replica saw the present incarnation first, on the steady clock; null: so long ago that it makes no difference. */
  #recoverySeenMs: number | null;
  /** When it was found that nodes may know more than the state, on the steady clock; null: nothing of the kind. */
  #foundMs: number | null = null;
  /** Whether the store has been compared with the one on record. */
  #isCompared = false;

  constructor(ctx: ControllerContext, leaseTtlMs: number) {
    this.#ctx = ctx;
    this.#leaseTtlMs = leaseTtlMs;
    this.#revision = ctx.mirror.revision;
    this.#incarnation = ctx.mirror.snapshot.incarnation;
    this.#recoverySeenMs = isRecent(ctx, leaseTtlMs) ? ctx.clock.monotonicMs() : null;
  }

  /** The mirror has moved. `reset`: it has listed again, perhaps another store. */
  moved(revision: number, reset: boolean): void {
    if (revision < this.#revision) this.#begin('the store has gone back in time');
    if (reset) this.#isCompared = false;
    this.#revision = revision;
    this.#lookForRecovery();
  }

  /** Throws what asking the store throws. */
  async leftMs(): Promise<number> {
    return Math.max(this.#afterRecoveryMs(), await this.#afterChangeMs());
  }

  #afterRecoveryMs(): number {
    this.#lookForRecovery();
    if (this.#recoverySeenMs === null) return 0;
    return Math.max(0, this.#recoverySeenMs + this.#leaseTtlMs - this.#ctx.clock.monotonicMs());
  }

  #lookForRecovery(): void {
    const { mirror, clock } = this.#ctx;
    const { incarnation } = mirror.snapshot;
    if (incarnation === this.#incarnation) return;
    this.#incarnation = incarnation;
    this.#recoverySeenMs = clock.monotonicMs();
  }

  async #afterChangeMs(): Promise<number> {
    const { store, mirror, clock } = this.#ctx;
    if (this.#isCompared && this.#foundMs === null) return 0;
    const { clusterId } = await store.status();
    const known = mirror.snapshot.cluster?.storeId;
    const isOther = known !== undefined && known !== clusterId;
    if (isOther && this.#foundMs === null) this.#begin('the state lives in another store than before');
    const leftMs = this.#foundMs === null ? 0 : Math.max(0, this.#foundMs + this.#leaseTtlMs - clock.monotonicMs());
    if (leftMs > 0) return leftMs;
    // Only now, so that whoever takes over from this replica meanwhile waits as well.
    if (known !== clusterId) await this.#note(clusterId);
    this.#foundMs = null;
    this.#isCompared = true;
    return 0;
  }

  #begin(what: string): void {
    this.#foundMs = this.#ctx.clock.monotonicMs();
    this.#ctx.log.warn(
      { waitMs: this.#leaseTtlMs },
      `${what}; if it was restored from an older snapshot, recover the cluster: berth cluster recover. Until nodes have had the time to say what they run, nothing gets a place`,
    );
  }

  /** Somebody else may be faster, with the same or with a recovery; then it is for the next who compares. */
  async #note(storeId: string): Promise<void> {
    const { store, mirror } = this.#ctx;
    const { cluster } = mirror.snapshot;
    if (cluster === null) return;
    await store.transact({
      compares: [{ key: keys.cluster, modRevision: mirror.snapshot.modRevision(keys.cluster) }],
      writes: [putRecord('cluster', keys.cluster, { ...cluster, storeId })],
    });
  }
}

/** By the wall clock, which is all that a replica has to go by that wasn't there. */
function isRecent({ mirror, clock }: ControllerContext, leaseTtlMs: number): boolean {
  const recoveredAtMs = mirror.snapshot.cluster?.recoveredAtMs;
  return recoveredAtMs !== undefined && clock.now() - recoveredAtMs < leaseTtlMs + REPLICA_CLOCKS_APART_MAX_MS;
}
