/** The real world for the CLI: this process's streams, clock, chance and signals. */
import { randomBytes, randomInt } from 'node:crypto';
import { EXIT } from './exit.ts';
import type { Interruption, Io, Output } from './io.ts';

const STDIN_BYTES_MAX = 16 * 1024 * 1024;

export function processIo(): Io {
  return {
    out: outputOf(process.stdout),
    err: outputOf(process.stderr),
    env: process.env,
    fetch: globalThis.fetch,
    clock: {
      now: () => Date.now(),
      monotonicMs: () => performance.now(),
      setTimer(delayMs, callback) {
        const timer = setTimeout(callback, delayMs);
        return { cancel: () => clearTimeout(timer) };
      },
    },
    random: {
      next: () => randomInt(2 ** 32) / 2 ** 32,
      bytes: (length) => randomBytes(length),
    },
    readHidden,
    readStdin,
    onInterruption: interruptions(),
    exitNow: (code) => process.exit(code),
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  // Whoever reads our output may stop at any time, as `head` does. There is nobody left to tell; the code is what
  // a program has that the signal of a broken pipe ends.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.outputGone);
    throw error;
  });
  return {
    write: (text) => void stream.write(text),
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns ?? null;
    },
  };
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk as Uint8Array);
    chunks.push(bytes);
    size += bytes.length;
    if (size > STDIN_BYTES_MAX) throw new RangeError('standard input holds more than 16 MiB');
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Letter by letter, since only so the terminal leaves it to us what is shown. */
function readHidden(prompt: string): Promise<string | null> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY) return Promise.resolve(null);
  stderr.write(prompt);
  stdin.setRawMode(true).setEncoding('utf8').resume();
  return new Promise((resolve) => {
    let typed = '';
    const done = () => {
      stdin.off('data', onData).setRawMode(false).pause();
      stderr.write('\n');
    };
    const onData = (letters: Buffer | string) => {
      for (const letter of String(letters)) {
        if (letter === '\u0003') {
          done();
          // What the terminal does by itself otherwise.
          process.kill(process.pid, 'SIGINT');
          return;
        }
        if (letter === '\r' || letter === '\n' || letter === '\u0004') {
          done();
          resolve(typed);
          return;
        }
        typed = letter === '\u007f' || letter === '\b' ? [...typed].slice(0, -1).join('') : typed + letter;
      }
    };
    stdin.on('data', onData);
  });
}

/** A process-wide handler is only set while somebody wants it: without one, a signal ends the process as it should. */
function interruptions(): Io['onInterruption'] {
  const handlers: ((signal: Interruption) => void)[] = [];
  const deliver = (signal: NodeJS.Signals) => {
    if (signal === 'SIGINT' || signal === 'SIGTERM') handlers.at(-1)?.(signal);
  };
  return (handler) => {
    if (handlers.length === 0) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, deliver);
    handlers.push(handler);
    return () => {
      handlers.splice(handlers.indexOf(handler), 1);
      if (handlers.length === 0) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, deliver);
    };
  };
}
