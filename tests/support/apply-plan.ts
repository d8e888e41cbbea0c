/** What the store would hold once a plan has been committed: for tests that look at more than one round or pass. */

import type { Forgettable, PassAction, PassPlan } from '../../control-plane/reconcile/actions.ts';
import type { RoundPlan } from '../../control-plane/scheduler/plan.ts';
import { sweptLedger } from '../../control-plane/scheduler/room.ts';
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import { addEntries, addOffers, type Ledger, markStop, removeEntries } from '../../shared/domain/ledger.ts';
import { withStaticReservations } from '../../shared/domain/static-reservations.ts';
import { advance, isTerminal, type Task } from '../../shared/domain/task.ts';
import { present, unreachable } from '../../shared/util/assert.ts';
import { type ClusterLiteral, clusterOf } from './builders.ts';

/** The cluster as a literal again, so that a test can change it and build the next one. */
export function literalOf(cluster: ClusterView): Required<ClusterLiteral> {
  return {
    revision: cluster.revision,
    nodes: [...cluster.nodes.values()],
    ledgers: [...cluster.ledgers.values()],
    epochs: Object.fromEntries(cluster.epochs),
    dead: [...cluster.ledgers.keys()].filter((node) => !cluster.isAlive(node)),
    jobs: [...cluster.jobs.values()],
    versions: [...cluster.jobs.keys()].flatMap((uid) => [...cluster.versionsOfJob(uid)]),
    tasks: [...cluster.tasks.values()],
    deployments: [...cluster.deployments.values()],
    imageFetches: [...cluster.nodes.keys()].flatMap((node) => [...cluster.imageFetchesOn(node)]),
    maintenance: [...cluster.maintenance.values()],
    operations: [...cluster.frameworks.keys()].flatMap((id) => [...cluster.operationsOf(id)]),
    frameworks: [...cluster.frameworks.values()],
    disconnected: [...cluster.frameworks.keys()].filter((id) => !cluster.isConnected(id)),
    roles: [...cluster.roles.values()],
    settings: cluster.settings,
    incarnation: cluster.incarnation,
    roundNumber: cluster.roundNumber,
  };
}

export function applyRound(cluster: ClusterView, plan: RoundPlan, nowMs: number): ClusterView {
  const literal = literalOf(cluster);
  const swept = new Map(plan.sweeps.map((sweep) => [sweep.node, sweep]));
  const placed = new Map(plan.placements.map((placement) => [placement.task, placement]));
  const entries = Map.groupBy(plan.placements, ({ node }) => node);
  const offers = Map.groupBy(plan.offers, ({ node }) => node);
  const stops = new Map(plan.stops.map(({ task, stop }) => [task, stop]));
  const marked = (ledger: Ledger) =>
    plan.stops.reduce(
      (left, { task, stop: { atMs, reason } }) => markStop(left, task, { atMs, graceMs: 0, reason }),
      ledger,
    );
  return clusterOf({
    ...literal,
    roundNumber: literal.roundNumber + 1,
    ledgers: literal.ledgers.map((ledger) =>
      addOffers(
        addEntries(
          marked(sweptLedger(ledger, swept.get(ledger.node))),
          (entries.get(ledger.node) ?? []).map(({ entry }) => entry),
        ),
        (offers.get(ledger.node) ?? []).map(({ offer }) => offer),
      ),
    ),
    tasks: literal.tasks.map((task) => {
      const stop = stops.get(task.id);
      if (stop !== undefined) return { ...task, stop };
      const placement = placed.get(task.id);
      if (placement === undefined) return task;
      const { node, why, entry } = placement;
      return advance(
        task,
        { state: 'staging', atMs: nowMs, reason: 'placed', message: why },
        { node, ports: entry.ports },
      );
    }),
  });
}

export function applyPass(cluster: ClusterView, plan: PassPlan): ClusterView {
  return plan.actions.reduce(applyAction, cluster);
}

