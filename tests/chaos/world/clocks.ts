/**
 * Wall clocks that can be set while their process runs: libfaketime adds what a file says to what the kernel says, for one
 * process alone. The steady clock, by which timers run, is left as it is, as it would be on a machine whose time is set.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LIBRARIES = '/usr/lib';

/** How closely a process that is started to look at the time is believed. */
const TOLERANCE_MS = 1500;

/** Null where the package isn't installed. */
export function findFakeTime(): string | null {
  const candidates = readdirSync(LIBRARIES).map((name) => join(LIBRARIES, name, 'faketime', 'libfaketime.so.1'));
  return candidates.find((path) => existsSync(path)) ?? null;
}

export class SettableClock {
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;

  constructor(library: string, file: string) {
    this.#file = file;
    this.set(0);
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      // Read at every look at the time, so that a jump is a jump.
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** From now on, so many seconds from the truth. */
  set(aheadSeconds: number): void {
    writeFileSync(this.#file, `${aheadSeconds < 0 ? '' : '+'}${aheadSeconds}\n`);
  }

  /** Whether a process that runs under this clock sees it. */
  isAheadBy(seconds: number): boolean {
    const seen = execFileSync('date', ['+%s%3N'], { env: { ...process.env, ...this.env }, encoding: 'utf8' });
    return Math.abs(Number(seen) - Date.now() - seconds * 1000) < TOLERANCE_MS;
  }
}
