import { testSeeds } from './clean.ts';

testSeeds(151, 50);
