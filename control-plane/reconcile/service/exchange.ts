/**
 * Turns the arithmetic of an exchange into tasks: which slots are filled, and which tasks go. The same is done whether a new version
 * takes the place of an old one, a node is emptied, the count has changed, or a task has simply ended.
 */
import {
  type GroupSpec,
  hasVolumePerTask,
  type JobSpec,
  mountsVolumes,
  type StopRequest,
} from '../../../shared/domain/job.ts';
import type { Task, TaskTarget } from '../../../shared/domain/task.ts';
import { slotKey } from '../batch-tasks.ts';
import { isFenced } from '../fence-wait.ts';
import { imageToFetch, isWaitedFor } from './image-first.ts';
import type { GroupPlan, JobFacts, PlannedStop, WantedImage } from './job-facts.ts';
import { selectToKill } from './kill-selection.ts';
import type { Member } from './members.ts';
import { taskFor } from './successor.ts';
import { boundsOf, type ExchangeStep, nextExchange } from './upgrade.ts';

export interface Exchange {
  readonly group: GroupSpec;
  /** Wanted in all. */
  readonly count: number;
  /** What is wanted; those that are to go; and those that have been asked to. */
  readonly fresh: readonly Member[];
  readonly old: readonly Member[];
  readonly ending: readonly Member[];
  /** Places that a task may be made in, best first. */
  readonly free: (going: ReadonlySet<string>) => readonly FreeSlot[];
  readonly isStopFirst: boolean;
  readonly comingMax?: number | undefined;
  /** Whether what is beyond the count goes. */
  readonly trims: boolean;
  readonly why: (member: Member) => Pick<StopRequest, 'by' | 'reason'>;
}

export interface FreeSlot {
  readonly index: number;
  readonly jobVersion: number;
  readonly target: TaskTarget | null;
}

/** Tasks that a stop relies on are compared with what was seen, at most so many of them. */
const RELIED_ON_MAX = 60;

export function planExchange(facts: JobFacts, exchange: Exchange): GroupPlan {
  const { count, fresh, old, ending } = exchange;
  const step = nextExchange(
    {
      count,
      fresh: {
        counting: fresh.filter(({ counts }) => counts).length,
        coming: fresh.filter(({ counts }) => !counts).length,
      },
      old: {
        ready: old.filter(({ isReady }) => isReady).length,
        unready: old.filter((member) => !member.isReady && !isUnplaced(member)).length,
        unplaced: old.filter(isUnplaced).length,
      },
      // What is on a node that nobody reaches can't be waited for: it is given up in its time.
      ending: ending.filter(({ isReachable }) => isReachable).length,
    },
    boundsOf(count, facts.policy, exchange),
    exchange.comingMax,
  );
  const { going, fetch } = whoGoes(facts, exchange, step);
  return { make: madeOf(facts, exchange, step.start), stop: stopsOf(facts, exchange, going), fetch };
}

function isUnplaced({ task }: Member): boolean {
  return task.state === 'pending';
}

function whoGoes(
  facts: JobFacts,
  exchange: Exchange,
  step: ExchangeStep,
): { readonly going: readonly Member[]; readonly fetch: readonly WantedImage[] } {
  const { old, fresh, group, count } = exchange;
  const rule = {
    killSelection: facts.job.spec.killSelection ?? 'youngest-first',
    constraints: [...facts.job.spec.constraints, ...group.constraints],
  };
  const select = (members: readonly Member[], howMany: number) => selectToKill(members, howMany, rule);
  const ready = old.filter(({ isReady }) => isReady);
  const unready = old.filter((member) => !member.isReady && !isUnplaced(member));
  // Those whose place nothing new has taken yet make room for it, so it has to have its image first.
  const replaced = Math.max(
    0,
    ready.length + unready.length - Math.max(0, count - fresh.filter((m) => m.counts).length),
  );
  const covered = Math.max(0, Math.min(step.stopReady, replaced - step.stopUnready));
  const chosen = select(ready, ready.length);
  const wanted = new Map(chosen.map((member) => [member, imageToFetch(facts, group, member)]));
  const [held, free] = partition(chosen, (member) => isWaitedFor(facts, wanted.get(member) ?? null));
  const gone = [...free, ...held.slice(0, covered)].slice(0, step.stopReady);
  const next = held.filter((member) => !gone.includes(member)).slice(0, step.stopReady - gone.length);
  return {
    going: [
      ...old.filter(isUnplaced),
      ...select(unready, step.stopUnready),
      ...gone,
      ...(exchange.trims ? select(tooMany(exchange), step.surplus) : []),
    ],
    fetch: next.flatMap((member) => wanted.get(member) ?? []),
  };
}

