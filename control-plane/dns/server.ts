/** The sockets: datagrams, and connections for what doesn't fit into one. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import type { Logger } from '../../shared/util/log.ts';
import type { Known } from './answer.ts';
import { respond } from './message.ts';

/** Connections at a time; whoever comes after that is sent away. */
const CONNECTIONS_MAX = 256;
/** RFC 7766 asks for a time in the order of seconds. */
const IDLE_MS = 10_000;
/** A reader that leaves so much unread is cut off. */
const UNREAD_BYTES_MAX = 1024 * 1024;
const LENGTH_BYTES = 2;
/** Port 0 finds a port that is free for datagrams; it may be taken for connections. */
const PORT_ATTEMPTS_MAX = 10;

export interface DnsListen {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface DnsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens for both at the same port. Rejects with the error of the system where it can't. */
export async function startDnsServer(
  { host, port }: DnsListen,
  { known, log }: { known: Known; log: Logger },
): Promise<DnsServer> {
  for (let attempt = 1; ; attempt += 1) {
    const datagrams = await bound(host, port);
    const chosen = datagrams.address().port;
    const open = new Set<Socket>();
    const connections = createServer((socket) => {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      serveConnection(socket, known);
    });
    connections.maxConnections = CONNECTIONS_MAX;
    try {
      await listening(connections, { host, port: chosen });
    } catch (error) {
      datagrams.close();
      if (port !== 0 || attempt >= PORT_ATTEMPTS_MAX) throw error;
      continue;
    }
    serveDatagrams(datagrams, known);
    datagrams.on('error', (error) => log.warn({ error }, 'a datagram of DNS could not be taken or sent'));
    connections.on('error', (error) => log.warn({ error }, 'a connection of DNS could not be taken'));
    return { port: chosen, close: () => closed(datagrams, connections, open) };
  }
}

function bound(host: string, port: number): Promise<DatagramSocket> {
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4' });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, host, () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

function listening(server: Server, { host, port }: DnsListen): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function serveDatagrams(socket: DatagramSocket, known: Known): void {
  socket.on('message', (message, { address, port }) => {
    const reply = respond(message, known, 'udp');
    // An answer that can't be sent is asked for again.
    if (reply !== null && port > 0) socket.send(reply, port, address, () => undefined);
  });
}

/** Each message follows on its length. Answered in their order. */
function serveConnection(socket: Socket, known: Known): void {
  let rest = Buffer.alloc(0);
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= LENGTH_BYTES && rest.length >= LENGTH_BYTES + rest.readUInt16BE(0)) {
      const end = LENGTH_BYTES + rest.readUInt16BE(0);
      const reply = respond(rest.subarray(LENGTH_BYTES, end), known, 'tcp');
      rest = rest.subarray(end);
      if (reply === null || socket.writableLength > UNREAD_BYTES_MAX) {
        socket.destroy();
        return;
      }
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt16BE(reply.length);
      socket.write(Buffer.concat([length, reply]));
    }
  });
}

function closed(datagrams: DatagramSocket, connections: Server, open: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    datagrams.close(() => connections.close(() => resolve()));
    for (const socket of open) socket.destroy();
  });
}
