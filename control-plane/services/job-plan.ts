/** What would come of a job if it were submitted now: what is placed where, and, of a service, what becomes of the tasks that run. Nothing is written. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import { type GroupSpec, hasVolumePerTask, type Job, type JobSpec, templateVersion } from '../../shared/domain/job.ts';
import { nextTemplates } from '../../shared/domain/job-template.ts';
import { DEFAULT_UPDATE, isLasting, type UpdatePolicy } from '../../shared/domain/service.ts';
import { specChanges } from '../../shared/domain/spec-changes.ts';
import { nodeOf, systemNodes, takesNew } from '../../shared/domain/system-nodes.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { GroupPlan } from '../../shared/protocol/job-changes.ts';
import type { PlanView } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import type { Principal } from '../auth/principal.ts';
import { slotKey } from '../reconcile/batch-tasks.ts';
import { isMadeStopFirst } from '../reconcile/service/exchange.ts';
import { selectToKill } from '../reconcile/service/kill-selection.ts';
import { membersOf } from '../reconcile/service/members.ts';
import { boundsOf } from '../reconcile/service/upgrade.ts';
import { type JobChange, planDryRun } from '../scheduler/explain.ts';
import { demandToRun, mayRead } from './access.ts';
import { demandContact } from './contact-limit.ts';
import type { ServiceContext } from './context.ts';
import { dependenciesOf } from './dependencies.ts';
import { explanationView } from './explanation-view.ts';
import { dependencyCompares } from './job-drafts.ts';
import { secretCompares } from './job-secrets.ts';
import { runningOf } from './service-changes.ts';
import { slotWaitsWith } from './slot-waits.ts';

export function planJob(ctx: ServiceContext, principal: Principal, spec: JobSpec): PlanView {
  demandToRun(principal, spec);
  demandContact(ctx, spec);
  const { snapshot } = ctx.mirror;
  const job = mayRead(principal, 'job:read', spec.role) ? snapshot.jobByKey(spec) : undefined;
  if (isLasting(spec.kind)) dependencyCompares(ctx, principal, spec, job?.spec);
  secretCompares(snapshot, spec);
  const nowMs = ctx.clock.now();
  const service = isLasting(spec.kind) ? servicePlan({ cluster: snapshot, nowMs }, job, spec) : NO_SERVICE;
  const waiting = job === undefined || isLasting(spec.kind) ? [] : slotWaitsWith(snapshot, job, spec);
  const taken = new Set([...waiting, ...service.idle].map(slotKey));
  const isTaken = (slot: Pick<Task, 'group' | 'index'>) => taken.has(slotKey(slot));
  const { nodesFor, change } = service;
  const dryRun = planDryRun({
    cluster: snapshot,
    nowMs,
    spec,
    isTaken,
    change,
    ...(nodesFor !== null && { nodesFor }),
  });
  return {
    placements: dryRun.placements.map(({ group, index, node, why }) => ({ group, index, node, why })),
    unplaced: dryRun.unplaced.map(({ group, count, explanation }) => ({
      group,
      count,
      explanation: explanationView(explanation),
    })),
    waiting,
    leftOut: dryRun.leftOut,
    changes: job === undefined ? null : specChanges(job.spec, spec),
    groups: service.groups,
    steps: service.steps,
    warnings: [...dependencyWarnings(snapshot, principal, spec), ...service.warnings],
  };
}

interface ServicePlan {
  /** Slots in which nothing is to be made. */
  readonly idle: readonly Pick<Task, 'group' | 'index'>[];
  /** Of a system job: where a task of the group is to be made. */
  readonly nodesFor: ((group: string) => readonly NodeId[]) | null;
  /** Absent: the job is new. */
  readonly change?: JobChange;
  readonly groups: GroupPlan[];
  readonly steps: string[];
  readonly warnings: string[];
}

const NO_SERVICE: ServicePlan = { idle: [], nodesFor: null, groups: [], steps: [], warnings: [] };

interface Now {
  readonly cluster: ClusterView;
  readonly nowMs: number;
}

/** What becomes of the tasks that run, group by group, and how. */
export function servicePlan({ cluster, nowMs }: Now, job: Job | undefined, spec: JobSpec): ServicePlan {
  const next = job === undefined ? undefined : nextJob(job, spec);
  const fates = fatesOf({ cluster, nowMs }, job, next, spec);
  const isSystem = spec.kind === 'system';
  const groups = fates.map(({ plan }) => plan);
  const isNothing = job !== undefined && isAsWanted(job, spec);
  return {
    // Where a system job has tasks, they aren't told by index, but by node.
    idle: isSystem ? [] : fates.flatMap(({ idle }) => idle),
    nodesFor: isSystem ? (name) => fates.find(({ plan }) => plan.group === name)?.nodes ?? [] : null,
    ...(next !== undefined && { change: { job: next, leaving: fates.flatMap(({ leaving }) => leaving) } }),
    groups,
    steps: isNothing ? ['Nothing changes, so there is no deployment.'] : stepsOf(spec, groups, job),
    warnings: job === undefined || isNothing ? [] : jobWarnings(cluster, job),
  };
}

