import { etcdSettings } from './etcd-settings.ts';
import { gatewayStore } from './subjects.ts';

etcdSettings(gatewayStore);
