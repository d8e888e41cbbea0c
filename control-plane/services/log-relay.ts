/**
 * Output of tasks, from the agent that has it to the client that wants it. Agents only dial out, so a client's wish is put on
 * record for the node; its agent, over whichever replica it talks to, dials in with the output; and that replica hands it to
 * the one where the client waits.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import type { LogLine } from '../../shared/protocol/agent.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { randomId } from '../../shared/util/random.ts';
import { TokenOver } from '../auth/lasting.ts';
import { LeaseGoneError } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import type { StreamRecord } from '../store/record-types.ts';
import { decodeRecord, putRecord } from '../store/records.ts';
import type { Change } from '../store/snapshot.ts';
import type { ServiceContext } from './context.ts';
import { LineSink } from './line-sink.ts';
import { takeLines } from './log-lines.ts';
import { StreamLease } from './stream-lease.ts';
import type { StreamMeeting } from './stream-meeting.ts';

/** How long an agent may take to dial in. */
const ANSWER_DEADLINE_MS = 10_000;

/** Clients that may wait for output on one replica. */
const STREAMS_MAX = 10_000;

/** Streams that a node's agent may be asked for at a time, by all replicas together: as many as it sends at once. */
const STREAMS_PER_NODE_MAX = 256;

/** The output broke off though there is more of it. Whoever reads takes it up again after the last line that came. */
export class LogInterrupted extends Error {
  override readonly name = 'LogInterrupted';
}

export interface LogRequest {
  readonly task: TaskId;
  readonly node: NodeId;
  readonly follow: boolean;
  readonly tail: number | null;
  /** Only lines after this time, RFC 3339. */
  readonly since: string | null;
  /** Ends the stream. To be aborted when the reader has had enough, whatever the reason. */
  readonly signal: AbortSignal;
}

export interface LogRelayOptions {
  readonly ctx: Pick<ServiceContext, 'store' | 'mirror' | 'clock' | 'random' | 'log' | 'replica'>;
  /** Makes a token for one call to another replica. */
  readonly peerToken: () => Promise<string>;
  readonly fetch: typeof fetch;
  /** Where those who bring and those who read find each other when no process serves both. Absent: one that has a URL of its own does. */
  readonly meeting?: StreamMeeting;
}

type Body = ReadableStream<Uint8Array>;

export class LogRelay {
  readonly #options: LogRelayOptions;
  readonly #lease: StreamLease;
  /** Those who wait or read here, by the id of their stream. */
  readonly #sinks = new Map<string, LineSink>();
  readonly #unsubscribe: () => void;

  constructor(options: LogRelayOptions) {
    this.#options = options;
    this.#lease = new StreamLease(options.ctx);
    this.#unsubscribe = options.ctx.mirror.subscribe((changes) => this.#endLost(changes));
  }

