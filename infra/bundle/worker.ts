/**
 * Makes the edge entry one file, as wrangler does when it deploys it: `dist/berth-edge.js`. Nothing of Node.js is put in its place if it is
 * asked for: a module that names a part of it can't be bundled.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '../..');
const target = join(root, 'dist/berth-edge.js');

/** What Cloudflare takes on its free plan, compressed, is 3 MB. We keep well below: what is loaded has to be read at every cold start. */
export const WORKER_GZIP_BYTES_MAX = 600_000;

export interface WorkerBundle {
  readonly contents: Uint8Array;
  readonly gzipBytes: number;
  /** The files that something of is in it, from the root of the repository. */
  readonly inputs: readonly string[];
}

/** Throws where something can't run on Workers. */
export async function bundleWorker(): Promise<WorkerBundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['control-plane/main-worker.ts'],
    bundle: true,
    write: false,
    metafile: true,
    // No platform at all, and what packages have for Workers.
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
    format: 'esm',
    target: 'esnext',
    minify: true,
    legalComments: 'none',
    logLevel: 'silent',
  });
  const contents = outputFiles[0]?.contents ?? new Uint8Array();
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.keys(output.inputs));
  return { contents, gzipBytes: gzipSync(contents).length, inputs };
}

if (import.meta.main) {
  const { contents, gzipBytes } = await bundleWorker();
  await mkdir(join(root, 'dist'), { recursive: true });
  await writeFile(target, contents);
  const kib = (size: number) => `${(size / 1024).toFixed(1)} KiB`;
  process.stdout.write(`${target}: ${kib(contents.length)}, ${kib(gzipBytes)} compressed\n`);
}
