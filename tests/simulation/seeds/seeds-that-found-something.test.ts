import { testSeeds } from './clean.ts';

// A suppression that comes late, after a framework has asked for its last offer.
testSeeds(749, 1);
// An offer of the very id that a framework makes up.
testSeeds(819, 1);
// A task that is moved off its node, and its successor, among those that are kept beside new ones.
testSeeds(221, 1);
