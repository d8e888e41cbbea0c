/** Hands files in memory to whoever the task runs as. */
import { chmod, chown } from 'node:fs/promises';
import type { GivenFile } from '../../core/secrets.ts';

const OWNER_ONLY = 0o400;
const EVERYBODY = 0o444;

/**
 * `user`: who the task runs as; null: nobody here knows by what number, so that everybody who sees the file may read it, unless the job
 * says who owns it. The folder around it lets nobody see it who isn't in the container.
 */
export async function ownFiles(
  files: readonly GivenFile[],
  user: { readonly uid: number; readonly gid: number } | null,
): Promise<void> {
  for (const { source, mode, uid } of files) {
    const owner = uid ?? user?.uid ?? null;
    const fallback = owner === null ? EVERYBODY : OWNER_ONLY;
    await chown(source, owner ?? 0, user?.gid ?? 0);
    await chmod(source, mode === null ? fallback : Number.parseInt(mode, 8));
  }
}
