/**
 * Which notices of maintenance come next on one stream to a framework. Level-triggered as the rest of the stream is: a stream begins with
 * all that stand and aren't answered, and after that it is told which nodes to look at again. Decides and does nothing; its only state
 * is what has been told.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { FrameworkId, NodeId, OfferId } from '../../shared/domain/ids.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import { type MaintenanceWindow, noticeDueMs } from '../../shared/domain/maintenance.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import type { FrameworkEvent } from '../../shared/protocol/framework.ts';
import { noticeView } from './maintenance-views.ts';

interface NoticeFacts {
  readonly cluster: ClusterView;
  /** All that the framework holds. */
  readonly offers: ReadonlyMap<OfferId, { readonly node: NodeId }>;
  readonly nowMs: number;
  readonly monotonicMs: number;
}

interface NoticeStep {
  readonly events: readonly FrameworkEvent[];
  /** By the steady clock, when the next one is due; null: only when something changes. */
  readonly wakeAtMs: number | null;
}

interface ToldNotice {
  readonly id: string;
  /** Since when it was due as it was told: it is told again once it is due anew. */
  readonly dueMs: number;
}

export class MaintenanceNotices {
  readonly #framework: FrameworkId;
  readonly #touched = new Set<NodeId>();
  readonly #told = new Map<NodeId, ToldNotice>();
  /** By node, when its notice is due again, by the wall clock. */
  readonly #due = new Map<NodeId, number>();
  #isAllTouched = true;

  constructor(framework: FrameworkId) {
    this.#framework = framework;
  }

  /** The node has another window, or none any more, or the framework has something else there than before. */
  touch(node: NodeId): void {
    this.#touched.add(node);
  }

  hasTold(node: NodeId): boolean {
    return this.#told.has(node);
  }

  /** At most so many events; what is left comes with the next step. */
  step(facts: NoticeFacts, max: number): NoticeStep {
    const { cluster, nowMs, monotonicMs } = facts;
    if (this.#isAllTouched) for (const node of this.#nodesOf(facts)) this.#touched.add(node);
    this.#isAllTouched = false;
    for (const [node, dueMs] of this.#due) if (dueMs <= nowMs) this.#touched.add(node);
    const events: FrameworkEvent[] = [];
    for (const node of this.#touched) {
      if (events.length >= max) break;
      this.#touched.delete(node);
      this.#due.delete(node);
      events.push(...this.#newsOf(cluster, node, nowMs));
    }
    const next = [...this.#due.values()].reduce((first, dueMs) => Math.min(first, dueMs), Number.POSITIVE_INFINITY);
    return { events, wakeAtMs: next === Number.POSITIVE_INFINITY ? null : monotonicMs + (next - nowMs) };
  }

  /** Where it has something to lose. */
  #nodesOf({ cluster, offers }: NoticeFacts): Iterable<NodeId> {
    if (cluster.maintenance.size === 0) return [];
    const nodes = new Set([...offers.values()].map(({ node }) => node));
    for (const { node, state } of cluster.tasksOfFramework(this.#framework)) {
      if (node !== null && !isTerminal(state)) nodes.add(node);
    }
    return nodes;
  }

  #newsOf(cluster: ClusterView, node: NodeId, nowMs: number): FrameworkEvent[] {
    const window = cluster.maintenance.get(node);
    const events: FrameworkEvent[] = [];
    const told = this.#told.get(node);
    if (told !== undefined && told.id !== window?.id) {
      events.push({ type: 'maintenance-over', notice: told.id });
      this.#told.delete(node);
    }
    const ledger = cluster.ledgers.get(node);
    if (window === undefined || ledger === undefined || !isOn(ledger, this.#framework)) return events;
    return [...events, ...this.#noticeOf(cluster, window, nowMs)];
  }

  #noticeOf(cluster: ClusterView, window: MaintenanceWindow, nowMs: number): FrameworkEvent[] {
    const { id, node } = window;
    const dueMs = noticeDueMs(window, this.#framework, nowMs);
    if (dueMs > nowMs) {
      if (dueMs < Number.POSITIVE_INFINITY) this.#due.set(node, dueMs);
      return [];
    }
    const told = this.#told.get(node);
    if (told?.id === id && told.dueMs === dueMs) return [];
    this.#told.set(node, { id, dueMs });
    return [{ type: 'maintenance', notice: noticeView(cluster, window) }];
  }
}

function isOn({ entries, offers }: Ledger, framework: FrameworkId): boolean {
  return [entries, offers].some((held) => Object.values(held).some((one) => one.framework === framework));
}
