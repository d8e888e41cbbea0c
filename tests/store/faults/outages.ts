/** An etcd that stands still, and members that are lost, while everybody writes, watches and follows. */
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import type { TestEtcd } from '../../support/etcd.ts';
import { Commits, type Tally } from './commits.ts';
import { leaderOf, whoLeads } from './leaders.ts';
import { Mirrors } from './mirrors.ts';
import { type Far, type Place, pause, until } from './place.ts';
import { storm } from './storm.ts';
import { Watches } from './watches.ts';

export interface OutagesResult {
  readonly violations: readonly string[];
  readonly tally: Tally;
}

/** Some pass before a call has to give up, some don't. */
const STANDSTILL_MS = [100, 2500] as const;
const WRITES_BETWEEN = 30;

/** The only member stands still `count` times, for up to some seconds. */
export async function etcdStandsStill(place: Place, random: SeededRandom, count: number): Promise<OutagesResult> {
  const stores = await Promise.all([place.far(), place.far()]);
  return underLoad(place, random, { writing: stores, following: stores }, async (progress) => {
    for (let stop = 0; stop < count; stop++) {
      await progress();
      place.etcd.pause();
      await pause(random.between(...STANDSTILL_MS));
      place.etcd.resume();
    }
  });
}

const STORM_FAULTS = 15;

/**
 * The leader is lost `count` times: killed and started again, or standing still until others have elected another one. One
 * wire is stormy all the while, and some stores know one member only, which may lag behind.
 */
export async function leaderIsLost(place: Place, random: SeededRandom, count: number): Promise<OutagesResult> {
  const [every, stormy] = [await place.far(), await place.far()];
  const lone = await Promise.all(place.members.map((member) => place.far([member])));
  const stores = { writing: [every, stormy, ...lone], following: [every, stormy] };
  return underLoad(place, random, stores, async (progress) => {
    const rage = stormy.proxies.map((proxy, index) =>
      storm(proxy, random.split(`storm ${index}`), count * STORM_FAULTS),
    );
    for (let loss = 0; loss < count; loss++) {
      await progress();
      const leader = await leaderOf(place.members);
      const returns = random.chance(0.5) ? await killed(leader) : stoppedStill(leader);
      const others = place.members.filter((member) => member !== leader);
      await until('another leader', async () => (await whoLeads(others)) !== null);
      await progress();
      await returns();
      await lagBehind(place, random);
    }
    await Promise.all(rage);
  });
}

/** A member that is not needed stands still for a moment: what it then answers first is old, unless it asks the leader. */
async function lagBehind({ members }: Place, random: SeededRandom): Promise<void> {
  const leader = await leaderOf(members);
  const follower = random.pick(members.filter((member) => member !== leader));
  for (let stop = 0; stop < 5; stop++) {
    follower.pause();
    await pause(random.between(50, 300));
    follower.resume();
    await pause(random.between(0, 20));
  }
}

async function killed(member: TestEtcd): Promise<() => Promise<void>> {
  await member.kill();
  return () => member.restart();
}

function stoppedStill(member: TestEtcd): () => Promise<void> {
  member.pause();
  return async () => member.resume();
}

interface Stores {
  readonly writing: readonly Far[];
  readonly following: readonly Far[];
}

/** Lets everybody work while `disturb` does what it does; `progress` waits until writes get through again. */
async function underLoad(
  place: Place,
  random: SeededRandom,
  stores: Stores,
  disturb: (progress: () => Promise<void>) => Promise<void>,
): Promise<OutagesResult> {
  const commits = await Commits.begin(place, random.split('commits'), stores.writing);
  const watches = await Watches.begin(place, random.split('watches'), stores.following);
  const mirrors = await Mirrors.begin(place, random.split('mirrors'), stores.following);
  await disturb(async () => {
    const before = commits.progress();
    await until('progress', () => commits.progress() > before + WRITES_BETWEEN);
  });
  const committed = await commits.end();
  const [watched, mirrored] = [await watches.end(), await mirrors.end()];
  return {
    violations: [...committed.violations, ...watched.violations, ...mirrored.violations],
    tally: committed.tally,
  };
}
