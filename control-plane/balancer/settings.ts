/** What a balancer is started with, once it has been read and checked. */

/** Where a listener stands. The host is empty for all addresses of the machine. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface BalancerSettings {
  /** Where virtual hosts are served in the clear; null: nowhere. */
  readonly http: ListenAddress | null;
  /** The same with TLS; null: nowhere. */
  readonly https: ListenAddress | null;
  /** Holds a PEM file with certificate, chain and key for each name; null goes with no `https`. */
  readonly certsDir: string | null;
  /** Whether what comes in the clear for a virtual host is sent to `https`. */
  readonly redirectsToHttps: boolean;
  /** The address that service ports listen on; empty: all. */
  readonly serviceHost: string;
  /** Whether idle connections to tasks are used again: faster, and a POST may meet one that its task has just closed. */
  readonly reusesConnections: boolean;
  /** Where our own files and haproxy's sockets lie. */
  readonly folder: string;
  /** Ports of this process, which no service may have. */
  readonly ownPorts: readonly number[];
}

const LISTEN = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<host>[^:[\]]*)):(?<port>\d{1,5})$/i;

/** `:80`, `10.0.0.1:80` or `[::1]:80`; null for anything else. */
export function parseListenAddress(text: string): ListenAddress | null {
  const groups = LISTEN.exec(text)?.groups;
  const port = Number(groups?.['port']);
  if (groups === undefined || port < 1 || port > 65_535) return null;
  return { host: groups['v6'] ?? groups['host'] ?? '', port };
}

/** As haproxy writes it. An empty host is every address, of both families. */
export function bindText(address: ListenAddress): string {
  const { host, port } = address;
  return host === '' ? `:::${port} v4v6` : listenText(address);
}

/** The reverse of {@link parseListenAddress}. */
export function listenText({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