function applyAction(cluster: ClusterView, action: PassAction): ClusterView {
  const literal = literalOf(cluster);
  switch (action.type) {
    case 'create-tasks':
      return clusterOf({ ...literal, tasks: [...literal.tasks, ...action.tasks] });
    case 'stop-task':
      return stopTask(cluster, action);
    case 'conclude-job':
      return clusterOf({
        ...literal,
        jobs: literal.jobs.map((job) => (job.uid === action.job ? { ...job, outcome: action.outcome } : job)),
      });
    case 'put-deployment':
    case 'put-image-fetch':
    case 'remove-image-fetch':
      return applyRollout(cluster, action);
    case 'clear-node':
      return clearNode(cluster, action);
    case 'remove-job':
      return clusterOf({ ...literal, jobs: literal.jobs.filter((job) => job.uid !== action.job) });
    case 'mark-unreachable':
    case 'mark-reachable': {
      const epoch = present(cluster.epochs.get(action.node), `epoch of ${action.node}`);
      const unreachableSinceMs = action.type === 'mark-unreachable' ? action.sinceMs : null;
      return clusterOf({ ...literal, epochs: { ...literal.epochs, [action.node]: { ...epoch, unreachableSinceMs } } });
    }
    case 'give-up-tasks':
      return giveUp(cluster, action);
    case 'lose-tasks': {
      const { atMs, message } = action;
      const lost = action.tasks.map((id) =>
        advance(present(cluster.tasks.get(id), `task ${id}`), {
          state: 'lost',
          atMs,
          reason: 'state-restored',
          message,
        }),
      );
      return clusterOf(replaceTasks(literal, lost));
    }
    case 'set-reservations':
      return setReservations(cluster, action);
    case 'begin-maintenance': {
      const begun = literal.maintenance.map((window) =>
        window.id === action.window ? { ...window, begunAtMs: action.atMs } : window,
      );
      const emptied = literal.ledgers.map((one) => (one.node === action.node ? { ...one, offers: {} } : one));
      return clusterOf({ ...literal, maintenance: begun, ledgers: emptied });
    }
    case 'end-maintenance':
      return clusterOf({ ...literal, maintenance: literal.maintenance.filter(({ id }) => id !== action.window) });
    case 'mark-disconnected':
      return changeFramework(cluster, action.framework, { disconnectedSinceMs: action.sinceMs });
    case 'mark-connected':
      return changeFramework(cluster, action.framework, { disconnectedSinceMs: null });
    case 'tear-down':
      return changeFramework(cluster, action.framework, { teardown: action.stop });
    case 'forget':
      return forget(cluster, action.records);
    default:
      return unreachable(action);
  }
}

function stopTask(cluster: ClusterView, { task: id, stop }: Extract<PassAction, { type: 'stop-task' }>): ClusterView {
  const literal = literalOf(cluster);
  const { atMs, reason } = stop;
  const task = present(cluster.tasks.get(id), `task ${id}`);
  const killed = { state: 'killed', atMs, reason: 'stop-requested', message: reason } as const;
  const stopped = task.state === 'pending' ? advance(task, killed, { stop }) : { ...task, stop };
  return clusterOf({
    ...replaceTasks(literal, [stopped]),
    ledgers: literal.ledgers.map((ledger) => markStop(ledger, id, { atMs, graceMs: 0, reason })),
  });
}

type RolloutAction = Extract<
  PassAction,
  { readonly type: 'put-deployment' | 'put-image-fetch' | 'remove-image-fetch' }
>;

function applyRollout(cluster: ClusterView, action: RolloutAction): ClusterView {
  const literal = literalOf(cluster);
  const fetches = literal.imageFetches;
  if (action.type === 'put-image-fetch') return clusterOf({ ...literal, imageFetches: [...fetches, action.fetch] });
  if (action.type === 'remove-image-fetch') {
    const { node, image } = action;
    return clusterOf({ ...literal, imageFetches: fetches.filter((one) => one.node !== node || one.image !== image) });
  }
  const { deployment, job: after, revert } = action;
  const others = literal.deployments.filter(({ id }) => id !== deployment.id);
  return clusterOf({
    ...literal,
    deployments: [...others, deployment, ...(revert === undefined ? [] : [revert.next])],
    versions: [...literal.versions, ...(revert === undefined ? [] : [revert.version])],
    jobs: literal.jobs.map((job) => (job.uid === after?.uid ? after : job)),
  });
}

