/**
 * What every adapter must keep to when what lies between it and etcd fails. It is judged by what etcd itself has recorded,
 * read over a wire without faults. Each test has an etcd of its own, so that they can wait side by side.
 */
import { describe, expect } from 'vitest';
import { commitsInAStorm, mirrorsThatAreCut, watchesThatAreCut } from './faults/bad-wires.ts';
import { seededTest, TIMES } from './faults/chance.ts';
import { compactionWhileCutOff } from './faults/compaction.ts';
import { callsOverASlowWire, callsOverBlockedWires, connectionsForgotten } from './faults/deadlines.ts';
import { leasesOfPausedLeaders, leasesUnderFaults } from './faults/leases.ts';
import { etcdStandsStill, leaderIsLost } from './faults/outages.ts';
import { Place, type Subject, subjectOf } from './faults/place.ts';

/** How much happens. The larger part of the time goes into waiting. */
const SIZE = {
  wires: 3,
  faultsPerWire: 40 * TIMES,
  followers: 20,
  cutsPerFollower: 50 * TIMES,
  compactChance: 0.01,
  compactions: 10 * TIMES,
  standstills: 3 * TIMES,
  leaderLosses: 3 * TIMES,
  leaderPauses: 2 * TIMES,
} as const;

/** Runs the suite over an adapter that reaches etcd by TCP connections to `hosts`. */
export function storeFaults(name: string, connect: Subject['connect']): void {
  const subject = subjectOf(connect);
  describe.concurrent(`${name}, over wires that fail`, () => {
    seededTest(
      'no write is reported lost that was won, or won that was lost, and none is applied twice',
      40_000,
      async (random) => {
        const { violations, tally } = await Place.use(subject, (place) => commitsInAStorm(place, random, SIZE));
        expect(violations).toEqual([]);
        expect(Math.min(tally.won, tally.lost, tally.wonInTheDark, tally.lostInTheDark)).toBeGreaterThan(0);
      },
    );

    seededTest('a watch that is cut all the time loses no event and repeats none', 60_000, async (random) => {
      const { violations, events } = await Place.use(subject, (place) => watchesThatAreCut(place, random, SIZE));
      expect(violations).toEqual([]);
      expect(events).toBeGreaterThan(SIZE.cutsPerFollower);
    });

    seededTest('a mirror that is cut all the time equals what is read at its revision', 60_000, async (random) => {
      const { violations, waits, resets } = await Place.use(subject, (place) => mirrorsThatAreCut(place, random, SIZE));
      expect(violations).toEqual([]);
      expect(Math.min(waits.reached, waits.notReached, resets)).toBeGreaterThan(0);
    });

    seededTest('what was compacted unseen makes watches end and mirrors list again', 40_000, async (random) => {
      const result = await Place.use(subject, (place) => compactionWhileCutOff(place, random, SIZE.compactions));
      expect(result.violations).toEqual([]);
      expect(result.gone).toBeGreaterThan(0);
    });

    seededTest('leases end when they should', 40_000, async (random) => {
      expect(await Place.use(subject, (place) => leasesUnderFaults(place, random))).toEqual([]);
    });

    seededTest('a lease is alive when the present leader says so, not one of the past', 40_000, async (random) => {
      const pauses = (place: Place) => leasesOfPausedLeaders(place, random, SIZE.leaderPauses);
      expect(await Place.use(subject, pauses, 3)).toEqual([]);
    });

    seededTest('every call over a blocked wire fails in time, and works again afterwards', 40_000, async () => {
      expect(await Place.use(subject, callsOverBlockedWires)).toEqual([]);
    });

    seededTest('connections that have died silently cost one call their time, and nothing else', 40_000, async () => {
      expect(await Place.use(subject, connectionsForgotten)).toEqual([]);
    });

    seededTest('a wire that is only slow costs only time', 40_000, async () => {
      expect(await Place.use(subject, callsOverASlowWire)).toEqual([]);
    });

    seededTest('an etcd that stands still loses nothing and is told nothing twice', 60_000, async (random) => {
      const stops = (place: Place) => etcdStandsStill(place, random, SIZE.standstills);
      expect((await Place.use(subject, stops)).violations).toEqual([]);
    });

    seededTest(
      'when leaders are lost every acknowledged write stands, and each is settled once',
      80_000,
      async (random) => {
        const losses = (place: Place) => leaderIsLost(place, random, SIZE.leaderLosses);
        expect((await Place.use(subject, losses, 3)).violations).toEqual([]);
      },
    );
  });
}
