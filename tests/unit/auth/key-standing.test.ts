import { describe, expect, it } from 'vitest';
import {
  isRotationDue,
  type KeyStates,
  keyThat,
  keyTimesOf,
  signingKid,
  spentKeys,
  standingOf,
} from '../../../control-plane/auth/key-standing.ts';
import type { KeyStateRecord } from '../../../control-plane/store/record-types.ts';

function aState(kid: string, signsFromMs: number, change: Partial<KeyStateRecord> = {}): KeyStateRecord {
  const times = { createdAtMs: 0, signsFromMs, verifiesUntilMs: null, longestSeconds: 60 };
  return { kid, createdBy: 'alice', ...times, revoked: null, ...change };
}

function statesOf(...states: KeyStateRecord[]): KeyStates {
  return new Map(states.map((state) => [state.kid, state]));
}

const REVOKED = { atMs: 5, by: 'alice', reason: 'leaked' };

describe('the key that signs', () => {
  it.each([
    [99, 'old'],
    [100, 'new'],
  ])('at %d is %s', (nowMs, kid) => {
    const states = statesOf(aState('old', 0), aState('new', 100));
    const times = [...states.values()].map((state) => keyTimesOf(state.kid, state));
    expect(signingKid(times, nowMs)).toBe(kid);
    expect(signingKid(times.toReversed(), nowMs)).toBe(kid);
  });

  it('is the same one for everybody where two began at once', () => {
    const times = [keyTimesOf('a', aState('a', 5)), keyTimesOf('b', aState('b', 5))];
    expect([signingKid(times, 9), signingKid(times.toReversed(), 9)]).toEqual(['b', 'b']);
  });

  it('is none that was retired, none to come, and one without a state from its beginning on', () => {
    const retired = keyTimesOf('r', aState('r', 9, { revoked: REVOKED }));
    const [older, unknown] = [keyTimesOf('1', undefined, 3), keyTimesOf('x', undefined)];
    expect(signingKid([retired, older, unknown], 10)).toBe('1');
    // The clock here is behind that of whoever made it.
    expect(signingKid([retired, older, unknown], 2)).toBe('1');
    expect(signingKid([retired, unknown], 10)).toBeNull();
  });
});

it('each key stands where its times and the others put it', () => {
  const states = statesOf(aState('a', 0), aState('b', 10), aState('c', 20), aState('d', 5, { revoked: REVOKED }));
  const standings = ['a', 'b', 'c', 'd', 'e'].map((kid) => standingOf(kid, states, 15));
  expect(standings).toEqual(['verifying', 'signing', 'next', 'retired', 'retired']);
  expect([keyThat('signing', states, 15)?.kid, keyThat('next', states, 15)?.kid]).toEqual(['b', 'c']);
  expect(keyThat('next', states, 20)).toBeUndefined();
});

it('the next key is due once the one that signs has done so for long, unless one waits already', () => {
  const alone = statesOf(aState('a', 100));
  expect([isRotationDue(alone, 199, 100), isRotationDue(alone, 200, 100)]).toEqual([false, true]);
  expect(isRotationDue(alone, 1e15, Number.POSITIVE_INFINITY)).toBe(false);
  expect(isRotationDue(statesOf(aState('a', 100), aState('b', 300)), 200, 100)).toBe(false);
});

it('a key is spent at the end of its time, and one that nobody follows never is', () => {
  const states = statesOf(aState('a', 0, { verifiesUntilMs: 50 }), aState('b', 10));
  expect(spentKeys(states, 49)).toEqual([]);
  expect(spentKeys(states, 50).map(({ kid }) => kid)).toEqual(['a']);
});
