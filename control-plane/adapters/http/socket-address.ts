/** Where a request comes from, as its socket says. Behind a proxy, that is where the proxy is. */
import type { IncomingMessage } from 'node:http';

/** `env` is what `@hono/node-server` hands over beside the request. Null: the socket is closed by now. */
export function socketAddress(_request: Request, env: unknown): string | null {
  const { incoming } = env as { readonly incoming: Pick<IncomingMessage, 'socket'> };
  return incoming.socket.remoteAddress ?? null;
}
