/**
 * Lasting jobs of which nothing is to be done until something changes. Most are, most of the time, and a cluster has thousands: so a
 * pass looks only at those of which the state says that a task has been touched, or the job itself is another one. When a node comes,
 * goes, is drained or isn't reached any more, all are looked at. A pass that remembers nothing comes to the same plan.
 */
import type { ClusterView, TouchLog } from '../../../shared/domain/cluster.ts';
import { type JobUid, jobUidOf, type NodeId } from '../../../shared/domain/ids.ts';
import type { Job } from '../../../shared/domain/job.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import type { Node } from '../../../shared/domain/node.ts';

/** All of a node that a plan may rest on; each is told by its identity. */
interface NodeStanding {
  readonly node: Node | undefined;
  readonly drain: Ledger['drain'] | undefined;
  readonly eligible: boolean | undefined;
  readonly unreachableSinceMs: number | null | undefined;
}

interface Rest {
  readonly job: Job;
  readonly untilMs: number;
}

export class RestingJobs {
  #log: TouchLog | null = null;
  #mark = 0;
  /** Of the pass before, and of this one: what nobody asks for any more goes. */
  #before = new Map<JobUid, Rest>();
  #rests = new Map<JobUid, Rest>();
  readonly #standings = new Map<NodeId, NodeStanding>();

  /** Wakes those that may have something to do in this state. */
  look(cluster: ClusterView): void {
    const { touched = null } = cluster;
    const since = touched !== null && touched === this.#log ? touched.since(this.#mark) : null;
    this.#log = touched;
    this.#mark = touched?.mark ?? 0;
    this.#before = this.#rests;
    this.#rests = new Map();
    if (since === null) {
      this.#before.clear();
      this.#standings.clear();
      for (const node of cluster.ledgers.keys()) this.#standings.set(node, standingOf(cluster, node));
      return;
    }
    for (const node of since.nodes) {
      const [before, after] = [this.#standings.get(node), standingOf(cluster, node)];
      this.#standings.set(node, after);
      if (before === undefined || !isSame(before, after)) this.#before.clear();
    }
    for (const task of since.tasks) this.#before.delete(cluster.tasks.get(task)?.jobUid ?? jobUidOf(task) ?? '');
  }

  /** Asked once in each pass, of every job. */
  isResting(job: Job, nowMs: number): boolean {
    const rest = this.#before.get(job.uid);
    if (rest === undefined || rest.job !== job || nowMs >= rest.untilMs) return false;
    this.#rests.set(job.uid, rest);
    return true;
  }

  /** Nothing is to be done of it in the state that was looked at last. `wakeAtMs`: until then; null: until something changes. */
  rest(job: Job, wakeAtMs: number | null): void {
    if (this.#log !== null) this.#rests.set(job.uid, { job, untilMs: wakeAtMs ?? Number.POSITIVE_INFINITY });
  }

  /** When the first of them has something to do by the clock alone; null: none has. */
  firstWakeMs(): number | null {
    let first = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#rests.values()) first = Math.min(first, untilMs);
    return Number.isFinite(first) ? first : null;
  }
}

function standingOf({ nodes, ledgers, epochs }: ClusterView, id: NodeId): NodeStanding {
  const ledger = ledgers.get(id);
  return {
    node: nodes.get(id),
    drain: ledger?.drain,
    eligible: ledger?.eligible,
    unreachableSinceMs: epochs.get(id)?.unreachableSinceMs,
  };
}

/** A drain is read anew with each change of its ledger, so only whether there is one can be told. */
function isSame(a: NodeStanding, b: NodeStanding): boolean {
  return (
    a.node === b.node &&
    (a.drain ?? null) === null &&
    (b.drain ?? null) === null &&
    a.eligible === b.eligible &&
    a.unreachableSinceMs === b.unreachableSinceMs
  );
}
