import { describe, expect, it } from 'vitest';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import { nodesWanted } from '../../../shared/domain/framework.ts';

const zone = (value: string): Constraint => ({ attribute: 'zone', operator: '=', value });
const isArm: Constraint = { attribute: 'arch', operator: '=', value: 'arm64' };

describe('a node that a framework wants', () => {
  it.each<[string, readonly (readonly Constraint[])[] | null, boolean]>([
    ['is any, where it says nothing about them', null, true],
    ['meets a constraint', [[zone('a')]], true],
    ['does not miss one', [[zone('b')]], false],
    ['meets all of a list', [[zone('a'), isArm]], false],
    ['meets one of the lists', [[zone('b')], [zone('a')]], true],
    ['is any, of a list with nothing in it', [[]], true],
  ])('%s', (_what, lists, expected) => {
    const nodeConstraints = lists === null ? {} : { eng: lists };
    const wants = nodesWanted({ nodeConstraints }, 'eng');
    expect(wants?.({ zone: 'a', arch: 'x64' }) ?? true).toBe(expected);
  });

  it('is told apart by role', () => {
    const nodeConstraints = { eng: [[zone('b')]] };
    const wanted = ['eng', 'ops', 'constructor'].map((role) => nodesWanted({ nodeConstraints }, role)?.({ zone: 'a' }));
    expect(wanted).toEqual([false, undefined, undefined]);
  });
});
