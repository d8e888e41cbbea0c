/**
 * Everything there is at one moment, for whoever writes it out over many turns of the event loop. Records never change, they are
 * replaced; so those that are picked up here in one go stay of one revision, however far the mirror moves on meanwhile. Only what is
 * picked up may be used later: a look into the mirror then would be one into another moment.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, NodeId, RolePath } from '../../shared/domain/ids.ts';
import type { JobSpec } from '../../shared/domain/job.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { Node } from '../../shared/domain/node.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import type { Role } from '../../shared/domain/role.ts';
import type { Settings } from '../../shared/domain/settings.ts';
import type { Task, TaskTemplate } from '../../shared/domain/task.ts';
import type { NodeView } from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import { byText } from '../../shared/util/order.ts';
import { authorize } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { demandAny, mayRead, taskResource } from './access.ts';
import type { ServiceContext } from './context.ts';
import { maySee } from './framework-access.ts';
import { maySeeOffer } from './held-offers.ts';
import { nodeState } from './views.ts';

export interface Moment {
  readonly clusterId: string;
  readonly nowMs: number;
}

export interface NodeItem {
  readonly node: Node;
  readonly ledger: Ledger;
  readonly state: NodeView['state'];
  /** Since when it counts as unreachable; null: it is heard of, or has only just fallen silent. */
  readonly unreachableSinceMs: number | null;
}

export interface TaskItem {
  readonly task: Task;
  /** What its job was at the task's version; null: it is a framework's, or the version is on record no more. */
  readonly spec: JobSpec | null;
}

export interface FrameworkItem {
  readonly framework: Framework;
  readonly isConnected: boolean;
  readonly tasks: readonly TaskItem[];
}

export interface Inventory extends Moment {
  /** Null: the principal may not read them. */
  readonly settings: Settings | null;
  /** Those that something is set for and that the principal may read. */
  readonly roles: readonly Role[];
  /** Empty where the principal may not read nodes. */
  readonly nodes: readonly NodeItem[];
  /** Those that were declared gone. */
  readonly goneNodes: ReadonlySet<NodeId>;
  /** Also those that the principal may not read: for sums over all, and for what is told with a task of where it runs. */
  readonly everyNode: ReadonlyMap<NodeId, NodeItem>;
  /** By id. Tasks of frameworks that aren't seen are not seen either. */
  readonly frameworks: readonly FrameworkItem[];
  readonly tasksOfJobs: readonly TaskItem[];
  readonly maySeeOffer: (offer: Offer) => boolean;
  readonly maySeeTasksOf: (role: RolePath) => boolean;
  readonly maySeeReservationsOf: (role: RolePath) => boolean;
}

/** What the principal may see; what it may not is left out, as lists do. */
export function takeInventory(ctx: ServiceContext, principal: Principal): Inventory {
  return pickUp(ctx.mirror.snapshot, momentOf(ctx), sightOf(principal));
}

/** For whoever reads what it comes to as numbers: the nodes, and of what is on them what is in roles that the token reaches. */
export function takeCountedInventory(ctx: ServiceContext, principal: Principal): Inventory {
  demandAny(principal, 'metrics:read');
  const counts = byRole((role) => mayRead(principal, 'metrics:read', role));
  return pickUp(ctx.mirror.snapshot, momentOf(ctx), {
    ...EVERYTHING,
    task: (task) => counts(task.role) || mayRead(principal, 'metrics:read', task.role, taskResource(task)),
    tasksOf: counts,
    reservationsOf: counts,
    role: counts,
    framework: ({ roles }) => roles.some(counts),
    offer: ({ role }) => counts(role),
  });
}

function momentOf({ mirror, clock }: ServiceContext): Moment {
  return { clusterId: present(mirror.snapshot.cluster, 'the cluster record').id, nowMs: clock.now() };
}

/** What a task is made from; null where that is on record no more. */
export function templateOfItem({ task, spec }: TaskItem): Pick<TaskTemplate, 'group'> | null {
  if (task.template !== null) return task.template;
  const group = spec?.groups.find(({ name }) => name === task.group);
  return group === undefined ? null : { group };
}

