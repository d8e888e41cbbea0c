/** Whether revisions that were heard of earlier still mean anything. */
import { HistoryGoneError } from '../../store/contract.ts';

/** What every answer of etcd begins with. */
interface Header {
  readonly cluster_id: string;
}

/** The cluster that answers came from. Another one has another history, whose revisions count other changes. */
export class ClusterHistory {
  #clusterId: string | null = null;

  /** Of the last answer; null before the first. */
  get clusterId(): string | null {
    return this.#clusterId;
  }

  note({ cluster_id: clusterId }: Header): void {
    this.#clusterId = clusterId;
  }

  /** Throws HistoryGoneError when the answer comes from another cluster than `expected`, which null stands for any of. */
  continue(header: Header, expected: string | null): void {
    this.note(header);
    if (expected === null || expected === header.cluster_id) return;
    throw new HistoryGoneError(`etcd: cluster ${expected} has become cluster ${header.cluster_id}`);
  }
}
