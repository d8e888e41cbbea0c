/** A task's folder on disk, which is all that is known of it: what is in there is described in `supervisor.ts`. */
import { execFile } from 'node:child_process';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Container } from '../../core/model.ts';
import { isFaultOf } from './faults.ts';

/** Written once, when the folder is made. */
export interface TaskRecord {
  /** What the agent calls the container that this stands for. */
  readonly id: string;
  readonly task: string;
  readonly run: number;
  readonly uid: number;
  readonly gid: number;
  /** How `setpriv` is to treat further groups of the user. */
  readonly rights: '--clear-groups' | '--init-groups';
  /** Whether the user is for this task alone. */
  readonly isOwnUser: boolean;
  /** The cgroup whose processes are the task's; null: the machine has none, and the user tells them. */
  readonly tracking: string | null;
  readonly cgroups: readonly string[];
  readonly segmentBytes: number;
}

/** How far a task has come, before anybody has looked at its processes. */
export type Progress =
  | { readonly type: 'created' }
  /** Its supervisor was the first. `supervisor` is null until it has written who it is. */
  | { readonly type: 'begun'; readonly boot: string; readonly supervisor: number | null; readonly startedAtMs: number }
  | {
      readonly type: 'ended';
      readonly exitCode: number | null;
      readonly isOutOfMemory: boolean;
      readonly startedAtMs: number | null;
      readonly endedAtMs: number;
    };

/** Null: there is no such folder, or it was left half-made. Damaged: by a disk or a file system that has lost what was written. */
export async function readRecord(folder: string): Promise<TaskRecord | null | 'damaged'> {
  const text = await textOf(recordPath(folder));
  return text === null ? null : (decodeRecord(text) ?? 'damaged');
}

export function recordPath(folder: string): string {
  return join(folder, 'record');
}

/** Never half-written for anybody who reads it, after a power cut neither. */
export async function writeRecord(folder: string, record: TaskRecord): Promise<void> {
  const file = await open(join(folder, 'record.new'), 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(record));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(join(folder, 'record.new'), recordPath(folder));
  await syncFolder(folder);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Null: it isn't one. */
function decodeRecord(text: string): TaskRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isRecord(value) ? value : null;
}

function isRecord(value: unknown): value is TaskRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { id, task, run, uid, gid, rights, isOwnUser, tracking, cgroups, segmentBytes } = {
    ...NOTHING,
    ...value,
  };
  return (
    [id, task].every((text) => typeof text === 'string' && text !== '') &&
    [run, uid, gid, segmentBytes].every((number) => Number.isSafeInteger(number)) &&
    (rights === '--clear-groups' || rights === '--init-groups') &&
    typeof isOwnUser === 'boolean' &&
    (tracking === null || typeof tracking === 'string') &&
    Array.isArray(cgroups) &&
    cgroups.every((group) => typeof group === 'string')
  );
}

const NOTHING: Readonly<Record<keyof TaskRecord, unknown>> = {
  ...{ id: null, task: null, run: null, uid: null, gid: null, rights: null },
  ...{ isOwnUser: null, tracking: null, cgroups: null, segmentBytes: null },
};

export async function readProgress(folder: string): Promise<Progress> {
  const startedAtMs = await timeOf(join(folder, 'report'));
  const endedAtMs = await timeOf(join(folder, 'exit'));
  if (endedAtMs !== null) {
    const [code = '', ooms = ''] = ((await textOf(join(folder, 'exit'))) ?? '').trim().split(' ');
    const exitCode = /^\d{1,3}$/.test(code) ? Number(code) : null;
    return { type: 'ended', exitCode, isOutOfMemory: Number(ooms) > 0, startedAtMs, endedAtMs };
  }
  const begunAtMs = await timeOf(join(folder, 'begun'));
  if (begunAtMs === null) return { type: 'created' };
  const pid = Number((await textOf(join(folder, 'begun', 'pid'))) ?? '');
  return {
    type: 'begun',
    boot: ((await textOf(join(folder, 'boot'))) ?? '').trim(),
    supervisor: pid > 0 ? pid : null,
    startedAtMs: startedAtMs ?? begunAtMs,
  };
}

/** What the agent's first look at the start says; null: nothing yet. */
export async function readReport(folder: string): Promise<'started' | { readonly unusable: string } | null> {
  const [line, rest] = ((await textOf(join(folder, 'report'))) ?? '').split('\n');
  // Without its end it is still being written.
  if (line === undefined || rest === undefined) return null;
  return line === 'started' ? 'started' : { unusable: line.replace(/^unusable /, '') };
}

/**
 * So that the supervisor, should it only now come to start the task, finds that it is too late. False: it was the first, and the task
 * may run.
 */
export async function forestall(folder: string): Promise<boolean> {
  try {
    await mkdir(join(folder, 'begun'));
    return true;
  } catch (cause) {
    if (isFaultOf(cause, 'ENOENT')) return true;
    if (isFaultOf(cause, 'EEXIST')) return false;
    throw cause;
  }
}

export function containerOf(
  { id, task, run }: TaskRecord,
  how: Omit<Container, 'id' | 'task' | 'run' | 'error'>,
): Container {
  return { id, task, run, error: '', ...how };
}

/**
 * By the program, which never leaves the folder: while it is being removed, a process of the same user may put a link in place of a
 * folder below it, and this here is done as root.
 */
export async function removeFolder(folder: string): Promise<void> {
  await promisify(execFile)('rm', ['-rf', '--', folder]);
}

async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (isFaultOf(cause, 'ENOENT', 'ENOTDIR')) return null;
    throw cause;
  }
}

async function timeOf(path: string): Promise<number | null> {
  try {
    return Math.round((await stat(path)).mtimeMs);
  } catch (cause) {
    if (isFaultOf(cause, 'ENOENT', 'ENOTDIR')) return null;
    throw cause;
  }
}