/** What somebody may see. */
export interface Sight {
  readonly nodes: boolean;
  readonly settings: boolean;
  readonly task: (task: Task) => boolean;
  /** All tasks of the role, also as sums. */
  readonly tasksOf: (role: RolePath) => boolean;
  readonly reservationsOf: (role: RolePath) => boolean;
  readonly role: (role: RolePath) => boolean;
  readonly framework: (framework: Framework) => boolean;
  readonly offer: (offer: Offer, framework: Framework | undefined) => boolean;
}

const always = () => true;

export const EVERYTHING: Sight = {
  nodes: true,
  settings: true,
  task: always,
  tasksOf: always,
  reservationsOf: always,
  role: always,
  framework: always,
  offer: always,
};

export function sightOf(principal: Principal): Sight {
  const tasksOf = byRole((role) => mayRead(principal, 'task:read', role));
  return {
    nodes: authorize(principal, 'node:read', null).allowed,
    settings: authorize(principal, 'settings:read', null).allowed,
    task: (task) => tasksOf(task.role) || mayRead(principal, 'task:read', task.role, taskResource(task)),
    tasksOf,
    reservationsOf: byRole((role) => mayRead(principal, 'reservation:read', role)),
    role: (role) => mayRead(principal, 'role:read', role),
    framework: (framework) => maySee(principal, framework),
    offer: (offer, framework) => maySeeOffer(principal, offer, framework),
  };
}

/** Roles are few beside tasks. */
function byRole(judge: (role: RolePath) => boolean): (role: RolePath) => boolean {
  const known = new Map<RolePath, boolean>();
  return (role) => {
    const verdict = known.get(role) ?? judge(role);
    known.set(role, verdict);
    return verdict;
  };
}

/** What of the state is within sight. Looks at each record once, so that even a large state takes some milliseconds only. */
export function pickUp(cluster: ClusterView, moment: Moment, sight: Sight): Inventory {
  const nodes = nodeItems(cluster);
  const tasks = taskItems(cluster, sight);
  const seen = [...cluster.frameworks.values()].filter(sight.framework);
  const known = new Map(seen.map((framework) => [framework.id, framework]));
  return {
    ...moment,
    settings: sight.settings ? cluster.settings : null,
    roles: [...cluster.roles.values()].filter(({ path }) => sight.role(path)),
    nodes: sight.nodes ? nodes : [],
    goneNodes: new Set([...cluster.epochs].flatMap(([id, { gone }]) => (gone === undefined ? [] : [id]))),
    everyNode: new Map(nodes.map((item) => [item.node.id, item])),
    frameworks: seen
      .map((framework) => ({
        framework,
        isConnected: cluster.isConnected(framework.id),
        tasks: tasks.get(framework.id) ?? [],
      }))
      .sort((a, b) => byText(a.framework.id, b.framework.id)),
    tasksOfJobs: tasks.get(null) ?? [],
    maySeeOffer: (offer) => sight.offer(offer, known.get(offer.framework)),
    maySeeTasksOf: sight.tasksOf,
    maySeeReservationsOf: sight.reservationsOf,
  };
}

function nodeItems(cluster: ClusterView): NodeItem[] {
  return [...cluster.nodes.keys()].flatMap((id) => nodeItem(cluster, id) ?? []);
}

/** Null: there is none of that id. */
export function nodeItem(cluster: ClusterView, id: NodeId): NodeItem | null {
  const [node, ledger] = [cluster.nodes.get(id), cluster.ledgers.get(id)];
  if (node === undefined || ledger === undefined) return null;
  const unreachableSinceMs = cluster.isAlive(id) ? null : (cluster.epochs.get(id)?.unreachableSinceMs ?? null);
  return { node, ledger, state: nodeState(cluster, ledger), unreachableSinceMs };
}

/** By framework, and those of jobs under null. */
function taskItems(cluster: ClusterView, { task: isSeen }: Sight): ReadonlyMap<FrameworkId | null, TaskItem[]> {
  const items = new Map<FrameworkId | null, TaskItem[]>();
  for (const task of cluster.tasks.values()) {
    if (!isSeen(task)) continue;
    const owner = task.framework?.id ?? null;
    const item = taskItem(cluster, task);
    const others = items.get(owner);
    if (others === undefined) items.set(owner, [item]);
    else others.push(item);
  }
  return items;
}

export function taskItem(cluster: ClusterView, task: Task): TaskItem {
  const spec = task.framework === null ? (cluster.version(task.jobUid, task.jobVersion)?.spec ?? null) : null;
  return { task, spec };
}
