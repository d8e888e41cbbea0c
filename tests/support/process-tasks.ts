/** Ends the tasks without a container that an agent has left, as a machine that is switched off would. */
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './processes.ts';

/** `tasksDir`: where their folders are. Afterwards it can be removed. */
export async function endProcessTasks(tasksDir: string): Promise<void> {
  if (!existsSync(tasksDir)) return;
  const tasks = readdirSync(tasksDir).filter((name) => !name.startsWith('.'));
  for (const task of tasks) {
    const folder = join(tasksDir, task);
    if (!existsSync(join(folder, 'begun'))) continue;
    const { tracking, cgroups } = JSON.parse(readFileSync(join(folder, 'record'), 'utf8'));
    await eventually('a task to end', async () => {
      for (const pid of processesOf(tracking)) process.kill(pid, 'SIGKILL');
      return existsSync(join(folder, 'exit'));
    });
    for (const group of cgroups) {
      for (const each of [group, join(group, '..')]) {
        try {
          rmdirSync(each);
        } catch {
          // Gone, or another task's too.
        }
      }
    }
  }
}

function processesOf(group: string): number[] {
  try {
    return readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').map(Number).filter(Boolean);
  } catch {
    return [];
  }
}