/** Where each has a volume of its own, those stay that are wanted by their index: a later one would find another volume there. */
function tooMany({ group, fresh, count }: Exchange): readonly Member[] {
  return hasVolumePerTask(group) ? fresh.filter(({ task }) => task.index >= count) : fresh;
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

function stopsOf({ nowMs }: JobFacts, { fresh, old, why }: Exchange, going: readonly Member[]): PlannedStop[] {
  const leaving = new Set(going);
  const reliesOn = [...fresh.filter(({ counts }) => counts), ...old.filter(({ isReady }) => isReady)]
    .filter((member) => !leaving.has(member))
    .slice(0, RELIED_ON_MAX)
    .map(({ task }) => task.id);
  return going.map((member) => {
    const displaced = member.isLeaving ? { displaced: true as const } : {};
    return {
      task: member.task,
      stop: { atMs: nowMs, ...why(member), ...displaced },
      // What doesn't work is no loss, whatever has become of the others.
      reliesOn: member.isReady ? reliesOn : [],
    };
  });
}

function madeOf(facts: JobFacts, exchange: Exchange, howMany: number): Task[] {
  if (howMany === 0) return [];
  const { group, old, free } = exchange;
  const { job, tasks, cluster } = facts;
  const taken = facts.taken();
  const last = new Map<string, Task>();
  for (const task of tasks) {
    if (task.group === group.name) last.set(`${task.jobVersion} ${task.index}`, task);
  }
  const oldSlots = new Set(old.map(({ task }) => slotKey(task)));
  return free(oldSlots)
    .filter((slot) => !taken.has(slotKey({ group: group.name, index: slot.index })) && !isBarred(facts, exchange, slot))
    .slice(0, howMany)
    .map(({ index, jobVersion, target }) =>
      taskFor({ cluster, nowMs: facts.nowMs }, job, {
        place: { jobVersion, group: group.name, index },
        last: last.get(`${jobVersion} ${index}`),
        target,
      }),
    );
}

/**
 * Whether a task of the group that is there, whatever it is made from, has the index, and it and one of the version may never be two. One
 * that was wanted when it was made may be of the other side by now. What nobody reaches is waited for elsewhere.
 */
function isBarred(facts: JobFacts, { group, isStopFirst }: Exchange, { index, jobVersion }: FreeSlot): boolean {
  const { cluster, job, members } = facts;
  const there = members.filter(
    ({ task, isReachable }) => task.group === group.name && task.index === index && isReachable,
  );
  if (there.length === 0) return false;
  const spec = cluster.version(job.uid, jobVersion)?.spec;
  return isStopFirst || (spec !== undefined && isMadeStopFirst(spec, group)) || there.some(isFencedIn(cluster));
}

function isFencedIn(cluster: JobFacts['cluster']): (member: Member) => boolean {
  return ({ task }) => task.node !== null && isFenced(cluster, task);
}

/**
 * Whether an old task has to be gone before its successor can come: they would be in each other's way. One without a place is in nobody's.
 */
export function isStopFirst({ cluster, job }: JobFacts, group: GroupSpec, old: readonly Member[]): boolean {
  return isMadeStopFirst(job.spec, group) || old.some(isFencedIn(cluster));
}

/** The same, as far as the job itself says so. */
export function isMadeStopFirst(spec: JobSpec, group: GroupSpec): boolean {
  return spec.kind === 'system' || spec.stopAfterDisconnectSeconds !== undefined || mountsVolumes(group);
}
