/**
 * The agent's session with the control plane: register, then follow the assignment, send heartbeats and report, all under
 * the epoch that the registration gave. When somebody else has raised the epoch, or the token is no longer accepted, the
 * session is over and the next one begins. The control plane being away ends nothing: the loops keep trying.
 */
import type {
  AssignmentPosition,
  AssignmentResponse,
  RegisterRequest,
  RegisterResponse,
} from '../../shared/protocol/agent.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../shared/util/backoff.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import { Connection } from './connection.ts';
import { type AssignmentQuery, type ControlPlane, ControlPlaneFault, type Fence, type Log } from './contracts.ts';

/** How long the control plane may hold a request for the assignment open. */
const ASSIGNMENT_WAIT_MS = 25_000;
/** The same after one was refused: the answer only tells whether the control plane has caught up. */
const REFUSED_WAIT_MS = 1000;
const HEARTBEAT_INTERVAL_MIN_MS = 100;
/** Somebody has to do something before it is taken; until then it is asked for now and then. */
const MISMATCH_BACKOFF: BackoffPolicy = { baseMs: 1000, factor: 2, maxMs: 30_000 };
/** Sessions that end sooner than this are followed by growing pauses. */
const SHORT_SESSION_MS = 10_000;

export interface SessionParts {
  readonly controlPlane: ControlPlane;
  /** Told of every sign of life that the control plane has confirmed, and when it was sent. */
  readonly fence: Pick<Fence, 'nowMs' | 'confirmed'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What to register with; null: not now. */
  readonly registration: () => Promise<RegisterRequest | null>;
  /** It was taken. */
  readonly onRegistered: (request: RegisterRequest, epoch: number) => void;
  /** The node was declared gone: its next registration has to be that of a new one. */
  readonly onGone: () => void;
  /** The highest assignment that has been followed, in any session. */
  readonly seen: () => AssignmentPosition | null;
  /** False: the assignment lies behind what has been seen, and is refused. */
  readonly accept: (response: AssignmentResponse) => boolean;
  /** Whatever reports statuses, for as long as a session lasts. */
  readonly report: (calls: SessionCalls) => Promise<void>;
  /** Epoch, reachability or freshness have changed. */
  readonly onChange: () => void;
}

/** How the loops of one session call the control plane. */
export interface SessionCalls {
  /** Aborted when the session is over. */
  readonly signal: AbortSignal;
  /** Calls until there is an answer. Null: the session ended first. */
  readonly untilAnswered: <T>(call: Call<T>) => Promise<T | null>;
  /** Something that was told has been taken note of. */
  readonly onAnswered: () => void;
}

type Call<T> = (controlPlane: ControlPlane, epoch: number, signal: AbortSignal) => Promise<T>;

export class Session {
  readonly #parts: SessionParts;
  readonly #connection: Connection;
  readonly #closed = new AbortController();
  #epoch = 0;
  #hasAssignment = false;
  #running: Promise<void> | null = null;
  /** Ends the present session, while there is one. */
  #over: AbortController | null = null;
  /** What was registered, or is under way to be, is no longer so. */
  #isOutdated = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#connection = new Connection({ ...parts, onChange: () => parts.onChange() });
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Whether what the assignment says is what the control plane says now. */
  get isLive(): boolean {
    return this.#hasAssignment && this.#connection.isReachable;
  }

  /** Whether the control plane was last heard to say that it doesn't take this node. */
  get isRefused(): boolean {
    return this.#connection.isRefused;
  }

  open(): void {
    this.#running = this.#run(this.#closed.signal);
  }

  close(): void {
    this.#closed.abort();
  }

  /** What the node registers with has changed: the present session ends, and the next one begins with it. */
  renew(): void {
    this.#isOutdated = true;
    this.#over?.abort();
  }

  async closed(): Promise<void> {
    await this.#running;
  }

