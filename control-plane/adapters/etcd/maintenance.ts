/** etcd's members one by one: each has a database of its own, and only it can say how large that is, or make it smaller. */
import type { Etcd3, IStatusResponse } from 'etcd3';
import type { StoreMaintenance, StoreMember, StoreStatus } from '../../store/contract.ts';
import { StoreRefusedError } from '../etcd-api/refusals.ts';
import { connect, type EtcdOptions } from './connection.ts';
import { toStoreError } from './errors.ts';

/** A member writes its whole database anew: some 100 MiB a second on a good disk, much less on a bad one. */
const DEFRAGMENT_TIMEOUT_MS = 300_000;

/** A member says from memory how it is. One that takes longer keeps nobody waiting for the others. */
const STATUS_TIMEOUT_MS = 1000;

export class EtcdMaintenance implements StoreMaintenance {
  readonly #options: EtcdOptions;
  readonly #requestTimeoutMs: number;
  /** By URL. Made when first needed: most of a replica's life nobody asks. */
  readonly #clients = new Map<string, Etcd3>();
  #isClosed = false;

  constructor(options: EtcdOptions, requestTimeoutMs: number) {
    this.#options = options;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  members(): Promise<readonly StoreMember[]> {
    return Promise.all(this.#options.hosts.map((host) => this.#member(host)));
  }

  async defragment(member: string): Promise<boolean> {
    try {
      const deadline = Date.now() + DEFRAGMENT_TIMEOUT_MS;
      await this.#client(member).maintenance.defragment({ deadline });
      return true;
    } catch (cause) {
      const error = toStoreError(`defragmenting ${member}`, cause);
      if (error instanceof StoreRefusedError) return false;
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const client of this.#clients.values()) client.close();
  }

  async #member(host: string): Promise<StoreMember> {
    try {
      const deadline = Date.now() + STATUS_TIMEOUT_MS;
      const status = await this.#client(host).maintenance.status({ deadline });
      return { name: host, isLeader: status.leader === status.header.member_id, ...sizesOf(status) };
    } catch (cause) {
      throw toStoreError(`asking ${host} for its status`, cause);
    }
  }

  #client(host: string): Etcd3 {
    const known = this.#clients.get(host);
    if (known !== undefined) return known;
    const client = connect({ ...this.#options, hosts: [host] }, this.#requestTimeoutMs);
    if (this.#isClosed) client.close();
    this.#clients.set(host, client);
    return client;
  }
}

/** etcd before 3.4 doesn't say how much is in use, which reads as 0. */
export function sizesOf(status: IStatusResponse): Pick<StoreStatus, 'dbSizeBytes' | 'dbSizeInUseBytes'> {
  const inUseBytes = Number(status.dbSizeInUse);
  return { dbSizeBytes: Number(status.dbSize), dbSizeInUseBytes: inUseBytes > 0 ? inUseBytes : null };
}
