/** Containers as the engine describes them, in our words. */
import type { ContainerInfo, ContainerInspectInfo } from 'dockerode';
import { TASK_ID_PATTERN, type TaskId } from '../../../shared/domain/ids.ts';
import type { Container } from '../../core/model.ts';
import { LABELS } from './container-options.ts';

/** From the engine's long form. Null: the labels aren't ours. */
export function containerOf(info: ContainerInspectInfo): Container | null {
  const task = taskOf(info.Config.Labels);
  if (task === null) return null;
  const { State } = info;
  const state = stateOf(State.Status);
  return {
    id: info.Id,
    task,
    run: runOf(info.Config.Labels),
    state,
    exitCode: state === 'exited' ? State.ExitCode : null,
    outOfMemory: State.OOMKilled,
    error: State.Error,
    startedAtMs: timeOf(State.StartedAt),
    endedAtMs: state === 'exited' ? timeOf(State.FinishedAt) : null,
    ...volumesIn(info.Config.Labels),
  };
}

/** From a listing, which doesn't tell exit codes: enough for what runs or was only created. */
export function listedContainer(info: ContainerInfo): Container | null {
  const task = taskOf(info.Labels);
  if (task === null) return null;
  const state = stateOf(info.State);
  return {
    id: info.Id,
    task,
    run: runOf(info.Labels),
    state,
    exitCode: null,
    outOfMemory: false,
    error: '',
    // When it was created, in seconds: near enough for one whose start is on no record.
    startedAtMs: state === 'running' ? info.Created * 1000 : null,
    endedAtMs: null,
    ...volumesIn(info.Labels),
  };
}

/** Whoever copies our labels may write anything there; what can't be the id of a task is none of our business. */
function taskOf(labels: Readonly<Record<string, string>>): TaskId | null {
  const task = labels[LABELS.task];
  return task !== undefined && TASK_ID_PATTERN.test(task) ? task : null;
}

/** A container that an older agent made has no such label; it is of a first run. */
function runOf(labels: Readonly<Record<string, string>>): number {
  const run = labels[LABELS.run] ?? '';
  return /^\d{1,9}$/.test(run) ? Number(run) : 0;
}

function volumesIn(labels: Readonly<Record<string, string>>): Pick<Container, 'volumes'> {
  const volumes = labels[LABELS.volumes];
  return volumes === undefined ? {} : { volumes: volumes.split(',') };
}

function stateOf(status: string): Container['state'] {
  if (status === 'created') return 'created';
  return status === 'exited' || status === 'dead' || status === 'removing' ? 'exited' : 'running';
}

/** The engine's word for "never" is the year 1. */
function timeOf(text: string): number | null {
  const ms = Date.parse(text);
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}
