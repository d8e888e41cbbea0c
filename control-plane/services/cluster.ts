/** What a replica does before it serves: makes sure that there is a cluster, and lets its peers know where it is. */
import { FIRST_INCARNATION } from '../../shared/domain/node.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { sleep } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import { type Random, randomId } from '../../shared/util/random.ts';
import { LeaseGoneError, type LeaseId, type Store, StoreFullError, StoreUnavailableError } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { FORMAT_VERSION } from '../store/record-types.ts';
import { decodeRecord, putRecord, type RecordOf } from '../store/records.ts';
import type { ServiceContext } from './context.ts';

/** How long a replica that is gone stays on the list, in seconds. */
const REPLICA_TTL_SECONDS = 10;

const RETRY: BackoffPolicy = { baseMs: 200, factor: 2, maxMs: 5000 };

/**
 * Reads the cluster's record, or writes it when the store is empty; of several replicas that start at once, one makes it.
 * Throws when the state was written in a format that this software doesn't know.
 */
export async function ensureCluster(store: Store, random: Random): Promise<RecordOf['cluster']> {
  const existing = await store.get(keys.cluster);
  if (existing.keyValue !== null) return decodeRecord('cluster', keys.cluster, existing.keyValue.value);
  const { clusterId: storeId } = await store.status();
  const made: RecordOf['cluster'] = {
    id: randomId(random),
    incarnation: FIRST_INCARNATION,
    storeId,
    formatVersion: FORMAT_VERSION,
  };
  const result = await store.transact({
    compares: [{ key: keys.cluster, modRevision: 0 }],
    writes: [putRecord('cluster', keys.cluster, made)],
  });
  if (result.committed) return made;
  const found = result.observed[0];
  if (found === null || found === undefined) return ensureCluster(store, random);
  return decodeRecord('cluster', keys.cluster, found.value);
}

/** Waits for a store that is away when the replica starts, saying so once. Ends early only when the signal is aborted. */
export async function waitForStore(
  { store, clock, random, log }: Pick<ServiceContext, 'store' | 'clock' | 'random' | 'log'>,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      await store.status();
      return;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      if (failures === 0) log.warn({ error }, 'the store does not answer yet; waiting for it');
      await sleep(clock, jitteredBackoffMs(RETRY, failures, random.next()), signal);
    }
  }
}

/**
 * Does what a start needs of the store, and does it again when that goes away in the middle of it. `step` must be harmless to
 * repeat. Throws what the store says when the signal is aborted meanwhile.
 */
export async function whenStoreAnswers<T>(
  parts: Pick<ServiceContext, 'store' | 'clock' | 'random' | 'log'>,
  signal: AbortSignal,
  step: () => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    await waitForStore(parts, signal);
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError) || signal.aborted) throw error;
      parts.log.warn({ error }, 'the store went away while this replica was starting; trying again');
      await sleep(parts.clock, jitteredBackoffMs(RETRY, failures, parts.random.next()), signal);
    }
  }
}

/** Keeps this replica on the list that peers forward log streams by, until the signal is aborted; then takes it off. */
export async function announceReplica(ctx: ServiceContext, signal: AbortSignal): Promise<void> {
  let lease: LeaseId | null = null;
  for (let failures = 0; !signal.aborted; ) {
    try {
      lease = await keepOnList(ctx, lease);
      failures = 0;
      await sleep(ctx.clock, (REPLICA_TTL_SECONDS * 1000) / 3, signal);
    } catch (error) {
      if (!isWaitedOut(error)) throw error;
      if (error instanceof LeaseGoneError) lease = null;
      await sleep(ctx.clock, jitteredBackoffMs(RETRY, failures++, ctx.random.next()), signal);
    }
  }
  if (lease !== null) await giveUpLease(ctx.store, lease, ctx.log);
}

/** A replica that peers can't find serves all the same; it tries until it is on the list. */
function isWaitedOut(error: unknown): boolean {
  return [StoreUnavailableError, StoreFullError, LeaseGoneError].some((kind) => error instanceof kind);
}

async function keepOnList(ctx: ServiceContext, lease: LeaseId | null): Promise<LeaseId> {
  if (lease !== null && (await ctx.store.keepLeaseAlive(lease))) return lease;
  const fresh = await ctx.store.grantLease(REPLICA_TTL_SECONDS);
  const record = { ...ctx.replica, startedAtMs: ctx.clock.now() };
  const key = keys.replica(ctx.replica.id);
  const result = await ctx.store.transact({ compares: [], writes: [putRecord('replicas', key, record, fresh)] });
  await ctx.mirror.waitFor(result.revision, { timeoutMs: 2000 });
  return fresh;
}

/** At the end of a replica: what it leaves behind ends by itself if this fails. */
async function giveUpLease(store: Store, lease: LeaseId, log: Logger): Promise<void> {
  try {
    await store.revokeLease(lease);
  } catch (error) {
    log.debug({ error }, 'a lease was left to run out');
  }
}
