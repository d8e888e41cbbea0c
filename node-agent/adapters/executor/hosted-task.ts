/** One task that an executor runs, as it stands on disk, and what becomes of it. Pure: who keeps it is `executor-folder.ts`. */
import type { TaskId } from '../../../shared/domain/ids.ts';
import { unreachable } from '../../../shared/util/assert.ts';
import { type Container, clipMessage, type Ending } from '../../core/model.ts';
import type { ContainerRequest } from '../../executor/contracts.ts';
import type { ExecutorEvent, HostedStatus, Launch } from './protocol.ts';

export interface HostedTask {
  /** What the agent calls the container that this stands for. */
  readonly id: string;
  readonly run: number;
  /** The container of the executor that it was given to: no other one of that executor has it. */
  readonly host: string;
  readonly launch: Launch;
  /** `created`: it was not given to anybody. */
  readonly state: Container['state'];
  /** Its executor has said a word about it. */
  readonly isTaken: boolean;
  /** Its end was asked for; `forced`: and its grace is over. */
  readonly kill: 'none' | 'asked' | 'forced';
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly ending: Ending | null;
}

export function hostedTask(id: string, host: string, { assigned, run }: ContainerRequest): HostedTask {
  const { group } = assigned;
  return {
    ...{ id, run, host },
    launch: {
      type: 'launch',
      task: assigned.id,
      name: assigned.name ?? assigned.groupName,
      run,
      command: group.command ?? [],
      args: group.args ?? [],
      env: group.env,
      workingDir: group.workingDir ?? null,
      resources: group.resources,
      ports: assigned.ports,
    },
    ...{ state: 'created', isTaken: false, kill: 'none', startedAtMs: null, endedAtMs: null, ending: null },
  };
}

/** What its executor is to be told of it until it has answered. */
export function outstandingEvents({ launch, state, isTaken, kill }: HostedTask): readonly ExecutorEvent[] {
  if (state !== 'running') return [];
  return [
    ...(isTaken ? [] : [launch]),
    ...(kill === 'none' ? [] : [{ type: 'kill', task: launch.task, isForced: kill === 'forced' } as const]),
  ];
}

/** As its executor says that it stands. */
export function withStatus(task: HostedTask, status: HostedStatus, nowMs: number): HostedTask {
  const ending = endingIn(status);
  if (ending === null) return task.isTaken ? task : { ...task, isTaken: true };
  return { ...task, isTaken: true, state: 'exited', endedAtMs: nowMs, ending };
}

function endingIn({ state, message, exitCode }: HostedStatus): Ending | null {
  const words = (otherwise: string) => clipMessage(message === '' ? otherwise : message);
  switch (state) {
    case 'running':
      return null;
    case 'finished':
      return { state, reason: 'exited', message: words('finished, says its executor'), exitCode: exitCode ?? 0 };
    case 'failed':
      return { state, reason: 'exited', message: words('failed, says its executor'), exitCode };
    case 'error':
      return {
        ...{ state, reason: 'command-unusable', exitCode },
        message: words("can't be started as it is described, says its executor"),
      };
    default:
      return unreachable(state);
  }
}

/** Its executor has ended, and what it ran with it. */
export function withoutExecutor(task: HostedTask, executor: TaskId, nowMs: number): HostedTask {
  const message = `its executor "${executor}" has ended, and all that it ran with it`;
  const ending: Ending = { state: 'failed', reason: 'executor-ended', message, exitCode: null };
  return { ...task, state: 'exited', endedAtMs: nowMs, ending };
}

export function containerOf({ id, run, launch, state, startedAtMs, endedAtMs, ending }: HostedTask): Container {
  return {
    ...{ id, task: launch.task, run, state, startedAtMs, endedAtMs, outOfMemory: false, error: '' },
    exitCode: ending?.exitCode ?? null,
    ...(ending !== null && { ending }),
  };
}
