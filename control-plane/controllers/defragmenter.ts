/** Has the store's members defragmented when they need it, beside everything else: rounds don't wait for it. */
import { StoreFullError, StoreUnavailableError } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { ControllerContext } from './context.ts';
import { type DefragmentationOptions, isNearlyFull, memberToDefragment } from './defragmentation.ts';

export class Defragmenter {
  readonly #ctx: ControllerContext;
  readonly #options: DefragmentationOptions;
  #dueMs = 0;
  #isAtWork = false;

  constructor(ctx: ControllerContext, options: DefragmentationOptions) {
    this.#ctx = ctx;
    this.#options = options;
  }

  /** Looks, if it is time to; what it begins goes on by itself. */
  look(): void {
    const { clock, log } = this.#ctx;
    if (this.#isAtWork || clock.monotonicMs() < this.#dueMs) return;
    this.#isAtWork = true;
    this.#work()
      .then((pauseMs) => {
        this.#dueMs = clock.monotonicMs() + pauseMs;
      })
      .catch((error: unknown) => {
        // A member that is away, or that took too long: the next look sees what there is then.
        log.warn({ error }, 'the store was not defragmented');
        this.#dueMs = clock.monotonicMs() + this.#options.intervalMs;
        if (!(error instanceof StoreUnavailableError)) throw error;
      })
      .finally(() => {
        this.#isAtWork = false;
      });
  }

  /** How long to leave it at that. */
  async #work(): Promise<number> {
    const { maintenance } = this.#ctx.store;
    if (maintenance === undefined) return Number.POSITIVE_INFINITY;
    const members = await maintenance.members();
    if (isNearlyFull(members, this.#options)) await this.#touch();
    const member = memberToDefragment(members, this.#options);
    if (member === null) return this.#options.lookMs;
    const { clock, log } = this.#ctx;
    const { name, dbSizeBytes: sizeBytes, dbSizeInUseBytes: inUseBytes } = member;
    const startedMs = clock.monotonicMs();
    log.info(
      { member: name, sizeBytes, inUseBytes },
      'defragments a member of the store, which answers nobody meanwhile',
    );
    const isAllowed = await maintenance.defragment(name);
    const tookMs = Math.round(clock.monotonicMs() - startedMs);
    if (isAllowed) log.info({ member: name, tookMs }, 'a member of the store has been defragmented');
    else
      log.warn(
        { member: name },
        "the store's user may not defragment it; have an operator do it, or give it the role root",
      );
    return this.#options.intervalMs;
  }

  /**
   * Writes something and takes it away. etcd counts pages as free only with the commit after the one that freed them; while new
   * work is refused for want of room there may be no such commit, and so never room again.
   */
  async #touch(): Promise<void> {
    const { store, replica } = this.#ctx;
    const key = keys.op(`touch-${replica.id}`);
    try {
      await store.transact({ compares: [], writes: [putRecord('ops', key, { by: replica.id, aborted: false })] });
    } catch (error) {
      if (!(error instanceof StoreFullError)) throw error;
    }
    await store.transact({ compares: [], writes: [{ type: 'delete', key }] });
  }
}
