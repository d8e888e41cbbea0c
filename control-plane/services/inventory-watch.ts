/**
 * What there is, and from that very moment on what becomes different of it: of nodes that are heard of, of frameworks and of tasks that
 * have a place. Taken up in one go, so that nothing is told twice and nothing falls between. A reader that is too slow is cut off, and
 * so is everybody when the mirror had to list again: the next inventory says it all.
 */
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, NodeId } from '../../shared/domain/ids.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { Principal } from '../auth/principal.ts';
import type { Change, ChangeOf } from '../store/snapshot.ts';
import type { ServiceContext } from './context.ts';
import {
  type FrameworkItem,
  type Inventory,
  type NodeItem,
  nodeItem,
  type Sight,
  sightOf,
  type TaskItem,
  takeInventory,
  taskItem,
} from './inventory.ts';

export interface TaskChange {
  readonly item: TaskItem;
  /** Null: it is of a job. */
  readonly framework: Framework | null;
  /** Null: the task's node is on record no more. */
  readonly node: NodeItem | null;
  readonly isNodeGone: boolean;
}

export type InventoryChange =
  | { readonly type: 'node-added'; readonly node: NodeItem }
  | { readonly type: 'node-removed'; readonly node: NodeId }
  | { readonly type: 'framework-added' | 'framework-changed'; readonly framework: Omit<FrameworkItem, 'tasks'> }
  | { readonly type: 'framework-removed'; readonly framework: Framework }
  | { readonly type: 'task-added' | 'task-changed'; readonly change: TaskChange };

export interface WatchedInventory {
  readonly inventory: Inventory;
  /** Ends with the signal, or when this reader is cut off. */
  readonly changes: AsyncGenerator<readonly InventoryChange[], void>;
}

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** A reader that is more changes behind is cut off. */
  readonly behindMax?: number;
}

const CHANGES_BEHIND_MAX = 20_000;

export function watchInventory(ctx: ServiceContext, principal: Principal, options: WatchOptions): WatchedInventory {
  const inventory = takeInventory(ctx, principal);
  const tracker = new Tracker(ctx, sightOf(principal), inventory);
  return { inventory, changes: follow(ctx, tracker, options) };
}

