/**
 * Which tasks go when there are too many. Those that are named come first. Then those that are of least use: what is unreachable, then
 * what has come least far, and of what runs that which isn't ready. Among the rest, those go whose going keeps the others evenly
 * spread over the attributes that a `groupBy` names; and at last it is a matter of age. A task that has never run goes before one
 * that has.
 */
import type { Constraint, NodeAttributes } from '../../../shared/domain/constraint.ts';
import type { KillSelection } from '../../../shared/domain/service.ts';
import { enteredAtMs, type Task } from '../../../shared/domain/task.ts';
import { byText } from '../../../shared/util/order.ts';

export interface Candidate {
  readonly task: Task;
  readonly isReachable: boolean;
  readonly isReady: boolean;
  /** Of its node; empty where it has none. */
  readonly attributes: NodeAttributes;
}

export interface SelectionRule {
  readonly killSelection: KillSelection;
  readonly constraints: readonly Constraint[];
  /** Ids of tasks that are to go first. */
  readonly named?: ReadonlySet<string>;
}

/** `count` of the candidates, first those that go first. */
export function selectToKill<C extends Candidate>(
  candidates: readonly C[],
  count: number,
  { killSelection, constraints, named = new Set() }: SelectionRule,
): C[] {
  const rank = (candidate: C) => (named.has(candidate.task.id) ? 0 : weightOf(candidate));
  const left = [...candidates].sort((a, b) => rank(a) - rank(b) || byAge(killSelection, a.task, b.task));
  const attributes = groupedBy(constraints);
  if (attributes.length === 0) return left.slice(0, count);
  const chosen: C[] = [];
  while (chosen.length < count) {
    const [first] = left;
    if (first === undefined) break;
    const equals = left.filter((other) => rank(other) === rank(first));
    const pick = mostCrowded(equals, left, attributes);
    chosen.push(pick);
    left.splice(left.indexOf(pick), 1);
  }
  return chosen;
}

/** 1 is of the least use. */
function weightOf({ task: { state }, isReachable, isReady }: Candidate): number {
  if (!isReachable) return 1;
  if (state === 'pending' || state === 'staging') return 2;
  if (state === 'starting') return 3;
  return isReady ? 5 : 4;
}

function groupedBy(constraints: readonly Constraint[]): string[] {
  return constraints.flatMap(({ attribute, operator }) => (operator === 'groupBy' ? [attribute] : []));
}

/** Of `equals`, the first one that is in the fullest group of all that are left, for one attribute after the other. */
function mostCrowded<C extends Candidate>(equals: readonly C[], left: readonly C[], attributes: readonly string[]): C {
  const crowds = attributes.map((name) => {
    const sizes = new Map<string, number>();
    for (const { attributes: own } of left) sizes.set(valueIn(own, name), (sizes.get(valueIn(own, name)) ?? 0) + 1);
    return (candidate: C) => sizes.get(valueIn(candidate.attributes, name)) ?? 0;
  });
  const crowding = (candidate: C) => crowds.reduce((sum, sizeOf) => sum + sizeOf(candidate), 0);
  return equals.reduce((best, candidate) => (crowding(candidate) > crowding(best) ? candidate : best));
}

function valueIn(attributes: NodeAttributes, name: string): string {
  return (Object.hasOwn(attributes, name) ? attributes[name] : undefined) ?? '';
}

function byAge(selection: KillSelection, a: Task, b: Task): number {
  const [ranA, ranB] = [enteredAtMs(a, 'running'), enteredAtMs(b, 'running')];
  if (ranA === null || ranB === null) {
    if (ranA !== ranB) return ranA === null ? -1 : 1;
    return inOrder(selection, bornAtMs(a), bornAtMs(b)) || byText(a.id, b.id);
  }
  return inOrder(selection, ranA, ranB) || byText(a.id, b.id);
}

function inOrder(selection: KillSelection, a: number, b: number): number {
  return selection === 'youngest-first' ? b - a : a - b;
}

function bornAtMs({ history }: Task): number {
  return history[0]?.atMs ?? 0;
}
