/** What a job demands of the nodes that it may run on, over the attributes that agents report. */
import { unreachable } from '../util/assert.ts';

/** Values are compared as text, but for `<` to `>=`, which compare as numbers and refuse what isn't one. */
export const CONSTRAINT_OPERATORS = ['=', '!=', 'in', 'notIn', 'exists', 'notExists', '<', '<=', '>', '>='] as const;
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

/** Whether a node with these attributes satisfies the constraint. An absent attribute satisfies only the negations. */
export function satisfies(attributes: Readonly<Record<string, string>>, constraint: Constraint): boolean {
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
