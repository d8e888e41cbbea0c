/** What every task is told about itself, whichever runtime it runs in. */
import type { AssignedTask } from '../../shared/protocol/agent.ts';

/** Where the task runs. */
export interface Place {
  readonly nodeId: string;
  readonly hostname: string;
}

/** The job's own variables, then ours: what Berth says about a task can't be faked by the job. */
export function taskEnvironment(place: Place, assigned: AssignedTask, run: number): Record<string, string> {
  const ports = Object.entries(assigned.ports).map(
    ([name, port]) => [`BERTH_PORT_${name.toUpperCase().replaceAll('-', '_')}`, String(port)] as const,
  );
  return {
    ...assigned.group.env,
    BERTH_TASK_ID: assigned.id,
    BERTH_JOB: assigned.jobName,
    BERTH_JOB_UID: assigned.jobUid,
    BERTH_ROLE: assigned.role,
    BERTH_GROUP: assigned.groupName,
    BERTH_INDEX: String(assigned.index),
    BERTH_ATTEMPT: String(assigned.attempt),
    BERTH_RUN: String(run),
    BERTH_NODE: place.nodeId,
    BERTH_HOST: place.hostname,
    ...Object.fromEntries(ports),
  };
}

/** The socket by which an executor reaches its agent, in a folder of its own. */
export const EXECUTOR_SOCKET = 'executor.sock';

/** `folder`: as the executor sees it. */
export function socketVariable(folder: string): Record<string, string> {
  return { BERTH_EXECUTOR_SOCKET: `${folder}/${EXECUTOR_SOCKET}` };
}
