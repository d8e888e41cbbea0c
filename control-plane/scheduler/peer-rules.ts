/**
 * What a task asks of where the other tasks of its group are. Pure, over counts by value of one attribute: whoever places, and whoever
 * explains, holds the same rules against the same counts.
 *
 * The rules are Marathon's, as its documentation has them, also that of GROUP_BY, which later code of it contradicts: a value may have one
 * more that has none, or that has the least of those that have some. A number says how many values are expected: until so many are in
 * use, only further ones may have any.
 */
import { type Constraint, describeConstraint } from '../../shared/domain/constraint.ts';
import type { GroupSpec } from '../../shared/domain/job.ts';
import { unreachable } from '../../shared/util/assert.ts';

export type PeerRule = { readonly attribute: string; readonly text: string } & (
  | { readonly type: 'unique' }
  | { readonly type: 'cluster' }
  | { readonly type: 'maxPer'; readonly most: number }
  /** `values`: so many are in use before any has a second task. */
  | { readonly type: 'groupBy'; readonly values: number }
  | { readonly type: 'maxSkew'; readonly most: number }
);

export interface PeerCounts {
  of(value: string): number;
  /** The values that any task has, each with how many. */
  readonly byValue: ReadonlyMap<string, number>;
  /** The fewest that one of these values has; 0 where no task has any. */
  readonly least: number;
  /** The values of nodes that take new tasks, and that the group may be on. */
  readonly possible: ReadonlySet<string>;
  /** The fewest that one of these has. */
  readonly leastPossible: number;
  /** The value that the first task has; null: there is none. */
  readonly first: string | null;
  /** How many tasks there are to be. */
  readonly wanted: number;
}

/** Of the job's and the group's constraints, and of the spreads that are more than a wish. */
export function peerRulesOf(
  constraints: readonly Constraint[],
  { spread = [] }: Pick<GroupSpec, 'spread'>,
): PeerRule[] {
  const rules = constraints.flatMap((constraint) => ruleOf(constraint) ?? []);
  const bounded = spread.flatMap(({ attribute, maxSkew }): PeerRule[] => {
    if (maxSkew === undefined) return [];
    return [{ type: 'maxSkew', attribute, most: maxSkew, text: `spread over ${attribute}, maxSkew ${maxSkew}` }];
  });
  return [...rules, ...bounded];
}

function ruleOf(constraint: Constraint): PeerRule | null {
  const { attribute, operator, value } = constraint;
  const text = describeConstraint(constraint);
  switch (operator) {
    case 'unique':
      return { type: operator, attribute, text };
    case 'cluster':
      // Where a value is named, it is one that the node has or hasn't.
      return value === undefined ? { type: operator, attribute, text } : null;
    case 'maxPer':
      return { type: operator, attribute, text, most: Number(value) };
    case 'groupBy':
      return { type: operator, attribute, text, values: Number(value ?? 1) };
    default:
      return null;
  }
}

/** Whether a node with this value may have one more; undefined: it has none. */
export function admitsPeer(rule: PeerRule, value: string | undefined, counts: PeerCounts): boolean {
  if (value === undefined) return false;
  const count = counts.of(value);
  switch (rule.type) {
    case 'unique':
      return count === 0;
    case 'cluster':
      return counts.first === null || counts.first === value;
    case 'maxPer':
      return count < rule.most;
    case 'groupBy':
      return count === 0 || (counts.byValue.size >= rule.values && count === counts.least);
    case 'maxSkew':
      return count + 1 - Math.min(counts.leastPossible, count) <= rule.most;
    default:
      return unreachable(rule);
  }
}

/** Why it may not, to follow the node's name. */
export function describePeerRefusal(rule: PeerRule, value: string | undefined, counts: PeerCounts): string {
  const { attribute } = rule;
  if (value === undefined) return `has no attribute "${attribute}", which "${rule.text}" asks for`;
  const here = `${attribute} ${value}`;
  const held = `${here} has ${tasks(counts.of(value))} of the group`;
  switch (rule.type) {
    case 'unique':
      return `is taken: ${held}, and "${rule.text}" allows one`;
    case 'cluster':
      return `is on ${here}, where "${rule.text}" keeps the group on ${counts.first ?? 'one value'}`;
    case 'maxPer':
      return `is full: ${held}, and "${rule.text}" allows ${rule.most}`;
    case 'groupBy':
      if (counts.byValue.size < rule.values)
        return `has to wait: ${held}, and "${rule.text}" has ${rule.values} values used first, of which ${counts.byValue.size} ${counts.byValue.size === 1 ? 'is' : 'are'} in use`;
      return `has to wait: ${held}, and "${rule.text}" has those with ${counts.least} come first`;
    case 'maxSkew':
      return `has to wait: ${held}, where another value has ${counts.leastPossible} ("${rule.text}")`;
    default:
      return unreachable(rule);
  }
}

function tasks(count: number): string {
  return `${count} ${count === 1 ? 'task' : 'tasks'}`;
}

/**
 * The most tasks that the rule could ever let run on nodes with these values, one for each node, so far as that follows from the rule
 * alone; infinite: it sets no bound.
 */
export function mostByRule(rule: PeerRule, values: readonly string[]): number {
  const distinct = new Set(values).size;
  switch (rule.type) {
    case 'unique':
      return distinct;
    case 'maxPer':
      return distinct * rule.most;
    case 'groupBy':
      // Where there are fewer values than are expected, none ever gets a second task.
      return distinct < rule.values ? distinct : Number.POSITIVE_INFINITY;
    case 'cluster':
    case 'maxSkew':
      return distinct === 0 ? 0 : Number.POSITIVE_INFINITY;
    default:
      return unreachable(rule);
  }
}
