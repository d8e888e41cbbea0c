/**
 * The dead-men of a development cluster's agents. They outlive their agents, as they are meant to; once the containers of the
 * cluster are removed there is nothing left for them to stop.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, sep } from 'node:path';
import type { Clock } from '../../../shared/util/clock.ts';
import { sleep } from '../../../shared/util/clock.ts';

const PROGRAM = 'dead-man.sh';
const END_MAX_MS = 2000;
const LOOK_MS = 20;

/** Ends those whose program lies below the folder, and waits until they are gone. */
export async function endDeadMen(folder: string, clock: Clock): Promise<void> {
  for (const pid of deadMenBelow(folder)) kill(pid);
  const deadline = clock.monotonicMs() + END_MAX_MS;
  while (deadMenBelow(folder).length > 0 && clock.monotonicMs() < deadline) await sleep(clock, LOOK_MS);
}

/** What runs on an earlier life of the folder is named by no file, so the processes themselves are looked at. */
function deadMenBelow(folder: string): number[] {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return names.map(Number).filter((pid) => {
    const program = commandOf(pid)[1] ?? '';
    return program.startsWith(folder + sep) && basename(program) === PROGRAM;
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // Otherwise it has ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function commandOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // It has ended meanwhile.
    return [];
  }
}
