/** The suite under faults is worth as much as the mistakes that it finds. */
import { describe, expect } from 'vitest';
import type { SeededRandom } from '../simulation/seeded-random.ts';
import { commitsInAStorm, mirrorsThatAreCut, watchesThatAreCut } from './faults/bad-wires.ts';
import { seededTest } from './faults/chance.ts';
import { compactionWhileCutOff } from './faults/compaction.ts';
import { callsOverBlockedWires } from './faults/deadlines.ts';
import { leasesOfPausedLeaders, leasesUnderFaults } from './faults/leases.ts';
import { leaderIsLost } from './faults/outages.ts';
import { Place } from './faults/place.ts';
import { PLANTED_BUGS, type PlantedBug } from './faults/planted-bugs.ts';

type Faults = (place: Place, random: SeededRandom) => Promise<readonly string[]>;

const STORM = { wires: 3, faultsPerWire: 25 } as const;
const CUTS = { followers: 5, cutsPerFollower: 6, compactChance: 0.1 } as const;
const MEMBERS = 3;

const storms: Faults = async (place, random) => (await commitsInAStorm(place, random, STORM)).violations;
const lateRequests: Faults = async (place, random) =>
  (await commitsInAStorm(place, random, { ...STORM, kinds: ['late-requests'] })).violations;
const cutWatches: Faults = async (place, random) => (await watchesThatAreCut(place, random, CUTS)).violations;
const cutMirrors: Faults = async (place, random) => (await mirrorsThatAreCut(place, random, CUTS)).violations;
const compactions: Faults = async (place, random) => (await compactionWhileCutOff(place, random, 3)).violations;
const losses: Faults = async (place, random) => (await leaderIsLost(place, random, 1)).violations;
const pauses: Faults = (place, random) => leasesOfPausedLeaders(place, random, 1);

/** Under which faults each is found, and what is said of it. */
const FOUND: Readonly<Record<PlantedBug, readonly [Faults, RegExp]>> = {
  'a watch resumes one revision too late': [cutWatches, /lost (put|delete)/],
  'a watch resumes one revision too early': [cutWatches, /repeated (put|delete)/],
  'a watch hands on the parts of a revision': [cutWatches, /split a revision/],
  'a watch goes on from the present when history is gone': [compactions, /went on as if nothing were gone/],
  'a watch takes the present for what it has seen': [cutWatches, /after \d+ was fully seen/],
  'a mirror does not list again': [compactions, /the mirror did not list again/],
  'a mirror lists at no one revision': [cutMirrors, /told of a change|differs at/],
  'a mirror says that it has arrived when time is up': [cutMirrors, /was said to have reached/],
  'a transaction is sent again by the client': [storms, /was reported lost, but was won/],
  'a commit is tried again without a record': [storms, /was reported lost, but was won/],
  'a commit is looked up without a tombstone': [lateRequests, /was reported lost, but was won/],
  'a commit is decided anew while it may be on its way': [storms, /was applied at revisions/],
  'a commit without an answer counts as done': [storms, /was reported won at/],
  'a commit without an answer counts as not done': [storms, /was reported not to have happened, but did/],
  'a lease is kept in memory only': [leasesUnderFaults, /ended \d+ ms before the time that was confirmed/],
  'a lease is confirmed by a leader of the past': [pauses, /ended \d+ ms before the time that was confirmed/],
  'a lease is kept alive by itself': [leasesUnderFaults, /nobody kept it alive/],
  'a lease counts as ended when etcd does not answer': [leasesUnderFaults, /was said to have ended/],
  'a call waits for as long as it takes': [callsOverBlockedWires, /did not end in time/],
  'a read asks the member at hand': [losses, /after \d+ was known/],
};

/** Chance may spare a bug a few times. */
const ATTEMPTS_MAX = 8;

describe.concurrent('a planted bug is found:', () => {
  for (const bug of Object.keys(FOUND) as PlantedBug[]) {
    seededTest(bug, 120_000, async (random) => {
      const [faults, message] = FOUND[bug];
      const all: string[] = [];
      for (let attempt = 1; attempt <= ATTEMPTS_MAX && !all.some((violation) => message.test(violation)); attempt++) {
        const chance = random.split(`attempt ${attempt}`);
        const members = faults === losses || faults === pauses ? MEMBERS : 1;
        all.push(...(await Place.use(PLANTED_BUGS[bug], (place) => faults(place, chance), members)));
      }
      expect(all.join('\n')).toMatch(message);
    });
  }
});
