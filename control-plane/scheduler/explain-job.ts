/** Why the tasks of a job that wait have no place: in one funnel for all that ask for the same, in the order of their turns. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { roleWithin } from '../../shared/domain/ids.ts';
import type { Job } from '../../shared/domain/job.ts';
import type { Task } from '../../shared/domain/task.ts';
import { isVolumeFor } from '../../shared/domain/volumes.ts';
import { type Demand, demandKey, demandOf } from './demand.ts';
import { surveyNow } from './explain.ts';
import { type Feasibility, feasibilityOf } from './feasible.ts';
import { NODE_FILTERS } from './filters/all.ts';
import { type Funnel, funnelOf } from './funnel.ts';
import { type EndingPlaces, endingFor, keepPlaces, waitingOf } from './kept-places.ts';
import type { Room } from './room.ts';
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
  /** Of the job's role. */
  readonly displaces: readonly string[];
  /** How many more of other roles, which aren't named: whoever may read the job may not know of them. */
  readonly displacesOthers: number;
  /** Volumes that they mount and can't get to now, in sentences. */
  readonly volumesAway: readonly string[];
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

/** A system job has a kind for each node, and a service whose tasks have volumes of their own one for each task. Each asks every node. */
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
        volumesAway: volumesAway(rooms, demand),
        ...displacedBy([first, ...others], ending),
        funnel: funnelOf(rooms, demand, notBeforeMs),
        feasibility: feasibilityOf(rooms, demand),
      },
    ];
  });
  const counts = new Map([...held].map(([hold, all]) => [hold, all.length] as const));
  return { waiting, more: Math.max(0, kinds.length - WAITS_MAX), held: counts };
}

/** Each volume is where it is: on no node, or on some that take no tasks now, it holds up whatever mounts it. */
function volumesAway(rooms: readonly Room[], demand: Demand): string[] {
  return demand.volumes.flatMap((id) => {
    const holding = rooms.filter(({ ledger }) => isVolumeFor(ledger, id, demand.role));
    if (holding.length === 0)
      return [`No node has volume "${id}" for role "${demand.role}"; "berth volume create" makes one.`];
    const closed = holding.flatMap((room) => {
      const filter = NODE_FILTERS.find((one) => !one.admits(room));
      return filter === undefined ? [] : [{ room, filter }];
    });
    if (closed.length < holding.length) return [];
    return closed.map(
      ({ room, filter }) => `Volume "${id}" is on node ${room.id}, which ${filter.explain(room, demand)}.`,
    );
  });
}

function backoffOf(tasks: readonly Task[], nowMs: number): number | null {
  const first = Math.min(...tasks.map(({ notBeforeMs }) => notBeforeMs));
  return first > nowMs ? first : null;
}

function displacedBy(
  wanted: readonly WantedTask[],
  ending: EndingPlaces,
): Pick<WaitingTasks, 'displaces' | 'displacesOthers'> {
  const all = wanted.flatMap(({ task }) => (ending.get(task.id) ?? []).map(({ entry }) => ({ entry, task })));
  const displaces = all.filter(({ entry, task }) => roleWithin(entry.role, task.role)).map(({ entry }) => entry.task);
  return { displaces, displacesOthers: all.length - displaces.length };
}
