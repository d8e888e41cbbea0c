/**
 * A node's assignment on its way to the agent and back. Hundreds of tasks are often made from one template, which may be large:
 * it is sent once.
 */
import type { TaskGroup } from '../domain/job.ts';
import type { AssignedTask, AssignmentBody, AssignmentResponse } from './agent.ts';

/** As it is sent. */
export function assignmentBody(assignment: AssignmentResponse): AssignmentBody {
  const groups: Record<string, TaskGroup> = {};
  const tasks = assignment.tasks.map(({ group, ...task }) => {
    const key = `${task.jobUid}/${task.jobVersion}/${task.groupName}`;
    groups[key] = group;
    return { ...task, group: key };
  });
  return { ...assignment, groups, tasks };
}

/** As it is worked with; null when a task names a template that isn't there. */
export function resolveAssignment({ groups, ...body }: AssignmentBody): AssignmentResponse | null {
  const tasks: AssignedTask[] = [];
  for (const task of body.tasks) {
    const group = Object.hasOwn(groups, task.group) ? groups[task.group] : undefined;
    if (group === undefined) return null;
    tasks.push({ ...task, group });
  }
  return { ...body, tasks };
}
