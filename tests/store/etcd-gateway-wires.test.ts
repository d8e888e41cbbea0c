import { storeFaults } from './faults.ts';
import { gatewayStore } from './subjects.ts';

storeFaults('the etcd gateway store', (hosts, timing) => gatewayStore({ hosts, ...timing }));
