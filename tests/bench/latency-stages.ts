/**
 * Where the time of one start went. Times of replica, agent and engine are wall-clock times of one and the same machine; those
 * of replica and agent are whole milliseconds, so a single stage is right to a millisecond, and the mean of many to less.
 */
import type { TaskState } from '../../shared/domain/task.ts';
import type { TaskView } from '../../shared/protocol/views.ts';
import type { BerthStart } from './berth-start.ts';
import type { ContainerTimes } from './engine.ts';
import type { Table } from './report.ts';
import { distributionOf } from './statistics.ts';

/** In milliseconds. All but the last three follow each other and add up to the whole. */
export interface Stages {
  readonly request: number;
  readonly pass: number;
  readonly round: number;
  readonly delivery: number;
  readonly agent: number;
  readonly engine: number;
  readonly status: number;
  /** Part of `engine`: until the container's process ran. */
  readonly process: number;
  /** From the request to its answer; what follows doesn't wait for that. */
  readonly answer: number;
  /** From the job's creation to the task's `running`, as the server has them on record. */
  readonly byHistory: number;
}

const STAGES: readonly { readonly stage: keyof Stages; readonly says: string }[] = [
  { stage: 'request', says: 'request sent → job accepted by the API' },
  { stage: 'pass', says: 'job committed, watched → pass creates the task' },
  { stage: 'round', says: 'task committed, watched → round places it' },
  { stage: 'delivery', says: 'placement committed, watched, sent → agent has it in its journal' },
  { stage: 'agent', says: 'agent → engine begins to create' },
  { stage: 'engine', says: 'engine: create + start, as the agent sees it' },
  { stage: 'status', says: 'status sent, committed, watched → event read by the client' },
  { stage: 'process', says: '(of the engine’s: until the process runs)' },
  { stage: 'answer', says: '(beside all this: request → answer 201)' },
  { stage: 'byHistory', says: '(by history: job accepted → running)' },
];

export function stagesOf(start: BerthStart, task: TaskView, container: ContainerTimes): Stages {
  const wall = (steadyMs: number) => performance.timeOrigin + steadyMs;
  const acceptedAt = Date.parse(start.job.createdAt);
  const [pendingAt, stagingAt, startingAt, runningAt] = [
    timeOf(task, 'pending'),
    timeOf(task, 'staging'),
    timeOf(task, 'starting'),
    timeOf(task, 'running'),
  ];
  return {
    request: acceptedAt - wall(start.sentAtMs),
    pass: pendingAt - acceptedAt,
    round: stagingAt - pendingAt,
    delivery: startingAt - stagingAt,
    agent: container.createdAtMs - startingAt,
    engine: runningAt - container.createdAtMs,
    status: wall(start.runningAtMs) - runningAt,
    process: container.startedAtMs - container.createdAtMs,
    answer: start.answeredAtMs - start.sentAtMs,
    byHistory: runningAt - acceptedAt,
  };
}

export function stageTable(all: readonly Stages[]): Table {
  return {
    title: 'Where the time goes, ms',
    columns: ['stage', 'mean', 'p50', 'p95', 'max'],
    rows: STAGES.map(({ stage, says }) => {
      const { mean, p50, p95, max } = distributionOf(all.map((stages) => stages[stage]));
      return [says, mean, p50, p95, max];
    }),
  };
}

function timeOf(task: TaskView, state: TaskState): number {
  const transition = task.history.find((entry) => entry.state === state);
  if (transition === undefined) throw new Error(`task ${task.id} has never been ${state}`);
  return Date.parse(transition.at);
}
