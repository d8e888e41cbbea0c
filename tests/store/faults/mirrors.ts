/**
 * Mirrors over bad wires, while somebody writes. At any moment each must equal what is read at its revision, its listeners
 * must have been told every difference, and `waitFor` must not say "reached" before it is.
 */

import { HistoryGoneError, type Store, type Write } from '../../../control-plane/store/contract.ts';
import { keys, PREFIX, parseKey } from '../../../control-plane/store/keys.ts';
import type { Mirror } from '../../../control-plane/store/mirror.ts';
import { decodeRecord, putRecord } from '../../../control-plane/store/records.ts';
import { type Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import { canonicalJson } from '../../../shared/util/codec.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { write } from '../conformance/harness.ts';
import { type Far, insist, type Place, pause } from './place.ts';

const NODES = 30;
const WRITE_EVERY_MS = [0, 12] as const;
const ABSENT_CHANCE = 0.3;
/** How far beyond what has been written a waiter may look. */
const AHEAD_REVISIONS = [0, 3] as const;
const WAIT_MS = [0, 150] as const;
/** How many of the moments that could be checked are. */
const CHECK_CHANCE = 0.1;
const END_WITHIN_MS = 20_000;

/** How often waiting came to which end. */
export interface Waits {
  reached: number;
  notReached: number;
}

export class Mirrors {
  readonly #place: Place;
  readonly #compactChance: number;
  readonly #go = { on: true };
  readonly #followed: Followed[] = [];
  readonly #waits: Waits = { reached: 0, notReached: 0 };
  #work: Promise<unknown> = Promise.resolve();
  #writtenRevision = 0;

  private constructor(place: Place, compactChance: number) {
    this.#place = place;
    this.#compactChance = compactChance;
  }

  /**
   * Somebody begins to write, and a mirror over each of the stores to follow, until {@link end}. After each write the history
   * may be compacted: who is cut off at that moment has to list again, while others go on writing.
   */
  static async begin(
    place: Place,
    random: SeededRandom,
    stores: readonly Far[],
    { compactChance = 0 } = {},
  ): Promise<Mirrors> {
    const mirrors = new Mirrors(place, compactChance);
    for (const { store } of stores) mirrors.#followed.push(new Followed(await place.mirror(store), place.direct));
    mirrors.#work = Promise.all([
      mirrors.#writeOn(random.split('records')),
      ...mirrors.#followed.map((followed, index) => mirrors.#askOn(followed, random.split(`waiter ${index}`))),
    ]);
    return mirrors;
  }

  /** How far mirror number `index` is. */
  progress(index: number): number {
    return this.#followed[index]?.mirror.revision ?? 0;
  }

  /** Whether mirror number `index` has stopped, which it should not. */
  isOver(index: number): boolean {
    return this.#followed[index]?.hasStopped ?? true;
  }

  async end(): Promise<{ violations: string[]; waits: Waits; resets: number }> {
    this.#go.on = false;
    await this.#work;
    for (const followed of this.#followed) await followed.judgeEnd(this.#writtenRevision);
    const violations = this.#followed.flatMap(({ violations }, index) =>
      violations.map((violation) => `mirror ${index} ${violation}`),
    );
    const resets = this.#followed.reduce((sum, followed) => sum + followed.resets, 0);
    return { violations, waits: this.#waits, resets };
  }

  async #writeOn(random: SeededRandom): Promise<void> {
    const { direct } = this.#place;
    for (let epoch = 1; this.#go.on; epoch++) {
      this.#writtenRevision = await insist(() => write(direct, ...drawRecords(random, epoch)));
      if (random.chance(this.#compactChance)) await insist(() => direct.compact(this.#writtenRevision));
      await pause(random.between(...WRITE_EVERY_MS));
    }
  }

  async #askOn({ mirror, check, violations }: Followed, random: SeededRandom): Promise<void> {
    while (this.#go.on) {
      const revision = this.#writtenRevision + random.between(...AHEAD_REVISIONS);
      const reached = await mirror.waitFor(revision, { timeoutMs: random.between(...WAIT_MS) });
      this.#waits[reached ? 'reached' : 'notReached'] += 1;
      if (reached && mirror.revision < revision) {
        violations.push(`was said to have reached ${revision} at ${mirror.revision}`);
      }
      if (random.chance(CHECK_CHANCE)) await check();
    }
  }
}

