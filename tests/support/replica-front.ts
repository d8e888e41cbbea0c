/** What stands before replicas, without sticky sessions: each new connection goes to the next upstream that takes it. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface ReplicaFront {
  readonly url: string;
  /** How many connections each upstream got, in their order. */
  readonly served: readonly number[];
  close(): Promise<void>;
}

/** Over TCP, in turns, on a free port of the loopback interface. */
export async function startReplicaFront(upstreams: readonly string[]): Promise<ReplicaFront> {
  const served = upstreams.map(() => 0);
  const sockets = new Set<Socket>();
  let turn = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const forward = (client: Socket, triesLeft: number) => {
    const at = turn % upstreams.length;
    turn += 1;
    const { hostname, port } = new URL(upstreams[at] ?? '');
    const upstream = connect(Number(port), hostname);
    const refused = () => (triesLeft > 1 ? forward(client, triesLeft - 1) : client.destroy());
    upstream.once('error', refused);
    upstream.once('connect', () => {
      upstream.off('error', refused);
      served[at] = (served[at] ?? 0) + 1;
      keep(upstream);
      client.pipe(upstream).pipe(client);
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => client.destroy());
    });
  };
  const server = createServer((client) => {
    keep(client);
    forward(client, upstreams.length);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    served,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
