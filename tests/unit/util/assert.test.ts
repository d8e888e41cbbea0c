import { describe, expect, it } from 'vitest';
import { InvariantError, invariant, present, unreachable } from '../../../shared/util/assert.ts';

describe('assertions', () => {
  it('let through what holds', () => {
    expect(() => invariant(true, 'never')).not.toThrow();
    expect([present(0, 'zero'), present('', 'text'), present(false, 'flag')]).toEqual([0, '', false]);
  });

  it('stop at what does not, and say what it was', () => {
    expect(() => invariant(0, 'a count')).toThrow(new InvariantError('a count'));
    expect(() => present(null, 'job x')).toThrow(new InvariantError('job x is absent'));
    expect(() => present(undefined, 'job x')).toThrow(InvariantError);
    expect(() => unreachable({ type: 'new' } as never)).toThrow('unhandled variant: {"type":"new"}');
  });
});
