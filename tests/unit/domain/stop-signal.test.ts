import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { realTimeSignal, STOP_SIGNAL_PATTERN } from '../../../shared/domain/stop-signal.ts';

describe('a stop signal', () => {
  it.each(['SIGTERM', 'SIGQUIT', 'SIGINT', 'SIGUSR1', 'SIGWINCH', 'SIGKILL', 'SIGRTMIN', 'SIGRTMIN+3', 'SIGRTMAX-14'])(
    'may be %s, which this machine knows',
    (name) => {
      expect(name).toMatch(STOP_SIGNAL_PATTERN);
      expect(realTimeSignal(name) !== null || name in constants.signals).toBe(true);
    },
  );

  it.each(['SIGSTOP', 'SIGFOO', 'TERM', 'sigterm', 'SIGTERM ', 'SIGRTMIN+16', 'SIGRTMIN-1', 'SIGRTMAX+1', '15', ''])(
    'may not be "%s"',
    (name) => {
      expect(name).not.toMatch(STOP_SIGNAL_PATTERN);
    },
  );

  it.each([
    ['SIGRTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['SIGRTMAX', 64],
    ['SIGRTMAX-14', 50],
    ['SIGTERM', null],
  ])('%s has the number %s', (name, number) => {
    expect(realTimeSignal(name)).toBe(number);
  });
});
