/**
 * A wire between clients and one server, with which a test makes the faults of a network. It knows bytes and connections
 * and nothing of what they carry, so it is the same for HTTP/2 and HTTP/1.
 *
 * What a network can do is what this can do: bytes come late or never, connections end anywhere. No connection ever goes on
 * after bytes of it were lost.
 */
import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';

export type Direction = 'requests' | 'answers';

/** How a connection ends: with a goodbye, or with a reset as after a crash. */
export type Ending = 'close' | 'reset';

export class TcpProxy {
  /** Connections that clients have opened so far. */
  connections = 0;
  /** Bytes of requests that clients have sent so far. */
  requestBytes = 0;
  readonly #listener: Server;
  readonly #wires = new Set<Wire>();
  readonly #held = new Set<Direction>();
  #swallows = false;
  #delayMs = 0;
  #answerBytesLeft = Number.POSITIVE_INFINITY;
  #sleepers: (() => void)[] = [];
  #counted = { heldRequests: 0, heldAnswers: 0, swallowed: 0 };

  private constructor(serverPort: number) {
    // Ends are passed on like bytes: in their turn, one direction at a time.
    this.#listener = createServer({ allowHalfOpen: true }, (client) => {
      this.#open(client, dial({ port: serverPort, host: '127.0.0.1', allowHalfOpen: true }));
    });
  }

  static async start(serverPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(serverPort);
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    return proxy;
  }

  get url(): string {
    const address = this.#listener.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server that listens has a port');
    return `http://127.0.0.1:${address.port}`;
  }

  /** Connections that are open on the client's side. */
  get openConnections(): number {
    return [...this.#wires].filter((wire) => !wire.client.destroyed).length;
  }

  /** Bytes of requests that were kept back so far. */
  get heldRequestBytes(): number {
    return this.#counted.heldRequests;
  }

  /** Bytes of answers that were kept back so far. */
  get heldAnswerBytes(): number {
    return this.#counted.heldAnswers;
  }

  /** Bytes of answers that nobody got. */
  get swallowedBytes(): number {
    return this.#counted.swallowed;
  }

  /** Keeps back what goes in one direction, on every connection, until {@link letThrough}. The other one flows on. */
  hold(direction: Direction): void {
    this.#held.add(direction);
  }

  /** What was held flows again, on the connections that it came on. */
  letThrough(direction: Direction): void {
    this.#held.delete(direction);
    for (const wire of this.#wires) wire[direction].pump();
  }

  /** Requests arrive and answers vanish, until {@link heal}. A connection that lost an answer stays mute for ever. */
  swallow(): void {
    this.#swallows = true;
  }

  /** Nothing comes through any more on the connections that are open now, and nobody is told. New ones work. */
  forget(): void {
    for (const wire of this.#wires) wire.isForgotten = true;
  }

  /** Everything takes this much longer, in both directions. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Cuts every connection as soon as that many more bytes of answers have got through: in the middle of whatever. */
  cutAfter(answerBytes: number): void {
    this.#answerBytesLeft = answerBytes;
  }

  /** Resolves when a cut that {@link cutAfter} announced has happened; false after `withinMs` without one. */
  async hasCut(withinMs: number): Promise<boolean> {
    if (this.#answerBytesLeft === Number.POSITIVE_INFINITY) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs);
      this.#sleepers.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  /** Cuts the open connections. New ones can be made. */
  cut(ending: Ending = 'reset'): void {
    this.#answerBytesLeft = Number.POSITIVE_INFINITY;
    for (const wire of this.#wires) this.#cutWire(wire, ending);
    for (const wake of this.#sleepers.splice(0)) wake();
  }

  /** Cuts the open connections towards the client only. What it had sent on them arrives with {@link arriveLate}. */
  leave(): void {
    for (const wire of this.#wires) {
      wire.isLeft = true;
      wire.isLate = true;
      wire.client.resetAndDestroy();
    }
  }

  /** What was held on connections that have been left arrives now; its answers reach nobody. */
  arriveLate(): void {
    for (const wire of this.#wires) {
      wire.isLate = false;
      wire.requests.pump();
    }
  }

  /** Nothing fails any more. Connections that have lost something are cut, and what was late arrives. */
  heal(): void {
    this.#swallows = false;
    this.#delayMs = 0;
    this.#answerBytesLeft = Number.POSITIVE_INFINITY;
    for (const wire of this.#wires) {
      if (wire.isMute || wire.isForgotten) this.#cutWire(wire, 'reset');
    }
    this.letThrough('requests');
    this.letThrough('answers');
    this.arriveLate();
  }

  async close(): Promise<void> {
    for (const wire of this.#wires) wire.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #open(client: Socket, server: Socket): void {
    this.connections += 1;
    const wire = new Wire(client, server, {
      isHeld: (direction) => this.#held.has(direction) || wire.isLate || wire.isForgotten,
      delayMs: () => this.#delayMs,
      onHeld: (direction, bytes) => {
        this.#counted[direction === 'requests' ? 'heldRequests' : 'heldAnswers'] += bytes;
      },
      takeAnswer: (chunk, to) => this.#takeAnswer(chunk, to),
      losesAnswers: (of) => this.#losesAnswers(of),
    });
    client.on('data', (chunk: Buffer) => {
      this.requestBytes += chunk.length;
    });
    this.#wires.add(wire);
    for (const socket of [client, server]) {
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) this.#wires.delete(wire);
      });
    }
  }

  /** How much of an answer gets through: all, nothing, or what is left until a cut. */
  #takeAnswer(chunk: Buffer, wire: Wire): Buffer | null {
    if (this.#losesAnswers(wire)) {
      wire.isMute = true;
      this.#counted.swallowed += chunk.length;
      return null;
    }
    if (chunk.length < this.#answerBytesLeft) {
      this.#answerBytesLeft -= chunk.length;
      return chunk;
    }
    const part = chunk.subarray(0, this.#answerBytesLeft);
    this.#answerBytesLeft = 0;
    // The part goes out first: what was sent before a cut may well arrive.
    queueMicrotask(() => this.cut('close'));
    return part;
  }

  #losesAnswers(wire: Wire): boolean {
    return this.#swallows || wire.isMute || wire.isLeft;
  }

  #cutWire(wire: Wire, ending: Ending): void {
    if (wire.isLeft) return;
    wire.cut(ending);
  }
}

/** What a wire asks its proxy. */
interface WireRules {
  readonly isHeld: (direction: Direction) => boolean;
  readonly delayMs: () => number;
  readonly onHeld: (direction: Direction, bytes: number) => void;
  readonly takeAnswer: (chunk: Buffer, wire: Wire) => Buffer | null;
  readonly losesAnswers: (wire: Wire) => boolean;
}

/** One connection: two sockets and a lane for each direction. */
class Wire {
  readonly client: Socket;
  readonly requests: Lane;
  readonly answers: Lane;
  /** An answer was lost, so nothing may follow on this connection. */
  isMute = false;
  /** Its client is gone, but not for the server. */
  isLeft = false;
  /** What the client had sent is still kept. */
  isLate = false;
  /** Something between the two no longer knows of the connection. */
  isForgotten = false;
  readonly #server: Socket;

  constructor(client: Socket, server: Socket, rules: WireRules) {
    this.client = client;
    this.#server = server;
    const lane = (direction: Direction, to: Socket) =>
      new Lane(to, {
        isHeld: () => rules.isHeld(direction),
        delayMs: rules.delayMs,
        onHeld: (bytes) => rules.onHeld(direction, bytes),
        take: direction === 'requests' ? (chunk) => chunk : (chunk) => rules.takeAnswer(chunk, this),
        isLost: () => direction === 'answers' && rules.losesAnswers(this),
      });
    this.requests = lane('requests', server);
    this.answers = lane('answers', client);
    client.setNoDelay(true);
    server.setNoDelay(true);
    for (const [from, lane, other] of [
      [client, this.requests, server],
      [server, this.answers, client],
    ] as const) {
      from.on('data', (chunk: Buffer) => lane.add(chunk));
      from.on('end', () => lane.add('end'));
      from.on('error', () => {
        if (!this.isLeft && !this.isForgotten) other.destroy();
      });
    }
  }

  cut(ending: Ending): void {
    if (ending === 'reset') {
      this.client.resetAndDestroy();
      this.#server.resetAndDestroy();
      return;
    }
    this.client.end(() => this.client.destroy());
    this.#server.end(() => this.#server.destroy());
  }

  destroy(): void {
    this.client.destroy();
    this.#server.destroy();
  }
}

interface LaneRules {
  readonly isHeld: () => boolean;
  readonly delayMs: () => number;
  readonly onHeld: (bytes: number) => void;
  readonly take: (chunk: Buffer) => Buffer | null;
  /** Nothing of it comes out any more. */
  readonly isLost: () => boolean;
}

/** What goes one way on one connection, in order, however long some of it is kept: bytes, and that there are no more. */
class Lane {
  readonly #to: Socket;
  readonly #rules: LaneRules;
  readonly #queue: { readonly chunk: Buffer | 'end'; readonly dueMs: number }[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(to: Socket, rules: LaneRules) {
    this.#to = to;
    this.#rules = rules;
  }

  add(chunk: Buffer | 'end'): void {
    if (chunk !== 'end' && this.#rules.isHeld()) this.#rules.onHeld(chunk.length);
    this.#queue.push({ chunk, dueMs: performance.now() + this.#rules.delayMs() });
    this.pump();
  }

  /** Passes on what is due. */
  pump(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    while (!this.#rules.isHeld()) {
      const head = this.#queue[0];
      if (head === undefined) return;
      const waitMs = head.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        return;
      }
      this.#queue.shift();
      this.#passOn(head.chunk);
    }
  }

  #passOn(chunk: Buffer | 'end'): void {
    if (chunk === 'end') {
      if (!this.#rules.isLost()) this.#to.end();
      return;
    }
    const part = this.#rules.take(chunk);
    if (part !== null && this.#to.writable) this.#to.write(part);
  }
}
