/**
 * What is left of each node while a round is being planned. It starts as what the ledgers say, less what the round sweeps,
 * and only ever shrinks from there: a node that has refused a task won't take it later in the same round.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import {
  entryBytesMax,
  freeResources,
  type Ledger,
  removeEntries,
  type TaskEntry,
  TEMPLATES_BYTES_MAX,
} from '../../shared/domain/ledger.ts';
import type { Node } from '../../shared/domain/node.ts';
import { countPorts, type Resources, subtractResources } from '../../shared/domain/resources.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import { byText } from '../../shared/util/order.ts';
import { groupKey, type Template, templateKey } from './demand.ts';
import type { Sweep } from './plan.ts';

export interface Room {
  readonly id: NodeId;
  readonly node: Node;
  /** After the sweep, before any placement of this round. */
  readonly ledger: Ledger;
  readonly alive: boolean;
  /** Its agent has seen a later state than this one. */
  readonly ahead: boolean;
  readonly free: Resources;
  readonly freePorts: number;
  readonly entries: number;
  /** What the entries take in the ledger, at the most. */
  readonly bytes: number;
  /** What the templates of all its tasks take, each once, with this one beside them; or more, as long as it is not too much. */
  templateBytesWith(template: Template): number;
  /** How many tasks of the group with this key hold a place here, of all versions of the job. */
  tasksOf(group: string): number;
  /** Gives the entry its place. The caller has asked the filters. */
  occupy(entry: TaskEntry): void;
}

/** Every node that has both joined and a ledger, in the order of their ids, with the swept entries gone. */
export function roomsOf(cluster: ClusterView, sweeps: readonly Sweep[]): Room[] {
  const swept = new Map(sweeps.map(({ node, tasks }) => [node, tasks]));
  return [...cluster.ledgers.values()]
    .sort((a, b) => byText(a.node, b.node))
    .flatMap((ledger) => {
      const node = cluster.nodes.get(ledger.node);
      if (node === undefined) return [];
      const left = removeEntries(ledger, swept.get(ledger.node) ?? []);
      const ahead = cluster.epochs.get(node.id)?.ahead !== undefined;
      return [new LedgerRoom(node, left, { alive: cluster.isAlive(node.id), ahead })];
    });
}

/** The node as it would be with another ledger. */
export function roomWith({ node, alive, ahead }: Room, ledger: Ledger): Room {
  return new LedgerRoom(node, ledger, { alive, ahead });
}

/** What gives its resources back: the entries of tasks that have ended, on every node. */
export function planSweeps(cluster: ClusterView): Sweep[] {
  return [...cluster.ledgers.values()]
    .map((ledger) => ({ node: ledger.node, tasks: endedTasks(cluster, ledger) }))
    .filter((sweep) => sweep.tasks.length > 0)
    .sort((a, b) => byText(a.node, b.node));
}

/** A disowned entry stays, whatever its task says, until the agent confirms that nothing of it runs. */
function endedTasks(cluster: ClusterView, ledger: Ledger): string[] {
  return Object.values(ledger.entries)
    .filter((entry) => {
      if (entry.disowned) return false;
      const task = cluster.tasks.get(entry.task);
      return task === undefined || isTerminal(task.state);
    })
    .map((entry) => entry.task)
    .sort(byText);
}

class LedgerRoom implements Room {
  readonly node: Node;
  readonly ledger: Ledger;
  readonly alive: boolean;
  readonly ahead: boolean;
  free: Resources;
  freePorts: number;
  entries: number;
  bytes: number;
  readonly #templates: HeldTemplates;
  /** Counted when it is first asked for: only jobs that spread want to know. */
  #tasksByGroup: Map<string, number> | null = null;

  constructor(node: Node, ledger: Ledger, { alive, ahead }: Pick<Room, 'alive' | 'ahead'>) {
    this.node = node;
    this.ledger = ledger;
    this.alive = alive;
    this.ahead = ahead;
    this.free = freeResources(ledger);
    this.freePorts = countPorts(this.free.ports);
    const entries = Object.values(ledger.entries);
    this.entries = entries.length;
    this.bytes = entries.reduce((sum, entry) => sum + entryBytesMax(entry), 0);
    this.#templates = new HeldTemplates(entries);
  }

  get id(): NodeId {
    return this.ledger.node;
  }

  tasksOf(group: string): number {
    this.#tasksByGroup ??= countByGroup(this.ledger);
    return this.#tasksByGroup.get(group) ?? 0;
  }

  templateBytesWith(template: Template): number {
    return this.#templates.bytesWith(template);
  }

  occupy(entry: TaskEntry): void {
    this.free = subtractResources(this.free, entry.resources);
    this.freePorts -= countPorts(entry.resources.ports);
    this.entries += 1;
    this.bytes += entryBytesMax(entry);
    this.#templates.add(entry);
    this.#tasksByGroup ??= countByGroup(this.ledger);
    const key = groupKey(entry.jobUid, entry.group);
    this.#tasksByGroup.set(key, (this.#tasksByGroup.get(key) ?? 0) + 1);
  }
}

/** The templates of a node's tasks. Nearly always even all tasks together stay below the bound, and nothing needs telling apart. */
class HeldTemplates {
  readonly #entries: TaskEntry[];
  /** As if no two tasks shared a template. */
  #bytesAtMost: number;
  /** Made when it is first needed. */
  #distinct: { readonly keys: Set<string>; bytes: number } | null = null;

  constructor(entries: readonly TaskEntry[]) {
    this.#entries = [...entries];
    this.#bytesAtMost = entries.reduce((sum, entry) => sum + entry.templateBytes, 0);
  }

  bytesWith({ key, bytes }: Template): number {
    const atMost = this.#bytesAtMost + bytes;
    if (atMost <= TEMPLATES_BYTES_MAX) return atMost;
    const distinct = this.#tellApart();
    return distinct.keys.has(key) ? distinct.bytes : distinct.bytes + bytes;
  }

  add(entry: TaskEntry): void {
    this.#entries.push(entry);
    this.#bytesAtMost += entry.templateBytes;
    if (this.#distinct !== null) count(this.#distinct, entry);
  }

  #tellApart(): { readonly keys: Set<string>; bytes: number } {
    if (this.#distinct !== null) return this.#distinct;
    const distinct = { keys: new Set<string>(), bytes: 0 };
    for (const entry of this.#entries) count(distinct, entry);
    this.#distinct = distinct;
    return distinct;
  }
}

function count(distinct: { readonly keys: Set<string>; bytes: number }, entry: TaskEntry): void {
  const key = keyOf(entry);
  if (distinct.keys.has(key)) return;
  distinct.keys.add(key);
  distinct.bytes += entry.templateBytes;
}

function keyOf({ jobUid, jobVersion, group }: TaskEntry): string {
  return templateKey(jobUid, jobVersion, group);
}

function countByGroup(ledger: Ledger): Map<string, number> {
  const counts = new Map<string, number>();
  for (const entry of Object.values(ledger.entries)) {
    const key = groupKey(entry.jobUid, entry.group);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}