/** Raises one epoch, and takes the marks of life of some nodes away. */
function drawRecords(random: SeededRandom, epoch: number): Write[] {
  const [raised, changed] = [`n${random.between(1, NODES)}`, `n${random.between(1, NODES)}`];
  return [
    putRecord('epochs', keys.epoch(raised), { epoch, unreachableSinceMs: null }),
    random.chance(ABSENT_CHANCE)
      ? { type: 'delete', key: keys.alive(changed) }
      : putRecord('alive', keys.alive(changed), { epoch }),
  ];
}

/** A mirror, what its listener has been told, and what is wrong with either. */
class Followed {
  readonly mirror: Mirror;
  readonly violations: string[] = [];
  resets = 0;
  hasStopped = false;
  readonly #direct: Store;
  readonly #told: Map<string, string>;
  readonly #checks: Promise<void>[] = [];

  constructor(mirror: Mirror, direct: Store) {
    this.mirror = mirror;
    this.#direct = direct;
    this.#told = new Map();
    for (const change of new Snapshot(0).reset(mirror.snapshot)) this.#hear(change);
    mirror.stopped.then((failure) => {
      this.hasStopped = true;
      if (failure !== null) this.violations.push(`stopped: ${failure}`);
    });
    mirror.subscribe((changes, _revision, reset) => {
      for (const change of changes) this.#hear(change);
      if (!reset) return;
      this.resets += 1;
      this.#checks.push(this.check());
    });
  }

  /** Holds the mirror as it is at this moment against a read at the same revision. */
  readonly check = async (): Promise<void> => {
    const seen = copyOf(this.mirror.snapshot);
    const read = await insist(() => Snapshot.load(this.#direct, seen.revision)).catch(nullIfHistoryIsGone);
    const differences = read === null ? [] : seen.differences(read);
    if (differences.length > 0)
      this.violations.push(`differs at ${seen.revision} in ${differences.slice(0, 3).join()}`);
  };

  async judgeEnd(revision: number): Promise<void> {
    const { mirror, violations } = this;
    if (!(await mirror.waitFor(revision, { timeoutMs: END_WITHIN_MS }))) {
      violations.push(`stands at ${mirror.revision} and does not reach ${revision}`);
    }
    await Promise.all([...this.#checks, this.check()]);
    const { keyValues } = await insist(() => this.#direct.range({ prefix: PREFIX, revision: mirror.revision }));
    const stands = new Map(keyValues.flatMap(({ key, value }) => mirroredText(key, value)));
    for (const key of new Set([...stands.keys(), ...this.#told.keys()])) {
      if (stands.get(key) !== this.#told.get(key)) violations.push(`did not tell its listeners what is at ${key}`);
    }
  }

  #hear({ key, before, after }: Change): void {
    const known = this.#told.get(key);
    const text = before === null ? undefined : canonicalJson(before);
    if (text !== known) this.violations.push(`told of a change of ${key} from ${text}, after telling of ${known}`);
    if (after === null) this.#told.delete(key);
    else this.#told.set(key, canonicalJson(after));
  }
}

function mirroredText(key: string, value: string): [string, string][] {
  const kind = parseKey(key)?.[0];
  return kind === 'epochs' || kind === 'alive' ? [[key, canonicalJson(decodeRecord(kind, key, value))]] : [];
}

/** Must not be separated by an await from what it is compared with: a mirror's snapshot moves on. */
function copyOf(snapshot: Snapshot): Snapshot {
  const copy = new Snapshot(0);
  copy.reset(snapshot);
  return copy;
}

function nullIfHistoryIsGone(error: unknown): null {
  if (error instanceof HistoryGoneError) return null;
  throw error;
}
