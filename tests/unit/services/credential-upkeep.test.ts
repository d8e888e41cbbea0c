/** What is done about tokens and keys without anybody asking, and by which replica. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LIFETIMES_MAX } from '../../../control-plane/auth/lifetimes.ts';
import { keepCredentials } from '../../../control-plane/services/credential-upkeep.ts';
import { StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';
import { caughtUp, startReplica, type TestReplica } from '../../support/replica.ts';

const UPKEEP = { lifetimes: LIFETIMES_MAX, rotateAfterMs: Number.POSITIVE_INFINITY };
const LOOK_MS = 600_000;

let clock: ManualClock;
let replica: TestReplica;
let over: AbortController;

beforeEach(async () => {
  clock = new ManualClock();
  replica = await startReplica({ clock });
  over = new AbortController();
});
afterEach(() => {
  over.abort();
  replica.stop();
});

async function putRevoked(id: string, untilMs: number): Promise<void> {
  const record = { type: 'revoked', id, reason: 'lost', atMs: clock.now(), by: 'alice', untilMs } as const;
  await replica.ctx.store.transact({
    compares: [],
    writes: [putRecord('tokens', keys.revokedToken(id), record)],
  });
  await caughtUp(replica.ctx);
}

async function drivenBy(id: string): Promise<void> {
  await replica.ctx.store.transact({ compares: [], writes: [putRecord('driver', keys.driver, { replica: id })] });
  await caughtUp(replica.ctx);
}

async function left(): Promise<string[]> {
  await caughtUp(replica.ctx);
  return [...replica.ctx.mirror.snapshot.tokens.values()].flatMap((record) =>
    record.type === 'revoked' ? record.id : [],
  );
}

it('forgets what means nothing any more, and nothing before, and goes on', async () => {
  await putRevoked('short', clock.now() + LOOK_MS);
  await putRevoked('long', clock.now() + 2 * LOOK_MS);
  void keepCredentials(replica.ctx, UPKEEP, over.signal);
  await clock.advance(LOOK_MS - 1);
  expect((await left()).sort()).toEqual(['long', 'short']);
  await clock.advance(1);
  expect(await left()).toEqual(['long']);
  await clock.advance(LOOK_MS);
  expect(await left()).toEqual([]);
});

it('is done by the replica that drives', async () => {
  await putRevoked('short', clock.now() + 1);
  await drivenBy('another');
  void keepCredentials(replica.ctx, UPKEEP, over.signal);
  await clock.advance(LOOK_MS);
  expect(await left()).toEqual(['short']);
  await drivenBy(replica.ctx.replica.id);
  await clock.advance(LOOK_MS);
  expect(await left()).toEqual([]);
});

it('waits for a store that is away', async () => {
  await putRevoked('short', clock.now() + 1);
  let isAway = true;
  const { store } = replica.ctx;
  const transact: typeof store.transact = (transaction) =>
    isAway ? Promise.reject(new StoreUnavailableError('away')) : store.transact(transaction);
  const kept = keepCredentials({ ...replica.ctx, store: changed(store, { transact }) }, UPKEEP, over.signal);
  await clock.advance(LOOK_MS);
  isAway = false;
  await clock.advance(LOOK_MS);
  expect(await left()).toEqual([]);
  over.abort();
  await expect(kept).resolves.toBeUndefined();
});
