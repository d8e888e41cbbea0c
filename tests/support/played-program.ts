/** A program that is found by its name in the PATH, played by a script of the test's. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `bin`: the folder that whoever looks for it has in its PATH. */
export async function playProgram(bin: string, name: string, script: string): Promise<void> {
  const path = join(bin, name);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
}
