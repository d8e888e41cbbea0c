/** How far a job is from what is wanted of it. */
import type { TaskId } from '../../../shared/domain/ids.ts';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import { nodeOf } from '../../../shared/domain/system-nodes.ts';
import { isExchanged, type JobFacts } from './job-facts.ts';
import type { Member } from './members.ts';
import { besideCount } from './service-groups.ts';
import { nodesFor } from './system-groups.ts';

export interface Tally {
  readonly wanted: number;
  /** New tasks that count, no more of each group than are wanted. */
  readonly counting: number;
  /** All that is wanted counts, and nothing else of the job is left. */
  readonly isDone: boolean;
  /** Old tasks of a system job that stay for now, since their nodes take nothing new. */
  readonly held: number;
  /** When a further one will count if nothing changes; null: none will. */
  readonly wakeAtMs: number | null;
}

export function tallyOf(facts: JobFacts): Tally {
  const { job, members, nowMs } = facts;
  const groups = job.spec.groups.map((group) => tallyGroup(facts, group));
  const wanted = groups.reduce((sum, group) => sum + group.wanted, 0);
  const counting = groups.reduce((sum, group) => sum + group.counting, 0);
  const wakes = members.flatMap(({ countsFromMs }) =>
    countsFromMs !== null && countsFromMs > nowMs ? countsFromMs : [],
  );
  const names = new Set(job.spec.groups.map(({ name }) => name));
  // What is on a node that nobody reaches can't be waited for: it goes when the node is back, or is given up.
  const isLeft = members.some(({ isReachable, isPresent, isEnding, task }) => {
    const isHeld = groups.some(({ held }) => held.has(task.id));
    return isReachable && ((!isPresent && !isHeld) || isEnding || !names.has(task.group));
  });
  return {
    wanted,
    counting,
    held: groups.reduce((sum, { held }) => sum + held.size, 0),
    isDone: !isLeft && counting >= wanted && groups.every(({ isOver }) => !isOver),
    wakeAtMs: wakes.length === 0 ? null : wakes.reduce((a, b) => Math.min(a, b)),
  };
}

interface GroupTally {
  readonly wanted: number;
  readonly counting: number;
  readonly isOver: boolean;
  /** Old tasks that stay as they are, since their nodes take nothing new for now. */
  readonly held: ReadonlySet<TaskId>;
}

const NONE_HELD: ReadonlySet<TaskId> = new Set();

function tallyGroup(facts: JobFacts, group: GroupSpec): GroupTally {
  const fresh = facts.members.filter(
    ({ task, isPresent, isEnding }) => task.group === group.name && isPresent && !isEnding,
  );
  if (facts.job.spec.kind === 'system') return tallyNodes(facts, group, fresh);
  const { deployment, phase, job } = facts;
  const isBeside = phase === 'beside' && deployment !== null && isExchanged(job, deployment, group.name);
  const wanted = isBeside ? besideCount(facts, group) : group.count;
  const staying = fresh.filter(({ isLeaving }) => !isLeaving);
  const counting = Math.min(wanted, staying.filter(({ counts }) => counts).length);
  return { wanted, counting, isOver: staying.length > wanted, held: NONE_HELD };
}

function tallyNodes(facts: JobFacts, group: GroupSpec, fresh: readonly Member[]): GroupTally {
  const { open, staying } = nodesFor(facts, group);
  const nodes = new Set(staying);
  const closed = new Set(staying.filter((node) => !open.includes(node)));
  const old = facts.members.filter(({ task, isPresent }) => task.group === group.name && !isPresent);
  const held = old.filter(({ task, isEnding }) => !isEnding && closed.has(nodeOf(task)));
  const there = fresh.filter(({ task }) => nodes.has(nodeOf(task)));
  return {
    wanted: nodes.size - held.length,
    counting: there.filter(({ counts }) => counts).length,
    isOver: there.length < fresh.length,
    held: new Set(held.map(({ task }) => task.id)),
  };
}