  /**
   * Asks the node's agent for a task's output; resolves when it has dialled in. The lines that follow end when there are no
   * more, or throw {@link LogInterrupted}. Throws `conflict`, naming the node, when the agent can't be had, and
   * `limit-exceeded` when too many read already.
   */
  async open(request: LogRequest): Promise<AsyncIterable<readonly LogLine[]>> {
    const { node, signal } = request;
    const { snapshot } = this.#options.ctx.mirror;
    if (snapshot.epochs.get(node)?.gone !== undefined) throw gone(request);
    if (!snapshot.isAlive(node)) throw unreachable(request);
    if (this.#sinks.size >= STREAMS_MAX) throw crowded(`${STREAMS_MAX} clients read output on this replica already`);
    if (this.#streamsOf(node) >= STREAMS_PER_NODE_MAX) {
      throw crowded(`${STREAMS_PER_NODE_MAX} clients read output of tasks on node "${node}" already`);
    }
    const id = randomId(this.#options.ctx.random);
    const sink = new LineSink(node);
    this.#sinks.set(id, sink);
    this.#lease.hold();
    this.#awaitElsewhere(id, sink);
    try {
      await this.#putRecord(id, request);
      await untilClaimed(sink, this.#options.ctx.clock, request);
    } catch (error) {
      this.#close(id, request);
      throw error;
    }
    if (signal.aborted) this.#close(id, request);
    else signal.addEventListener('abort', () => this.#close(id, request), { once: true });
    return sink.read();
  }

  /**
   * An agent has dialled in. Resolves when its output has been taken or nobody wants it any more. Throws `not-found` when
   * nobody waits for it, `conflict` when somebody is bringing it already. Breaks off with the {@link TokenOver} that `tokenOver` is
   * aborted with, once the agent may bring no more on the token that it came with.
   */
  async deliver(node: NodeId, id: string, body: Body, tokenOver: AbortSignal | null = null): Promise<void> {
    const sink = this.#sinks.get(id);
    if (sink !== undefined && sink.node === node) return pump(sink, body, tokenOver);
    const record = await this.#findRecord(node, id);
    if (record === null) throw notWanted(id);
    const { ctx, meeting } = this.#options;
    const isOurs = record.replica === ctx.replica.id;
    // Processes of one URL are one door, behind which the meeting is.
    const isOurDoor = ctx.mirror.snapshot.replicas.get(record.replica)?.url === ctx.replica.url;
    if (meeting !== undefined && (isOurs || isOurDoor)) return bringTo(meeting, id, body, tokenOver);
    if (isOurs) throw notWanted(id);
    return this.#forward(record, body, tokenOver);
  }

  /** Another replica passes an agent's output on to a client that waits here. */
  deliverFromPeer(id: string, body: Body): Promise<void> {
    const sink = this.#sinks.get(id);
    if (sink !== undefined) return pump(sink, body, null);
    const { meeting } = this.#options;
    return meeting === undefined ? Promise.reject(notWanted(id)) : bringTo(meeting, id, body, null);
  }

  /** Ends every stream: the replica goes away, and readers find another one. */
  close(): void {
    this.#unsubscribe();
    for (const sink of this.#sinks.values()) sink.end(new LogInterrupted('this replica is going away'));
  }

  /** What is brought to the meeting goes on to the reader here. */
  #awaitElsewhere(id: string, sink: LineSink): void {
    const { meeting, ctx } = this.#options;
    if (meeting === undefined) return;
    const over = new AbortController();
    void sink.abandoned.then(() => over.abort());
    meeting
      .read(id, over.signal)
      .then((body) => (body === null ? undefined : pump(sink, body, null)))
      .catch((error) => ctx.log.debug({ error, stream: id }, 'nobody came to bring a stream'));
  }

  /** Those on record, and those of this replica that the mirror doesn't show yet. */
  #streamsOf(node: NodeId): number {
    const { streams } = this.#options.ctx.mirror.snapshot;
    let count = 0;
    for (const stream of streams.values()) if (stream.node === node) count++;
    for (const [id, sink] of this.#sinks) if (sink.node === node && !streams.has(id)) count++;
    return count;
  }

  async #putRecord(id: string, request: LogRequest): Promise<void> {
    try {
      await this.#writeRecord(id, request, await this.#lease.id());
    } catch (error) {
      if (!(error instanceof LeaseGoneError)) throw error;
      this.#lease.drop();
      await this.#writeRecord(id, request, await this.#lease.id());
    }
  }

  async #writeRecord(id: string, { task, node, follow, tail, since }: LogRequest, lease: string): Promise<void> {
    const { store, replica, clock } = this.#options.ctx;
    const record: StreamRecord = {
      id,
      node,
      task,
      follow,
      tail,
      since,
      replica: replica.id,
      requestedAtMs: clock.now(),
    };
    const writes = [putRecord('streams', keys.stream(node, id), record, lease)];
    // One that comes and goes with its requests isn't on the list by itself.
    if (this.#options.meeting !== undefined) {
      writes.push(putRecord('replicas', keys.replica(replica.id), { ...replica, startedAtMs: clock.now() }, lease));
    }
    await store.transact({ compares: [], writes });
  }

  #close(id: string, { node }: LogRequest): void {
    const sink = this.#sinks.get(id);
    if (sink === undefined) return;
    this.#sinks.delete(id);
    sink.abandon();
    const { store, log } = this.#options.ctx;
    store
      .transact({ compares: [], writes: [{ type: 'delete', key: keys.stream(node, id) }] })
      .catch((error) => log.debug({ error, stream: id }, 'a stream could not be taken off record; its lease ends it'))
      .finally(() => this.#lease.release());
  }

  /** Asks the store itself where the mirror doesn't know it yet: the agent may have heard of it from another replica. */
  async #findRecord(node: NodeId, id: string): Promise<StreamRecord | null> {
    const mirrored = this.#options.ctx.mirror.snapshot.streams.get(id);
    if (mirrored !== undefined) return mirrored.node === node ? mirrored : null;
    const key = keys.stream(node, id);
    const { keyValue } = await this.#options.ctx.store.get(key);
    return keyValue === null ? null : decodeRecord('streams', key, keyValue.value);
  }

  async #forward(record: StreamRecord, body: Body, tokenOver: AbortSignal | null): Promise<void> {
    const { ctx, peerToken, fetch } = this.#options;
    const peer = ctx.mirror.snapshot.replicas.get(record.replica);
    if (peer === undefined) throw notWanted(record.id);
    const over = new AbortController();
    const ends = tokenOver === null ? [over.signal] : [over.signal, tokenOver];
    try {
      const init: RequestInit & { duplex: 'half' } = {
        method: 'POST',
        headers: { authorization: `Bearer ${await peerToken()}`, 'content-type': 'application/x-ndjson' },
        body,
        duplex: 'half',
        signal: AbortSignal.any(ends),
      };
      const response = await fetch(new URL(`/v1/peer/streams/${encodeURIComponent(record.id)}`, peer.url), init);
      if (response.status === 404) throw notWanted(record.id);
      if (!response.ok) throw peerAway(record, `it answered ${response.status}`);
    } catch (error) {
      throw error instanceof Refusal ? error : peerAway(record, 'it could not be reached', error);
    } finally {
      over.abort();
    }
  }

