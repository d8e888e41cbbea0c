import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { storeFaults } from './faults.ts';

storeFaults('the etcd store', (hosts, timing) => new EtcdStore({ hosts, ...timing }));
