/**
 * Watches over bad wires, while somebody writes. Afterwards each must have seen what one sees that reads the whole history in
 * one go: every event once, in order, whole revisions at a time.
 */
import type { Store, WatchBatch, WatchEvent, Write } from '../../../control-plane/store/contract.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { Collector, describeEvent, put, write } from '../conformance/harness.ts';
import { type Far, holds, insist, type Place, pause } from './place.ts';
import { Truth } from './truth.ts';

const WATCHED = '/watched/';
const WRITE_EVERY_MS = [0, 12] as const;
const KEYS = 20;
const WRITES_MAX = 5;
const DELETE_CHANCE = 0.2;
/** Sizes of values. The long ones make answers that come in fragments. */
const SHORT_CHARACTERS = [0, 600] as const;
const LONG_CHARACTERS = [10_000, 100_000] as const;
const LONG_CHANCE = 0.02;
/** Of each kind of problem. */
const SHOWN_MAX = 3;
/** How long a watch may take to catch up once its wire is whole. */
const END_WITHIN_MS = 6000;

export class Watches {
  readonly #truth: Truth;
  readonly #watches: readonly Collector[];
  readonly #writing: Promise<void>;
  readonly #go: { on: boolean };

  private constructor(truth: Truth, watches: readonly Collector[], writing: Promise<void>, go: { on: boolean }) {
    this.#truth = truth;
    this.#watches = watches;
    this.#writing = writing;
    this.#go = go;
  }

  /** Somebody begins to write, and a watch over each of the stores to look on, until {@link end}. */
  static async begin(place: Place, random: SeededRandom, stores: readonly Far[]): Promise<Watches> {
    const truth = await Truth.begin(place.direct, WATCHED);
    const watches = stores.map(({ store }) => new Collector(store, WATCHED, truth.fromRevision));
    const go = { on: true };
    return new Watches(truth, watches, writeOn(place.direct, random.split('changes'), go), go);
  }

  /** How much watch number `index` has seen. */
  progress(index: number): number {
    return this.#watches[index]?.batches.length ?? 0;
  }

  /** Whether watch number `index` has ended, which it should not. */
  isOver(index: number): boolean {
    return this.#watches[index]?.isOver ?? true;
  }

  async end(): Promise<{ violations: string[]; events: number }> {
    this.#go.on = false;
    await this.#writing;
    const history = await this.#truth.read();
    const found = await Promise.all(this.#watches.map((watch) => judgeWatch(watch, history)));
    const violations = found.flatMap((problems, index) => problems.map((problem) => `watch ${index} ${problem}`));
    return { violations, events: history.length };
  }
}

/** Puts and deletes, often several at one revision, most of them small. */
async function writeOn(store: Store, random: SeededRandom, go: { on: boolean }): Promise<void> {
  while (go.on) {
    const names = new Set(Array.from({ length: random.between(1, WRITES_MAX) }, () => random.between(1, KEYS)));
    const writes = [...names].map((name) => drawWrite(`${WATCHED}${name}`, random));
    await insist(() => write(store, ...writes));
    await pause(random.between(...WRITE_EVERY_MS));
  }
}

function drawWrite(key: string, random: SeededRandom): Write {
  if (random.chance(DELETE_CHANCE)) return { type: 'delete', key };
  const [low, high] = random.chance(LONG_CHANCE) ? LONG_CHARACTERS : SHORT_CHARACTERS;
  return put(key, 'x'.repeat(random.between(low, high)));
}

async function judgeWatch(watch: Collector, history: readonly WatchEvent[]): Promise<string[]> {
  const last = history.at(-1);
  const end = last === undefined ? 0 : revisionOf(last);
  // Whether it gets there shows in what it saw.
  await holds(() => watch.isOver || (watch.batches.at(-1)?.revision ?? 0) >= end, END_WITHIN_MS);
  const failure = await watch.stop();
  const problems = compareWithHistory(watch.batches, history);
  return failure === null ? problems : [`failed: ${failure}`, ...problems];
}

/** What is wrong with what a watch saw: the first few things. */
export function compareWithHistory(batches: readonly WatchBatch[], history: readonly WatchEvent[]): string[] {
  const seen = batches.flatMap((batch) => batch.events).map(describeShort);
  const happened = history.map(describeShort);
  const counts = new Map<string, number>();
  for (const event of seen) counts.set(event, (counts.get(event) ?? 0) + 1);
  const lost = happened.filter((event) => !counts.has(event)).map((event) => `lost ${event}`);
  const repeated = [...counts].filter(([, count]) => count > 1).map(([event]) => `repeated ${event}`);
  const problems = [lost, repeated, [...checkBatches(batches)]].flatMap((all) => all.slice(0, SHOWN_MAX));
  const isSame = seen.join('\n') === happened.join('\n');
  return problems.length > 0 || isSame ? problems : ['saw other events, or another order'];
}

function* checkBatches(batches: readonly WatchBatch[]): Generator<string> {
  let done = 0;
  for (const { revision, events } of batches) {
    if (revision < done) yield `went back from ${done} to ${revision}`;
    for (const event of events) {
      if (revisionOf(event) <= done)
        yield `split a revision: ${describeShort(event)} came after ${done} was fully seen`;
      if (revisionOf(event) > revision) yield `got ${describeShort(event)} in a batch of revision ${revision}`;
    }
    done = Math.max(done, revision);
  }
}

/** Without the value, which may be long: its length tells enough. */
function describeShort(event: WatchEvent): string {
  if (event.type === 'delete') return describeEvent(event);
  const { value } = event.keyValue;
  return describeEvent({ ...event, keyValue: { ...event.keyValue, value: `${value.length} characters` } });
}

export function revisionOf(event: WatchEvent): number {
  return event.type === 'put' ? event.keyValue.modRevision : event.modRevision;
}
