/**
 * What is there, sorted as Mesos would have it: nodes that it would still know, frameworks that stand and those that are over, and
 * what each of them holds. Made in one go from an inventory; all that is shown is made from it, part by part, when its turn comes.
 */
import type { NodeId } from '../../../shared/domain/ids.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import type { FrameworkItem, Inventory, NodeItem, TaskItem } from '../../services/inventory.ts';
import { nodeIp } from '../translate/addresses.ts';
import {
  ENDED_FRAMEWORKS_MAX,
  type FrameworkFacts,
  factsOf,
  ownFacts,
  type SortedTasks,
  sortTasks,
} from '../translate/state-framework.ts';
import { Holding, holdingsByFramework } from '../translate/state-holdings.ts';
import { reachableNodes } from '../translate/state-slave.ts';
import type { TaskPlace } from '../translate/state-task.ts';

/** The replica that answers, as its callers reach it. */
export interface SceneReplica {
  readonly host: string;
  /** When it began to serve. */
  readonly sinceMs: number;
}

export class Scene {
  readonly inventory: Inventory;
  readonly replica: SceneReplica;
  readonly nodes: readonly NodeItem[];
  readonly #standing: readonly FrameworkItem[];
  readonly #ended: readonly FrameworkItem[];
  readonly #holdings: ReturnType<typeof holdingsByFramework>;
  readonly #sorted = new Map<FrameworkFacts['berthId'], SortedTasks>();
  readonly #places = new Map<NodeId | null, TaskPlace>();

  constructor(inventory: Inventory, replica: SceneReplica) {
    this.inventory = inventory;
    this.replica = replica;
    this.nodes = reachableNodes(inventory);
    this.#holdings = holdingsByFramework(inventory, new Set(this.nodes));
    const { standing = [], ended = [] } = Object.groupBy(inventory.frameworks, (item) =>
      hasEnded(item) ? 'ended' : 'standing',
    );
    this.#standing = standing;
    this.#ended = ended.sort((a, b) => endedAtMs(a) - endedAtMs(b)).slice(-ENDED_FRAMEWORKS_MAX);
  }

  /** Berth's own first. */
  *frameworks(): Generator<FrameworkFacts> {
    yield ownFacts(this.inventory, this.replica);
    for (const item of this.#standing) yield factsOf(item);
  }

  *endedFrameworks(): Generator<FrameworkFacts> {
    for (const item of this.#ended) yield factsOf(item);
  }

  holdingOf({ berthId }: FrameworkFacts): Holding {
    return this.#holdings.get(berthId) ?? new Holding();
  }

  /** Sorted once, however many lists are made of them. */
  sortedTasks({ berthId, tasks }: FrameworkFacts): SortedTasks {
    const known = this.#sorted.get(berthId);
    if (known !== undefined) return known;
    const sorted = sortTasks(tasks, (item) => this.placeOf(item).unreachableSinceMs !== null);
    this.#sorted.set(berthId, sorted);
    return sorted;
  }

  placeOf({ task: { node } }: TaskItem): TaskPlace {
    const known = this.#places.get(node);
    if (known !== undefined) return known;
    const place = this.#placeOn(node);
    this.#places.set(node, place);
    return place;
  }

  #placeOn(id: NodeId | null): TaskPlace {
    const { everyNode, goneNodes } = this.inventory;
    const item = id === null ? undefined : everyNode.get(id);
    const isNodeGone = id !== null && goneNodes.has(id);
    if (item === undefined) return { unreachableSinceMs: null, isNodeGone, ip: null };
    const { node, unreachableSinceMs } = item;
    return {
      unreachableSinceMs,
      isNodeGone,
      ip: nodeIp({ host: node.hostname, address: node.address, attributes: node.attributes }),
    };
  }
}

function hasEnded({ framework, tasks }: FrameworkItem): boolean {
  return framework.teardown !== null && tasks.every(({ task }) => isTerminal(task.state));
}

function endedAtMs({ framework }: FrameworkItem): number {
  return framework.teardown?.atMs ?? 0;
}
