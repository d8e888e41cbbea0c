/** What the plan of one lasting job rests on, and what it asks for. */
import type { ClusterView } from '../../../shared/domain/cluster.ts';
import type { Deployment } from '../../../shared/domain/deployment.ts';
import { deploymentId } from '../../../shared/domain/deployment.ts';
import type { GroupSpec, Job, JobVersion, StopRequest } from '../../../shared/domain/job.ts';
import { templateVersion } from '../../../shared/domain/job.ts';
import { changedTemplates } from '../../../shared/domain/job-template.ts';
import { DEFAULT_UPDATE, type UpdatePolicy } from '../../../shared/domain/service.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { type SlotFacts, type TakenSlot, takenSlots } from '../taken-slots.ts';
import { type Member, membersOf } from './members.ts';

/**
 * `waiting`: the deployment hasn't what it depends on. `halted`: it is paused, or the last one came to nothing: what runs is kept up as
 * it is. `beside`: new tasks stand beside the old ones and wait for a promotion. `rolling`: what is wanted takes the place of the rest.
 */
export type Phase = 'waiting' | 'halted' | 'beside' | 'rolling';

export interface JobFacts {
  readonly cluster: ClusterView;
  readonly nowMs: number;
  readonly job: Job;
  /** All that are on record, ended ones as well. */
  readonly tasks: readonly Task[];
  /** Those that live. */
  readonly members: readonly Member[];
  readonly policy: UpdatePolicy;
  /** The one that is under way. */
  readonly deployment: Deployment | null;
  /** What was wanted before the deployment that is under way; null: nothing, or there is none. */
  readonly before: JobVersion | null;
  /** The one that tries out what is wanted, which nobody has promoted yet, though it may be over. */
  readonly trial: Deployment | null;
  readonly phase: Phase;
  /** Slots in which nothing may be made yet: worked out when it is first asked for. */
  readonly taken: () => ReadonlyMap<string, TakenSlot>;
}

export function factsOf(slots: SlotFacts, job: Job, nowMs: number): JobFacts {
  const { cluster } = slots;
  const tasks = [...cluster.tasksOfJob(job.uid)].sort((a, b) => a.index - b.index || a.attempt - b.attempt);
  const last = cluster.deployments.get(deploymentId(job.uid, job.deployments));
  const deployment = last?.state === 'running' ? last : null;
  const before = deployment?.fromVersion == null ? null : (cluster.version(job.uid, deployment.fromVersion) ?? null);
  let taken: ReadonlyMap<string, TakenSlot> | null = null;
  return {
    cluster,
    taken: () => {
      taken ??= takenSlots(slots, job, tasks, () => true);
      return taken;
    },
    nowMs,
    job,
    tasks,
    members: membersOf({ cluster, nowMs }, job, tasks),
    policy: job.spec.update ?? DEFAULT_UPDATE,
    deployment,
    before,
    trial: trialOf(cluster, job),
    phase: phaseOf(job, last),
  };
}

function phaseOf(job: Job, last: Deployment | undefined): Phase {
  if (last === undefined || last.state === 'succeeded') return 'rolling';
  if (last.state !== 'running') return 'halted';
  if (last.startedAtMs === null) return 'waiting';
  if (last.paused !== null) return 'halted';
  return awaitsPromotion(job, last) ? 'beside' : 'rolling';
}

/**
 * Whether tasks are exchanged only once somebody has promoted the new ones. What is taken back doesn't wait for that, and on nodes
 * that have one task each there is nothing to stand beside. Another count, and a resumption, exchange none by themselves: only where
 * they came while others were tried out.
 */
export function awaitsPromotion(job: Job, deployment: Deployment): boolean {
  if (job.spec.kind === 'system') return false;
  const strategy = job.spec.update?.strategy ?? DEFAULT_UPDATE.strategy;
  if (strategy === 'rolling' || deployment.promotedAtMs !== null) return false;
  if (deployment.cause === 'reverted' || isMereRestart(deployment)) return false;
  return job.spec.groups.some(({ name }) => isExchanged(job, deployment, name));
}

/** It starts from the very version that is made anew: no other was tried out in between. */
function isMereRestart({ cause, fromVersion, toVersion }: Deployment): boolean {
  return cause === 'restarted' && fromVersion === toVersion - 1;
}

/**
 * The deployment of a job that tries out what is wanted, as long as nobody has promoted that, though the deployment itself may have been
 * aborted, have failed, or have made room for a suspension. Whatever comes next starts from what that one did: nothing but a promotion,
 * or a version that is submitted with another strategy, makes everything from what was only tried out. Null: there is none, or what is
 * wanted by now is what was there before.
 */
export function trialOf(cluster: Pick<ClusterView, 'deployments' | 'version'>, job: Job): Deployment | null {
  const last = cluster.deployments.get(deploymentId(job.uid, job.deployments));
  if (last === undefined || last.state === 'succeeded' || last.fromVersion === null) return null;
  if (job.stop !== null || !awaitsPromotion(job, last)) return null;
  const before = cluster.version(job.uid, last.fromVersion);
  const changed = before === undefined ? null : changedTemplates(before.spec, job.spec);
  const isTried = ({ name }: GroupSpec) => isExchanged(job, last, name) && changed?.includes(name) !== false;
  return job.spec.groups.some(isTried) ? last : null;
}

/** Whether there were tasks of the group, and they are to be others now. */
export function isExchanged(job: Job, { fromTemplates }: Deployment, group: string): boolean {
  return Object.hasOwn(fromTemplates, group) && fromTemplates[group] !== templateVersion(job, group);
}

/** What is asked for of a group. */
export interface GroupPlan {
  readonly make: readonly Task[];
  readonly stop: readonly PlannedStop[];
  /** Images that are to be there before a task makes room for one that needs them. */
  readonly fetch: readonly WantedImage[];
}

export interface PlannedStop {
  readonly task: Task;
  readonly stop: StopRequest;
  /** Tasks that have to be as they were seen, or it would be too much. */
  readonly reliesOn: readonly string[];
}

export interface WantedImage {
  readonly node: string;
  readonly image: string;
}

export const NOTHING_PLANNED: GroupPlan = { make: [], stop: [], fetch: [] };

export function joined(plans: readonly GroupPlan[]): GroupPlan {
  return {
    make: plans.flatMap(({ make }) => make),
    stop: plans.flatMap(({ stop }) => stop),
    fetch: plans.flatMap(({ fetch }) => fetch),
  };
}

export function groupOf(version: JobVersion | null, name: string): GroupSpec | undefined {
  return version?.spec.groups.find((group) => group.name === name);
}
