/**
 * A token that may do everything, made over etcd itself: where only the edge entry serves, nobody else could make the first one. Whoever
 * can reach etcd may have it.
 */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { ownIssuer, TokenMint } from '../../control-plane/auth/tokens.ts';
import { ensureCluster } from '../../control-plane/services/cluster.ts';
import { ensureSigningKey, mintAdminToken } from '../../control-plane/services/tokens.ts';

/** Sets the cluster up where the store is empty. */
export async function firstToken(etcd: readonly string[], ttlSeconds: number): Promise<string> {
  const clock = new SystemClock();
  const random = new CryptoRandom();
  const store = new EtcdStore({ hosts: etcd });
  try {
    const { id } = await ensureCluster(store, random);
    const ring = await ensureSigningKey({ store, clock });
    const mint = new TokenMint({ issuer: ownIssuer(id), ring, clock, random });
    return (await mintAdminToken(mint, { subject: 'bootstrap', ttlSeconds })).token;
  } finally {
    await store.close();
  }
}
