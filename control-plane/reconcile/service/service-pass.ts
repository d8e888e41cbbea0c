/**
 * Services and system jobs: keeps as many tasks as are wanted, replaces what has ended, exchanges what is outdated or stands on a node
 * that is being emptied, and moves deployments on. What to do is read off the records, so a pass that was cut off, or run twice at
 * once, changes nothing; what is stopped because others work is stopped only as long as those are as they were seen.
 */
import type { Deployment } from '../../../shared/domain/deployment.ts';
import { deploymentId } from '../../../shared/domain/deployment.ts';
import { type Job, mountsVolumes, type StopRequest } from '../../../shared/domain/job.ts';
import { isLasting } from '../../../shared/domain/service.ts';
import { byText } from '../../../shared/util/order.ts';
import { ACTION_TASKS_MAX, type PassAction, type PassInput, type PassPlan } from '../actions.ts';
import { bounded, chunks } from '../bounds.ts';
import { isLive, removal, stops } from '../job-end.ts';
import { keptAsideByJob } from '../kept-aside-slots.ts';
import { type SlotFacts, unseenEndsWakeMs } from '../taken-slots.ts';
import { cancelled, stepDeployment } from './deployment-steps.ts';
import { fetchActions, overFetches } from './image-first.ts';
import { factsOf, type GroupPlan, type JobFacts } from './job-facts.ts';
import { RestingJobs } from './resting-jobs.ts';
import { planServiceGroups } from './service-groups.ts';
import { planSystemGroups } from './system-groups.ts';

type ServiceInput = Pick<PassInput, 'cluster' | 'nowMs' | 'unseenEndsForMs' | 'resting'>;

export function planServicePass({
  cluster,
  nowMs,
  unseenEndsForMs,
  resting = new RestingJobs(),
}: ServiceInput): PassPlan {
  resting.look(cluster);
  const awake = [...cluster.unsettledJobs()].filter(
    (job) => isLasting(job.spec.kind) && !resting.isResting(job, nowMs),
  );
  const jobs = awake.sort((a, b) => a.createdAtMs - b.createdAtMs || byText(a.uid, b.uid));
  const slots = { cluster, unseenEndsForMs, keptAside: jobs.length === 0 ? new Map() : keptAsideByJob(cluster) };
  const plans = jobs.map((job) => {
    const plan = planJob(slots, job, nowMs);
    if (plan.actions.length === 0 && mayRest(slots, job)) resting.rest(job, plan.wakeAtMs);
    return plan;
  });
  const wakes = [unseenEndsWakeMs(slots, nowMs), resting.firstWakeMs(), ...plans.map((plan) => plan.wakeAtMs)];
  const wakeAtMs = wakes.reduce((a, b) => (a === null ? b : b === null ? a : Math.min(a, b)), null);
  return bounded([overFetches(cluster), ...plans.map(({ actions }) => actions)], (some) => some, { wakeAtMs, nowMs });
}

/**
 * Whether all that its plan rests on is told by changes of the job, its tasks and the standing of nodes: not where it is rolled out, waits
 * for a slot or for places to be given back, or depends on what lives on a node that is being emptied and on windows of time.
 */
function mayRest({ cluster, unseenEndsForMs }: SlotFacts, job: Job): boolean {
  const { kind, stopAfterDisconnectSeconds } = job.spec;
  if (job.deleted || stopAfterDisconnectSeconds !== undefined || unseenEndsForMs.size > 0) return false;
  if (job.spec.groups.some(mountsVolumes)) return false;
  if (cluster.deployments.get(deploymentId(job.uid, job.deployments))?.state === 'running') return false;
  return kind !== 'system' || cluster.maintenance.size === 0;
}

function planJob(slots: SlotFacts, job: Job, nowMs: number): PassPlan {
  const { cluster } = slots;
  if (job.deleted || job.stop !== null || job.suspended !== null) {
    return { actions: endedActions(slots, job, nowMs), wakeAtMs: null };
  }
  const facts = factsOf(slots, job, nowMs);
  const plan = job.spec.kind === 'system' ? planSystemGroups(facts) : planServiceGroups(facts);
  const step = stepDeployment(facts);
  const turns = facts.members.flatMap(({ countsFromMs }) =>
    countsFromMs !== null && countsFromMs > nowMs ? countsFromMs : [],
  );
  const wakeAtMs = [...turns, step.wakeAtMs].reduce((a, b) => (a === null ? b : b === null ? a : Math.min(a, b)), null);
  return {
    actions: [...actionsOf(facts, plan), ...fetchActions(cluster, facts, plan.fetch), ...step.actions],
    wakeAtMs,
  };
}

/** Nothing of the job is to run: for good, or until it is resumed. */
function endedActions({ cluster }: SlotFacts, job: Job, nowMs: number): PassAction[] {
  const tasks = [...cluster.tasksOfJob(job.uid)].sort((a, b) => byText(a.id, b.id));
  const last = cluster.deployments.get(deploymentId(job.uid, job.deployments));
  const why = describeEnding(job);
  const ending = last?.state === 'running' ? [cancelled(last, nowMs, why)] : [];
  if (job.deleted) return [...removal(cluster, job, tasks, nowMs), ...ending];
  const stop = job.stop ?? suspensionStop(job, nowMs);
  const live = tasks.filter(isLive);
  if (live.length > 0) return [...stops(live, stop), ...ending];
  if (job.stop === null || job.outcome !== null) return ending;
  const message = `stopped by ${stop.by}: ${stop.reason}`;
  return [...ending, { type: 'conclude-job', job: job.uid, outcome: { state: 'stopped', atMs: nowMs, message } }];
}

function suspensionStop({ suspended }: Job, nowMs: number): StopRequest {
  const { by = 'berth', reason = '' } = suspended ?? {};
  return { atMs: nowMs, by, reason: `the job is suspended${reason === '' ? '' : ` (${reason})`}` };
}

function describeEnding({ deleted, stop, suspended }: Job): Deployment['message'] {
  if (deleted) return 'the job was deleted';
  return stop === null ? `the job was suspended by ${suspended?.by ?? 'berth'}` : `the job was stopped by ${stop.by}`;
}

/** A deployment's own record comes last: what its change would put in question has been carried out by then. */
function actionsOf({ job }: JobFacts, { make, stop }: GroupPlan): PassAction[] {
  return [
    ...stop.map(({ task, stop: request, reliesOn }) => {
      return { type: 'stop-task', task: task.id, stop: request, relies: { job: job.uid, tasks: reliesOn } } as const;
    }),
    ...chunks(make, ACTION_TASKS_MAX).map((some) => ({ type: 'create-tasks', job: job.uid, tasks: some }) as const),
  ];
}
