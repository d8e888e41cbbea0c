/** A command beside what runs in a container already. */
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import { EXEC_OUTPUT_LENGTH_MAX, type ExecResult } from '../../executor/contracts.ts';
import { ask } from './engine-errors.ts';

const HEADER_BYTES = 8;
/** The engine learns that a command has ended a moment after its output has. */
const ENDED_LOOK_MS = 20;
/** What is read of the output, in bytes: more than is kept, for characters of several bytes and the engine's frames. */
const KEPT_BYTES_MAX = 4 * EXEC_OUTPUT_LENGTH_MAX;

export interface Engine {
  /** For calls that answer and are done. */
  readonly docker: Docker;
  readonly streaming: Docker;
  readonly clock: Clock;
}

export interface Execution {
  readonly container: string;
  readonly command: readonly string[];
  readonly signal: AbortSignal;
}

export async function execIn(engine: Engine, { container, command, signal }: Execution): Promise<ExecResult> {
  const made = await ask('make a command beside a task', () =>
    engine.docker
      .getContainer(container)
      .exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true, AttachStdin: false, Tty: false }),
  );
  const exec = engine.streaming.getExec(made.id);
  const stream = await ask('start a command beside a task', () => exec.start({ Detach: false, Tty: false }));
  const output = await outputOf(stream, signal);
  for (;;) {
    const info = await ask('ask how a command beside a task ended', () => engine.docker.getExec(made.id).inspect());
    if (!info.Running) return { exitCode: info.ExitCode, output };
    if (signal.aborted) {
      await end(info.Pid, container);
      return { exitCode: null, output };
    }
    await sleep(engine.clock, ENDED_LOOK_MS, signal);
  }
}

/** Until it ends, or is no longer waited for. */
function outputOf(stream: Readable, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const done = () => {
      signal.removeEventListener('abort', done);
      stream.destroy();
      resolve(textOf(Buffer.concat(chunks)));
    };
    stream.on('data', (chunk: Buffer) => {
      if (bytes < KEPT_BYTES_MAX) chunks.push(chunk);
      bytes += chunk.length;
    });
    stream.on('end', done);
    stream.on('close', done);
    stream.on('error', done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}

/** Frames of either stream, `[stream, 0, 0, 0, length as 4 bytes]` and what was written. */
export function textOf(frames: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= frames.length; ) {
    const end = at + HEADER_BYTES + frames.readUInt32BE(at + 4);
    pieces.push(frames.subarray(at + HEADER_BYTES, end));
    at = end;
  }
  return Buffer.concat(pieces).toString('utf8').slice(0, EXEC_OUTPUT_LENGTH_MAX);
}

/**
 * The engine has no call that ends a command. Its process is ended where this agent sees the machine's processes: the number may mean
 * another one here, so it has to be in the container.
 */
async function end(pid: number, container: string): Promise<void> {
  const groups = pid > 0 ? await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '') : '';
  if (!groups.includes(container)) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile, or isn't ours to end.
  }
}
