/** Where the other tasks of a task's group are reached: what it is told when it is placed, to find those that it works with. */
import { type ClusterView, templateOf } from '../../shared/domain/cluster.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';

/** They stand in the assignment and in each task's environment. */
export const PEERS_MAX = 100;

/**
 * As `host:port` of the group's first port, by their indexes, for tasks that are about to be started; made once for each group that has
 * some. Nobody else needs them: a task knows what it was told when it began.
 */
export class Peers {
  readonly #cluster: ClusterView;
  readonly #byGroup = new Map<string, readonly Peer[]>();

  constructor(cluster: ClusterView) {
    this.#cluster = cluster;
  }

  of(task: Task): readonly string[] {
    if (task.state !== 'staging' || templateOf(this.#cluster, task)?.group.ports.length === 0) return [];
    const others = this.#ofGroup(task).filter(({ id }) => id !== task.id);
    return others.slice(0, PEERS_MAX).map(({ address }) => address);
  }

  #ofGroup({ jobUid, group }: Task): readonly Peer[] {
    const key = `${jobUid}/${group}`;
    const known = this.#byGroup.get(key);
    if (known !== undefined) return known;
    const live = [...this.#cluster.tasksOfJob(jobUid)].filter(
      (task) => task.group === group && task.node !== null && task.stop === null && !isTerminal(task.state),
    );
    const peers = live.sort(byPlace).flatMap((task) => peerOf(this.#cluster, task));
    this.#byGroup.set(key, peers);
    return peers;
  }
}

interface Peer {
  readonly id: string;
  readonly address: string;
}

function peerOf(cluster: ClusterView, task: Task): Peer[] {
  const name = templateOf(cluster, task)?.group.ports[0]?.name;
  const port = name === undefined || !Object.hasOwn(task.ports, name) ? undefined : task.ports[name];
  const node = task.node === null ? undefined : cluster.nodes.get(task.node);
  if (port === undefined || node === undefined) return [];
  const host = node.address ?? node.hostname;
  return [{ id: task.id, address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}` }];
}

function byPlace(a: Task, b: Task): number {
  return a.index - b.index || (a.id < b.id ? -1 : 1);
}
