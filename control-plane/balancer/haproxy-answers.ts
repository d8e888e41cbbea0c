/** What haproxy's sockets answer, as data. Pure. */

export interface Processes {
  readonly master: number | null;
  /** The one that serves. */
  readonly worker: number | null;
  /** Those before it, which finish what they have. */
  readonly oldWorkers: readonly number[];
  /** Since the last reload that succeeded. */
  readonly failedReloads: number;
}

/** Of `show proc` on the master's socket. */
export function parseProcesses(text: string): Processes {
  let section = '';
  let master: number | null = null;
  let failedReloads = 0;
  const workers: number[] = [];
  const oldWorkers: number[] = [];
  for (const line of text.split('\n')) {
    const heading = /^# (.*)$/.exec(line)?.[1];
    if (heading !== undefined) section = heading.trim();
    const row = /^(\d+)\s+(\S+)\s+(.*)$/.exec(line);
    if (row === null) continue;
    const [, pid, type, rest = ''] = row;
    if (type === 'master') {
      master = Number(pid);
      failedReloads = Number(/failed: (\d+)/.exec(rest)?.[1] ?? 0);
    } else if (type === 'worker') {
      (section === 'old workers' ? oldWorkers : workers).push(Number(pid));
    }
  }
  return { master, worker: workers[0] ?? null, oldWorkers, failedReloads };
}

/** What it says to a server's address that it has taken. */
const TAKEN = /^(?:no need to change|IP changed|port changed|.*(?:changed from|no need to change))/;

/** The lines with which it says that it has not done what it was told to. To the rest it says little, or nothing. */
export function refusals(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !TAKEN.test(line));
}
