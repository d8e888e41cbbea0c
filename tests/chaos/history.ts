/**
 * What is known of a run when it is over: what clients asked for and were told, what containers themselves wrote down, what was
 * done to the cluster, and what it says in the end. Plain data, so that it can be kept, and checked again.
 *
 * Times are milliseconds of the machine's steady clock since it was started, which no fault can move.
 */
import type { EventView, JobSummary, NodeView, TaskView } from '../../shared/protocol/views.ts';

export type RequestKind = 'submit' | 'change' | 'stop' | 'delete' | 'read';

export interface RequestRecord {
  readonly id: number;
  readonly kind: RequestKind;
  readonly job: string;
  readonly sentAtMs: number;
  /** How often it was sent: more than once when no answer came, or one that says to come back. */
  readonly attempts: number;
  readonly answeredAtMs: number | null;
  /** Null: nobody ever said what became of it. */
  readonly answer: Answer | null;
}

export type Answer =
  | {
      readonly type: 'accepted';
      readonly uid: string;
      readonly version: number;
      readonly state: JobSummary['state'];
      /** The revision that the client had seen before, and the one that the answer reflects. */
      readonly seenRevision: number;
      readonly revision: number;
    }
  /** It is not there; `uncertain`: an earlier copy of the request may have been what removed it. */
  | { readonly type: 'absent'; readonly uncertain: boolean }
  | { readonly type: 'refused'; readonly status: number; readonly detail: string };

/** What a version of a job asks for, as far as its end depends on it. */
export interface PlannedGroup {
  readonly name: string;
  readonly count: number;
  /** With which code its containers end when nobody interferes. */
  readonly exitCode: number;
  readonly retriesMax: number;
}

export interface PlannedJob {
  readonly name: string;
  /** One list for each version, the first one first. A later one counts if it was accepted. */
  readonly versions: readonly (readonly PlannedGroup[])[];
  readonly promises: Promises;
}

/** What the job's spec promises beyond what every job has. */
export interface Promises {
  /** No place of the job is ever filled a second time: no retries, and nothing is given up. */
  readonly neverAgain: boolean;
  /** At no time do two containers run for one place of the job. */
  readonly neverTwo: boolean;
}

/** A line that a container wrote: at its start, while it lives, and at its end with the code that it ends with. */
export interface WitnessLine {
  readonly type: 'start' | 'alive' | 'end';
  readonly task: string;
  readonly node: string;
  readonly container: string;
  readonly atMs: number;
  readonly exitCode: number | null;
}

export interface FaultRecord {
  readonly kind: string;
  /** Names of what it was done to: replicas, machines, members, tasks. */
  readonly targets: readonly string[];
  readonly beganAtMs: number;
  readonly endedAtMs: number;
}

/** What a reader of the event feed got. */
export type FeedEntry =
  | { readonly type: 'event'; readonly event: EventView }
  /** The history was gone (410), and the reader has listed everything anew. */
  | { readonly type: 'listed-anew'; readonly revision: number };

export interface ClusterSample {
  readonly atMs: number;
  readonly round: number;
  readonly nodes: readonly Pick<NodeView, 'id' | 'total' | 'used'>[];
}

/** What one replica says when everything has come to rest. */
export interface FinalView {
  readonly replica: string;
  readonly jobs: readonly JobSummary[];
  readonly tasks: readonly TaskView[];
  readonly nodes: readonly NodeView[];
}

/** A process that ended by itself or says that something can't be. */
export interface Mishap {
  readonly process: string;
  readonly atMs: number;
  readonly what: string;
}

export interface History {
  readonly jobs: readonly PlannedJob[];
  readonly requests: readonly RequestRecord[];
  readonly witness: readonly WitnessLine[];
  readonly faults: readonly FaultRecord[];
  readonly feed: readonly FeedEntry[];
  readonly samples: readonly ClusterSample[];
  /** The first is of a replica that was started last, so that its mirror is a fresh list. */
  readonly finals: readonly FinalView[];
  readonly mishaps: readonly Mishap[];
  /** Containers that run when nothing should. */
  readonly leftovers: readonly { readonly node: string; readonly container: string; readonly task: string }[];
  /** What hadn't come to rest in time; null: all has. */
  readonly unrest: string | null;
  readonly machineCpus: number;
  /** When the steady clock stood at zero, by the wall clock that nobody touched: milliseconds since the epoch. */
  readonly steadyZeroMs: number;
}

/** The steady clock of the machine, which containers read as well. */
export function steadyMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
