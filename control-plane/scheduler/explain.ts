/**
 * Answers about placement that nobody has to wait for a round to get: why a task has no place, and where the tasks of a
 * job would go that nobody has submitted. Nothing is written.
 */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import { type NodeId, type RolePath, roleWithin, taskId } from '../../shared/domain/ids.ts';
import { type Job, type JobSpec, templateVersion } from '../../shared/domain/job.ts';
import type { Task } from '../../shared/domain/task.ts';
import { unreachable } from '../../shared/util/assert.ts';
import { byText } from '../../shared/util/order.ts';
import { batchFramework, placeAll } from './batch-framework.ts';
import { demandOf } from './demand.ts';
import { type Explanation, explanationOf, judge } from './explanation.ts';
import { openRooms } from './filters/all.ts';
import { type EndingPlace, endingFor, keepPlaces, waitingOf } from './kept-places.ts';
import type { Sweep } from './plan.ts';
import type { Room } from './room.ts';
import { RoundMemory } from './round-memory.ts';
import { Survey } from './survey.ts';
import { planSweeps } from './sweeps.ts';
import { byTurn, type Hold, queueOf, type WantedTask, wantedOrHeld } from './wanted.ts';

export type { Explanation } from './explanation.ts';

export interface ExplainInput {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  readonly task: Task;
}

export function explainTask({ cluster, nowMs, task }: ExplainInput): Explanation {
  const survey = surveyNow(cluster, nowMs);
  const verdict = wantedOrHeld(cluster, task);
  if (typeof verdict === 'string') return heldBack(verdict, survey.rooms().length);
  const ending = endingFor(survey);
  keepPlaces(
    ending,
    waitingOf(cluster, ending).filter((waiting) => waiting.task.id !== task.id),
  );
  const explanation = explainWanted(survey.rooms(), verdict);
  if (task.notBeforeMs > nowMs) return waitingOut(explanation, task.notBeforeMs);
  const displaced = ending.get(task.id);
  return explanation.placeable || displaced === undefined ? explanation : displacing(explanation, displaced, task.role);
}

/** What there is to give now, with all that the next round sweeps gone, and the places of these tasks as well. */
export function surveyNow(cluster: ClusterView, nowMs: number, leaving: readonly Task[] = []): Survey {
  const usage = new RoundMemory().usageOf(cluster, nowMs);
  return new Survey(cluster, usage, { sweeps: withTasks(planSweeps(cluster, usage, nowMs), leaving), nowMs });
}

function withTasks(sweeps: readonly Sweep[], tasks: readonly Task[]): Sweep[] {
  const byNode = new Map(sweeps.map((sweep) => [sweep.node, sweep]));
  for (const { id, node } of tasks) {
    if (node === null) continue;
    const sweep = byNode.get(node) ?? { node, tasks: [], offers: [] };
    byNode.set(node, { ...sweep, tasks: [...sweep.tasks, id] });
  }
  return [...byNode.values()].sort((a, b) => byText(a.node, b.node));
}

function explainWanted(rooms: readonly Room[], wanted: WantedTask): Explanation {
  return explanationOf(judge(rooms, demandOf(wanted)));
}

function waitingOut(then: Explanation, notBeforeMs: number): Explanation {
  const until = new Date(notBeforeMs).toISOString();
  const summary = `It waits until ${until} before it is tried again. As things stand: ${then.summary}`;
  return { ...then, placeable: false, waiting: 'backoff', notBeforeMs, summary };
}

/** Of those that it displaces, named in an explanation. */
const DISPLACED_NAMED_MAX = 3;

/** Those of other roles aren't named: whoever may read the task may not know of them. */
function displacing(then: Explanation, displaced: readonly EndingPlace[], role: RolePath): Explanation {
  const own = displaced.filter(({ entry }) => roleWithin(entry.role, role));
  const named = own.slice(0, DISPLACED_NAMED_MAX).map(({ room, entry }) => `${entry.task} on ${room.id}`);
  const more = own.length - named.length;
  const others = displaced.length - own.length;
  const list = [
    ...(named.length === 0 ? [] : [`${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`]),
    ...(others === 0 ? [] : [`${others} of other roles`]),
  ].join(', and ');
  const what = displaced.length === 1 ? 'a task that it displaces' : `${displaced.length} tasks that it displaces`;
  const summary = `It waits for ${what} to end: ${list}. As things stand: ${then.summary}`;
  return { ...then, waiting: 'displacing', summary };
}

