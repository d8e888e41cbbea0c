/** One call on a socket of haproxy's: lines go in, their answers come out, and haproxy hangs up. */
import { connect } from 'node:net';
import type { Clock } from '../../shared/util/clock.ts';

/** Of one line; haproxy reads no longer ones than its buffer, which is 16 KiB. */
export const LINE_BYTES_MAX = 8 * 1024;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const CALL_TIMEOUT_MS = 3000;

/** Commands are joined with a semicolon. Rejects when nobody answers in time. */
export function callSocket(path: string, line: string, clock: Clock): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(path);
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = clock.setTimer(CALL_TIMEOUT_MS, () =>
    socket.destroy(new Error(`no answer within ${CALL_TIMEOUT_MS} ms`)),
  );
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size > ANSWER_BYTES_MAX) socket.destroy(new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`));
  });
  socket.once('error', reject);
  socket.once('close', () => {
    timer.cancel();
    resolve(Buffer.concat(chunks).toString('utf8'));
  });
  socket.end(`${line}\n`);
  return promise;
}

/** As few lines as they fit on. */
export function joinCommands(commands: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (const command of commands) {
    const last = lines.at(-1);
    if (last === undefined || last.length + command.length + 1 > LINE_BYTES_MAX) lines.push(command);
    else lines[lines.length - 1] = `${last};${command}`;
  }
  return lines;
}
