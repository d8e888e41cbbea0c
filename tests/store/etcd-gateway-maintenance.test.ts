import { etcdMaintenance } from './etcd-maintenance.ts';
import { gatewayStore } from './subjects.ts';

etcdMaintenance(gatewayStore);
