/** 10. After faults stop, the cluster converges. */
import type { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import type { GroupSpec, Job } from '../../../shared/domain/job.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import { isLasting } from '../../../shared/domain/service.ts';
import type { Task } from '../../../shared/domain/task.ts';
import type { Machine } from '../machine.ts';
import { unsettledOnNode } from './containers.ts';
import { isMet, thousandths } from './ledgers.ts';
import { heldOf } from './offers.ts';
import { isGood, strayFetches, unsettledOfService } from './services-at-rest.ts';
import { hasEnded } from './tasks.ts';

/** What still has to happen, a sentence for each; empty: the cluster has come to rest as it should. */
export function unsettled(machines: readonly Machine[], now: Snapshot): string[] {
  return [
    ...machines.flatMap((machine) => unsettledOnNode(machine, now)),
    ...[...now.jobs.values()].flatMap((job) =>
      isLasting(job.spec.kind) ? unsettledOfService(job, now) : unsettledOfJob(job, now),
    ),
    ...strayFetches(now),
    ...[...now.pendingTasks()].flatMap((task) => unplaced(task, now)),
    ...[...now.frameworks.values()].flatMap((framework) => unsettledOfFramework(framework, now)),
    ...[...now.ledgers.values()].flatMap((ledger) => strayOffers(ledger, now)),
  ];
}

/** Each is connected and has acknowledged all that there is to tell, or is gone with its tasks. */
function unsettledOfFramework({ id, teardown }: Framework, now: Snapshot): string[] {
  const tasks = [...now.tasksOfFramework(id)];
  if (teardown !== null) {
    return tasks.filter((task) => !hasEnded(task)).map((task) => `${id} is gone, and ${task.id} is ${task.state}`);
  }
  const isTold = ({ state }: { readonly state: string }) => state !== 'pending' && state !== 'staging';
  const unheard = tasks.filter(({ history, framework }) => history.slice(framework?.acknowledged ?? 0).some(isTold));
  return [
    ...(now.isConnected(id) ? [] : [`${id} is neither connected nor torn down`]),
    ...unheard.map((task) => `${id} has not acknowledged what became of ${task.id}`),
    ...[...now.operationsOf(id)].map(({ name }) => `${id} has not acknowledged that operation ${name} was carried out`),
    ...survivors(tasks).map((task) => `${task.id} is ${task.state}, and not all of its group has ended well`),
  ];
}

/** What goes on although another task of its group has ended badly, and nobody has asked for its end. */
export function survivors(tasks: readonly Task[]): Task[] {
  const togetherOf = ({ framework }: Task) => framework?.together ?? null;
  const broken = new Set(tasks.filter((task) => hasEnded(task) && task.state !== 'finished').map(togetherOf));
  return tasks.filter(
    (task) => !hasEnded(task) && task.stop === null && togetherOf(task) !== null && broken.has(togetherOf(task)),
  );
}

function strayOffers({ node, offers }: Ledger, now: Snapshot): string[] {
  return Object.values(offers).flatMap(({ id, framework, role }) => {
    const holder = now.frameworks.get(framework);
    const isThere = holder?.teardown === null && holder.roles.includes(role) && now.isConnected(framework);
    return isThere ? [] : [`offer ${id} of ${node} stands, and ${framework} is not there`];
  });
}

/** More than what is too little to be offered. */
const WORTH_OFFERING = { cpus: 500, memMiB: 256_000 } as const;

/** Whether somebody could be offered something of it: nothing is bounded at rest, so somebody who asks should be. */
export function offersRoom(ledger: Ledger, now: Snapshot): boolean {
  const isOpen = now.isAlive(ledger.node) && ledger.eligible && ledger.drain === null;
  const isFree = (['cpus', 'memMiB'] as const).every(
    (name) => thousandths(ledger.total, name) - heldOf(ledger, name) >= WORTH_OFFERING[name],
  );
  return isOpen && isFree;
}

/** Every job has an outcome, or tasks that run or wait for room. */
function unsettledOfJob(job: Job, now: Snapshot): string[] {
  const name = `job ${job.spec.name} (${job.uid})`;
  const live = [...now.tasksOfJob(job.uid)].filter((task) => !hasEnded(task));
  if (job.deleted) return [`${name} is deleted and still there`];
  if (job.outcome !== null) return live.map((task) => `${name} has an outcome, and ${task.id} is ${task.state}`);
  if (job.stop !== null) return [`${name} is to stop and has no outcome`];
  if (live.length === 0) return [`${name} has neither an outcome nor a live task`];
  return live.filter((task) => task.jobVersion !== job.version).map((task) => `${task.id} is of an outdated version`);
}

/** A task that waits although a node has room for it. */
function unplaced(task: Task, now: Snapshot): string[] {
  const version = now.version(task.jobUid, task.jobVersion);
  const group = version?.spec.groups.find((candidate) => candidate.name === task.group);
  if (version === undefined || group === undefined) return [`${task.id} is pending without a version`];
  // What falls over again and again waits a little longer each time.
  if (isLasting(version.spec.kind) && !isGood(version)) return [];
  const constraints = [...version.spec.constraints, ...group.constraints];
  return [...now.ledgers.values()].flatMap((ledger) => {
    const attributes = now.nodes.get(ledger.node)?.attributes ?? {};
    const isWanted = task.target === null || !task.target.required || task.target.node === ledger.node;
    const mayGo = isWanted && now.isAlive(ledger.node) && ledger.eligible && ledger.drain === null;
    const fits = mayGo && constraints.every((constraint) => isMet(constraint, attributes)) && hasRoom(ledger, group);
    return fits ? [`${task.id} is pending, and ${ledger.node} has room for it`] : [];
  });
}

/** What is offered or reserved isn't free. */
function hasRoom(ledger: Ledger, group: GroupSpec): boolean {
  const { total, entries, offers } = ledger;
  const names = ['cpus', 'memMiB', 'diskMiB', 'gpus', ...Object.keys(group.resources.custom)];
  const fits = names.every((name) => {
    return heldOf(ledger, name) + thousandths(group.resources, name) <= thousandths(total, name);
  });
  const taken = new Set(Object.values(entries).flatMap((entry) => Object.values(entry.ports)));
  const isOffered = (port: number) =>
    Object.values(offers).some(({ resources }) =>
      resources.ports.some(({ first, last }) => port >= first && port <= last),
    );
  const isFree = (port: number) =>
    !taken.has(port) && !isOffered(port) && total.ports.some(({ first, last }) => port >= first && port <= last);
  const all = total.ports.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, at) => first + at));
  const fixed = group.ports.flatMap(({ hostPort }) => hostPort ?? []);
  return fits && fixed.every(isFree) && all.filter(isFree).length >= group.ports.length;
}
