/**
 * etcd's members one by one: each has a database of its own, and only it can say how large that is, or make it smaller. They are
 * known by the hosts that were named: what stands behind one name is taken for one member.
 */
import type { StoreMaintenance, StoreMember, StoreStatus } from '../../store/contract.ts';
import { StoreRefusedError } from '../etcd-api/refusals.ts';
import type { Gateway } from './gateway.ts';
import type { Message } from './message.ts';

/** A member writes its whole database anew: some 100 MiB a second on a good disk, much less on a bad one. */
const DEFRAGMENT_TIMEOUT_MS = 300_000;

/** A member says from memory how it is. One that takes longer keeps nobody waiting for the others. */
const STATUS_TIMEOUT_MS = 1000;

const STATUS = 'maintenance/status';

export class GatewayMaintenance implements StoreMaintenance {
  readonly #gateway: Gateway;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  members(): Promise<readonly StoreMember[]> {
    return Promise.all(this.#gateway.names.map((host) => this.#member(host)));
  }

  async defragment(member: string): Promise<boolean> {
    const doing = `defragmenting ${member}`;
    const timeoutMs = DEFRAGMENT_TIMEOUT_MS;
    try {
      await this.#gateway.post({ doing, path: 'maintenance/defragment', body: {}, host: member, timeoutMs });
      return true;
    } catch (error) {
      if (error instanceof StoreRefusedError) return false;
      throw error;
    }
  }

  /** Of whoever answers. */
  async status(): Promise<StoreStatus> {
    const status = await this.#gateway.post({ doing: 'asking for the status', path: STATUS, body: {} });
    const header = status.message('header');
    return { revision: header.integer('revision'), clusterId: header.digits('cluster_id'), ...sizesOf(status) };
  }

  async #member(host: string): Promise<StoreMember> {
    const doing = `asking ${host} for its status`;
    const status = await this.#gateway.post({ doing, path: STATUS, body: {}, host, timeoutMs: STATUS_TIMEOUT_MS });
    const isLeader = status.digits('leader') === status.message('header').digits('member_id');
    return { name: host, isLeader, ...sizesOf(status) };
  }
}

/** etcd before 3.4 doesn't say how much is in use, which reads as 0. */
function sizesOf(status: Message): Pick<StoreStatus, 'dbSizeBytes' | 'dbSizeInUseBytes'> {
  const inUseBytes = status.integer('dbSizeInUse');
  return { dbSizeBytes: status.integer('dbSize'), dbSizeInUseBytes: inUseBytes > 0 ? inUseBytes : null };
}