function heldBack(hold: Hold, nodesTotal: number): Explanation {
  const summary = describeHold(hold);
  return { placeable: false, waiting: hold, notBeforeMs: null, nodesTotal, refusals: [], closest: null, summary };
}

function describeHold(hold: Hold): string {
  switch (hold) {
    case 'not-pending':
      return 'It is not waiting for a place: it has one, or has had one.';
    case 'stop-requested':
      return 'It is to be stopped, so it gets no place.';
    case 'job-gone':
      return 'Its job is no longer on record, so it gets no place.';
    case 'job-stopped':
      return 'Its job is to stop, so it gets no place.';
    case 'job-ended':
      return 'Its job has ended, so it gets no place.';
    case 'job-suspended':
      return 'Its job is suspended, so it gets no place until that is resumed.';
    case 'superseded':
      return 'Its job has a newer version, which has tasks of its own, so it gets no place.';
    default:
      return unreachable(hold);
  }
}

export interface DryRunInput {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  readonly spec: JobSpec;
  /** Whether a task would not be made yet, so that it is neither placed nor left without a place. Absent: all would be. */
  readonly isTaken?: (slot: Pick<Task, 'group' | 'index'>) => boolean;
  /** Of a system job: the nodes that would be given a task of the group. Absent: the group's count says how many there are. */
  readonly nodesFor?: (group: string) => readonly NodeId[];
  /** What becomes of a lasting job. Absent: it is new, or a batch job, which is made anew with each version. */
  readonly change?: JobChange | undefined;
}

export interface JobChange {
  /** The record as it would be: what lives and is made from the same templates stays, and counts for where others go. */
  readonly job: Job;
  /** Those that have to be gone before others take their places, so that what they hold is free by then. */
  readonly leaving: readonly Task[];
}

export interface DryRun {
  /** In the order of groups and indexes. */
  readonly placements: readonly DryRunPlacement[];
  /** Groups of which tasks would stay pending, and why. */
  readonly unplaced: readonly { readonly group: string; readonly count: number; readonly explanation: Explanation }[];
  /** What was too much to be planned at once, in sentences; null: nothing. */
  readonly leftOut: string | null;
}

/** Tasks of the job that one dry run plans. Whoever asks waits for it, and so does everybody else. */
export const DRY_RUN_TASKS_MAX = 1000;

/** Pending tasks before them that it plans first. */
export const DRY_RUN_AHEAD_MAX = 4000;

export interface DryRunPlacement {
  readonly group: string;
  readonly index: number;
  readonly node: string;
  readonly why: string;
}

/**
 * What the next round would do if the job were submitted now, behind everything that is pending and comes before it. Of a
 * job that exists already, pending tasks count as replaced unless they stay, while running ones keep their places: as a rule they
 * are stopped, but not by then. Of a large job the first tasks of each group are planned, and {@link DryRun.leftOut} says so.
 */
export function planDryRun({ cluster, nowMs, spec, isTaken = () => false, nodesFor, change }: DryRunInput): DryRun {
  const survey = surveyNow(cluster, nowMs, change?.leaving);
  const ending = endingFor(survey);
  keepPlaces(ending, waitingOf(cluster, ending));
  const rooms = survey.rooms();
  const job = change?.job ?? imaginedJob(spec, nowMs);
  const imagined = imaginedTasks({ cluster, nowMs }, job, nodesFor);
  const own = imagined.filter(({ task }) => !isTaken(task));
  const ahead = tasksAhead(cluster, { nowMs, spec, own, change });
  const scheduler = batchFramework(
    { rooms: openRooms(rooms), nodesTotal: rooms.length },
    [...ahead.slice(0, DRY_RUN_AHEAD_MAX), ...own].sort(byTurn),
  );
  const placed = placeAll(scheduler, DRY_RUN_AHEAD_MAX + DRY_RUN_TASKS_MAX);
  const byTask = new Map(placed.map((placement) => [placement.task, placement]));
  return {
    placements: own.flatMap(({ task }) => {
      const placement = byTask.get(task.id);
      if (placement === undefined) return [];
      return [{ group: task.group, index: task.index, node: placement.node, why: placement.why }];
    }),
    unplaced: spec.groups.flatMap((group) => {
      const left = own.filter(({ task }) => task.group === group.name && !byTask.has(task.id));
      const [first] = left;
      if (first === undefined) return [];
      return [{ group: group.name, count: left.length, explanation: explainWanted(rooms, first) }];
    }),
    leftOut: describeLeftOut({
      spec,
      planned: nodesFor === undefined ? imagined.length : taskCount(spec),
      ahead: ahead.length,
    }),
  };
}

