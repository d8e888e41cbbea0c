/**
 * 5. An agent fences itself before the server replaces what must not run twice: of a slot whose job says so, two containers never run
 * at a time, on whatever machines.
 */
import type { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { templateOf } from '../../../shared/domain/cluster.ts';
import type { TaskId } from '../../../shared/domain/ids.ts';
import type { Task } from '../../../shared/domain/task.ts';
import type { Machine } from '../machine.ts';
import type { SimulatedContainer } from '../simulated-engine.ts';
import { type Violation, violation } from './violation.ts';

/** Asked at the moment when the container starts. `counts`: which others count where they still run. */
export function checkNeverTwo(
  started: Pick<SimulatedContainer, 'id' | 'task'>,
  machines: readonly Pick<Machine, 'name' | 'engine'>[],
  now: Snapshot,
  counts: (other: TaskId) => boolean = () => true,
): Violation[] {
  const task = now.tasks.get(started.task);
  if (task === undefined) return [];
  return machines.flatMap(({ name, engine }) =>
    engine.containers.flatMap((container) => {
      const other = now.tasks.get(container.task);
      const isOther = container.id !== started.id && container.state === 'running' && counts(container.task);
      if (!isOther || other === undefined || !isSameSlot(task, other)) return [];
      if (!mustBeAlone(now, task) && !mustBeAlone(now, other)) return [];
      return [violation(5, `${task.id} starts while ${other.id} runs in ${container.id} on ${name}`)];
    }),
  );
}

function isSameSlot(a: Task, b: Task): boolean {
  return a.jobUid === b.jobUid && a.group === b.group && a.index === b.index;
}

function mustBeAlone(now: Snapshot, task: Task): boolean {
  return templateOf(now, task)?.stopAfterDisconnectSeconds !== undefined;
}
