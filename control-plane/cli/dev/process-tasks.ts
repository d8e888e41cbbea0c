/** What a development cluster's agents run without a container: where that is, whether it can be, and its end. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Clock } from '../../../shared/util/clock.ts';
import { sleep } from '../../../shared/util/clock.ts';

const END_MAX_MS = 5000;
const LOOK_MS = 20;
/** Any that isn't one of the machine's own. */
const SOME_USER = 1_880_000_000;

/** Not in the cluster's own folder, which may be at home, where nobody else can go. */
export function processDirOf(node: string): string {
  return join(tmpdir(), `berth-dev-${node}`);
}

/** Only root can make a process of a user without rights, and only with these programs. Otherwise the cluster goes without. */
export function canRunProcesses(): boolean {
  if (process.getuid?.() !== 0) return false;
  const user = [`--reuid=${SOME_USER}`, `--regid=${SOME_USER}`, '--clear-groups', '--no-new-privs', '--inh-caps=-all'];
  const trial = spawnSync('setpriv', [...user, '--', 'stdbuf', '-o0', 'head', '-c', '1'], { input: 'x', cwd: '/' });
  return trial.status === 0 && trial.stdout.toString() === 'x';
}

/** Ends all that a node runs without a container, waits until it is gone, and removes its folder. */
export async function endProcessTasks(dir: string, clock: Clock): Promise<void> {
  if (!existsSync(dir)) return;
  const folders = readdirSync(dir).map((name) => join(dir, name));
  const tasks = folders.flatMap((folder) => readTask(folder) ?? []);
  const deadline = clock.monotonicMs() + END_MAX_MS;
  const isUnderWay = ({ folder }: Task) => existsSync(join(folder, 'begun')) && !existsSync(join(folder, 'exit'));
  for (let left = tasks.filter(isUnderWay); left.length > 0; left = left.filter(isUnderWay)) {
    for (const task of left) kill(task);
    if (clock.monotonicMs() > deadline) break;
    await sleep(clock, LOOK_MS);
  }
  for (const { cgroups } of tasks) for (const group of cgroups) removeGroup(group);
  await rm(dir, { recursive: true, force: true });
}

/** As the agent notes it. */
interface Task {
  readonly folder: string;
  readonly uid: number;
  readonly tracking: string | null;
  readonly cgroups: readonly string[];
}

function readTask(folder: string): Task | null {
  try {
    return { ...JSON.parse(readFileSync(join(folder, 'record'), 'utf8')), folder };
  } catch {
    // No task, or one that was never made whole.
    return null;
  }
}

function kill({ tracking, uid }: Task): void {
  const pids = tracking === null ? processesOfUser(uid) : processesOfGroup(tracking);
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // Otherwise it has ended meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

function processesOfGroup(group: string): number[] {
  return textOf(join(group, 'cgroup.procs')).split('\n').map(Number).filter(Boolean);
}

function processesOfUser(uid: number): number[] {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const isTheirs = (name: string) => new RegExp(`^Uid:\\s+${uid}\\s`, 'm').test(textOf(`/proc/${name}/status`));
  return names.filter(isTheirs).map(Number);
}

/** And the node's, once it is the last. */
function removeGroup(group: string): void {
  for (const folder of [group, dirname(group)]) {
    try {
      rmdirSync(folder);
    } catch {
      // Gone, or still somebody's.
    }
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It has ended meanwhile.
    return '';
  }
}
