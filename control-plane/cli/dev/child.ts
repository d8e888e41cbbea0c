/** A child process of `berth dev`: its output goes to a file, and how it ends is never missed. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../../shared/util/clock.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { printable } from '../output/text.ts';

export interface ChildCommand {
  /** As messages call it, such as `etcd`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Overwritten. */
  readonly logFile: string;
}

export interface ChildEnd {
  readonly name: string;
  readonly logFile: string;
  /** How it ended, in words: `exited with 1`, `was killed by SIGKILL`. */
  readonly how: string;
}

export interface Child {
  readonly name: string;
  readonly pid: number | null;
  /** Resolves when it has ended, or could not be started at all. */
  readonly ended: Promise<ChildEnd>;
  /** Asks it to end; kills it when it hasn't after the grace. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
  kill(): void;
}

export function startChild({ name, command, args, env, logFile }: ChildCommand, clock: Clock): Child {
  const log = openSync(logFile, 'w', 0o600);
  // In a process group of its own, so that a terminal's Ctrl-C reaches us alone and we end the children in order.
  const child = spawn(command, args, { stdio: ['ignore', log, log], env: { ...env }, detached: true });
  closeSync(log);
  let over = false;
  // With whatever it has started itself, and can't end any more.
  const kill = () => {
    if (child.pid !== undefined) killGroup(child.pid);
  };
  const ended = new Promise<ChildEnd>((resolve) => {
    const end = (how: string) => {
      over = true;
      resolve({ name, logFile, how });
    };
    child.once('error', (error) => end(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => end(code === null ? `was killed by ${signal}` : `exited with ${code}`));
  });
  return {
    name,
    pid: child.pid ?? null,
    ended,
    async stop(graceMs) {
      if (over) return;
      child.kill('SIGTERM');
      const inTime = await Promise.race([ended.then(() => true), sleep(clock, graceMs).then(() => false)]);
      if (!inTime) kill();
      await ended;
    },
    kill,
  };
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The last lines of a log, fit for a terminal. */
export async function logTail(path: string, lines: number): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .slice(-lines)
    .map(printable);
}
