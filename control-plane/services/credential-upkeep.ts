/**
 * What is done about tokens and keys without anybody asking: records that mean nothing any more go, keys that nothing needs any more
 * go, and a key that has signed for long is given a successor. Each is compared with what it was decided from, so any number of
 * replicas may do it; the one that drives does.
 */
import { sleep } from '../../shared/util/clock.ts';
import { byText } from '../../shared/util/order.ts';
import { isRotationDue, spentKeys } from '../auth/key-standing.ts';
import type { Lifetimes } from '../auth/lifetimes.ts';
import { StoreFullError, StoreUnavailableError, type Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import type { ServiceContext } from './context.ts';
import { rotateByAge } from './signing-keys.ts';

const DAY_MS = 24 * 3_600_000;
export const ROTATE_AFTER_MS_DEFAULT = 90 * DAY_MS;

const LOOK_EVERY_MS = 600_000;

/** Of one look; the rest goes with the next. */
const FORGOTTEN_MAX = 100;

export interface CredentialUpkeep {
  readonly lifetimes: Lifetimes;
  readonly rotateAfterMs: number;
}

/** Looks now and then, until the signal is aborted. */
export async function keepCredentials(
  ctx: ServiceContext,
  upkeep: CredentialUpkeep,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(ctx.clock, LOOK_EVERY_MS, signal);
    const { driver } = ctx.mirror.snapshot;
    if (signal.aborted || (driver !== null && driver.replica !== ctx.replica.id)) continue;
    try {
      await tendCredentials(ctx, upkeep);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError || error instanceof StoreFullError)) throw error;
      ctx.log.debug({ error }, 'tokens and keys are looked after later');
    }
  }
}

/** One look. Throws StoreUnavailableError. */
export async function tendCredentials(ctx: ServiceContext, upkeep: CredentialUpkeep): Promise<void> {
  const { mirror, clock } = ctx;
  const spent = spentKeys(mirror.snapshot.keyStates, clock.now());
  for (const { kid } of spent) await forget(ctx, [keys.keyState(kid)], [keys.signingKey(kid)]);
  const expired = [...mirror.snapshot.tokens]
    .filter(([, { untilMs }]) => untilMs <= clock.now())
    .map(([path]) => `${keys.tokens}${path}`);
  if (expired.length > 0) await forget(ctx, expired.sort(byText).slice(0, FORGOTTEN_MAX), []);
  if (isRotationDue(mirror.snapshot.keyStates, clock.now(), upkeep.rotateAfterMs)) {
    await rotateByAge(ctx, upkeep.lifetimes);
  }
}

/** The mirror shows the ones and not the others. */
async function forget(
  { store, mirror: { snapshot }, log }: ServiceContext,
  shown: readonly string[],
  unshown: readonly string[],
): Promise<void> {
  const compares = shown.map((key) => ({ key, modRevision: snapshot.modRevision(key) }));
  const writes = [...shown, ...unshown].map((key): Write => ({ type: 'delete', key }));
  const { committed } = await store.transact({ compares, writes });
  log.debug({ records: shown.length, committed }, 'records of tokens and keys that are over are forgotten');
}
