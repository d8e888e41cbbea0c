/** `/status` as JSON, `/healthz`, and `/metrics` as haproxy itself exports them for Prometheus. */
import { once } from 'node:events';
import { createServer, request, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { METRICS_SOCKET } from './config.ts';
import type { ListenAddress } from './settings.ts';
import type { BalancerStatus } from './status.ts';

export interface StatusServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Rejects where it can't listen there. */
export async function serveStatus(
  { host, port }: ListenAddress,
  { status, folder }: { status: () => BalancerStatus; folder: string },
): Promise<StatusServer> {
  const server = createServer(({ url = '/' }, answer) => {
    const [path] = url.split('?', 1);
    if (path === '/status') return sendJson(answer, 200, status());
    if (path === '/healthz') return sendJson(answer, status().serving ? 200 : 503, { serving: status().serving });
    if (path === '/metrics') return sendMetrics(answer, join(folder, METRICS_SOCKET));
    sendJson(answer, 404, { message: 'there are /status, /healthz and /metrics' });
  });
  server.listen({ port, ...(host === '' ? {} : { host }) });
  await once(server, 'listening');
  return { port: portOf(server, port), close: () => closeServer(server) };
}

function portOf(server: Server, asked: number): number {
  const address = server.address();
  return address === null || typeof address === 'string' ? asked : address.port;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function sendJson(answer: ServerResponse, code: number, body: unknown): void {
  answer.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(body, null, 2)}\n`);
}

function sendMetrics(answer: ServerResponse, socketPath: string): void {
  const asked = request({ socketPath, path: '/metrics', headers: { host: 'haproxy' } }, (metrics) => {
    answer.writeHead(metrics.statusCode ?? 502, { 'content-type': metrics.headers['content-type'] ?? 'text/plain' });
    metrics.pipe(answer);
  });
  asked.once('error', ({ message }) => sendJson(answer, 503, { message: `haproxy gives no metrics: ${message}` }));
  asked.end();
}
