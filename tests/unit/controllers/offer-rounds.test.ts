import { afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runRound } from '../../../control-plane/controllers/round.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import type { Store, Transaction } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import { endOffers } from '../../../shared/domain/ledger.ts';
import { filterFor } from '../../../shared/domain/offer-filters.ts';
import { present } from '../../../shared/util/assert.ts';
import { aFramework, aRole } from '../../support/builders.ts';
import { caughtUp, JOINER, nodeOf, startReplica, type TestReplica } from '../../support/replica.ts';

const replicas: TestReplica[] = [];
afterEach(() => {
  for (const replica of replicas.splice(0)) replica.stop();
});

/** Runs something once, right before the transaction that writes the ledger. */
function beforeLedger(inner: Store) {
  const hook: { run: (() => Promise<void>) | null } = { run: null };
  const transact = async (transaction: Transaction) => {
    const { run } = hook;
    if (run !== null && transaction.writes.some(({ key }) => key === keys.ledger('edge-1'))) {
      hook.run = null;
      await run();
    }
    return inner.transact(transaction);
  };
  const store = new Proxy(inner, {
    get(target, name) {
      if (name === 'transact') return transact;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  return { store, hook };
}

const PAINTER = aFramework();

function write(store: Store, framework: Framework) {
  return store.transact({ compares: [], writes: [putRecord('frameworks', keys.framework(framework.id), framework)] });
}

/** A node, and a framework whose stream is held. */
async function stage() {
  const memory = new MemoryStore({ clock: new SystemClock() });
  const { store, hook } = beforeLedger(memory);
  const replica = await startReplica({ store, id: 'replica-1' });
  replicas.push(replica);
  await registerNode(replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  await write(memory, PAINTER);
  await memory.transact({
    compares: [],
    writes: [putRecord('connections', keys.connection(PAINTER.id), { session: 1, replica: 'replica-1' })],
  });
  await caughtUp(replica.ctx);
  const ledger = () => present(replica.ctx.mirror.snapshot.ledgers.get('edge-1'), 'the ledger');
  return { replica, memory, hook, ledger };
}

describe('a round with a framework', () => {
  it('puts its offer into the ledger, once, and is idle until it expires', async () => {
    const { replica, ledger } = await stage();
    expect(await runRound(replica.ctx)).toMatchObject({ offered: 1, placed: 0, swept: 0, again: false });
    const [offer] = Object.values(ledger().offers);
    expect(offer).toMatchObject({ id: '1-1-0', framework: PAINTER.id, role: 'default', resources: { cpus: 4 } });
    const { revision } = replica.ctx.mirror;
    const idle = await runRound(replica.ctx);
    expect(idle).toEqual({ offered: 0, placed: 0, swept: 0, displaced: 0, again: false, wakeAtMs: offer?.expiresAtMs });
    expect(replica.ctx.mirror.revision).toBe(revision);
  });

  it('is idle after a refusal, until the filter ends', async () => {
    const { replica, memory, ledger } = await stage();
    await runRound(replica.ctx);
    const offer = present(Object.values(ledger().offers)[0], 'the offer');
    const refusing = { framework: PAINTER, role: offer.role, offer: offer.id, refused: offer.resources } as const;
    const nowMs = replica.ctx.clock.now();
    const filter = present(filterFor([], { ...refusing, because: 'declined', seconds: 60, nowMs }), 'a filter');
    const after = endOffers(ledger(), [offer.id], [filter]);
    await memory.transact({ compares: [], writes: [putRecord('ledger', keys.ledger('edge-1'), after)] });
    await caughtUp(replica.ctx);
    expect(await runRound(replica.ctx)).toMatchObject({ offered: 0, swept: 0, again: false, wakeAtMs: filter.untilMs });
    await write(memory, { ...PAINTER, filterGenerations: { default: 1 } });
    await caughtUp(replica.ctx);
    expect(await runRound(replica.ctx)).toMatchObject({ offered: 1 });
    expect(ledger().filters).toEqual([]);
  });

  it.each([
    [
      'is torn down',
      (store: Store) => write(store, { ...PAINTER, teardown: { atMs: 0, by: 'alice', reason: 'over' } }),
    ],
    ['has another session', (store: Store) => write(store, { ...PAINTER, session: 2 })],
    [
      'has a role whose limit is lowered',
      (store: Store) =>
        store.transact({
          compares: [],
          writes: [putRecord('roles', keys.role('default'), aRole('default', { limit: { cpus: 0 } }))],
        }),
    ],
  ])('offers it nothing when it %s meanwhile', async (_, change) => {
    const { replica, memory, hook, ledger } = await stage();
    hook.run = async () => {
      await change(memory);
    };
    expect(await runRound(replica.ctx)).toMatchObject({ offered: 0, again: true });
    await caughtUp(replica.ctx);
    await runRound(replica.ctx);
    expect(ledger().offers).toEqual({});
  });

  it('takes its offers back when its stream is gone', async () => {
    const { replica, memory, ledger } = await stage();
    await runRound(replica.ctx);
    await memory.transact({ compares: [], writes: [{ type: 'delete', key: keys.connection(PAINTER.id) }] });
    await caughtUp(replica.ctx);
    expect(await runRound(replica.ctx)).toMatchObject({ swept: 1, offered: 0 });
    expect(ledger()).toMatchObject({ offers: {}, filters: [] });
  });
});
