/** Pulling an image, with the engine's own words when it can't be had. */
import type Docker from 'dockerode';
import type { Clock, Timer } from '../../../shared/util/clock.ts';
import { type PullResult, RuntimeFault } from '../../executor/contracts.ts';
import { engineWords, statusOf } from './engine-errors.ts';
import { type Credentials, credentialsFor, fullReference } from './registry-credentials.ts';

/** A registry that sends nothing for so long is given up. */
const PROGRESS_DEADLINE_MS = 300_000;

export interface PullParts {
  readonly docker: Docker;
  readonly clock: Clock;
  readonly registryConfig: string | null;
}

export async function pullImage(parts: PullParts, image: string, signal: AbortSignal): Promise<PullResult> {
  if (signal.aborted) return failed('no longer wanted');
  let credentials: Credentials | null;
  try {
    credentials = await credentialsFor(image, parts.registryConfig);
  } catch (cause) {
    return failed(`the registry configuration of the node can't be used: ${engineWords(cause)}`);
  }
  const over = new AbortController();
  const anyEnd = AbortSignal.any([signal, over.signal]);
  const deadline = new ProgressDeadline(parts.clock, () => over.abort());
  try {
    const stream = await openPull(parts.docker, { image, credentials, signal: anyEnd });
    return await readPull(stream, () => deadline.extend());
  } catch (cause) {
    if (signal.aborted) return failed('no longer wanted');
    if (over.signal.aborted) return failed(`the pull made no progress for ${PROGRESS_DEADLINE_MS / 1000} s`);
    if (statusOf(cause) === null) throw new RuntimeFault(`pull ${image}: ${engineWords(cause)}`, { cause });
    return failed(engineWords(cause));
  } finally {
    deadline.cancel();
  }
}

function openPull(
  docker: Docker,
  pull: { readonly image: string; readonly credentials: Credentials | null; readonly signal: AbortSignal },
): Promise<NodeJS.ReadableStream> {
  const options = { fromImage: fullReference(pull.image), abortSignal: pull.signal };
  return pull.credentials === null ? docker.createImage(options) : docker.createImage(pull.credentials, options);
}

/** Reads the engine's progress to its end; an error comes as one of its lines. */
async function readPull(stream: NodeJS.ReadableStream, onProgress: () => void): Promise<PullResult> {
  let rest = '';
  let error: string | null = null;
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    onProgress();
    const lines = `${rest}${String(chunk)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) error ??= errorIn(line);
  }
  error ??= errorIn(rest);
  return error === null ? { type: 'pulled' } : failed(error);
}

function errorIn(line: string): string | null {
  if (line.trim() === '') return null;
  const progress = JSON.parse(line) as { readonly error?: unknown };
  return typeof progress.error === 'string' ? progress.error : null;
}

function failed(message: string): PullResult {
  return { type: 'failed', message };
}

class ProgressDeadline {
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  #timer: Timer;

  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
    this.#timer = clock.setTimer(PROGRESS_DEADLINE_MS, onExpired);
  }

  extend(): void {
    this.#timer.cancel();
    this.#timer = this.#clock.setTimer(PROGRESS_DEADLINE_MS, this.#onExpired);
  }

  cancel(): void {
    this.#timer.cancel();
  }
}
