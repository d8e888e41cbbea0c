/** Lets the CLI in other terminals find the cluster that `berth dev` runs. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readContext, type SavedContext } from '../settings.ts';
import { startTicksOf } from './data-dir.ts';

/**
 * Writes the context file, unless a person wrote the one that is there or another development cluster that still runs did.
 * Returns whether it was written.
 */
export async function writeDevContext(
  path: string,
  { address, token }: { address: string; token: string },
): Promise<boolean> {
  const before = await readContext(path);
  if (before !== null && !isAbandoned(before)) return false;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const context: SavedContext = { address, token, devProcess: process.pid };
  await rm(path, { force: true });
  await writeFile(path, `${JSON.stringify(context, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  return true;
}

function isAbandoned({ devProcess }: SavedContext): boolean {
  return devProcess !== undefined && (devProcess === process.pid || startTicksOf(devProcess) === null);
}

/** Removes the file if it is still the one that this process wrote. */
export async function removeDevContext(path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => '');
  if (text.includes(`"devProcess": ${process.pid}\n`)) await rm(path, { force: true });
}
