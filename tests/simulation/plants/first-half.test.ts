import { testPlantedBugs } from './found.ts';

testPlantedBugs({ place: 0, of: 2 });
