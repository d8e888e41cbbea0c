/** `npm run gpu:pack`: all that the check for GPUs needs, in one folder that can be carried to a machine with nothing of it. */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { bundleAgent } from '../../infra/bundle/agent.ts';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'dist/gpu-check');

await mkdir(folder, { recursive: true });
const agent = await bundleAgent();
await copyFile(agent.path, join(folder, 'berth-agent.cjs'));
await build({
  entryPoints: [join(import.meta.dirname, 'check.ts')],
  outfile: join(folder, 'check.cjs'),
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node24',
  logLevel: 'warning',
});
await writeFile(join(folder, 'node.gz'), gzipSync(await readFile(process.execPath), { level: 9 }));
process.stdout.write(`${folder}: now, on a machine with a GPU: sh tests/gpu/check.sh dist/gpu-check\n`);
