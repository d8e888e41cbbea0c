/** The engine's stream of events, kept open: ends of our containers are told as they happen, and every gap is told too. */
import type Docker from 'dockerode';
import { jitteredBackoffMs } from '../../../shared/util/backoff.ts';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import type { Random } from '../../../shared/util/random.ts';
import type { RuntimeListener, Subscription } from '../../executor/contracts.ts';
import { LABELS } from './container-options.ts';

const RECONNECT_BACKOFF = { baseMs: 100, factor: 2, maxMs: 10_000 };
/** An event is a few hundred bytes; a longer line is not one. */
const EVENT_BYTES_MAX = 1024 * 1024;

export interface EventWatchParts {
  readonly docker: Docker;
  /** Whether the exit code says all that there is to be said of an end. */
  readonly isPlain: (exitCode: number) => Promise<boolean>;
  /** The engine has begun to clear away after a container that has ended. */
  readonly onDie: (container: string) => void;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly random: Random;
}

export function watchEvents(parts: EventWatchParts, listener: RuntimeListener): Subscription {
  const closed = new AbortController();
  void keepWatching(parts, listener, closed.signal);
  return { close: () => closed.abort() };
}

async function keepWatching(parts: EventWatchParts, listener: RuntimeListener, closed: AbortSignal): Promise<void> {
  for (let failures = 0; !closed.aborted; failures += 1) {
    try {
      const stream = await openEvents(parts, closed);
      failures = 0;
      // Only now: what ends from here on is told, and what ended before is in the listing that this asks for.
      listener.onGap();
      await readEvents(stream, (line) => tell(parts, line, listener));
    } catch {
      // Whatever broke it: the gap is told when the next stream stands, and the engine's absence by whoever calls it.
    }
    if (closed.aborted) return;
    await sleep(parts.clock, jitteredBackoffMs(RECONNECT_BACKOFF, failures, parts.random.next()), closed);
  }
}

function openEvents({ docker, nodeId }: EventWatchParts, signal: AbortSignal): Promise<NodeJS.ReadableStream> {
  return docker.getEvents({
    filters: { type: ['container'], event: ['die', 'destroy'], label: [`${LABELS.node}=${nodeId}`] },
    abortSignal: signal,
  });
}

/** One after the other, so that what became of a container is told in order. */
async function readEvents(stream: NodeJS.ReadableStream, take: (line: string) => Promise<void>): Promise<void> {
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    const lines = `${rest}${String(chunk)}`.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > EVENT_BYTES_MAX) return;
    for (const line of lines) if (line.trim() !== '') await take(line);
  }
}

interface ContainerEvent {
  readonly Action?: string;
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Readonly<Record<string, string>> };
  readonly timeNano?: number;
}

async function tell(parts: EventWatchParts, line: string, listener: RuntimeListener): Promise<void> {
  const event = JSON.parse(line) as ContainerEvent;
  const task = event.Actor?.Attributes?.[LABELS.task];
  const container = event.Actor?.ID;
  if (task === undefined || container === undefined) return;
  if (event.Action === 'die') parts.onDie(container);
  listener.onEnd(task, container, await endOf(event, parts));
}

/**
 * The engine holds an ended container back from whoever asks for it until its network is taken down, which takes longer than to tell
 * of the end. So what the event itself says is taken for it, where that is all.
 */
async function endOf({ Action, Actor, timeNano }: ContainerEvent, { isPlain }: EventWatchParts) {
  const exitCode = Number(Actor?.Attributes?.['exitCode'] ?? Number.NaN);
  if (Action !== 'die' || timeNano === undefined || !Number.isInteger(exitCode)) return undefined;
  return (await isPlain(exitCode)) ? { exitCode, atMs: Math.floor(timeNano / 1e6) } : undefined;
}
