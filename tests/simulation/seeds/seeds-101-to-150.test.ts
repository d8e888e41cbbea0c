import { testSeeds } from './clean.ts';

testSeeds(101, 50);
