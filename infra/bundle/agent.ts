/**
 * Makes the agent one file: `dist/berth-agent.cjs`, CommonJS because it starts with several megabytes less than a module does. Most
 * of what its Docker client drags along (SSH, gRPC, archives) serves calls that the agent never makes; in the bundle it is
 * replaced by stand-ins that fail loudly if one is made after all.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '../..');
const target = join(root, 'dist/berth-agent.cjs');

/** Never reached by the agent's calls. */
const ABSENT =
  /^(ssh2|cpu-features|protobufjs|tar-fs|split-ca|@grpc\/grpc-js|@grpc\/proto-loader|@balena\/dockerignore)$/;
/** Parts of Node.js that the Docker client names for calls of the same kind; each takes megabytes once it is loaded. */
const ABSENT_FOR_CLIENT = /^(https|zlib|crypto)$/;
const CLIENT = /node_modules\/(dockerode|docker-modem)\//;
/** A copy of what Node.js has itself. */
const STREAM_COPY = /^readable-stream$/;
const DEBUG = /^debug$/;
/** The Docker client spells out each request for a debug log that is silent here: a fifteenth of the agent's work. */
const UTIL_OF_CLIENT = /^util$/;

/** One that can be asked for its members and made a subclass of, and throws when it is called. */
const STAND_IN = `
const absent = (name) => new Proxy(function () {}, {
  get: (target, member) => (member in target ? target[member] : absent(name + '.' + String(member))),
  apply: () => { throw new Error(name + ' is not part of the bundled agent'); },
  construct: () => { throw new Error(name + ' is not part of the bundled agent'); },
});
`;

const standIns: Plugin = {
  name: 'stand-ins',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: ABSENT }, ({ path }) => ({ path, namespace: 'absent' }));
    onResolve({ filter: ABSENT_FOR_CLIENT }, ({ path, importer }) =>
      CLIENT.test(importer) ? { path, namespace: 'absent' } : null,
    );
    onResolve({ filter: STREAM_COPY }, () => ({ path: 'node:stream', external: true }));
    onResolve({ filter: UTIL_OF_CLIENT }, ({ path, importer }) =>
      CLIENT.test(importer) ? { path, namespace: 'wordless' } : null,
    );
    onResolve({ filter: DEBUG }, ({ path }) => ({ path, namespace: 'silent' }));
    onLoad({ filter: /./, namespace: 'absent' }, ({ path }) => ({
      contents: `${STAND_IN}module.exports = absent(${JSON.stringify(path)});`,
    }));
    onLoad({ filter: /./, namespace: 'wordless' }, () => ({
      contents: `
        const util = require('node:util');
        const inspect = () => '';
        inspect.custom = util.inspect.custom;
        module.exports = Object.assign(Object.create(util), { inspect });`,
    }));
    onLoad({ filter: /./, namespace: 'silent' }, () => ({ contents: 'module.exports = () => () => {};' }));
  },
};

/**
 * Set before anything of the agent is compiled. Its work is waiting and a little JSON, which optimizing compilers hardly speed up;
 * without them, with a small young generation and an old one that is collected before it has grown by much, it takes a third less
 * memory. The baseline compiler stays: it costs a megabyte and saves a seventh of the work. The figures are in this folder's README.
 */
const V8_FLAGS = [
  '--no-opt',
  '--no-maglev',
  '--max-semi-space-size=1',
  '--semi-space-growth-factor=1',
  '--optimize-for-size',
  '--heap-growing-percent=10',
];

const BANNER = `#!/usr/bin/env node
for (const flag of ${JSON.stringify(V8_FLAGS)}) require('node:v8').setFlagsFromString(flag);`;

/** What Node.js has to be started with for the bundle: nothing, since the bundle sets V8's flags itself. */
export const NODE_FLAGS: readonly string[] = [];

export async function bundleAgent(): Promise<{
  readonly path: string;
  readonly bytes: number;
  readonly gzipBytes: number;
}> {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'node-agent/main.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    minify: true,
    keepNames: false,
    legalComments: 'none',
    logLevel: 'warning',
    banner: { js: BANNER },
    plugins: [standIns],
  });
  const contents = outputFiles[0]?.contents ?? new Uint8Array();
  await mkdir(join(root, 'dist'), { recursive: true });
  await writeFile(target, contents);
  await chmod(target, 0o755);
  return { path: target, bytes: contents.length, gzipBytes: gzipSync(contents).length };
}

if (import.meta.main) {
  const { path, bytes, gzipBytes } = await bundleAgent();
  const kib = (size: number) => `${(size / 1024).toFixed(1)} KiB`;
  process.stdout.write(`${path}: ${kib(bytes)}, ${kib(gzipBytes)} compressed\n`);
}
