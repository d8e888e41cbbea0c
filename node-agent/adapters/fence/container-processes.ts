/** The processes of a container, as the kernel shows them: their cgroup names it. The same look as the dead-man's. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `procDir`: where the kernel shows processes. Whatever ends meanwhile is left out. */
export async function processesOf(procDir: string, container: string): Promise<number[]> {
  const names = (await readdir(procDir)).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => {
      const cgroup = await readFile(join(procDir, name, 'cgroup'), 'utf8').catch(() => '');
      return cgroup.includes(container) ? [Number(name)] : [];
    }),
  );
  return found.flat();
}