function isAsWanted(job: Job, spec: JobSpec): boolean {
  return job.stop === null && canonicalJson(job.spec) === canonicalJson(spec);
}

/** The job's record as the change would leave it, running. */
function nextJob(job: Job, spec: JobSpec): Job {
  const isSame = isAsWanted(job, spec);
  const version = isSame ? job.version : job.version + 1;
  const templates = isSame ? job.templates : nextTemplates(job, spec, version);
  return { ...job, version, spec, templates, stop: null, outcome: null, suspended: null };
}

interface Fate {
  readonly plan: GroupPlan;
  readonly idle: readonly Pick<Task, 'group' | 'index'>[];
  /** Those that have to go before others come in their places. */
  readonly leaving: readonly Task[];
  /** Of a system job: where one is to be made. */
  readonly nodes: readonly NodeId[];
}

function fatesOf(now: Now, job: Job | undefined, next: Job | undefined, spec: JobSpec): Fate[] {
  const live = job === undefined ? [] : [...now.cluster.tasksOfJob(job.uid)].filter(isStaying);
  const byGroup = Map.groupBy(live, ({ group }) => group);
  const wanted = spec.groups.map((group) => {
    const tasks = byGroup.get(group.name) ?? [];
    const present = templateVersion(next ?? { templates: {}, version: 1 }, group.name);
    return fateOf({ ...now, job: next, before: job, spec, group, tasks, present });
  });
  const gone = [...byGroup].filter(([name]) => spec.groups.every((group) => group.name !== name));
  const removed = gone.map(([group, tasks]) => {
    const counts = { made: 0, replaced: 0, stopped: tasks.length, kept: 0 };
    return { plan: { group, ...counts, why: 'the job has the group no more' }, idle: [], leaving: [], nodes: [] };
  });
  return [...wanted, ...removed];
}

interface GroupFacts extends Now {
  /** As it would be; undefined: it is new. */
  readonly job: Job | undefined;
  readonly before: Job | undefined;
  readonly spec: JobSpec;
  readonly group: GroupSpec;
  /** Those that run and aren't to stop. */
  readonly tasks: readonly Task[];
  /** The version that the group's present tasks carry. */
  readonly present: number;
}

function fateOf(facts: GroupFacts): Fate {
  const { cluster, before, spec, group, tasks, present } = facts;
  const isSystem = spec.kind === 'system';
  const wantedNodes = isSystem ? systemNodes(cluster, spec, { group, live: tasks }).staying : [];
  // Where nothing new may come, the old task of a system job stays for now.
  const isOld = (task: Task) => task.jobVersion !== present && !(isSystem && !takesNew(cluster, nodeOf(task)));
  const kept = isSystem ? tasks.filter((task) => !isOld(task) && wantedNodes.includes(nodeOf(task))) : keptOf(facts);
  const outdated = tasks.filter(isOld);
  const leaving = isMadeStopFirst(spec, group) ? outdated : [];
  const nodes = wantedNodes.filter((node) => kept.every((task) => nodeOf(task) !== node));
  const held = new Set(kept.map(({ index }) => index));
  const made = isSystem ? nodes.length : Math.max(0, group.count - held.size);
  const free = Array.from({ length: group.count }, (_, index) => index).filter((index) => !held.has(index));
  const idle = [...held, ...free.slice(made)].map((index) => ({ group: group.name, index }));
  const replaced = Math.min(outdated.length, made);
  const counts = { made, replaced, stopped: tasks.length - kept.length - replaced, kept: kept.length };
  return { plan: { group: group.name, ...counts, why: whyOf(before, spec, group.name, counts) }, idle, leaving, nodes };
}

/** Those that stay of a service when there are too many, by the rule by which the others are stopped. */
function keptOf({ cluster, nowMs, job, spec, group, tasks, present }: GroupFacts): Task[] {
  const fitting = tasks.filter((task) => task.jobVersion === present);
  if (job === undefined || hasVolumePerTask(group)) return fitting.filter(({ index }) => index < group.count);
  const surplus = new Set(fitting.map(({ index }) => index)).size - group.count;
  if (surplus <= 0) return fitting;
  const killed = selectToKill(membersOf({ cluster, nowMs }, job, fitting), surplus, {
    killSelection: spec.killSelection ?? 'youngest-first',
    constraints: [...spec.constraints, ...group.constraints],
  });
  const slots = new Set(killed.map(({ task }) => task.index));
  return fitting.filter(({ index }) => !slots.has(index));
}

function isStaying({ state, stop }: Task): boolean {
  return !isTerminal(state) && stop === null;
}

type Counts = Pick<GroupPlan, 'made' | 'replaced' | 'stopped' | 'kept'>;

