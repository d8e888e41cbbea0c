import type { Store } from '../../control-plane/store/contract.ts';

/** A store with something else in place of some of its calls. */
export function changed(store: Store, changes: Partial<Store>): Store {
  return {
    get: (key) => store.get(key),
    range: (request) => store.range(request),
    transact: (transaction) => store.transact(transaction),
    watch: (request) => store.watch(request),
    grantLease: (ttlSeconds) => store.grantLease(ttlSeconds),
    keepLeaseAlive: (lease) => store.keepLeaseAlive(lease),
    leaseSilenceSeconds: (lease) => store.leaseSilenceSeconds(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    status: () => store.status(),
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
    ...changes,
  };
}
