import { afterEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { claimRound } from '../../../control-plane/store/round-claim.ts';
import { changed } from '../../support/changed-store.ts';
import { caughtUp, startReplica, type TestReplica } from '../../support/replica.ts';

const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

async function twoReplicas(): Promise<readonly [TestReplica, TestReplica]> {
  const store = new MemoryStore({ clock: new SystemClock() });
  const [a, b] = [await startReplica({ store, id: 'a' }), await startReplica({ store, id: 'b' })];
  replicas.push(a, b);
  return [a, b];
}

it('gives each claim a number of its own, and the one that came last the say', async () => {
  const [a, b] = await twoReplicas();
  const first = await claimRound(a.ctx);
  await caughtUp(b.ctx);
  const second = await claimRound(b.ctx);
  await caughtUp(a.ctx);
  expect(first?.modRevision).toBeLessThan(second?.modRevision ?? 0);
  expect(a.ctx.mirror.snapshot.round).toMatchObject({ number: 2, owner: 'b' });
});

it('is nothing where another claim has come before it is seen: what that one gives would have the same names', async () => {
  const [a, b] = await twoReplicas();
  const store = changed(a.ctx.store, {
    async transact(transaction) {
      const result = await a.ctx.store.transact(transaction);
      await caughtUp(b.ctx);
      expect(await claimRound(b.ctx)).not.toBeNull();
      await caughtUp(a.ctx);
      return result;
    },
  });
  expect(await claimRound({ ...a.ctx, store })).toBeNull();
  expect(a.ctx.mirror.snapshot.modRevision(keys.currentRound)).toBeGreaterThan(0);
});
