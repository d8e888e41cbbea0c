/**
 * What happens while a wire is cut off is compacted away. Who comes back must not go on as if nothing had been missed: a
 * watch ends with HistoryGoneError, a mirror lists again.
 */
import { HistoryGoneError } from '../../../control-plane/store/contract.ts';
import { keys, PREFIX } from '../../../control-plane/store/keys.ts';
import type { Mirror } from '../../../control-plane/store/mirror.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { Collector, write } from '../conformance/harness.ts';
import { type Far, type Place, until } from './place.ts';
import { revisionOf } from './watches.ts';

const NODES = 5;
const MISSED_REVISIONS = [2, 8] as const;
const DELETE_CHANCE = 0.4;
const BACK_WITHIN_MS = 10_000;

export interface CompactionResult {
  readonly violations: readonly string[];
  /** Rounds in which a revision was compacted that had not been seen. */
  readonly gone: number;
  /** Rounds in which none was. */
  readonly kept: number;
}

/** Cuts one mirror and one watch off, `rounds` times, and compacts what they missed, or only what they had seen. */
export async function compactionWhileCutOff(
  place: Place,
  random: SeededRandom,
  rounds: number,
): Promise<CompactionResult> {
  const found: string[] = [];
  const counts = { gone: 0, kept: 0 };
  await raiseOrRemove(place, random, 0);
  const [watching, mirroring] = [await place.far(), await place.far()];
  const follower = new Follower(await place.mirror(mirroring.store), place);
  for (let round = 1; round <= rounds; round++) {
    const seen = await raiseOrRemove(place, random, round);
    const watch = new Collector(watching.store, PREFIX, seen);
    await until('what was not cut off', () => follower.mirror.revision >= seen && watch.events.length > 0);
    const missed = await missSomething(place, random, [watching, mirroring]);
    const compacted = random.between(Math.max(1, seen - 1), missed);
    await place.direct.compact(compacted);
    for (const { proxy } of [watching, mirroring]) proxy.heal();
    const missing: Missing = { seen, missed, fate: fateOf(seen, compacted) };
    counts[missing.fate === 'kept' ? 'kept' : 'gone'] += 1;
    const what = `${seen} was seen, up to ${missed} missed, before ${compacted} compacted`;
    const problems = [...(await judgeWatch(watch, missing)), ...(await follower.judge(missing))];
    found.push(...problems.map((problem) => `${what}: ${problem}`));
  }
  return { violations: found, ...counts };
}

/** Of what was missed. `at the edge`: nothing is gone, but some versions of etcd lose a deletion at that revision silently. */
type Fate = 'kept' | 'at the edge' | 'gone';

function fateOf(seen: number, compacted: number): Fate {
  if (compacted < seen) return 'kept';
  return compacted <= seen + 1 ? 'at the edge' : 'gone';
}

interface Missing {
  /** The last revision that was seen. */
  readonly seen: number;
  /** The last one that was missed. */
  readonly missed: number;
  readonly fate: Fate;
}

class Follower {
  readonly mirror: Mirror;
  readonly #place: Place;
  #resets = 0;
  #resetsBefore = 0;

  constructor(mirror: Mirror, place: Place) {
    this.mirror = mirror;
    this.#place = place;
    mirror.subscribe((_changes, _revision, reset) => {
      if (reset) this.#resets += 1;
    });
  }

  async judge({ missed, fate }: Missing): Promise<string[]> {
    if (!(await this.mirror.waitFor(missed, { timeoutMs: BACK_WITHIN_MS }))) return ['the mirror stays behind'];
    const problems: string[] = [];
    if (fate === 'gone' && this.#resets === this.#resetsBefore) problems.push('the mirror did not list again');
    if (fate === 'kept' && this.#resets > this.#resetsBefore) problems.push('the mirror listed again without need');
    this.#resetsBefore = this.#resets;
    const differences = this.mirror.snapshot.differences(await Snapshot.load(this.#place.direct));
    return differences.length === 0 ? problems : [...problems, `the mirror differs in ${differences.join()}`];
  }
}

/** Changes one record; returns the revision. */
async function raiseOrRemove({ direct }: Place, random: SeededRandom, epoch: number): Promise<number> {
  const key = keys.epoch(`n${random.between(1, NODES)}`);
  const exists = (await direct.get(key)).keyValue !== null;
  if (exists && random.chance(DELETE_CHANCE)) return write(direct, { type: 'delete', key });
  return write(direct, putRecord('epochs', key, { epoch, unreachableSinceMs: null }));
}

/** Cuts the stores off until their wires are healed, and writes on meanwhile; returns the last revision. */
async function missSomething(place: Place, random: SeededRandom, stores: readonly Far[]): Promise<number> {
  for (const { proxy } of stores) {
    proxy.hold('requests');
    proxy.hold('answers');
    proxy.cut(random.pick(['close', 'reset']));
  }
  let last = 0;
  const count = random.between(...MISSED_REVISIONS);
  for (let epoch = 1; epoch <= count; epoch++) last = await raiseOrRemove(place, random, epoch);
  return last;
}

async function judgeWatch(watch: Collector, { seen, missed, fate }: Missing): Promise<string[]> {
  await until('the watch to come back', () => watch.isOver || (watch.batches.at(-1)?.revision ?? 0) >= missed);
  const failure = await watch.stop();
  if (failure instanceof HistoryGoneError) return fate === 'kept' ? ['the watch ended, though nothing was gone'] : [];
  if (failure !== null) return [`the watch failed: ${failure}`];
  if (fate === 'gone') return ['the watch went on as if nothing were gone'];
  const revisions = watch.batches.flatMap((batch) => batch.events.map(revisionOf));
  return isEveryRevision(revisions, seen, missed) ? [] : [`the watch saw ${revisions.join()}`];
}

/** Nobody else writes, and each write changes one key. */
function isEveryRevision(revisions: readonly number[], from: number, to: number): boolean {
  return revisions.length === to - from + 1 && revisions.every((revision, index) => revision === from + index);
}
