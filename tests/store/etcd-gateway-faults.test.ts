/** What an etcd that fails does to the adapter over its JSON gateway. */
import { etcdOutages } from './etcd-outages.ts';
import { gatewayStore } from './subjects.ts';

etcdOutages((hosts, timing) => gatewayStore({ hosts, ...timing }));
