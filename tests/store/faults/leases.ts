/**
 * Leases over bad wires. A lease lives for its time from the last moment at which etcd has heard of it, and no longer than
 * that and a little; whoever is told "alive" was told the truth, and so was whoever is told "ended".
 */
import { type LeaseId, type Store, StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { put, write } from '../conformance/harness.ts';
import { leaderOf } from './leaders.ts';
import { type Far, insist, type Place, pause, until } from './place.ts';
import { storm } from './storm.ts';

const LEASED = '/leased/';
const TTL_SECONDS = 2;
const TTL_MS = TTL_SECONDS * 1000;
/** etcd looks twice a second for leases that have ended, and both may have to wait for a busy machine. */
const LATE_MS = 2500;
const ASK_EVERY_MS = [50, 300] as const;
const STORM_FAULTS = 60;
const LOST_ANSWERS = 4;

/** A lease with one key, and what is known of its life. Times are in ms, of one monotonic clock. */
interface Held {
  readonly name: string;
  readonly lease: LeaseId;
  readonly ttlMs: number;
  readonly violations: string[];
  /** When the last request was sent that etcd has confirmed: the lease doesn't end before its time has passed from here. */
  confirmedMs: number;
  /** After this, etcd can't have heard of the lease. */
  heardUntilMs: number;
}

/** What a holder does about its lease, until it does nothing more. `ended` says whether the lease has had to end by now. */
type Holding = (held: Held, far: Far, random: SeededRandom, ended: () => boolean) => Promise<void>;

const HOLDINGS: Readonly<Record<string, Holding>> = {
  // Its holder lives, and so does the store that granted it.
  'a lease that nobody keeps alive': async () => undefined,

  'a lease that is kept alive in a storm': async (held, far, random) => {
    let rages = true;
    const rage = storm(far.proxy, random.split('storm'), STORM_FAULTS).finally(() => {
      rages = false;
    });
    while (rages) await ask(held, far, random);
    await rage;
    await ask(held, far, random);
  },

  'a lease whose holder is cut off': async (held, far, random, ended) => {
    const halfMs = performance.now() + TTL_MS / 2;
    while (performance.now() < halfMs) await ask(held, far, random);
    const cutOffMs = performance.now();
    far.proxy.hold('requests');
    far.proxy.hold('answers');
    while (!ended()) await ask(held, far, random, cutOffMs);
    far.proxy.cut();
    far.proxy.heal();
    await expectEnded(held, far);
  },

  'a lease whose requests come too late': async (held, far, random, ended) => {
    const cutOffMs = performance.now();
    far.proxy.hold('requests');
    while (!ended()) await ask(held, far, random, cutOffMs);
    far.proxy.letThrough('requests');
    await expectEnded(held, far);
  },

  // That the answer is lost says nothing of the lease: it must not be taken for its end.
  'a lease whose answers are lost': async (held, far, random) => {
    for (let round = 0; round < LOST_ANSWERS; round++) {
      far.proxy.swallow();
      await ask(held, far, random);
      far.proxy.heal();
      await insist(() => far.store.get(LEASED));
      await ask(held, far, random);
    }
  },

  'a lease that is revoked while the answer is lost': async (held, far) => {
    far.proxy.swallow();
    held.confirmedMs = Number.NEGATIVE_INFINITY;
    await far.store.revokeLease(held.lease).catch(onlyUnavailable);
    held.heardUntilMs = performance.now() - TTL_MS;
    far.proxy.heal();
    await insist(() => far.store.revokeLease(held.lease));
    await expectEnded(held, far);
  },
};

/** Each lease has a store and a wire of its own. Resolves with what was wrong. */
export async function leasesUnderFaults(place: Place, random: SeededRandom): Promise<string[]> {
  const ends = await Ends.begin(place.direct);
  const all = await Promise.all(
    Object.entries(HOLDINGS).map(async ([name, hold]) => {
      const far = await place.far();
      const held = await begin(far, name);
      await hold(held, far, random.split(name), () => ends.at(held) !== null || isOverdue(held));
      return held;
    }),
  );
  await until('the end of every lease', () => all.every((held) => ends.at(held) !== null || isOverdue(held)));
  await ends.stop();
  return all.flatMap((held) => judge(held, ends.at(held)).map((problem) => `${held.name}: ${problem}`));
}

const PAUSED_TTL_SECONDS = 4;
/** How long the others have had another leader when the old one wakes up. Its own leases must not have ended by then. */
const BEHIND_MS = [300, 1500] as const;
const WAKE_AFTER_MS = 50;

/**
 * Leaders that stand still until others have elected another one. When such a leader wakes up it takes itself for the leader
 * for another moment, and answers what was asked of it: that a lease lives which it no longer decides about.
 */
export async function leasesOfPausedLeaders(place: Place, random: SeededRandom, rounds: number): Promise<string[]> {
  const violations: string[] = [];
  for (let round = 1; round <= rounds; round++) {
    const leader = await leaderOf(place.members);
    const others = place.members.filter((member) => member !== leader);
    const far = await place.far([leader]);
    const ends = await Ends.begin((await place.far(others)).store);
    const held = await begin(far, `round ${round}`, PAUSED_TTL_SECONDS);
    // Over a connection that has yet to be opened, the question would come too late.
    await ask(held, far, random);
    leader.pause();
    await leaderOf(others);
    await pause(random.between(...BEHIND_MS));
    const asking = ask(held, far, random);
    await pause(WAKE_AFTER_MS);
    leader.resume();
    await asking;
    await until('the end of the lease', () => ends.at(held) !== null || isOverdue(held));
    await ends.stop();
    violations.push(...judge(held, ends.at(held)).map((problem) => `${held.name}: ${problem}`));
  }
  return violations;
}

/** When the keys of leases went, as the judge saw it. */
class Ends {
  readonly #at = new Map<string, number>();
  readonly #abort = new AbortController();
  #done: Promise<void> = Promise.resolve();

  static async begin(store: Store): Promise<Ends> {
    const ends = new Ends();
    ends.#done = ends.#collect(store, (await store.get(LEASED)).revision + 1);
    return ends;
  }

  at({ name }: Held): number | null {
    return this.#at.get(LEASED + name) ?? null;
  }

  stop(): Promise<void> {
    this.#abort.abort();
    return this.#done;
  }

  async #collect(store: Store, fromRevision: number): Promise<void> {
    for await (const { events } of store.watch({ prefix: LEASED, fromRevision, signal: this.#abort.signal })) {
      for (const event of events) if (event.type === 'delete') this.#at.set(event.key, performance.now());
    }
  }
}

function isOverdue({ heardUntilMs, ttlMs }: Held): boolean {
  return performance.now() > heardUntilMs + ttlMs + LATE_MS;
}

function judge({ violations, confirmedMs, heardUntilMs, ttlMs }: Held, endMs: number | null): string[] {
  if (endMs === null) return [...violations, 'it lived on, though nobody kept it alive'];
  const early = confirmedMs + ttlMs - endMs;
  const late = endMs - (heardUntilMs + ttlMs + LATE_MS);
  if (early > 0) return [...violations, `it ended ${Math.round(early)} ms before the time that was confirmed`];
  return late > 0 ? [...violations, `it ended ${Math.round(late)} ms too late`] : violations;
}

async function begin(far: Far, name: string, ttlSeconds = TTL_SECONDS): Promise<Held> {
  const confirmedMs = performance.now();
  const lease = await far.store.grantLease(ttlSeconds);
  const ttlMs = ttlSeconds * 1000;
  const held = { name, lease, ttlMs, violations: [], confirmedMs, heardUntilMs: performance.now() };
  await write(far.store, put(LEASED + name, '', lease));
  return held;
}

/** Asks once whether the lease lives, and thereby keeps it alive. After `cutOffMs` etcd hears nothing of it. */
async function ask(held: Held, { store }: Far, random: SeededRandom, cutOffMs = Number.POSITIVE_INFINITY) {
  const sentMs = performance.now();
  try {
    const alive = await store.keepLeaseAlive(held.lease);
    const early = held.confirmedMs + held.ttlMs - performance.now();
    if (alive) held.confirmedMs = sentMs;
    else if (early > 0) held.violations.push(`it was said to have ended ${Math.round(early)} ms before its time`);
  } catch (error) {
    onlyUnavailable(error);
  }
  held.heardUntilMs = Math.min(performance.now(), cutOffMs);
  await pause(random.between(...ASK_EVERY_MS));
}

async function expectEnded(held: Held, { store }: Far): Promise<void> {
  if (await insist(() => store.keepLeaseAlive(held.lease))) held.violations.push('it was said to live after its end');
  const { keyValue } = await insist(() => store.get(LEASED + held.name));
  if (keyValue !== null) held.violations.push('its key outlived it');
}

function onlyUnavailable(error: unknown): void {
  if (!(error instanceof StoreUnavailableError)) throw error;
}