function changeFramework(cluster: ClusterView, id: string, change: Partial<Framework>): ClusterView {
  const literal = literalOf(cluster);
  const frameworks = literal.frameworks.map((one) => (one.id === id ? { ...one, ...change } : one));
  return clusterOf({ ...literal, frameworks });
}

function setReservations(
  cluster: ClusterView,
  { node: id, atMs }: Extract<PassAction, { type: 'set-reservations' }>,
): ClusterView {
  const literal = literalOf(cluster);
  const { reservations } = present(cluster.nodes.get(id), `node ${id}`);
  const set = (ledger: Ledger) => withStaticReservations(ledger, reservations, { by: id, atMs });
  return clusterOf({ ...literal, ledgers: literal.ledgers.map((one) => (one.node === id ? set(one) : one)) });
}

function forget(cluster: ClusterView, records: readonly Forgettable[]): ClusterView {
  const literal = literalOf(cluster);
  const tasks = new Set(records.flatMap((record) => (record.kind === 'task' ? [record.id] : [])));
  const jobs = new Set(records.flatMap((record) => (record.kind === 'job' ? [record.job] : [])));
  const frameworks = new Set(records.flatMap((record) => (record.kind === 'framework' ? [record.framework] : [])));
  const gone = new Set(records.flatMap((record) => (record.kind === 'gone-node' ? [record.node] : [])));
  return clusterOf({
    ...literal,
    jobs: literal.jobs.filter((job) => !jobs.has(job.uid)),
    frameworks: literal.frameworks.filter(({ id }) => !frameworks.has(id)),
    epochs: Object.fromEntries(Object.entries(literal.epochs).filter(([node]) => !gone.has(node))),
    tasks: literal.tasks.filter((task) => !tasks.has(task.id)),
  });
}

function giveUp(cluster: ClusterView, action: Extract<PassAction, { type: 'give-up-tasks' }>): ClusterView {
  const literal = literalOf(cluster);
  const { node, atMs, message } = action;
  const lost = action.tasks.map((id) =>
    advance(present(cluster.tasks.get(id), `task ${id}`), { state: 'lost', atMs, reason: 'node-lost', message }),
  );
  const epoch = present(cluster.epochs.get(node), `epoch of ${node}`);
  const disown = (ledger: Ledger, task: Task) => markStop(ledger, task.id, { atMs, graceMs: 0, reason: message }, true);
  return clusterOf({
    ...replaceTasks(literal, lost),
    epochs: { ...literal.epochs, [node]: { ...epoch, epoch: epoch.epoch + 1, lastGiveUpMs: atMs } },
    ledgers: literal.ledgers.map((ledger) => (ledger.node === node ? lost.reduce(disown, ledger) : ledger)),
  });
}

function clearNode(cluster: ClusterView, action: Extract<PassAction, { type: 'clear-node' }>): ClusterView {
  const literal = literalOf(cluster);
  const { node, atMs, message } = action;
  const lost = action.tasks.map((id) =>
    advance(present(cluster.tasks.get(id), `task ${id}`), { state: 'lost', atMs, reason: 'node-lost', message }),
  );
  const ledger = present(cluster.ledgers.get(node), `the ledger of ${node}`);
  const rest = removeEntries(ledger, action.tasks);
  const isLive = ({ task }: { readonly task: string }) => !isTerminal(cluster.tasks.get(task)?.state ?? 'lost');
  const kept = Object.values(rest.entries).some(isLive) ? [rest] : [];
  return clusterOf({
    ...replaceTasks(literal, lost),
    ledgers: [...literal.ledgers.filter((other) => other.node !== node), ...kept],
  });
}

function replaceTasks<L extends { readonly tasks: readonly Task[] }>(literal: L, changed: readonly Task[]): L {
  const byId = new Map(changed.map((task) => [task.id, task]));
  return { ...literal, tasks: literal.tasks.map((task) => byId.get(task.id) ?? task) };
}
