import { testPlantedBugs } from './found.ts';

testPlantedBugs({ place: 1, of: 2 });
