/** What a round needs to know of a node beside its ledger: whether it takes new tasks, and which of its tasks have ended. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { TaskId } from '../../shared/domain/ids.ts';
import { isOpen, type Ledger } from '../../shared/domain/ledger.ts';
import { isRunning } from '../../shared/domain/maintenance.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';
import type { LedgerSums } from './ledger-sums.ts';

export interface NodeStanding {
  readonly row: LedgerSums;
  readonly isJoined: boolean;
  /** It takes new tasks. */
  readonly isOpen: boolean;
  /** Tasks that hold places there, though they have ended; in the order of their ids. */
  readonly ended: readonly TaskId[];
}

/** `before` itself where nothing has changed. */
export function standingOf(
  cluster: OpennessView & Pick<ClusterView, 'tasks'>,
  { row, nowMs }: { readonly row: LedgerSums; readonly nowMs: number },
  before: NodeStanding | undefined,
): NodeStanding {
  const { ledger } = row;
  const isJoined = cluster.nodes.has(ledger.node);
  const isNowOpen = isNodeOpen(cluster, ledger, nowMs);
  const ended = endedTasks(cluster, ledger);
  const isSame = before?.row === row && before.isJoined === isJoined && before.isOpen === isNowOpen;
  if (isSame && sameIds(before.ended, ended)) return before;
  return { row, isJoined, isOpen: isNowOpen, ended };
}

type OpennessView = Pick<ClusterView, 'nodes' | 'epochs' | 'maintenance' | 'isAlive'>;

/** Whether the node takes new tasks at all. */
export function isNodeOpen(cluster: OpennessView, ledger: Ledger, nowMs: number): boolean {
  const { node } = ledger;
  if (!isOpen(ledger) || !cluster.nodes.has(node) || !cluster.isAlive(node)) return false;
  if (isRunning(cluster.maintenance.get(node), nowMs)) return false;
  return cluster.epochs.get(node)?.ahead === undefined;
}

const NONE: readonly TaskId[] = [];

/** A disowned entry stays, whatever its task says, until the agent confirms that nothing of it runs. */
function endedTasks(cluster: Pick<ClusterView, 'tasks'>, ledger: Ledger): readonly TaskId[] {
  const ended: TaskId[] = [];
  for (const id in ledger.entries) {
    if (ledger.entries[id]?.disowned !== false) continue;
    const task = cluster.tasks.get(id);
    if (task === undefined || isTerminal(task.state)) ended.push(id);
  }
  return ended.length === 0 ? NONE : ended.sort(byText);
}

function sameIds(a: readonly TaskId[], b: readonly TaskId[]): boolean {
  return a.length === b.length && a.every((id, at) => id === b[at]);
}
