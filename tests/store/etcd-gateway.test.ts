import { storeConformance } from './conformance.ts';
import { openEtcdGateway } from './subjects.ts';

storeConformance('the etcd gateway store', openEtcdGateway);
