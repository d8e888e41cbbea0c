/**
 * Many write the same few keys, each write conditional on what its writer read. Afterwards the store's own history says what
 * happened, and every writer's account is held against it.
 */
import {
  type KeyValue,
  StoreUnavailableError,
  type TransactionResult,
  type WatchEvent,
} from '../../../control-plane/store/contract.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { put } from '../conformance/harness.ts';
import { type Far, insist, type Place, pause } from './place.ts';
import { Truth } from './truth.ts';

const CONTESTED = '/contested/';
const KEYS = ['a', 'b', 'c'].map((name) => CONTESTED + name);
/** The others go to a key that nobody else writes: there a late request still finds what it expects. */
const CONTESTED_CHANCE = 0.5;
const WRITERS_PER_STORE = 3;
const DAWDLE_CHANCE = 0.3;
const DAWDLE_MS = [0, 5] as const;
/** The others are bare transactions, whose writer may be left in the dark. */
const SETTLED_CHANCE = 0.6;

/** One write as its writer tells it. */
interface Account {
  readonly key: string;
  /** No other write puts the same. */
  readonly value: string;
  /** The revision that it was conditional on. */
  readonly expected: number;
  /** Through `commitOnce`, which settles what a bare transaction leaves open. */
  readonly settled: boolean;
  readonly outcome: TransactionResult | Error;
}

/** One read, and what was known to stand when it began. */
interface Reading {
  readonly key: string;
  readonly keyValue: KeyValue | null;
  readonly revision: number;
  /** The highest revision that anybody had been told of before. */
  readonly knownRevision: number;
}

/** How the writes came out: so that a test can ask whether what it is about has happened at all. */
export interface Tally {
  won: number;
  lost: number;
  /** The writer never heard, and it had happened. */
  wonInTheDark: number;
  /** The writer never heard, and it had not happened. */
  lostInTheDark: number;
}

export class Commits {
  readonly #place: Place;
  readonly #truth: Truth;
  readonly #writes: Account[] = [];
  readonly #reads: Reading[] = [];
  readonly #failures: string[] = [];
  #writers: readonly Promise<void>[] = [];
  #on = true;
  #knownRevision = 0;
  #count = 0;

  private constructor(place: Place, truth: Truth) {
    this.#place = place;
    this.#truth = truth;
  }