function whyOf(job: Job | undefined, spec: JobSpec, name: string, { made, replaced, stopped }: Counts): string {
  const before = job?.spec.groups.find((group) => group.name === name);
  if (job === undefined || before === undefined) return 'the group is new';
  const after = spec.groups.find((group) => group.name === name);
  const count =
    after === undefined || after.count === before.count
      ? []
      : [`its count changes from ${before.count} to ${after.count}`];
  const template = replaced === 0 ? [] : [`its template changes: ${templatePaths(job.spec, spec, name).join(', ')}`];
  if (template.length + count.length > 0) return [...template, ...count].join('; ');
  if (made + stopped > 0) return 'as many as are wanted are not there now';
  return 'nothing that its tasks are made from changes';
}

const PATHS_NAMED_MAX = 5;

/** What makes its tasks outdated, as fields of the group or of the job. */
function templatePaths(before: JobSpec, after: JobSpec, name: string): string[] {
  const groupOf = (spec: JobSpec) => spec.groups.find((group) => group.name === name);
  const { groups: _before, ...jobBefore } = before;
  const { groups: _after, ...jobAfter } = after;
  const changes = [...specChanges(jobBefore, jobAfter), ...specChanges(groupOf(before), groupOf(after))];
  const paths = changes.map(({ path }) => path.slice(1)).filter((path) => !NO_TEMPLATE.test(path));
  if (paths.length === 0) return ['tasks of an earlier version are there'];
  const more = paths.length - PATHS_NAMED_MAX;
  return more > 0 ? [...paths.slice(0, PATHS_NAMED_MAX), `and ${more} more`] : paths;
}

/** Fields whose change starts nothing anew: see `shared/domain/job-template.ts`. */
const NO_TEMPLATE = /^(?:count|backoff|priority|labels|replaceAfterSeconds|update|dependsOn|killSelection)(?:\/|$)/;

/** How it gets there, in sentences with the numbers of this very job. */
function stepsOf(spec: JobSpec, groups: readonly GroupPlan[], job: Job | undefined): string[] {
  const update = spec.update ?? DEFAULT_UPDATE;
  const { strategy, autoPromote } = update;
  const begun = spec.dependsOn?.length ? [`It begins when these are up: ${spec.dependsOn.join(', ')}.`] : [];
  const exchanged = groups.filter(({ replaced }) => replaced > 0);
  const tried =
    job === undefined || exchanged.length === 0 || strategy === 'rolling' ? [] : [trialSentence(update, exchanged)];
  const promotion = autoPromote ? 'as soon as all of them are healthy' : 'by `berth deployment promote`';
  const promoted = tried.length === 0 ? [] : [`They are promoted ${promotion}.`];
  const paced = exchanged.flatMap(({ group }) => paceSentence(spec, update, group));
  return [...begun, ...tried, ...promoted, ...paced, endSentence(update, job?.goodVersion ?? null)];
}

function trialSentence({ strategy, canaries }: UpdatePolicy, exchanged: readonly GroupPlan[]): string {
  const parts = exchanged.map(
    ({ group, made }) => `${strategy === 'canary' ? Math.min(canaries, made) : made} of ${group}`,
  );
  const aim =
    strategy === 'canary'
      ? 'are tried out beside the old ones'
      : 'are made beside the old ones, and take over together';
  return `New tasks ${aim}: ${parts.join(', ')}.`;
}

function paceSentence(spec: JobSpec, update: UpdatePolicy, name: string): string[] {
  const group = spec.groups.find((each) => each.name === name);
  if (group === undefined || update.strategy === 'blue-green') return [];
  if (spec.kind === 'system') return [`Group ${name}: node by node, as fast as its share of healthy ones allows.`];
  const { healthyMin, liveMax } = boundsOf(group.count, update, { isStopFirst: isMadeStopFirst(spec, group) });
  const parallel = update.maxParallel === undefined ? '' : `, at most ${update.maxParallel} not healthy yet at a time`;
  return [
    `Group ${name}: at least ${healthyMin} of ${group.count} stay healthy, and at most ${liveMax} are live${parallel}.`,
  ];
}

function endSentence({ progressDeadlineSeconds, autoRevert }: UpdatePolicy, goodVersion: number | null): string {
  const after = autoRevert
    ? goodVersion === null
      ? ', and stays as it is then, since there is no good version yet to go back to'
      : `, and is taken back to version ${goodVersion}, the last good one`
    : ', and stays as it is then';
  return `It fails when no further task comes to be healthy for ${progressDeadlineSeconds} s${after}.`;
}

function dependencyWarnings(cluster: ClusterView, principal: Principal, spec: JobSpec): string[] {
  const readable = dependenciesOf(spec).filter(({ role }) => mayRead(principal, 'job:read', role));
  return readable.flatMap((key) => {
    const job = cluster.jobByKey(key);
    if (job !== undefined && !job.deleted) return [];
    return [`There is no job "${key.name}" in role "${key.role}", which it depends on: it would wait for that.`];
  });
}

function jobWarnings(cluster: ClusterView, job: Job): string[] {
  const running = runningOf(cluster.deploymentsOfJob(job.uid));
  const busy =
    running === null
      ? []
      : [
          `Deployment ${running.id} to version ${running.toVersion} is under way: this change would be refused without force, which cancels that.`,
        ];
  return job.suspended === null
    ? busy
    : [...busy, 'The job is suspended: this would be rolled out when it is resumed.'];
}
