/** A snapshot's tasks, and which of them belong to a job, a node or a framework, or are pending. */
import type { FrameworkId, JobUid, NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { Task } from '../../shared/domain/task.ts';
import { Grouped, setOrDelete } from './grouped.ts';

export interface TaskChange {
  readonly id: TaskId;
  readonly before: Task | null;
  readonly after: Task | null;
}

export class TaskIndex {
  readonly #all = new Map<TaskId, Task>();
  readonly #pending = new Map<TaskId, Task>();
  readonly #byJob = new Grouped<TaskId, Task>();
  readonly #byNode = new Grouped<TaskId, Task>();
  readonly #byFramework = new Grouped<TaskId, Task>();

  get all(): ReadonlyMap<TaskId, Task> {
    return this.#all;
  }

  pending(): Iterable<Task> {
    return this.#pending.values();
  }

  ofJob(job: JobUid): Iterable<Task> {
    return this.#byJob.of(job);
  }

  /** Those that hold or held a place there. */
  onNode(node: NodeId): Iterable<Task> {
    return this.#byNode.of(node);
  }

  ofFramework(framework: FrameworkId): Iterable<Task> {
    return this.#byFramework.of(framework);
  }

  change({ id, before, after }: TaskChange): void {
    if (before !== null && before.jobUid !== after?.jobUid) this.#byJob.delete(before.jobUid, id);
    if (before?.node && before.node !== after?.node) this.#byNode.delete(before.node, id);
    if (before?.framework && before.framework.id !== after?.framework?.id) {
      this.#byFramework.delete(before.framework.id, id);
    }
    setOrDelete(this.#all, id, after);
    setOrDelete(this.#pending, id, after?.state === 'pending' ? after : null);
    if (after === null) return;
    this.#byJob.set(after.jobUid, id, after);
    if (after.node !== null) this.#byNode.set(after.node, id, after);
    if (after.framework !== null) this.#byFramework.set(after.framework.id, id, after);
  }
}
