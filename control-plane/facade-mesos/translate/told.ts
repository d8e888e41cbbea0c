/**
 * What Mesos's master says of tasks and operations that never came to be: updates that stand on no record, each said once. They pass
 * through the framework's stream like others, with the words of Mesos among their annotations. Pure.
 */
import type { FrameworkEvent } from '../../../shared/protocol/framework.ts';
import { timeView } from '../../services/views.ts';
import type { WireTaskState } from '../wire/event.ts';
import { taskAnnotations } from './annotations.ts';

export interface ToldTask {
  readonly task: string;
  readonly state: Extract<WireTaskState, 'TASK_ERROR' | 'TASK_LOST' | 'TASK_DROPPED' | 'TASK_KILLING'>;
  /** Such as `REASON_INVALID_OFFERS`. */
  readonly reason: string | null;
  readonly message: string;
  readonly node: string | null;
  readonly executor?: string | undefined;
}

const STATES = {
  TASK_ERROR: 'error',
  TASK_LOST: 'lost',
  TASK_DROPPED: 'lost',
  TASK_KILLING: 'running',
} as const satisfies Record<ToldTask['state'], string>;

export function toldUpdate({ task, state, reason, message, node, executor }: ToldTask, nowMs: number): FrameworkEvent {
  const notes = {
    told: { state, ...(reason !== null && { reason }) },
    ...(executor !== undefined && { executor_id: executor }),
  };
  return {
    type: 'update',
    update: {
      id: null,
      task,
      taskId: null,
      state: STATES[state],
      unreachable: false,
      healthy: null,
      at: timeView(nowMs),
      reason: null,
      message,
      role: null,
      node,
      host: null,
      ports: {},
      exitCode: null,
      labels: {},
      annotations: taskAnnotations(notes) ?? {},
      reconciliation: false,
    },
  };
}

export interface ToldOperation {
  readonly operation: string;
  readonly state: 'finished' | 'error' | 'dropped';
  readonly message: string;
  readonly node: string | null;
}

export function toldOperation({ operation, state, message, node }: ToldOperation, nowMs: number): FrameworkEvent {
  return {
    type: 'operation',
    operation: { id: null, operation, state, node, at: timeView(nowMs), message, reconciliation: false },
  };
}
