import { describe, expect, it } from 'vitest';
import {
  CONSTRAINT_OPERATORS,
  type Constraint,
  type ConstraintOperator,
  conditionOf,
  describeConstraint,
} from '../../../shared/domain/constraint.ts';

const attributes = {
  zone: 'a',
  cores: '16',
  empty: '',
  text: 'many',
  negative: '-1.5',
  half: '16.0005',
  range: '[1-2,5-9]',
  set: '{a,b}',
  hostname: 'edge-1',
};

const CASES: readonly (readonly [string, ConstraintOperator, string | readonly string[] | undefined, boolean])[] = [
  ['zone', '=', 'a', true],
  ['zone', '=', 'b', false],
  ['absent', '=', 'a', false],
  ['absent', '=', undefined, false],
  ['empty', '=', '', true],
  ['toString', '=', 'a', false],
  ['zone', '!=', 'b', true],
  ['zone', '!=', 'a', false],
  ['absent', '!=', 'a', true],
  ['zone', 'in', ['b', 'a'], true],
  ['zone', 'in', ['b'], false],
  ['absent', 'in', ['a'], false],
  ['zone', 'notIn', ['b'], true],
  ['zone', 'notIn', ['a'], false],
  ['absent', 'notIn', ['a'], true],
  ['text', 'matches', 'm.*y', true],
  ['text', 'matches', 'man', false],
  ['text', 'matches', 'x|man|many', true],
  ['text', 'matches', '(?i)MANY', true],
  ['empty', 'matches', '', true],
  ['absent', 'matches', '.*', false],
  ['text', 'notMatches', 'm.*y', false],
  ['text', 'notMatches', 'an', true],
  ['absent', 'notMatches', '.*', true],
  ['text', 'matches', '(', false],
  // Nobody knows what a pattern that can't be read was to keep out.
  ['text', 'notMatches', '(', false],
  ['absent', 'notMatches', '(', false],
  ['range', 'matches', '\\[1-2,.*', true],
  ['set', 'matches', '\\{.*b\\}', true],
  ['set', 'matches', 'a', false],
  ['zone', 'exists', undefined, true],
  ['empty', 'exists', undefined, true],
  ['absent', 'exists', undefined, false],
  ['constructor', 'exists', undefined, false],
  ['absent', 'notExists', undefined, true],
  ['zone', 'notExists', undefined, false],
  ['cores', '<', '16.5', true],
  ['cores', '<', '16', false],
  ['cores', '<', '9', false],
  ['cores', '<=', '16', true],
  ['cores', '<=', '15', false],
  ['cores', '>', '9', true],
  ['cores', '>', '16', false],
  ['cores', '>=', '16', true],
  ['cores', '>=', '17', false],
  ['negative', '<', '0', true],
  ['text', '>', '0', false],
  ['text', '<=', '0', false],
  ['empty', '<', '1', false],
  ['empty', '>=', '0', false],
  ['absent', '<', '1', false],
  ['absent', '>=', '0', false],
  ['cores', '>', 'few', false],
  ['cores', '>', '', false],
  ['cores', 'is', '16.0', true],
  ['cores', 'is', '16.0004', true],
  ['cores', 'is', '16.001', false],
  ['text', 'is', 'many', true],
  ['text', 'is', 'few', false],
  ['absent', 'is', '', false],
  ['empty', 'is', '', true],
  ['empty', 'is', '0', false],
  ['text', 'is', '16', false],
  ['cores', 'is', 'many', false],
  // A half goes to the even thousandth.
  ['half', 'is', '16', true],
  ['half', 'is', '16.001', false],
  ['cores', 'is', '16.00050001', false],
  ['cores', 'is', '15.9995', true],
  ['cores', 'is', '15.9985', false],
  ['negative', 'is', '-1.5000', true],
  ['negative', 'is', '1.5', false],
  // Only plain decimals are numbers.
  ['cores', 'is', '0x10', false],
  ['cores', 'is', '1.6e1', false],
  ['cores', 'is', '16.', false],
  ['range', 'is', '[1-2,5-9]', true],
  ['set', 'is', '{b,a}', false],
  ['zone', 'unique', undefined, true],
  ['absent', 'unique', undefined, false],
  ['zone', 'cluster', undefined, true],
  ['zone', 'cluster', 'a', true],
  ['zone', 'cluster', 'b', false],
  ['absent', 'cluster', undefined, false],
  ['absent', 'cluster', 'a', false],
  ['empty', 'cluster', '', true],
  ['empty', 'unique', undefined, true],
  ['empty', 'maxPer', '1', true],
  ['empty', 'groupBy', undefined, true],
  ['hostname', 'cluster', 'edge-1', true],
  ['hostname', 'cluster', 'edge-2', false],
  ['zone', 'maxPer', '1', true],
  ['absent', 'maxPer', '1', false],
  ['zone', 'groupBy', undefined, true],
  ['absent', 'groupBy', '2', false],
];

function constraintOf(attribute: string, operator: ConstraintOperator, operand: (typeof CASES)[number][2]): Constraint {
  if (operand === undefined) return { attribute, operator };
  return typeof operand === 'string'
    ? { attribute, operator, value: operand }
    : { attribute, operator, values: operand };
}

describe('a condition', () => {
  it.each(CASES)('%s %s %s: %s', (attribute, operator, operand, expected) => {
    expect(conditionOf(constraintOf(attribute, operator, operand)).holds(attributes)).toBe(expected);
  });

  it('is tried with a yes and a no for every operator', () => {
    for (const operator of CONSTRAINT_OPERATORS) {
      const verdicts = CASES.filter(([, each]) => each === operator).map(([, , , expected]) => expected);
      expect(new Set(verdicts), operator).toEqual(new Set([true, false]));
    }
  });
});

describe('describeConstraint', () => {
  it.each([
    [constraintOf('zone', '=', 'a'), 'zone = a'],
    [constraintOf('zone', 'in', ['a', 'b']), 'zone in [a, b]'],
    [constraintOf('zone', 'exists', undefined), 'zone exists'],
  ])('%o', (constraint, text) => {
    expect(describeConstraint(constraint)).toBe(text);
  });
});
