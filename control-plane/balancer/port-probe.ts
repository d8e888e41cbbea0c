/** Whether a port can be listened on: asked before haproxy is told to, since a single one that can't fails its whole reload. */
import { createServer } from 'node:net';
import type { ListenAddress } from './settings.ts';

/** Null: it can. Else why not, in words. */
export function whyNotListening({ host, port }: ListenAddress): Promise<string | null> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(wordsOf(error)));
    server.listen({ port, ...(host === '' ? {} : { host }) }, () => server.close(() => resolve(null)));
  });
}

function wordsOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'EADDRINUSE') return 'another process listens there';
  if (code === 'EACCES') return 'it takes more rights than the balancer has (root, or CAP_NET_BIND_SERVICE)';
  return message;
}
