import { storeConformance } from './conformance.ts';
import { openEtcd } from './subjects.ts';

storeConformance('the etcd store', openEtcd);
