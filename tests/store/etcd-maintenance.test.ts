import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { etcdMaintenance } from './etcd-maintenance.ts';

etcdMaintenance((options) => new EtcdStore(options));
