/** A container's output, line by line, read only as fast as it is taken. */
import type Docker from 'dockerode';
import type { LogLine } from '../../../shared/protocol/agent.ts';
import { utcTime } from '../../../shared/util/utc-time.ts';
import { type LogRequest, RuntimeFault } from '../../executor/contracts.ts';
import { engineWords } from './engine-errors.ts';
import { fullTime, LogFrames } from './log-frames.ts';

export async function* readLogs(
  docker: Docker,
  container: string,
  request: LogRequest,
  signal: AbortSignal,
): AsyncGenerator<readonly LogLine[]> {
  const frames = new LogFrames();
  const since = request.since === null ? null : (utcTime(request.since) ?? fullTime(request.since));
  try {
    const stream = await openLogs(docker, container, request, signal);
    for await (const chunk of stream) {
      const lines = laterThan(since, frames.push(Buffer.from(chunk)));
      if (lines.length > 0) yield lines;
    }
  } catch (cause) {
    if (signal.aborted) return;
    throw new RuntimeFault(`read the output of container ${container}: ${engineWords(cause)}`, { cause });
  }
  const last = laterThan(since, frames.end());
  if (last.length > 0) yield last;
}

/**
 * Through the client's own transport, since its `logs` would read the whole output into memory where it isn't followed.
 */
function openLogs(
  docker: Docker,
  container: string,
  request: LogRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const options = {
    stdout: true,
    stderr: true,
    timestamps: true,
    follow: request.follow,
    tail: request.tail === null ? 'all' : String(request.tail),
    ...(request.since === null ? {} : { since: epochSeconds(request.since) }),
  };
  return new Promise((resolve, reject) => {
    docker.modem.dial(
      {
        path: `/containers/${container}/logs?`,
        method: 'GET',
        isStream: true,
        abortSignal: signal,
        statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
        options,
      },
      (error: unknown, stream: unknown) => {
        if (error) reject(error);
        else resolve(stream as AsyncIterable<Uint8Array>);
      },
    );
  });
}

/** The engine's filter lets lines of exactly that time through. */
function laterThan(since: string | null, lines: readonly LogLine[]): readonly LogLine[] {
  return since === null ? lines : lines.filter((line) => line.at > since);
}

/** Seconds with all nine decimals, as a text: a number would lose the last ones. */
export function epochSeconds(time: string): string {
  const full = utcTime(time) ?? fullTime(time);
  const fraction = /\.(\d{9})Z$/.exec(full)?.[1] ?? '000000000';
  return `${Math.floor(Date.parse(time) / 1000)}.${fraction}`;
}