  async #run(closed: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    for (let short = 0; !closed.aborted; ) {
      const registered = await this.#register(closed);
      if (registered === null) return;
      const begunAtMs = clock.monotonicMs();
      await this.#serve(registered, closed);
      short = clock.monotonicMs() - begunAtMs < SHORT_SESSION_MS ? short + 1 : 0;
      // The first time at once; but two agents that take the session from each other must not do so in a frenzy.
      if (short > 1) await this.#connection.pause(short - 2, closed);
    }
  }

  async #register(closed: AbortSignal): Promise<RegisterResponse | null> {
    for (let retry = 0; !closed.aborted; retry += 1) {
      try {
        const response = await this.#registerOnce(closed);
        if (response === null) {
          await this.#connection.pause(retry, closed);
          continue;
        }
        this.#epoch = response.epoch;
        this.#connection.answered();
        this.#parts.log.info('joined the control plane', { epoch: response.epoch, incarnation: response.incarnation });
        return response;
      } catch (cause) {
        if (closed.aborted) return null;
        await this.#refused(faultOf(cause), retry, closed);
      }
    }
    return null;
  }

  async #registerOnce(closed: AbortSignal): Promise<RegisterResponse | null> {
    this.#isOutdated = false;
    const request = await this.#parts.registration();
    if (request === null || closed.aborted) return null;
    const sentAtMs = this.#parts.fence.nowMs();
    const response = await this.#parts.controlPlane.register(request, closed);
    this.#parts.fence.confirmed(sentAtMs);
    this.#parts.onRegistered(request, response.epoch);
    return response;
  }

  async #refused(fault: ControlPlaneFault, retry: number, closed: AbortSignal): Promise<void> {
    this.#connection.failed(fault);
    if (fault.kind === 'gone') this.#parts.onGone();
    if (fault.kind !== 'mismatch') return this.#connection.pause(retry, closed);
    const { clock, random } = this.#parts;
    await sleep(clock, jitteredBackoffMs(MISMATCH_BACKOFF, retry, random.next()), closed);
  }

  async #serve(registered: RegisterResponse, closed: AbortSignal): Promise<void> {
    const over = new AbortController();
    this.#over = over;
    const end = () => over.abort();
    closed.addEventListener('abort', end, { once: true });
    if (closed.aborted || this.#isOutdated) end();
    const calls = this.#calls(registered.epoch, over);
    try {
      await Promise.all([
        this.#beat(calls, registered.heartbeatIntervalMs),
        this.#follow(calls),
        this.#parts.report(calls),
      ]);
    } finally {
      over.abort();
      this.#over = null;
      closed.removeEventListener('abort', end);
      this.#hasAssignment = false;
      this.#parts.onChange();
    }
  }

  #calls(epoch: number, over: AbortController): SessionCalls {
    return {
      signal: over.signal,
      untilAnswered: (call) => this.#untilAnswered(epoch, over, call),
      onAnswered: () => this.#parts.onChange(),
    };
  }

  async #untilAnswered<T>(epoch: number, over: AbortController, call: Call<T>): Promise<T | null> {
    for (let retry = 0; !over.signal.aborted; retry += 1) {
      try {
        const answer = await call(this.#parts.controlPlane, epoch, over.signal);
        this.#connection.answered();
        return answer;
      } catch (cause) {
        if (over.signal.aborted) return null;
        const fault = faultOf(cause);
        if (this.#endsSession(fault)) over.abort();
        else {
          this.#connection.failed(fault);
          await this.#connection.pause(retry, over.signal);
        }
      }
    }
    return null;
  }

  #endsSession(fault: ControlPlaneFault): boolean {
    if (fault.kind !== 'stale-epoch' && fault.kind !== 'unauthenticated') return false;
    this.#parts.log.info('the session is over; joining anew', { cause: fault.message });
    return true;
  }

  async #beat(calls: SessionCalls, intervalMs: number): Promise<void> {
    const { clock, fence } = this.#parts;
    while (!calls.signal.aborted) {
      await sleep(clock, Math.max(HEARTBEAT_INTERVAL_MIN_MS, intervalMs), calls.signal);
      if (calls.signal.aborted) return;
      await calls.untilAnswered(async (controlPlane, epoch, signal) => {
        const sentAtMs = fence.nowMs();
        await controlPlane.heartbeat(epoch, clock.now(), signal);
        fence.confirmed(sentAtMs);
      });
    }
  }

  async #follow(calls: SessionCalls): Promise<void> {
    let position: AssignmentPosition | null = null;
    let streamsVersion: string | null = null;
    let refused = 0;
    while (!calls.signal.aborted) {
      const waitMs: number = refused === 0 ? ASSIGNMENT_WAIT_MS : REFUSED_WAIT_MS;
      const query: AssignmentQuery = { position, streamsVersion, waitMs };
      const response: AssignmentResponse | null = await calls.untilAnswered((controlPlane, epoch, signal) =>
        this.#poll((until) => controlPlane.assignment(epoch, query, until), signal),
      );
      if (calls.signal.aborted) return;
      if (response === null) {
        if (refused > 0) position = null;
        continue;
      }
      if (!this.#parts.accept(response)) {
        await this.#connection.pause(refused, calls.signal);
        refused += 1;
        // Told what has been seen here, the control plane either catches up with it or finds that its state lies behind.
        position = this.#parts.seen();
        continue;
      }
      refused = 0;
      position = response.position;
      streamsVersion = response.streamsVersion;
      this.#hasAssignment = true;
      this.#parts.onChange();
    }
  }

  /**
   * A request that hangs on a dead connection is given up as soon as another call has found a way again; by itself it would
   * notice only after its whole wait.
   */
  async #poll<T>(request: (until: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T | null> {
    const until = new AbortController();
    const giveUp = () => until.abort();
    const forget = this.#connection.onReturn(giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      return await request(until.signal);
    } catch (cause) {
      if (until.signal.aborted && !signal.aborted) return null;
      throw cause;
    } finally {
      forget();
      signal.removeEventListener('abort', giveUp);
    }
  }
}

/** Anything else that is thrown is a bug of ours or of an adapter, and must not be taken for a bad connection. */
function faultOf(cause: unknown): ControlPlaneFault {
  if (cause instanceof ControlPlaneFault) return cause;
  throw cause;
}
