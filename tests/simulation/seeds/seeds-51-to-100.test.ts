import { testSeeds } from './clean.ts';

testSeeds(51, 50);
