/** The CLI's entry: binds the commands to this process. */
import { createRequire } from 'node:module';
import { isProgramName, runProgram } from './commands/processes.ts';
import { processIo } from './process-io.ts';
import { runCommandLine } from './program.ts';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

const args = process.argv.slice(2);
const [first, ...rest] = args;
const code = isProgramName(first) ? await runProgram(first, rest) : await runCommandLine(args, processIo(), version);
// What has been written but not yet taken by a slow reader must still arrive. After that nothing is waited for:
// connections that are kept open for a next call would hold the process for seconds.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))));
process.exit(code);
