import { describe, expect, it } from 'vitest';
import { LIFETIMES_MAX, lifetimesWith, overlong } from '../../../control-plane/auth/lifetimes.ts';

const DAY = 86_400;

describe('a token lives no longer than its kind may', () => {
  it.each([
    ['user', 90 * DAY],
    ['join', 7 * DAY],
    ['node', 14 * DAY],
    ['peer', 60],
  ] as const)('%s: %d s', (kind, seconds) => {
    expect(overlong(LIFETIMES_MAX, { kind, seconds })).toBeNull();
    expect(overlong(LIFETIMES_MAX, { kind, seconds: seconds + 1 })).toContain(
      `a token of the kind ${kind} may live for`,
    );
  });

  it('and the longest of a user is a setting', () => {
    const lifetimes = lifetimesWith({ userTokenDays: 2 });
    expect(overlong(lifetimes, { kind: 'user', seconds: 3 * DAY })).toBe(
      'a token of the kind user may live for at most 2 days, not for 3 days',
    );
    expect(overlong(lifetimes, { kind: 'node', seconds: 14 * DAY })).toBeNull();
  });

  it('but for those of an earlier version, which could live for a year', () => {
    const older = { kind: 'user', isOlder: true } as const;
    expect(overlong(LIFETIMES_MAX, { ...older, seconds: 365 * DAY })).toBeNull();
    expect(overlong(LIFETIMES_MAX, { ...older, seconds: 365 * DAY + 1 })).not.toBeNull();
  });
});
