import { storeConformance } from './conformance.ts';
import { openMemory } from './subjects.ts';

storeConformance('the memory store', openMemory);
