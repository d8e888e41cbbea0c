/** All processes of a task: told by their cgroup, or where the machine has none by their user, which is the task's own. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { realTimeSignal } from '../../../shared/domain/stop-signal.ts';
import { isFaultOf } from './faults.ts';
import type { TaskRecord } from './task-folder.ts';

/** A tree that grows while it is being ended is gone through again, so often at the most; the caller comes back later. */
const PASSES_MAX = 20;

export async function isTreeAlive(record: TaskRecord): Promise<boolean> {
  return (await treeOf(record)).length > 0;
}

export async function signalTree(record: TaskRecord, signal: string): Promise<void> {
  if (signal === 'SIGKILL' && record.tracking !== null && (await killGroup(record.tracking))) return;
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    const processes = await treeOf(record);
    for (const pid of processes) signalOne(pid, signal);
    if (processes.length === 0 || signal !== 'SIGKILL') return;
  }
}

async function treeOf({ tracking, uid }: TaskRecord): Promise<number[]> {
  return tracking === null ? processesOfUser(uid) : processesOfGroup(tracking);
}

async function processesOfGroup(folder: string): Promise<number[]> {
  try {
    const text = await readFile(join(folder, 'cgroup.procs'), 'utf8');
    // 0 stands for what lies in another namespace of processes, and would be ourselves to whom is told to signal it.
    return text
      .split('\n')
      .map(Number)
      .filter((pid) => pid > 0);
  } catch (cause) {
    if (isFaultOf(cause, 'ENOENT', 'ENODEV')) return [];
    throw cause;
  }
}

/** False: this kernel doesn't know how to. */
async function killGroup(folder: string): Promise<boolean> {
  try {
    await writeFile(join(folder, 'cgroup.kill'), '1', { flag: 'r+' });
    return true;
  } catch {
    return false;
  }
}

async function processesOfUser(uid: number): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => {
      const status = await readFile(join('/proc', name, 'status'), 'utf8').catch(() => '');
      const isDead = /^State:\s+[ZX]/m.test(status);
      return !isDead && new RegExp(`^Uid:\\s+${uid}\\s`, 'm').test(status) ? [Number(name)] : [];
    }),
  );
  return found.flat();
}

function signalOne(pid: number, signal: string): void {
  try {
    process.kill(pid, realTimeSignal(signal) ?? signal);
  } catch (cause) {
    if (!isFaultOf(cause, 'ESRCH')) throw cause;
  }
}
