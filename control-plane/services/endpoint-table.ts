/**
 * All endpoints of this replica's state, moved along with it: what a change may touch is looked at again, and nothing else. One table
 * serves every list and every watch, so that a thousand readers cost a filter each, not a look at the cluster each.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { Task } from '../../shared/domain/task.ts';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import { byText } from '../../shared/util/order.ts';
import type { Mirror } from '../store/mirror.ts';
import type { Change, ChangeOf, Snapshot } from '../store/snapshot.ts';
import { endpointsOf, type HeldSets } from './endpoints.ts';

/** What has become of one endpoint; null: there was none, or there is none any more. */
export interface EndpointStep {
  readonly before: EndpointView | null;
  readonly after: EndpointView | null;
}

/** Hears of every step of the mirror, also of those that change no endpoint. `isReset`: history was lost, so nothing follows from it. */
export type EndpointListener = (steps: readonly EndpointStep[], revision: number, isReset: boolean) => void;

export class EndpointTable {
  readonly #mirror: Mirror;
  readonly #byTask = new Map<TaskId, readonly EndpointView[]>();
  readonly #listeners = new Set<EndpointListener>();
  #isKept = false;

  /** Nothing is worked out before somebody asks. */
  constructor(mirror: Mirror) {
    this.#mirror = mirror;
  }

  get revision(): number {
    return this.#mirror.revision;
  }

  /** Of one task, by name of the port. */
  ofTask(task: TaskId): readonly EndpointView[] {
    this.#keep();
    return this.#byTask.get(task) ?? [];
  }

  /** In no order that means anything. */
  *all(): Generator<EndpointView, void> {
    this.#keep();
    for (const endpoints of this.#byTask.values()) yield* endpoints;
  }

  /** Returns how to end it. The listener must not throw. */
  subscribe(listener: EndpointListener): () => void {
    this.#keep();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #keep(): void {
    if (this.#isKept) return;
    this.#isKept = true;
    this.#lookAgain(this.#mirror.snapshot.tasks.keys());
    this.#mirror.subscribe((changes, revision, reset) => {
      const steps = this.#lookAgain(touchedTasks(this.#mirror.snapshot, changes));
      for (const listener of [...this.#listeners]) listener(steps, revision, reset);
    });
  }

  #lookAgain(tasks: Iterable<TaskId>): EndpointStep[] {
    const { snapshot } = this.#mirror;
    const heldSets: HeldSets = new Map();
    const steps: EndpointStep[] = [];
    for (const id of tasks) {
      const task = snapshot.tasks.get(id);
      const before = this.#byTask.get(id) ?? [];
      const after = task === undefined ? [] : endpointsOf(snapshot, task, heldSets).sort((a, b) => byText(a.id, b.id));
      if (after.length > 0) this.#byTask.set(id, after);
      else this.#byTask.delete(id);
      steps.push(...stepsBetween(before, after));
    }
    return steps;
  }
}

function stepsBetween(before: readonly EndpointView[], after: readonly EndpointView[]): EndpointStep[] {
  const gone = before.filter(({ id }) => after.every((one) => one.id !== id));
  const put = after.flatMap((one) => {
    const was = before.find(({ id }) => id === one.id) ?? null;
    return was !== null && isSame(was, one) ? [] : [{ before: was, after: one }];
  });
  return [...gone.map((one) => ({ before: one, after: null })), ...put];
}

/** Most is text and numbers, and most of the time the first that differs is the state. */
function isSame(a: EndpointView, b: EndpointView): boolean {
  const { publish, labels, ...rest } = a;
  return (
    Object.entries(rest).every(([name, value]) => b[name as keyof EndpointView] === value) &&
    canonicalJson([publish, labels]) === canonicalJson([b.publish, b.labels])
  );
}

/** Tasks whose endpoints may be others after these changes; also those that never had any. */
export function touchedTasks(snapshot: Snapshot, changes: readonly Change[]): ReadonlySet<TaskId> {
  const touched = new Set<TaskId>();
  const add = (tasks: Iterable<Task>) => {
    for (const { id } of tasks) touched.add(id);
  };
  for (const change of changes) {
    if (change.kind === 'tasks') touched.add(change.id);
    else if (change.kind === 'nodes' || change.kind === 'alive' || change.kind === 'epochs') {
      add(snapshot.tasksOnNode(change.id));
    } else if (change.kind === 'deployments' && maySetFree(change)) {
      add(snapshot.tasksOfJob((change.after ?? change.before)?.jobUid ?? ''));
    } else if (change.kind === 'jobs' && maySay(change)) add(snapshot.tasksOfJob(change.id));
    else if (change.kind === 'versions') {
      const { jobUid = '', version } = change.after ?? change.before ?? {};
      add([...snapshot.tasksOfJob(jobUid)].filter((task) => task.jobVersion === version));
    }
    // Sessions of another incarnation don't count, so every node may be one that isn't heard of.
    else if (change.kind === 'cluster') add(snapshot.tasks.values());
  }
  return touched;
}

/** Progress is written down often, and says nothing about who holds what back. */
function maySetFree({ before, after }: ChangeOf<'deployments'>): boolean {
  return before?.state !== after?.state || before?.promotedAtMs !== after?.promotedAtMs;
}

function maySay({ before, after }: ChangeOf<'jobs'>): boolean {
  if (before === null || after === null || before.deployments !== after.deployments) return true;
  const said = ({ spec, templates, version }: typeof after) => canonicalJson([spec.labels, templates, version]);
  return said(before) !== said(after);
}
