/** A wire between a client and a server that a test can cut, hold, or make swallow what comes back. */
import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';

/**
 * `pass`: everything goes through. `swallow`: requests arrive, answers vanish. `hold`: requests are kept until
 * {@link TcpProxy.release}, and nothing comes back.
 */
export type WireMode = 'pass' | 'swallow' | 'hold';

interface Wire {
  readonly client: Socket;
  readonly server: Socket;
  held: Buffer[];
}

export class TcpProxy {
  /** Connections that clients have opened so far. */
  connections = 0;
  /** Bytes of requests that were kept so far. */
  heldBytes = 0;
  /** Bytes of answers that nobody got. */
  swallowedBytes = 0;
  readonly #listener: Server;
  readonly #wires: Wire[] = [];
  #mode: WireMode = 'pass';

  private constructor(serverPort: number) {
    this.#listener = createServer((client) => this.#open(client, dial(serverPort, '127.0.0.1')));
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

  /** How connections behave from now on, those that are open included. */
  setMode(mode: WireMode): void {
    this.#mode = mode;
  }

  /** Cuts the open connections; what was held on them is kept. New ones pass. */
  heal(): void {
    this.#mode = 'pass';
    for (const { client } of this.#wires) client.destroy();
  }

  /** Lets what was held arrive, on the connection that it came on, though its client may be gone. */
  release(): void {
    for (const wire of this.#wires) {
      for (const chunk of wire.held) wire.server.write(chunk);
      wire.held = [];
    }
  }

  async close(): Promise<void> {
    for (const { client, server } of this.#wires) {
      client.destroy();
      server.destroy();
    }
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #open(client: Socket, server: Socket): void {
    const wire: Wire = { client, server, held: [] };
    this.#wires.push(wire);
    this.connections += 1;
    client.on('data', (chunk: Buffer) => this.#toServer(wire, chunk));
    server.on('data', (chunk: Buffer) => this.#toClient(wire, chunk));
    for (const socket of [client, server]) socket.on('error', () => socket.destroy());
    server.on('close', () => client.destroy());
    client.on('close', () => {
      if (wire.held.length === 0) server.destroy();
    });
  }

  #toServer(wire: Wire, chunk: Buffer): void {
    if (this.#mode === 'hold') {
      wire.held.push(chunk);
      this.heldBytes += chunk.length;
    } else if (wire.server.writable) {
      wire.server.write(chunk);
    }
  }

  #toClient(wire: Wire, chunk: Buffer): void {
    if (this.#mode === 'pass' && wire.client.writable) wire.client.write(chunk);
    else this.swallowedBytes += chunk.length;
  }
}
