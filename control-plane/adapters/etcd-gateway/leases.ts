/**
 * Keeping leases alive, and the truth about it. A leader that stood still while others elected another one takes itself for
 * the leader for a moment when it wakes up, and confirms leases that it no longer decides about: always before etcd 3.4.31 and
 * 3.5.13, rarely since. So an answer holds only if its term is still the one of a read that begins when it is here, and that a
 * majority stands behind. Answers that come while such a read is under way share the next one.
 */
import { type LeaseId, StoreUnavailableError } from '../../store/contract.ts';
import { SharedCall } from '../etcd-api/shared-call.ts';
import { type Gateway, KEEP_ALIVE } from './gateway.ts';
import { leaseId, toGetRequest } from './wire.ts';

export interface LeasesOptions {
  readonly gateway: Gateway;
  /** A key that this client may read, whether it exists or not. */
  readonly readableKey: () => string;
}

/** An election is over after one; a cluster that elects again and again confirms nothing. */
const ATTEMPTS_MAX = 3;

export class Leases {
  readonly #gateway: Gateway;
  readonly #presentTerm: SharedCall<string>;

  constructor({ gateway, readableKey }: LeasesOptions) {
    this.#gateway = gateway;
    this.#presentTerm = new SharedCall(async () => {
      const body = { ...toGetRequest(readableKey()), count_only: true };
      const answer = await gateway.post({ doing: 'asking for the term', path: 'kv/range', body });
      return answer.message('header').digits('raft_term');
    });
  }

  async grant(ttlSeconds: number): Promise<LeaseId> {
    const body = { TTL: String(ttlSeconds) };
    return (await this.#gateway.post({ doing: 'granting a lease', path: 'lease/grant', body })).digits('ID');
  }

  /** Whether the lease lives; if so, its time starts anew. */
  async keepAlive(lease: LeaseId): Promise<boolean> {
    const doing = `keeping lease ${lease} alive`;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const answer = await this.#gateway.post({ doing, path: KEEP_ALIVE, body: { ID: leaseId(lease) } });
      const term = answer.message('header').digits('raft_term');
      // Of a lease that has ended the answer has no time left, which is left out.
      if (term === (await this.#presentTerm.next())) return answer.integer('TTL') > 0;
    }
    throw new StoreUnavailableError(`etcd: ${doing}: its leader changes all the time`);
  }

  async silenceSeconds(lease: LeaseId): Promise<number | null> {
    const doing = `asking how long lease ${lease} has left`;
    const answer = await this.#gateway.post({ doing, path: 'lease/timetolive', body: { ID: leaseId(lease) } });
    const leftSeconds = answer.integer('TTL');
    // A lease that has ended has -1 s left; one that a new leader has taken over may have more left than it was granted.
    return leftSeconds < 0 ? null : Math.max(0, answer.integer('grantedTTL') - leftSeconds);
  }

  /** Throws LeaseGoneError when it has ended. */
  async revoke(lease: LeaseId): Promise<void> {
    await this.#gateway.post({ doing: `revoking lease ${lease}`, path: 'lease/revoke', body: { ID: leaseId(lease) } });
  }
}
