/**
 * Random histories, run side by side: the memory store against a model of a few lines, and the memory store against etcd.
 * The simulator is only worth as much as the memory store is like etcd.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import type { KeyValue, Store, TransactionResult, Write } from '../../control-plane/store/contract.ts';
import { invariant, present } from '../../shared/util/assert.ts';
import { Collector, eventually, type Open, write } from './conformance/harness.ts';
import { ManualClock } from './manual-clock.ts';
import { openEtcd } from './subjects.ts';

const NAMES = ['a', 'b', 'b/c', 'd', 'é', '\u{10000}', '\uffff'] as const;

/** What a compare expects: what stands now, that nothing stands, or a revision of the past. */
type Expectation = 'current' | 'absent' | { readonly back: number };

interface Step {
  readonly compares: readonly { readonly name: string; readonly expects: Expectation }[];
  readonly writes: readonly { readonly name: string; readonly value: string | null }[];
}

const expectation: fc.Arbitrary<Expectation> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Expectation>('current') },
  { weight: 1, arbitrary: fc.constant<Expectation>('absent') },
  { weight: 1, arbitrary: fc.record({ back: fc.integer({ min: 1, max: 3 }) }) },
);
const name = fc.constantFrom(...NAMES);
const value = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 5 }), fc.constant(null));
const step: fc.Arbitrary<Step> = fc.record({
  compares: fc.array(fc.record({ name, expects: expectation }), { maxLength: 3 }),
  writes: fc.uniqueArray(fc.record({ name, value }), { maxLength: 4, selector: (one) => one.name }),
});
const steps = fc.array(step, { minLength: 1, maxLength: 25 });

/** Carries the step out and tells what came of it, with revisions counted from `base` and keys without the prefix. */
async function run(store: Store, prefix: string, base: number, { compares, writes }: Step) {
  const revisionFor = async (key: string, expects: Expectation) => {
    if (expects === 'absent') return 0;
    const { keyValue, revision } = await store.get(key);
    return expects === 'current' ? (keyValue?.modRevision ?? 0) : Math.max(base, revision - expects.back);
  };
  const result = await store.transact({
    compares: await Promise.all(
      compares.map(async (one) => {
        const key = prefix + one.name;
        return { key, modRevision: await revisionFor(key, one.expects) };
      }),
    ),
    writes: writes.map((one): Write => {
      const key = prefix + one.name;
      return one.value === null ? { type: 'delete', key } : { type: 'put', key, value: one.value };
    }),
  });
  return { result: relative(result, prefix, base), state: await stateOf(store, prefix, base) };
}

function relative(result: TransactionResult, prefix: string, base: number) {
  const revision = result.revision - base;
  if (result.committed) return { committed: true, revision };
  return {
    committed: false,
    revision,
    observed: result.observed.map((one) => (one ? relativeKey(one, prefix, base) : null)),
  };
}

function relativeKey(keyValue: KeyValue, prefix: string, base: number) {
  const { key, value, createRevision, modRevision, lease } = keyValue;
  return [key.slice(prefix.length), value, createRevision - base, modRevision - base, lease];
}

async function stateOf(store: Store, prefix: string, base: number, revision?: number) {
  const page = await store.range(revision === undefined ? { prefix } : { prefix, revision });
  return page.keyValues.map((keyValue) => relativeKey(keyValue, prefix, base));
}

/** The few lines that a store comes down to. */
class Model {
  revision = 0;
  readonly keys = new Map<string, { value: string; created: number; changed: number }>();

  run({ compares, writes }: Step) {
    const at = (key: string) => this.keys.get(key);
    const holds = ({ name: key, expects }: Step['compares'][number]) => {
      const stands = at(key)?.changed ?? null;
      if (expects === 'current') return true;
      return expects === 'absent' ? stands === null : stands === Math.max(0, this.revision - expects.back);
    };
    const show = (key: string) => {
      const found = at(key);
      return found === undefined ? null : [key, found.value, found.created, found.changed, null];
    };
    if (!compares.every(holds)) {
      const observed = compares.map((one) => show(one.name));
      return { result: { committed: false, revision: this.revision, observed }, state: this.#state(show) };
    }
    const changed = writes.filter((one) => one.value !== null || at(one.name) !== undefined);
    if (changed.length > 0) this.revision += 1;
    for (const one of changed) {
      const created = at(one.name)?.created ?? this.revision;
      if (one.value === null) this.keys.delete(one.name);
      else this.keys.set(one.name, { value: one.value, created, changed: this.revision });
    }
    return { result: { committed: true, revision: this.revision }, state: this.#state(show) };
  }

  #state(show: (key: string) => unknown) {
    const ordered = [...this.keys.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return ordered.map(show);
  }
}

async function emptyMemory(prefix: string): Promise<{ store: MemoryStore; base: number }> {
  const store = new MemoryStore({ clock: new ManualClock() });
  // A revision of its own to count from, so that "the past" never means the empty store.
  return { store, base: await write(store, { type: 'put', key: `before${prefix}`, value: '' }) };
}

test('the memory store does what the model does', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (drawn) => {
      const model = new Model();
      const { store, base } = await emptyMemory('/m/');
      for (const one of drawn) expect(await run(store, '/m/', base, one)).toEqual(model.run(one));
    }),
    { numRuns: 300 },
  );
});

describe('beside etcd', () => {
  let etcd: Awaited<ReturnType<Open>> | null = null;

  beforeAll(async () => {
    etcd = await openEtcd();
  });
  afterAll(async () => {
    await etcd?.close();
  });

  test('the memory store gives the same answers, the same history and the same events', async () => {
    const real = present(etcd, 'etcd');
    await fc.assert(
      fc.asyncProperty(steps, async (drawn) => {
        const prefix = real.prefix();
        const memory = await emptyMemory(prefix);
        const base = await write(real.store, { type: 'put', key: `before${prefix}`, value: '' });
        for (const one of drawn) {
          expect(await run(memory.store, prefix, memory.base, one)).toEqual(await run(real.store, prefix, base, one));
        }
        const { revision } = await memory.store.get(prefix);
        for (let back = memory.base; back <= revision; back++) {
          const past = await stateOf(real.store, prefix, base, base + back - memory.base);
          expect(await stateOf(memory.store, prefix, memory.base, back)).toEqual(past);
        }
        expect(await eventsOf(memory.store, prefix, memory.base)).toEqual(await eventsOf(real.store, prefix, base));
      }),
      { numRuns: 40 },
    );
  });

  /** Every event since `base`, as far as the store has come. */
  async function eventsOf(store: Store, prefix: string, base: number): Promise<unknown[]> {
    const { revision } = await store.range({ prefix });
    // A last change marks the end, whatever came before it.
    const last = await write(store, { type: 'put', key: `${prefix}end`, value: '' });
    invariant(last === revision + 1, 'nobody else writes');
    const watch = new Collector(store, prefix, base + 1);
    const real = present(etcd, 'etcd');
    await eventually(real, 'the last event', () => watch.batches.at(-1)?.revision === last);
    await watch.stop();
    return watch.events.map((event) =>
      event.type === 'put'
        ? relativeKey(event.keyValue, prefix, base)
        : [event.key.slice(prefix.length), event.modRevision - base],
    );
  }
});