  /** A connection to a machine that lost its power stays open for hours; the end of its lease is the better sign. */
  #endLost(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind !== 'alive' || change.after !== null) continue;
      for (const sink of this.#sinks.values()) {
        if (sink.node === change.id) sink.end(new LogInterrupted(`node "${change.id}" has become unreachable`));
      }
    }
  }
}

function untilClaimed(sink: LineSink, clock: Clock, request: LogRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void) => {
      timer.cancel();
      request.signal.removeEventListener('abort', onAbort);
      then();
    };
    const onAbort = () => settle(resolve);
    const timer = clock.setTimer(ANSWER_DEADLINE_MS, () => settle(() => reject(unanswered(request))));
    request.signal.addEventListener('abort', onAbort, { once: true });
    if (request.signal.aborted) onAbort();
    sink.claimed.then(() => settle(resolve));
  });
}

/** Throws `not-found` when nobody comes to read, and `conflict` when somebody is bringing it already. */
async function bringTo(meeting: StreamMeeting, id: string, body: Body, tokenOver: AbortSignal | null): Promise<void> {
  const outcome = await meeting.bring(id, body, tokenOver);
  tokenOver?.throwIfAborted();
  if (outcome === 'nobody-reads') throw notWanted(id);
  if (outcome === 'brought-already') throw new Refusal('conflict', BROUGHT_ALREADY);
}

const BROUGHT_ALREADY = 'this stream is being delivered already';

/** Takes lines from the body to the sink, as fast as they are read there. */
async function pump(sink: LineSink, body: Body, tokenOver: AbortSignal | null): Promise<void> {
  if (!sink.claim()) {
    await body.cancel();
    throw new Refusal('conflict', BROUGHT_ALREADY);
  }
  const reader = body.getReader();
  // A quiet container sends nothing for hours: the end of the reader has to end the wait for more.
  sink.abandoned.then(() => reader.cancel()).catch(() => undefined);
  const breakOff = () => void reader.cancel().catch(() => undefined);
  tokenOver?.addEventListener('abort', breakOff, { once: true });
  try {
    await takeAll(sink, reader, tokenOver);
    sink.end();
  } catch (error) {
    const refusal = error instanceof Refusal ? error : null;
    // Of the agent's token those who read know nothing: the agent comes back with another one.
    const told = refusal instanceof TokenOver ? null : refusal;
    sink.end(told ?? new LogInterrupted(`the connection to node "${sink.node}" broke off`, { cause: error }));
    await reader.cancel().catch(() => undefined);
    if (refusal !== null) throw refusal;
  } finally {
    tokenOver?.removeEventListener('abort', breakOff);
  }
}

async function takeAll(
  sink: LineSink,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  tokenOver: AbortSignal | null,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    tokenOver?.throwIfAborted();
    const text = done ? `${decoder.decode()}\n` : decoder.decode(value, { stream: true });
    const taken = takeLines(rest, text);
    rest = taken.rest;
    const isRead = await sink.push(taken.lines);
    if (done) return;
    if (!isRead) return void (await reader.cancel());
  }
}

function crowded(why: string): Refusal {
  return new Refusal('limit-exceeded', `${why}; try again later`, { retryAfterSeconds: 5 });
}

function unreachable({ node, task }: LogRequest): Refusal {
  return new Refusal(
    'conflict',
    `the output of task "${task}" is on node "${node}", which is unreachable; try again when it is back`,
    { retryAfterSeconds: 5 },
  );
}

function gone({ node, task }: LogRequest): Refusal {
  return new Refusal('conflict', `the output of task "${task}" was on node "${node}", which was declared gone`);
}

function unanswered({ node, task }: LogRequest): Refusal {
  return new Refusal(
    'conflict',
    `the agent of node "${node}" did not send the output of task "${task}" within ${ANSWER_DEADLINE_MS / 1000} s; look at the agent's own log there, or try again`,
    { retryAfterSeconds: 2 },
  );
}

function notWanted(id: string): Refusal {
  return new Refusal('not-found', `nobody waits for the stream "${id}" any more`);
}

function peerAway({ replica }: StreamRecord, why: string, cause?: unknown): Refusal {
  return new Refusal('unavailable', `replica "${replica}", where the client waits, can't take the stream: ${why}`, {
    retryAfterSeconds: 1,
    cause,
  });
}
