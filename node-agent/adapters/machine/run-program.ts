/** Runs a program of the machine to its end, for as long as is allowed and not a moment longer. */
import { spawn } from 'node:child_process';
import type { Clock } from '../../../shared/util/clock.ts';

export type ProgramResult =
  | { readonly type: 'ended'; readonly exitCode: number; readonly output: string }
  /** There is no such program. */
  | { readonly type: 'missing' }
  /** It couldn't be started, didn't end in time, or said too much. */
  | { readonly type: 'failed'; readonly why: string };

export interface ProgramCall {
  /** Looked for on the PATH. */
  readonly program: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Of a report on many devices; what prints more has run wild. */
const OUTPUT_LENGTH_MAX = 16 * 1024 * 1024;

/** What it writes to its output and to its errors comes together, as a person would see it. */
export function runProgram({ program, args, timeoutMs, clock }: ProgramCall): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    // A process that hangs in the kernel doesn't die of its SIGKILL, so its end isn't waited for.
    const giveUp = (why: string) => {
      child.kill('SIGKILL');
      child.unref();
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
      done({ type: 'failed', why });
    };
    const timer = clock.setTimer(timeoutMs, () => giveUp(`it did not end within ${timeoutMs / 1000} s`));
    const done = (result: ProgramResult) => {
      timer.cancel();
      resolve(result);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.length > OUTPUT_LENGTH_MAX) giveUp('it printed too much');
      });
    }
    child.once('error', (cause: NodeJS.ErrnoException) =>
      done(cause.code === 'ENOENT' ? { type: 'missing' } : { type: 'failed', why: cause.message }),
    );
    child.once('close', (code, signal) =>
      done(
        code === null
          ? { type: 'failed', why: `it was ended by ${signal ?? 'a signal'}` }
          : { type: 'ended', exitCode: code, output },
      ),
    );
  });
}
