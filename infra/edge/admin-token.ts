/**
 * Prints a token that may do everything, made over etcd itself: where only the edge entry serves, nobody else could make the first one.
 * Whoever can reach etcd may have it. Run as: node infra/edge/admin-token.ts --etcd http://127.0.0.1:2379
 */
import { parseArgs } from 'node:util';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { ownIssuer, TokenMint } from '../../control-plane/auth/tokens.ts';
import { ensureCluster } from '../../control-plane/services/cluster.ts';
import { ensureSigningKey, mintAdminToken } from '../../control-plane/services/tokens.ts';

const TTL_DAYS_DEFAULT = '1';
const DAY_SECONDS = 24 * 3600;

const { etcd, days } = parseArgs({
  options: {
    etcd: { type: 'string', multiple: true, default: ['http://127.0.0.1:2379'] },
    days: { type: 'string', default: TTL_DAYS_DEFAULT },
  },
}).values;

const clock = new SystemClock();
const random = new CryptoRandom();
const store = new EtcdStore({ hosts: etcd });
try {
  const { id } = await ensureCluster(store, random);
  const ring = await ensureSigningKey({ store, clock });
  const mint = new TokenMint({ issuer: ownIssuer(id), ring, clock, random });
  const { token } = await mintAdminToken(mint, { subject: 'bootstrap', ttlSeconds: Number(days) * DAY_SECONDS });
  process.stdout.write(`${token}\n`);
} finally {
  await store.close();
}
