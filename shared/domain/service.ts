/**
 * What only jobs say whose tasks are to run for ever (kinds `service` and `system`): how they are checked, kept running, spread out,
 * replaced by a new version, and found by others.
 */
import type { Constraint } from './constraint.ts';

/**
 * `rolling`: some at a time. `canary`: a few of the new version beside the old ones, and the rest once they are promoted.
 * `blue-green`: as many of the new version as there are old ones, which take over all requests at once when they are promoted.
 */
export const UPDATE_STRATEGIES = ['rolling', 'canary', 'blue-green'] as const;
export type UpdateStrategy = (typeof UPDATE_STRATEGIES)[number];

export interface UpdatePolicy {
  readonly strategy: UpdateStrategy;
  /** The share of the wanted count that is to be healthy at any time, 0 to 1. */
  readonly minHealthy: number;
  /** By which share of the wanted count the live tasks may be more than that, 0 to 1. */
  readonly maxOver: number;
  /** At most so many tasks of the new version that aren't healthy yet; absent: as many as the two shares allow. */
  readonly maxParallel?: number | undefined;
  /** Tasks of each group with the strategy `canary`. */
  readonly canaries: number;
  /** Whether what waits for a promotion is promoted as soon as all of it is healthy. */
  readonly autoPromote: boolean;
  /** A new task counts once it has been healthy and ready for so long without a break, in seconds. */
  readonly minHealthySeconds: number;
  /** The deployment fails when no further task has come to count for so long, in seconds. */
  readonly progressDeadlineSeconds: number;
  /** Whether a deployment that has failed is taken back to the last version that was good. */
  readonly autoRevert: boolean;
}

/** Which of several tasks go first when there are too many. */
export const KILL_SELECTIONS = ['youngest-first', 'oldest-first'] as const;
export type KillSelection = (typeof KILL_SELECTIONS)[number];

export const CHECK_TYPES = ['http', 'https', 'tcp', 'command'] as const;
export type CheckType = (typeof CHECK_TYPES)[number];

/** `health`: whether the task works. `readiness`: whether it should be given anything to do. */
export const CHECK_PURPOSES = ['health', 'readiness'] as const;
export type CheckPurpose = (typeof CHECK_PURPOSES)[number];

/** `restart`: a further run of the same task. `replace`: another task, maybe elsewhere. `none`: it is only shown. */
export const CHECK_REACTIONS = ['restart', 'replace', 'none'] as const;
export type CheckReaction = (typeof CHECK_REACTIONS)[number];

/** Made by the agent next to the task, whether or not the control plane can be reached. */
export interface CheckSpec {
  readonly name: string;
  readonly type: CheckType;
  readonly purpose: CheckPurpose;
  /** The name of the group's port. Absent for `command`. */
  readonly port?: string | undefined;
  /** Of the request, with its query. Absent for `tcp` and `command`. */
  readonly path?: string | undefined;
  readonly method?: 'GET' | 'HEAD' | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Statuses that pass, as ranges. Absent for `tcp` and `command`. */
  readonly statuses?: readonly { readonly first: number; readonly last: number }[] | undefined;
  /** Run within the task's container; exit code 0 passes. Absent for the others. */
  readonly command?: readonly string[] | undefined;
  readonly intervalSeconds: number;
  readonly timeoutSeconds: number;
  /** After each start of the task: failures before the first success don't count for so long, in seconds. */
  readonly graceSeconds: number;
  /** Failures in a row after which it fails. */
  readonly failuresMax: number;
  /** Successes in a row after which it passes. */
  readonly successesMin: number;
  /** What follows when it fails; `none` for `readiness`. */
  readonly onFailure: CheckReaction;
}

/** The pause after the n-th failure in a row is `delaySeconds` × `factor`^(n-1), at most `maxDelaySeconds`. */
export interface BackoffSpec {
  readonly delaySeconds: number;
  readonly factor: number;
  readonly maxDelaySeconds: number;
}

/** A run that has ended by itself, or that a check has ended, is followed by a further run of the same task where it was. */
export interface InPlaceRestarts extends BackoffSpec {
  /** So many within `withinSeconds`; one more, and the task has ended and is replaced. */
  readonly max: number;
  readonly withinSeconds: number;
}

/** Where tasks are rather to be. Weights of all that hold are added up; those below 0 say where rather not. */
export interface Preference extends Constraint {
  /** -100 to 100. */
  readonly weight: number;
}

/** Tasks of the group are to be spread over the values of an attribute. */
export interface SpreadSpec {
  readonly attribute: string;
  /** How many tasks more than the emptiest value a value may have; absent: it is only preferred. */
  readonly maxSkew?: number | undefined;
  /** How much it counts beside preferences and other spreads, 1 to 100. */
  readonly weight: number;
  /** Shares of values, in percent, where they aren't to be equal. What is left goes to the other values. */
  readonly targets?: readonly { readonly value: string; readonly percent: number }[] | undefined;
}

/** How a port is reached through a balancer. */
export interface PublishSpec {
  readonly mode: 'http' | 'tcp';
  /** The port that balancers listen on for it. Absent: it is reached by its hosts alone. */
  readonly port?: number | undefined;
  /** Names of virtual hosts; `http` only. */
  readonly hosts?: readonly string[] | undefined;
  /** Only requests whose path begins so; `http` only. */
  readonly path?: string | undefined;
}

/** Whether tasks of the kind are replaced for as long as the job stands. */
export function isLasting(kind: 'batch' | 'service' | 'system'): boolean {
  return kind !== 'batch';
}

/** How long a task that nothing checks has to run before it counts, unless its job says: one that ends right after its start shouldn't. */
export const UNCHECKED_SECONDS = 5;

export const DEFAULT_UPDATE: UpdatePolicy = {
  strategy: 'rolling',
  minHealthy: 1,
  maxOver: 0.25,
  canaries: 1,
  autoPromote: false,
  minHealthySeconds: 0,
  progressDeadlineSeconds: 600,
  autoRevert: true,
};

export const DEFAULT_BACKOFF: BackoffSpec = { delaySeconds: 1, factor: 2, maxDelaySeconds: 300 };
