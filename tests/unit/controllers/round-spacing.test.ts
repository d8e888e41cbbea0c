import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { Driver } from '../../../control-plane/controllers/driver.ts';
import { NOTHING_DONE } from '../../../control-plane/controllers/round.ts';
import { RESTLESS_ROUNDS_MAX, RoundSpacing, SPACING_MS } from '../../../control-plane/controllers/round-spacing.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { present } from '../../../shared/util/assert.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { aFramework, anOffer } from '../../support/builders.ts';
import { eventually } from '../../support/processes.ts';
import { caughtUp, JOINER, nodeOf, startReplica } from '../../support/replica.ts';

function spacing() {
  const warnings: string[] = [];
  const time = { ms: 1000 };
  const clock = { now: () => time.ms, monotonicMs: () => time.ms, setTimer: () => ({ cancel: () => undefined }) };
  const log = { ...SILENT_LOGGER, warn: (_: object, message: string) => warnings.push(message) };
  return { spacing: new RoundSpacing({ clock, log }), time, warnings };
}

const MOVED = { ...NOTHING_DONE, swept: 1, withdrawn: 1, offered: 1, again: false, wakeAtMs: null };
const IDLE = { ...NOTHING_DONE, again: false, wakeAtMs: null };

describe('rounds that only move offers about', () => {
  it('wait for each other from some number on, and this is told once', () => {
    const { spacing: rounds, time, warnings } = spacing();
    for (let count = 1; count < RESTLESS_ROUNDS_MAX; count += 1) rounds.ended(MOVED);
    expect({ leftMs: rounds.leftMs(), warnings }).toEqual({ leftMs: 0, warnings: [] });
    rounds.ended(MOVED);
    expect(rounds.leftMs()).toBe(SPACING_MS);
    time.ms += SPACING_MS;
    expect(rounds.leftMs()).toBe(0);
    rounds.ended(MOVED);
    expect({ leftMs: rounds.leftMs(), told: warnings.length }).toEqual({ leftMs: SPACING_MS, told: 1 });
  });

  it.each([
    ['has nothing to do', IDLE],
    ['gives a task its place', { ...MOVED, placed: 1 }],
    ['makes room for a task', { ...MOVED, displaced: 1 }],
    ['takes nothing back for others', { ...MOVED, withdrawn: 0 }],
  ])('do not wait once one %s', (_, other) => {
    const { spacing: rounds } = spacing();
    for (let count = 1; count < RESTLESS_ROUNDS_MAX; count += 1) rounds.ended(MOVED);
    rounds.ended(other);
    rounds.ended(MOVED);
    expect(rounds.leftMs()).toBe(0);
  });

  it('wait all the same where one in between was lost to another writer', () => {
    const { spacing: rounds, time, warnings } = spacing();
    for (let count = 1; count < RESTLESS_ROUNDS_MAX; count += 1) rounds.ended(MOVED);
    rounds.ended({ ...IDLE, again: true });
    rounds.ended(MOVED);
    time.ms += SPACING_MS;
    rounds.ended({ ...IDLE, again: true });
    expect({ leftMs: rounds.leftMs(), told: warnings.length }).toEqual({ leftMs: SPACING_MS, told: 1 });
  });

  it('are spaced out by the driver', async () => {
    const store = new MemoryStore({ clock: new SystemClock() });
    const replica = await startReplica({ store, id: 'replica-1' });
    const { mirror } = replica.ctx;
    await registerNode(replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    const frameworks = ['a', 'b'].map((role) => aFramework({ id: `f00000000000${role}`, roles: [role] }));
    for (const one of frameworks) {
      const connection = putRecord('connections', keys.connection(one.id), { session: 1, replica: 'replica-1' });
      const writes = [putRecord('frameworks', keys.framework(one.id), one), connection];
      await store.transact({ compares: [], writes });
    }
    await caughtUp(replica.ctx);
    // Whatever rounds do, the first framework is given all of the node again.
    const ledger = present(mirror.snapshot.ledgers.get('edge-1'), 'the ledger');
    const [first] = frameworks;
    const role = 'a';
    const madeAtMs = replica.ctx.clock.now();
    const whole = { ...anOffer({ id: '1-0-0', resources: ledger.total, madeAtMs }), expiresAtMs: madeAtMs + 600_000 };
    const hoard = { ...whole, framework: present(first, 'a framework').id, role };
    const restore = () =>
      store.transact({
        compares: [],
        writes: [putRecord('ledger', keys.ledger('edge-1'), { ...ledger, offers: { [hoard.id]: hoard } })],
      });
    const unsubscribe = mirror.subscribe(() => {
      if (mirror.snapshot.ledgers.get('edge-1')?.offers[hoard.id] === undefined) void restore();
    });
    const warnings: string[] = [];
    const log = { ...SILENT_LOGGER, warn: (_: object, message: string) => warnings.push(message) };
    const abort = new AbortController();
    const running = new Driver({ ...replica.ctx, log }).run(abort.signal);
    try {
      await restore();
      await eventually('the driver to notice', async () => warnings.length > 0);
      const [from, startedMs] = [mirror.snapshot.roundNumber, performance.now()];
      await eventually('three more rounds', async () => mirror.snapshot.roundNumber >= from + 3);
      expect(performance.now() - startedMs).toBeGreaterThan(2 * SPACING_MS);
    } finally {
      unsubscribe();
      abort.abort();
      await running;
      replica.stop();
    }
  });
});