  /** Writers begin to contend over each of the stores, until {@link end}. */
  static async begin(place: Place, random: SeededRandom, stores: readonly Far[]): Promise<Commits> {
    const commits = new Commits(place, await Truth.begin(place.direct, CONTESTED));
    commits.#writers = stores.flatMap((far, store) =>
      Array.from({ length: WRITERS_PER_STORE }, (_, writer) =>
        commits.#writeOn(far, `${CONTESTED}of ${store}.${writer}`, random.split(`writer ${store}.${writer}`)),
      ),
    );
    return commits;
  }

  /** How many writes have come to an end. */
  progress(): number {
    return this.#writes.length;
  }

  async end(): Promise<{ violations: string[]; tally: Tally }> {
    this.#on = false;
    await Promise.all(this.#writers);
    const past = new Past(await this.#truth.read());
    const tally: Tally = { won: 0, lost: 0, wonInTheDark: 0, lostInTheDark: 0 };
    const violations = [
      ...this.#failures,
      ...past.violations,
      ...this.#writes.flatMap((account) => judgeWrite(account, past, tally)),
      ...this.#reads.flatMap((reading) => judgeReading(reading, past)),
    ];
    return { violations, tally };
  }

  /** Never rejects: what goes wrong is told at the end. */
  async #writeOn(far: Far, ownKey: string, random: SeededRandom): Promise<void> {
    try {
      while (this.#on) await this.#tryOne(far, random.chance(CONTESTED_CHANCE) ? random.pick(KEYS) : ownKey, random);
    } catch (error) {
      this.#failures.push(`a writer failed: ${error}`);
    }
  }

  /** Reads a key and tries to change it, once. */
  async #tryOne(far: Far, key: string, random: SeededRandom): Promise<void> {
    const knownRevision = this.#knownRevision;
    const { keyValue, revision } = await insist(() => far.store.get(key));
    this.#reads.push({ key, keyValue, revision, knownRevision });
    // Somebody else may come between.
    if (random.chance(DAWDLE_CHANCE)) await pause(random.between(...DAWDLE_MS));
    this.#count += 1;
    const one = {
      key,
      value: `value ${this.#count}`,
      expected: keyValue?.modRevision ?? 0,
      settled: random.chance(SETTLED_CHANCE),
    };
    this.#writes.push({ ...one, outcome: await this.#send(far, one) });
  }

  async #send({ store, leases }: Far, one: Omit<Account, 'outcome'>): Promise<Account['outcome']> {
    const { key, value, expected, settled } = one;
    const transaction = { compares: [{ key, modRevision: expected }], writes: [put(key, value)] };
    const operation = { opId: value.replace(' ', '-'), leases, by: 'test', ...transaction };
    try {
      const result = await (settled ? this.#place.subject.commit(store, operation) : store.transact(transaction));
      this.#knownRevision = Math.max(this.#knownRevision, result.revision);
      return result;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}

function judgeWrite(account: Account, past: Past, tally: Tally): string[] {
  const { key, value, expected, outcome } = account;
  const found: string[] = [];
  const happened = past.revisionsOf(value);
  const [revision = null] = happened;
  if (happened.length > 1) found.push(`${value} was applied at revisions ${happened.join(' and ')}`);
  for (const one of happened) {
    const stood = past.modRevision(key, one - 1);
    if (stood !== expected) found.push(`${value} was applied at ${one} over ${stood}, not ${expected}`);
  }
  if (outcome instanceof StoreUnavailableError) {
    tally[revision === null ? 'lostInTheDark' : 'wonInTheDark'] += 1;
    if (account.settled) found.push(...judgeGivenUp(value, revision, outcome));
  } else if (outcome instanceof Error) {
    found.push(`${value} failed: ${outcome}`);
  } else if (outcome.committed) {
    tally.won += 1;
    if (outcome.revision !== revision) found.push(`${value} was reported won at ${outcome.revision}, not ${revision}`);
  } else {
    tally.lost += 1;
    if (revision !== null) found.push(`${value} was reported lost, but was won at ${revision}`);
    const seen = outcome.observed[0]?.modRevision ?? 0;
    const stood = past.modRevision(key, outcome.revision);
    if (seen !== stood) found.push(`${value} lost to ${seen} at ${outcome.revision}, where ${stood} stood`);
    if (seen === expected) found.push(`${value} lost to ${seen}, which it expected`);
  }
  return found;
}

/** Every outage here is far shorter than the time for which an outcome is looked into, so none stays unknown. */
function judgeGivenUp(value: string, revision: number | null, outcome: StoreUnavailableError): string[] {
  if (!outcome.message.includes('nothing was written')) return [`${value} was not settled: ${outcome.message}`];
  return revision === null ? [] : [`${value} was reported not to have happened, but did at ${revision}`];
}

function judgeReading({ key, keyValue, revision, knownRevision }: Reading, past: Past): string[] {
  const found: string[] = [];
  if (revision < knownRevision) found.push(`${key} was read at ${revision}, after ${knownRevision} was known`);
  const stood = past.modRevision(key, revision);
  const seen = keyValue?.modRevision ?? 0;
  if (seen !== stood) found.push(`${key} was read at ${revision} as of ${seen}, where ${stood} stood`);
  return found;
}

/** What stood when. */
class Past {
  readonly violations: string[] = [];
  readonly #byValue = new Map<string, number[]>();
  readonly #byKey = new Map<string, number[]>();

  constructor(history: readonly WatchEvent[]) {
    for (const event of history) {
      if (event.type === 'delete') {
        this.violations.push(`${event.key} was deleted at ${event.modRevision}, by nobody`);
        continue;
      }
      const { key, value, modRevision } = event.keyValue;
      append(this.#byValue, value, modRevision);
      append(this.#byKey, key, modRevision);
    }
  }

  revisionsOf(value: string): readonly number[] {
    return this.#byValue.get(value) ?? [];
  }

  /** Of the key's last change at or before `revision`; 0 when there was none. */
  modRevision(key: string, revision: number): number {
    return this.#byKey.get(key)?.findLast((modRevision) => modRevision <= revision) ?? 0;
  }
}

function append(lists: Map<string, number[]>, name: string, number: number): void {
  const list = lists.get(name);
  if (list === undefined) lists.set(name, [number]);
  else list.push(number);
}
