/** What a job demands of the nodes that it may run on, over the attributes that agents report. */
import { unreachable } from '../util/assert.ts';
import { readPattern, type TextPattern } from './text-pattern.ts';

/**
 * Values are compared as text, but for `<` to `>=`, which compare as numbers and refuse what isn't one. `matches` and `notMatches`
 * hold the whole value against a pattern; `is` takes plain decimals as equal that are so once both are rounded to thousandths. The last
 * four look at where other tasks of the group are: see {@link PEER_OPERATORS}.
 */
export const CONSTRAINT_OPERATORS = [
  '=',
  '!=',
  'in',
  'notIn',
  'matches',
  'notMatches',
  'exists',
  'notExists',
  '<',
  '<=',
  '>',
  '>=',
  'is',
  'unique',
  'cluster',
  'maxPer',
  'groupBy',
] as const;
export type ConstraintOperator = (typeof CONSTRAINT_OPERATORS)[number];

/**
 * Of nodes with the same value of the attribute: `unique`: one has a task at the most. `cluster`: all tasks are there, on the one that
 * is named, or that the first task has. `maxPer`: at most so many tasks. `groupBy`: as few tasks as on any other that has some, over at
 * least so many values where that is named. A node without the attribute is refused.
 */
export const PEER_OPERATORS = ['unique', 'cluster', 'maxPer', 'groupBy'] as const;
export type PeerOperator = (typeof PEER_OPERATORS)[number];

export function isPeerOperator(operator: ConstraintOperator): operator is PeerOperator {
  return PEER_OPERATORS.some((peer) => peer === operator);
}

export interface Constraint {
  /** Name of a node attribute; `hostname`, `arch`, `os` and `node` (the node's id) are always there. */
  readonly attribute: string;
  readonly operator: ConstraintOperator;
  /** The operand of every operator but `in`, `notIn`, `exists`, `notExists` and `unique`; `cluster` and `groupBy` may go without. */
  readonly value?: string | undefined;
  /** The operands of `in` and `notIn`. */
  readonly values?: readonly string[] | undefined;
}

export type NodeAttributes = Readonly<Record<string, string>>;

/** A constraint that is ready to be held against many nodes: its pattern, if it has one, is read once. */
export interface Condition {
  readonly constraint: Constraint;
  holds(attributes: NodeAttributes): boolean;
}

export function conditionOf(constraint: Constraint): Condition {
  let pattern: TextPattern | string | null = null;
  const matches = (actual: string) => {
    pattern ??= readPattern(constraint.value ?? '');
    // One that isn't valid is refused where it is submitted. Where it stands on record all the same, nobody knows what it was to keep
    // the tasks from, so no node satisfies it, nor its negation.
    return typeof pattern === 'string' ? null : pattern.matches(actual);
  };
  return { constraint, holds: (attributes) => satisfies(attributes, constraint, matches) };
}

/** Whether a value is of the constraint's pattern; null: the pattern can't be read. */
type PatternTest = (actual: string) => boolean | null;

/** Whether a node with these attributes satisfies the constraint. An absent attribute satisfies only the negations. */
function satisfies(attributes: NodeAttributes, constraint: Constraint, matches: PatternTest): boolean {
  const actual = Object.hasOwn(attributes, constraint.attribute) ? attributes[constraint.attribute] : undefined;
  const { operator } = constraint;
  switch (operator) {
    case '=':
      return actual !== undefined && actual === constraint.value;
    case '!=':
      return actual !== constraint.value;
    case 'in':
      return actual !== undefined && (constraint.values ?? []).includes(actual);
    case 'notIn':
      return actual === undefined || !(constraint.values ?? []).includes(actual);
    case 'matches':
      return actual !== undefined && matches(actual) === true;
    case 'notMatches':
      return actual === undefined ? matches('') !== null : matches(actual) === false;
    case 'exists':
      return actual !== undefined;
    case 'notExists':
      return actual === undefined;
    case 'is':
      return actual !== undefined && sameToThreeDecimals(actual, constraint.value ?? '');
    // Where the other tasks are isn't known here: whoever places asks for it.
    case 'unique':
    case 'maxPer':
    case 'groupBy':
      return actual !== undefined;
    case 'cluster':
      return actual !== undefined && (constraint.value === undefined || actual === constraint.value);
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compareNumbers(numberOf(actual), operator, numberOf(constraint.value));
    default:
      return unreachable(operator);
  }
}

/** As texts, or as numbers. */
function sameToThreeDecimals(a: string, b: string): boolean {
  if (a === b) return true;
  const thousandths = thousandthsOf(a);
  return thousandths !== null && thousandths === thousandthsOf(b);
}

/**
 * A plain decimal, rounded half to even, as Marathon formats a node's scalars; null: it isn't one. It is read off the digits, since most
 * decimals have no exact binary fraction, and a half would go either way.
 */
function thousandthsOf(text: string): bigint | null {
  const [, sign = '', whole = '', fraction = ''] = /^([+-]?)([0-9]+)(?:\.([0-9]+))?$/.exec(text) ?? [];
  if (whole === '') return null;
  const kept = BigInt(whole + fraction.slice(0, 3).padEnd(3, '0'));
  const rest = fraction.slice(3);
  const isHalf = /^50*$/.test(rest);
  const isUp = isHalf ? kept % 2n === 1n : rest >= '5';
  const rounded = isUp ? kept + 1n : kept;
  return sign === '-' ? -rounded : rounded;
}

/** NaN, which no comparison accepts, for what isn't a number; an empty text would otherwise count as zero. */
function numberOf(text: string | undefined): number {
  return text === undefined || text.trim() === '' ? Number.NaN : Number(text);
}

function compareNumbers(a: number, operator: '<' | '<=' | '>' | '>=', b: number): boolean {
  switch (operator) {
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
    default:
      return unreachable(operator);
  }
}

/** The constraint as a person would say it, for explanations: `zone in [a, b]`. */
export function describeConstraint(constraint: Constraint): string {
  if (constraint.values !== undefined) {
    return `${constraint.attribute} ${constraint.operator} [${constraint.values.join(', ')}]`;
  }
  const operand = constraint.value === undefined ? '' : ` ${constraint.value}`;
  return `${constraint.attribute} ${constraint.operator}${operand}`;
}
