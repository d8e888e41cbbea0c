/** Why the tasks of a job that wait have no place: in one funnel for all that ask for the same, in the order of their turns. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { Job } from '../../shared/domain/job.ts';
import type { Task } from '../../shared/domain/task.ts';
import { demandKey, demandOf } from './demand.ts';
import { surveyNow } from './explain.ts';
import { type Feasibility, feasibilityOf } from './feasible.ts';
import { type Funnel, funnelOf } from './funnel.ts';
import { type EndingPlaces, endingFor, keepPlaces, waitingOf } from './kept-places.ts';
import { byTurn, type Hold, type WantedTask, wantedOrHeld } from './wanted.ts';

export interface WaitingTasks {
  readonly group: string;
  /** The version that they are made from. */
  readonly version: number;
  /** In the order of their turns. */
  readonly tasks: readonly Task[];
  /** When the first of them may be placed, where all wait out a backoff; null: they may be placed now. */
  readonly notBeforeMs: number | null;
  /** What they displace, and wait for to end. */
  readonly displaces: readonly string[];
  readonly funnel: Funnel;
  readonly feasibility: Feasibility;
}

export interface JobWaits {
  readonly waiting: readonly WaitingTasks[];
  /** Kinds of waiting tasks beyond {@link WAITS_MAX}, which are not told. */
  readonly more: number;
  /** Pending tasks that are not to be placed, by why. */
  readonly held: ReadonlyMap<Hold, number>;
}

export interface ExplainJobInput {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  readonly job: Job;
  /** Only this one; null: all. */
  readonly task: Task | null;
}

/** A system job has a kind for each node. Each asks every node. */
export const WAITS_MAX = 20;

export function explainJob({ cluster, nowMs, job, task }: ExplainJobInput): JobWaits {
  const pending = [...cluster.tasksOfJob(job.uid)].filter(
    (one) => one.state === 'pending' && (task === null || one.id === task.id),
  );
  const verdicts = pending.map((one) => wantedOrHeld(cluster, one));
  const wanted = verdicts.filter((verdict) => typeof verdict !== 'string').sort(byTurn);
  const held = Map.groupBy(
    verdicts.filter((verdict) => typeof verdict === 'string'),
    (hold) => hold,
  );
  const survey = surveyNow(cluster, nowMs);
  const ending = endingFor(survey);
  keepPlaces(
    ending,
    waitingOf(cluster, ending).filter((one) => one.job.uid !== job.uid),
  );
  const rooms = survey.rooms();
  const kinds = [...Map.groupBy(wanted, (one) => `${one.task.notBeforeMs > nowMs} ${demandKey(one)}`).values()];
  const waiting = kinds.slice(0, WAITS_MAX).flatMap(([first, ...others]): WaitingTasks[] => {
    if (first === undefined) return [];
    const demand = demandOf(first);
    const tasks = [first, ...others].map((one) => one.task);
    const notBeforeMs = backoffOf(tasks, nowMs);
    return [
      {
        group: first.group.name,
        version: first.task.jobVersion,
        tasks,
        notBeforeMs,
        displaces: displacedBy([first, ...others], ending),
        funnel: funnelOf(rooms, demand, notBeforeMs),
        feasibility: feasibilityOf(rooms, demand),
      },
    ];
  });
  const counts = new Map([...held].map(([hold, all]) => [hold, all.length] as const));
  return { waiting, more: Math.max(0, kinds.length - WAITS_MAX), held: counts };
}

function backoffOf(tasks: readonly Task[], nowMs: number): number | null {
  const first = Math.min(...tasks.map(({ notBeforeMs }) => notBeforeMs));
  return first > nowMs ? first : null;
}

function displacedBy(wanted: readonly WantedTask[], ending: EndingPlaces): string[] {
  return wanted.flatMap(({ task }) => (ending.get(task.id) ?? []).map(({ entry }) => entry.task));
}
