import { testSeeds } from './clean.ts';

testSeeds(1, 50);
