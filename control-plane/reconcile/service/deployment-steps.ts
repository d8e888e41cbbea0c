/**
 * What becomes of a deployment: it begins, is promoted, makes progress and ends. Its verdict is what was seen. One that has failed
 * stays so, says why, and may be followed by another one that takes it back to the last version that was good.
 */
import { type Deployment, deploymentId } from '../../../shared/domain/deployment.ts';
import type { Job, JobVersion } from '../../../shared/domain/job.ts';
import { revertedTemplates } from '../../../shared/domain/job-template.ts';
import type { PassAction } from '../actions.ts';
import { countTasks } from '../batch-outcome.ts';
import { missingDependency } from './dependencies.ts';
import { awaitsPromotion, type JobFacts } from './job-facts.ts';
import { type Tally, tallyOf } from './tally.ts';
import { troubleOf } from './trouble.ts';

export interface DeploymentStep {
  readonly actions: readonly PassAction[];
  /** When it has to be looked at again even if nothing changes; null: only when something does. */
  readonly wakeAtMs: number | null;
}

const NO_STEP: DeploymentStep = { actions: [], wakeAtMs: null };

export function stepDeployment(facts: JobFacts): DeploymentStep {
  const { deployment, phase } = facts;
  if (deployment === null) return NO_STEP;
  if (phase === 'waiting') return begin(facts, deployment);
  if (phase === 'halted') return NO_STEP;
  const tally = tallyOf(facts);
  if (phase === 'beside' && tally.counting >= tally.wanted) return promotion(facts, deployment, tally);
  if (phase === 'rolling' && tally.isDone) return put(succeeded(facts, deployment, tally));
  return progress(facts, deployment, tally);
}

/** Nothing more comes of it, since nothing of the job is to run for now. */
export function cancelled(deployment: Deployment, nowMs: number, why: string): PassAction {
  return { type: 'put-deployment', deployment: { ...deployment, state: 'cancelled', endedAtMs: nowMs, message: why } };
}

function put(action: PassAction, wakeAtMs: number | null = null): DeploymentStep {
  return { actions: [action], wakeAtMs };
}

function changed(deployment: Deployment, change: Partial<Deployment>): DeploymentStep {
  return put({ type: 'put-deployment', deployment: { ...deployment, ...change } });
}

function begin({ cluster, job, nowMs }: JobFacts, deployment: Deployment): DeploymentStep {
  const message = missingDependency(cluster, job, nowMs);
  if (message === null) {
    const begun = awaitsPromotion(job, deployment) ? 'what it tries out has to be healthy first' : 'under way';
    return changed(deployment, { startedAtMs: nowMs, progressAtMs: nowMs, message: begun });
  }
  return message === deployment.message ? NO_STEP : changed(deployment, { message });
}

function promotion({ policy, nowMs }: JobFacts, deployment: Deployment, tally: Tally): DeploymentStep {
  if (policy.autoPromote) {
    const message =
      tally.wanted === 1
        ? 'the new task beside the old ones was healthy, so it was promoted'
        : `all ${tally.wanted} new tasks beside the old ones were healthy, so they were promoted`;
    return changed(deployment, {
      promotedAtMs: nowMs,
      promotedBy: 'berth',
      progressAtMs: nowMs,
      healthyMost: 0,
      message,
    });
  }
  const [are, wait] = tally.counting === 1 ? ['is', 'waits'] : ['are', 'wait'];
  const message = `${tally.counting} new ${tally.counting === 1 ? 'task' : 'tasks'} ${are} healthy beside the old ones and ${wait} to be promoted`;
  if (deployment.message === message && deployment.healthyMost === tally.counting) return NO_STEP;
  return changed(deployment, { message, healthyMost: tally.counting, progressAtMs: nowMs });
}

function succeeded({ job, nowMs }: JobFacts, deployment: Deployment, { counting, held }: Tally): PassAction {
  const rest = held === 0 ? '' : `; ${held} old ${held === 1 ? 'one stays' : 'ones stay'} where nodes take nothing new`;
  const message = `version ${deployment.toVersion} runs: ${countTasks(counting)} of it ${counting === 1 ? 'is' : 'are'} healthy${rest}`;
  return {
    type: 'put-deployment',
    deployment: { ...deployment, state: 'succeeded', endedAtMs: nowMs, healthyMost: counting, message },
    job: { ...job, goodVersion: deployment.toVersion },
  };
}

