/** What a job demands of the nodes that it may run on, over the attributes that agents report. */
import { unreachable } from '../util/assert.ts';
import { readPattern, type TextPattern } from './text-pattern.ts';

/**
 * Values are compared as text, but for `<` to `>=`, which compare as numbers and refuse what isn't one. `matches` and `notMatches`
 * hold the whole value against a pattern.
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
] as const;
export type ConstraintOperator = (typeof CONSTRAINT_OPERATORS)[number];

export interface Constraint {
  /** Name of a node attribute; `hostname`, `arch`, `os` and `node` (the node's id) are always there. */
  readonly attribute: string;
  readonly operator: ConstraintOperator;
  /** The operand of every operator but `in`, `notIn`, `exists` and `notExists`. */
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
  let pattern: TextPattern | null = null;
  const patternOf = () => {
    pattern ??= patternIn(constraint);
    return pattern;
  };
  return { constraint, holds: (attributes) => satisfies(attributes, constraint, patternOf) };
}

/** One that isn't valid is refused where it is submitted; nothing matches it where it stands on record all the same. */
function patternIn({ value = '' }: Constraint): TextPattern {
  const pattern = readPattern(value);
  return typeof pattern === 'string' ? MATCHES_NOTHING : pattern;
}

const MATCHES_NOTHING: TextPattern = { matches: () => false };

/** Whether a node with these attributes satisfies the constraint. An absent attribute satisfies only the negations. */
function satisfies(attributes: NodeAttributes, constraint: Constraint, patternOf: () => TextPattern): boolean {
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
      return actual !== undefined && patternOf().matches(actual);
    case 'notMatches':
      return actual === undefined || !patternOf().matches(actual);
    case 'exists':
      return actual !== undefined;
    case 'notExists':
      return actual === undefined;
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compareNumbers(numberOf(actual), operator, numberOf(constraint.value));
    default:
      return unreachable(operator);
  }
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