/** The pending tasks whose turn comes before that of the job's. What comes after it takes nothing away from it. */
function tasksAhead(
  cluster: ClusterView,
  {
    nowMs,
    spec,
    own,
    change,
  }: Pick<DryRunInput, 'nowMs' | 'spec' | 'change'> & { readonly own: readonly WantedTask[] },
): WantedTask[] {
  const replaced = cluster.jobByKey(spec)?.uid;
  const [first] = [...own].sort(byTurn);
  return queueOf(cluster, nowMs)
    .wanted.flatMap((wanted) => (wanted.job.uid === replaced ? stayingOf(wanted, change) : wanted))
    .filter((wanted) => first !== undefined && byTurn(wanted, first) < 0);
}

/** As the job would want it, or nothing: it is pending, and would go. */
function stayingOf(wanted: WantedTask, change: JobChange | undefined): WantedTask | [] {
  const { task } = wanted;
  if (change === undefined || task.jobVersion !== templateVersion(change.job, task.group)) return [];
  const group = change.job.spec.groups.find(({ name }) => name === task.group);
  return group === undefined ? [] : { task, job: change.job, spec: change.job.spec, group };
}

function describeLeftOut({ spec, planned, ahead }: { spec: JobSpec; planned: number; ahead: number }): string | null {
  const sentences: string[] = [];
  const tasks = taskCount(spec);
  if (planned < tasks) {
    sentences.push(`Of its ${tasks} tasks, the first ${plannedPerGroup(spec)} of each group are planned here.`);
  }
  if (ahead > DRY_RUN_AHEAD_MAX) {
    sentences.push(`Of the ${ahead} pending tasks that come before it, the first ${DRY_RUN_AHEAD_MAX} are counted.`);
  }
  return sentences.length === 0 ? null : sentences.join(' ');
}

function taskCount(spec: JobSpec): number {
  return spec.groups.reduce((sum, group) => sum + group.count, 0);
}

function plannedPerGroup(spec: JobSpec): number {
  const tasks = taskCount(spec);
  return tasks <= DRY_RUN_TASKS_MAX ? tasks : Math.max(1, Math.floor(DRY_RUN_TASKS_MAX / spec.groups.length));
}

/** Sorts after every real uid, so that of equals the tasks that exist come first. */
const IMAGINED_UID = '~';

function imaginedJob(spec: JobSpec, nowMs: number): Job {
  return {
    uid: IMAGINED_UID,
    version: 1,
    spec,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    createdBy: '',
    stop: null,
    deleted: false,
    outcome: null,
    templates: {},
    goodVersion: null,
    deployments: 0,
    suspended: null,
  };
}

function imaginedTasks(
  { cluster, nowMs }: Pick<DryRunInput, 'cluster' | 'nowMs'>,
  job: Job,
  nodesFor: DryRunInput['nodesFor'],
): WantedTask[] {
  const most = plannedPerGroup(job.spec);
  const attempts = new Map<string, number>();
  for (const { jobVersion, group, index, attempt } of cluster.tasksOfJob(job.uid)) {
    const slot = `${jobVersion} ${group}/${index}`;
    attempts.set(slot, Math.max(attempts.get(slot) ?? 0, attempt + 1));
  }
  return job.spec.groups.flatMap((group) => {
    const nodes = nodesFor?.(group.name).slice(0, DRY_RUN_TASKS_MAX);
    return Array.from({ length: nodes?.length ?? Math.min(group.count, most) }, (_, index) => {
      const node = nodes?.[index];
      const target = node === undefined ? null : { node, required: true };
      const jobVersion = templateVersion(job, group.name);
      const attempt = attempts.get(`${jobVersion} ${group.name}/${index}`) ?? 0;
      const place = { jobVersion, group: group.name, index, attempt };
      return { task: { ...imaginedTask(job, place, nowMs), target }, spec: job.spec, job, group };
    });
  });
}

type Place = Pick<Task, 'jobVersion' | 'group' | 'index' | 'attempt'>;

function imaginedTask(job: Job, place: Place, nowMs: number): Task {
  const coordinates = { jobUid: job.uid, jobName: job.spec.name, ...place };
  return {
    ...coordinates,
    id: taskId(coordinates),
    role: job.spec.role,
    state: 'pending',
    history: [{ state: 'pending', atMs: nowMs, reason: 'submitted', message: '' }],
    notBeforeMs: 0,
    node: null,
    ports: {},
    exitCode: null,
    run: 0,
    restarts: [],
    health: null,
    target: null,
    failures: 0,
    stop: null,
    framework: null,
    template: null,
  };
}