/** No deadline runs where all that is wanted counts already: what is left then is the end of old ones, which takes what it takes. */
function progress(facts: JobFacts, deployment: Deployment, tally: Tally): DeploymentStep {
  const { policy, nowMs } = facts;
  const one = tally.wanted === 1;
  if (tally.counting > deployment.healthyMost) {
    const message = `${tally.counting} of ${countTasks(tally.wanted)} of version ${deployment.toVersion} ${one ? 'is' : 'are'} healthy`;
    return changed(deployment, { healthyMost: tally.counting, progressAtMs: nowMs, message });
  }
  if (tally.counting >= tally.wanted) return { actions: [], wakeAtMs: tally.wakeAtMs };
  // All that is wanted did count, for however long: what has ceased to since then has its time anew, or it would be over at once.
  if (deployment.healthyMost >= tally.wanted) {
    const message = `${tally.counting} of ${countTasks(tally.wanted)} of version ${deployment.toVersion} ${one ? 'is healthy, after it was' : 'are healthy, after all of them were'}`;
    return changed(deployment, { healthyMost: tally.counting, progressAtMs: nowMs, message });
  }
  const deadlineMs = deployment.progressAtMs + Math.round(policy.progressDeadlineSeconds * 1000);
  if (deadlineMs <= nowMs) return put(failed(facts, deployment, tally));
  return { actions: [], wakeAtMs: Math.min(deadlineMs, tally.wakeAtMs ?? deadlineMs) };
}

function failed(facts: JobFacts, deployment: Deployment, tally: Tally): PassAction {
  const { policy, nowMs } = facts;
  const trouble = troubleOf(facts);
  const why =
    `${tally.counting} of ${countTasks(tally.wanted)} of version ${deployment.toVersion} ${tally.wanted === 1 ? 'was' : 'were'} healthy, and no further one ` +
    `became so within ${policy.progressDeadlineSeconds} s${trouble === null ? '' : `: ${trouble}`}`;
  const over: Deployment = { ...deployment, state: 'failed', endedAtMs: nowMs, message: why };
  const good = goodVersionOf(facts, deployment);
  if (good === null) {
    return { type: 'put-deployment', deployment: { ...over, message: `${why}; ${notTakenBack(facts, deployment)}` } };
  }
  const { version, job: after, next } = takenBack(facts, over, good);
  const message = `${why}; taken back to version ${good.version}, as version ${version.version}`;
  return {
    type: 'put-deployment',
    deployment: { ...over, message, revertedBy: next.id },
    job: after,
    revert: { version, next },
  };
}

/** What it is taken back to; null: it isn't, since that isn't wanted, nothing was good yet, or this one did so itself. */
function goodVersionOf({ policy, job, cluster }: JobFacts, deployment: Deployment): JobVersion | null {
  if (!policy.autoRevert || deployment.revertOf !== null) return null;
  if (job.goodVersion === null || job.goodVersion === deployment.toVersion) return null;
  return cluster.version(job.uid, job.goodVersion) ?? null;
}

/** Why nothing follows by itself. */
function notTakenBack({ policy, job }: JobFacts, { revertOf }: Deployment): string {
  if (!policy.autoRevert) return 'not taken back, since autoRevert is off';
  if (revertOf !== null) return `not taken back once more, since it took deployment ${revertOf} back itself`;
  return job.goodVersion === null
    ? 'not taken back, since no version has been good yet'
    : `not taken back, since version ${job.goodVersion} is the last good one`;
}

function takenBack(
  { job, members, trial, nowMs }: JobFacts,
  failedOne: Deployment,
  good: JobVersion,
): { readonly version: JobVersion; readonly job: Job; readonly next: Deployment } {
  const number = job.version + 1;
  const spec = { ...good.spec, name: job.spec.name, role: job.spec.role };
  const live = members.filter(({ isEnding }) => !isEnding).map(({ task }) => task);
  const templates = revertedTemplates({ spec, templates: good.templates }, { number, present: job, live });
  const next: Deployment = {
    ...failedOne,
    id: deploymentId(job.uid, job.deployments + 1),
    cause: 'reverted',
    // What was only tried out is nothing to go back to.
    fromVersion: trial === null ? job.version : trial.fromVersion,
    toVersion: number,
    fromTemplates: trial === null ? job.templates : trial.fromTemplates,
    state: 'running',
    createdAtMs: nowMs,
    createdBy: 'berth',
    startedAtMs: nowMs,
    progressAtMs: nowMs,
    healthyMost: 0,
    promotedAtMs: null,
    promotedBy: null,
    paused: null,
    endedAtMs: null,
    message: `takes deployment ${failedOne.id} back to version ${good.version}`,
    revertOf: failedOne.id,
    revertedBy: null,
  };
  return {
    version: {
      jobUid: job.uid,
      version: number,
      spec,
      createdAtMs: nowMs,
      createdBy: 'berth',
      change: 'reverted',
      templates,
    },
    job: { ...job, version: number, spec, templates, deployments: job.deployments + 1, updatedAtMs: nowMs },
    next,
  };
}
