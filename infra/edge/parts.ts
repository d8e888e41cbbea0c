/** The parts of the edge entry on one machine: the tunnel before etcd, and the Worker in the runtime that it has on Cloudflare. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Environment = Readonly<Record<string, string | undefined>>;

/** A program to be started, and where it can be reached then. */
export interface EdgePart {
  readonly url: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Environment;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TUNNEL_CONFIG = join(ROOT, 'infra', 'edge', 'haproxy.cfg');
const WRANGLER = join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js');

/** Debian puts haproxy where only root's PATH leads. */
const DEBIAN_PATHS = '/usr/local/sbin:/usr/sbin:/sbin';

/** Wrangler would otherwise ask for updates, report how it is used and fetch an example of what a request carries. */
const QUIET = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  CI: '1',
} as const;

const SECRET_BYTES = 32;

export interface Tunnel extends EdgePart {
  readonly secret: string;
}

/** The same HAProxy as in production, without TLS, on the loopback alone. */
export function planTunnel({ etcd, port, env }: { etcd: string; port: number; env: Environment }): Tunnel {
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  return {
    url: `http://127.0.0.1:${port}`,
    secret,
    command: 'haproxy',
    args: ['-db', '-f', TUNNEL_CONFIG],
    env: {
      ...env,
      PATH: `${env['PATH'] ?? ''}:${DEBIAN_PATHS}`,
      BERTH_TUNNEL_BIND: `127.0.0.1:${port}`,
      BERTH_TUNNEL_SHA256: createHash('sha256').update(secret).digest('hex').toUpperCase(),
      BERTH_TUNNEL_ETCD: `${new URL(etcd).host} check inter 1s`,
    },
  };
}

export interface WorkerOptions {
  readonly tunnel: Pick<Tunnel, 'url' | 'secret'>;
  readonly port: number;
  /** For debugging it from a browser; 0: any free one. */
  readonly inspectorPort: number;
  /** Where what the runtime keeps is put. */
  readonly folder: string;
  readonly env: Environment;
  /** Further variables of the Worker. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** The Worker in `workerd`, through wrangler: no account is needed, and nothing outside of this machine is asked for anything. */
export async function planWorker(options: WorkerOptions): Promise<EdgePart> {
  const { tunnel, port, inspectorPort, folder, env, variables = {} } = options;
  const url = `http://127.0.0.1:${port}`;
  const settings = {
    BERTH_ETCD: tunnel.url,
    BERTH_ETCD_TUNNEL_SECRET: tunnel.secret,
    BERTH_ADVERTISE_URL: url,
    ...variables,
  };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const variablesFile = join(folder, 'variables');
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${JSON.stringify(value)}\n`);
  // Not on the command line, which everybody on the machine can read.
  await writeFile(variablesFile, lines.join(''), { mode: 0o600 });
  const args = [
    ...[WRANGLER, 'dev', '--config', join(ROOT, 'wrangler.toml'), '--local', '--ip', '127.0.0.1'],
    ...['--port', String(port), '--inspector-port', String(inspectorPort)],
    ...['--env-file', variablesFile, '--persist-to', join(folder, 'state')],
    ...['--show-interactive-dev-session=false', '--log-level', 'info'],
  ];
  return { url, command: process.execPath, args, env: { ...env, ...QUIET } };
}

/** The cron trigger's turn comes only when it is called here. Answers when the turn is over. */
export const CRON_PATH = '/cdn-cgi/handler/scheduled';
