/** Signals by which a task may be asked to end. What stops a process without ending it is none. */

/** The polite one where nobody says another. */
export const POLITE_SIGNAL = 'SIGTERM';

/** As Linux and its container engines name them, those for real-time ones counted from either end. */
export const STOP_SIGNAL_PATTERN =
  /^SIG(?:HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|USR1|SEGV|USR2|PIPE|ALRM|TERM|KILL|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR|SYS|RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?)$/;

const FIRST_REAL_TIME = 34;
const LAST_REAL_TIME = 64;

/** The number of a real-time signal; null: it is none, and its name says enough. */
export function realTimeSignal(name: string): number | null {
  const match = /^SIG(RTMIN|RTMAX)(?:[+-](\d+))?$/.exec(name);
  if (match === null) return null;
  const distance = Number(match[2] ?? 0);
  return match[1] === 'RTMIN' ? FIRST_REAL_TIME + distance : LAST_REAL_TIME - distance;
}