/** Listens from the call on, whenever its first change is asked for. */
function follow(
  { mirror }: ServiceContext,
  tracker: Tracker,
  { signal, behindMax = CHANGES_BEHIND_MAX }: WatchOptions,
): AsyncGenerator<readonly InventoryChange[], void> {
  let queue: InventoryChange[] = [];
  let isCutOff = signal.aborted;
  let wake = () => {};
  const unsubscribe = mirror.subscribe((changes, _revision, reset) => {
    if (isCutOff) return;
    const told = reset ? [] : tracker.changesOf(changes);
    if (reset || queue.length + told.length > behindMax) end();
    queue.push(...(isCutOff ? [] : told));
    wake();
  });
  const end = () => {
    isCutOff = true;
    queue = [];
    unsubscribe();
    wake();
  };
  if (isCutOff) unsubscribe();
  signal.addEventListener('abort', end, { once: true });
  return (async function* () {
    try {
      for (;;) {
        if (isCutOff) return;
        if (queue.length > 0) yield queue.splice(0);
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      signal.removeEventListener('abort', end);
      end();
    }
  })();
}

/** Knows what its reader knows of, and so what a change of a record is to it. */
class Tracker {
  readonly #ctx: ServiceContext;
  readonly #sight: Sight;
  readonly #nodes: Set<NodeId>;
  readonly #frameworks: Map<FrameworkId, Framework>;

  constructor(ctx: ServiceContext, sight: Sight, { nodes, frameworks }: Inventory) {
    this.#ctx = ctx;
    this.#sight = sight;
    this.#nodes = new Set(nodes.filter(isHeardOf).map(({ node }) => node.id));
    this.#frameworks = new Map(
      frameworks
        .filter(({ framework }) => framework.teardown === null)
        .map(({ framework }) => [framework.id, framework]),
    );
  }

  /** What was added before what is in it, and what was removed after. */
  changesOf(changes: readonly Change[]): InventoryChange[] {
    const nodes = touched(changes, NODE_KINDS).flatMap((id) => this.#nodeChange(id));
    const frameworks = touched(changes, FRAMEWORK_KINDS).flatMap((id) => this.#frameworkChange(id));
    const tasks = changes.flatMap((change) => (change.kind === 'tasks' ? this.#taskChange(change) : []));
    const away = nodes.flatMap((change) => this.#tasksOf(change));
    const isEnd = ({ type }: InventoryChange) => type === 'node-removed' || type === 'framework-removed';
    const all = [...nodes, ...frameworks];
    return [...all.filter((change) => !isEnd(change)), ...tasks, ...away, ...all.filter(isEnd)];
  }

  #nodeChange(id: NodeId): InventoryChange[] {
    if (!this.#sight.nodes) return [];
    const node = nodeItem(this.#ctx.mirror.snapshot, id);
    const isThere = node !== null && isHeardOf(node);
    if (isThere === this.#nodes.has(id)) return [];
    if (isThere) {
      this.#nodes.add(id);
      return [{ type: 'node-added', node }];
    }
    this.#nodes.delete(id);
    return [{ type: 'node-removed', node: id }];
  }

  #frameworkChange(id: FrameworkId): InventoryChange[] {
    const { snapshot } = this.#ctx.mirror;
    const framework = snapshot.frameworks.get(id);
    const before = this.#frameworks.get(id);
    if (framework === undefined || framework.teardown !== null || !this.#sight.framework(framework)) {
      this.#frameworks.delete(id);
      return before === undefined ? [] : [{ type: 'framework-removed', framework: framework ?? before }];
    }
    this.#frameworks.set(id, framework);
    const type = before === undefined ? 'framework-added' : 'framework-changed';
    return [{ type, framework: { framework, isConnected: snapshot.isConnected(id) } }];
  }

  #taskChange({ before, after }: ChangeOf<'tasks'>): InventoryChange[] {
    if (after === null || after.node === null || !isNews(before, after)) return [];
    const change = this.#sighted(after);
    if (change === null) return [];
    return [{ type: before === null || before.node === null ? 'task-added' : 'task-changed', change }];
  }

  /** Those on a node that has fallen silent, or is heard of again, aren't what they were, though their records are. */
  #tasksOf(change: InventoryChange): InventoryChange[] {
    if (change.type !== 'node-added' && change.type !== 'node-removed') return [];
    const id = change.type === 'node-added' ? change.node.node.id : change.node;
    const live = [...this.#ctx.mirror.snapshot.tasksOnNode(id)].filter(({ state }) => !isTerminal(state));
    return live.flatMap((task) => {
      const sighted = this.#sighted(task);
      return sighted === null ? [] : [{ type: 'task-changed', change: sighted } as const];
    });
  }

  /** Null: the reader may not see it. */
  #sighted(task: Task): TaskChange | null {
    const { snapshot } = this.#ctx.mirror;
    const owner = task.framework === null ? null : (snapshot.frameworks.get(task.framework.id) ?? null);
    if (!this.#sight.task(task)) return null;
    if (task.framework !== null && (owner === null || !this.#sight.framework(owner))) return null;
    return {
      item: taskItem(snapshot, task),
      framework: owner,
      node: task.node === null ? null : nodeItem(snapshot, task.node),
      isNodeGone: task.node !== null && snapshot.epochs.get(task.node)?.gone !== undefined,
    };
  }
}

const NODE_KINDS: ReadonlySet<Change['kind']> = new Set(['nodes', 'ledger', 'alive', 'epochs']);
const FRAMEWORK_KINDS: ReadonlySet<Change['kind']> = new Set(['frameworks', 'connections']);

function touched(changes: readonly Change[], kinds: ReadonlySet<Change['kind']>): string[] {
  return [...new Set(changes.filter(({ kind }) => kinds.has(kind)).map(({ id }) => id))];
}

function isHeardOf({ unreachableSinceMs }: NodeItem): boolean {
  return unreachableSinceMs === null;
}

/** A step of its life, or that its end was asked for. What is only for the books is neither. */
function isNews(before: Task | null, after: Task): boolean {
  if (before === null || before.node !== after.node || before.history.length !== after.history.length) return true;
  return before.stop === null && after.stop !== null;
}
