/**
 * A token that may do everything, made over etcd itself, for clusters of one machine that have no Node.js replica. Elsewhere
 * `berth control-plane --break-glass` makes the first one, and leaves it on record.
 */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { ownIssuer, TokenMint } from '../../control-plane/auth/tokens.ts';
import { ensureCluster } from '../../control-plane/services/cluster.ts';
import { ensureSigningKey } from '../../control-plane/services/signing-keys.ts';
import { mintAdminToken } from '../../control-plane/services/tokens.ts';
import { Mirror } from '../../control-plane/store/mirror.ts';
import { SILENT_LOGGER } from '../../shared/util/log.ts';

/** Sets the cluster up where the store is empty. */
export async function firstToken(etcd: readonly string[], ttlSeconds: number): Promise<string> {
  const clock = new SystemClock();
  const random = new CryptoRandom();
  const store = new EtcdStore({ hosts: etcd });
  const over = new AbortController();
  try {
    const { id } = await ensureCluster(store, random);
    const mirror = await Mirror.start({ store, clock, log: SILENT_LOGGER, signal: over.signal });
    const ring = await ensureSigningKey({ store, clock, mirror, log: SILENT_LOGGER });
    const mint = new TokenMint({ issuer: ownIssuer(id), ring, clock, random });
    return (await mintAdminToken(mint, { subject: 'bootstrap', ttlSeconds })).token;
  } finally {
    over.abort();
    await store.close();
  }
}
