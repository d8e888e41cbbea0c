/**
 * A framework's stream through the simulated network: what a replica yields arrives in its order and once, as over a connection,
 * until either side is gone or something gets lost; then the connection is broken, and whoever reads opens another one.
 */
import type { Principal } from '../../../control-plane/auth/principal.ts';
import type { StreamOpening } from '../../../control-plane/services/open-stream.ts';
import { Refusal } from '../../../shared/domain/errors.ts';
import type { FrameworkEvent } from '../../../shared/protocol/framework.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { type Network, NetworkFault } from '../network.ts';
import type { Replica } from '../replica.ts';
import type { SimulatedProcess } from '../simulated-process.ts';

export interface StreamParts {
  readonly process: SimulatedProcess;
  readonly network: Network;
  readonly principal: Principal;
  readonly onEvent: (event: FrameworkEvent) => void;
}

/** One connection, as its reader knows it. */
interface Connection {
  /** Whose events are read; a request that was delivered twice opens two streams, and one of them nobody reads. */
  pump: object | null;
  arrived: number;
  heardMs: number;
  isOver: boolean;
}

const CALL_TIMEOUT_MS = 20_000;
const HEARTBEAT_MS = 5000;
const SILENCE_MAX_MS = 15_000;
const LOOK_EVERY_MS = 1000;

export class FrameworkStream {
  readonly #parts: StreamParts;

  constructor(parts: StreamParts) {
    this.#parts = parts;
  }

  /** Reads until the stream ends, for whatever reason, or isn't wanted any more. Throws what opening it throws. */
  async follow(replica: Replica, opening: Omit<StreamOpening, 'signal'>, isWanted: () => boolean): Promise<void> {
    const { process, network } = this.#parts;
    const { clock } = process;
    const connection: Connection = { pump: null, arrived: 0, heardMs: clock.monotonicMs(), isOver: false };
    await network.call({
      from: process,
      to: replica.process,
      timeoutMs: CALL_TIMEOUT_MS,
      work: () => this.#begin(replica, opening, connection),
    });
    while (isWanted() && !connection.isOver && clock.monotonicMs() - connection.heardMs < SILENCE_MAX_MS) {
      await sleep(clock, LOOK_EVERY_MS);
    }
    connection.isOver = true;
  }

  /** At the replica. */
  async #begin(replica: Replica, opening: Omit<StreamOpening, 'signal'>, connection: Connection): Promise<void> {
    const { streams, process } = replica;
    if (streams === null || process === null) throw new Refusal('unavailable', 'the replica is starting');
    const broken = new AbortController();
    const events = await streams.open(this.#parts.principal, { ...opening, signal: broken.signal });
    void this.#pump(process, events, connection).finally(() => {
      broken.abort();
      void events.return();
    });
  }

  /** At the replica: sends what comes, and something now and then where nothing does. Ends when it isn't received. */
  async #pump(
    from: SimulatedProcess,
    events: AsyncGenerator<readonly FrameworkEvent[], void>,
    connection: Connection,
  ): Promise<void> {
    const pump = {};
    let sent = 0;
    let next = events.next();
    for (;;) {
      const isHere = new AbortController();
      const heartbeat = sleep(from.clock, HEARTBEAT_MS, isHere.signal).then(() => null);
      const come = await Promise.race([next, heartbeat]);
      isHere.abort();
      const isEnd = come?.done === true;
      const batch = come === null || come.done ? [] : come.value;
      sent += 1;
      if (!(await this.#send(from, { connection, pump, place: sent, batch, isEnd })) || isEnd) return;
      if (come !== null) next = events.next();
    }
  }

  /** False: it was not received, or nobody reads any more. */
  async #send(from: SimulatedProcess, sent: Sent): Promise<boolean> {
    const { network, process } = this.#parts;
    try {
      return await network.call({
        from,
        to: process,
        timeoutMs: CALL_TIMEOUT_MS,
        work: () => Promise.resolve(this.#receive(sent)),
      });
    } catch (error) {
      if (error instanceof NetworkFault) return false;
      throw error;
    }
  }

  #receive({ connection, pump, place, batch, isEnd }: Sent): boolean {
    connection.pump ??= pump;
    if (connection.isOver || connection.pump !== pump) return false;
    connection.heardMs = this.#parts.process.clock.monotonicMs();
    if (place <= connection.arrived) return true;
    connection.arrived = place;
    for (const event of batch) this.#parts.onEvent(event);
    if (isEnd) connection.isOver = true;
    return true;
  }
}

interface Sent {
  readonly connection: Connection;
  readonly pump: object;
  readonly place: number;
  readonly batch: readonly FrameworkEvent[];
  readonly isEnd: boolean;
}
