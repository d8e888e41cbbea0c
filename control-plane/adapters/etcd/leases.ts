/**
 * Keeping leases alive, and the truth about it. A leader that stood still while others elected another one takes itself for
 * the leader for a moment when it wakes up, and confirms leases that it no longer decides about: always before etcd 3.4.31 and
 * 3.5.13, rarely since. Whoever counts on such an answer counts on time that the lease doesn't have.
 *
 * So an answer holds only if nobody else has been elected by the time it is here: if its term is still the one of a read that
 * begins then, and that a majority stands behind. Answers that come while such a read is under way share the next one.
 */
import type { Etcd3 } from 'etcd3';
import { type LeaseId, StoreUnavailableError } from '../../store/contract.ts';
import { SharedCall } from '../etcd-api/shared-call.ts';
import { firstAnswer } from './streams.ts';

export interface LeasesOptions {
  readonly client: Etcd3;
  readonly requestTimeoutMs: number;
  /** A key that this client may read, whether it exists or not. */
  readonly readableKey: () => string;
}

/** An election is over after one; a cluster that elects again and again confirms nothing. */
const ATTEMPTS_MAX = 3;

export class Leases {
  readonly #options: LeasesOptions;
  readonly #presentTerm: SharedCall<string>;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#presentTerm = new SharedCall(async () => {
      const key = Buffer.from(options.readableKey());
      const { header } = await options.client.kv.range({ key, count_only: true });
      return header.raft_term;
    });
  }

  /** Whether the lease lives; if so, its time starts anew. Throws what etcd fails with. */
  async keepAlive(lease: LeaseId): Promise<boolean> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const { TTL, header } = await this.#ask(lease);
      if (header.raft_term === (await this.#presentTerm.next())) return Number(TTL) > 0;
    }
    throw new StoreUnavailableError(`etcd: keeping lease ${lease} alive: its leader changes all the time`);
  }

  /** The protocol has only a stream for this, so each call opens one, asks once, and ends it. */
  async #ask(lease: LeaseId) {
    const { client, requestTimeoutMs } = this.#options;
    const stream = await client.leaseClient.leaseKeepAlive({ deadline: Date.now() + requestTimeoutMs });
    return firstAnswer(stream, { ID: lease });
  }
}
