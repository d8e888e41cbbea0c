/**
 * Where a request comes from. What stands in a header anybody can have written; what a proxy of the operator's has written there is
 * believed, and what an address that such a proxy names has written before it is not, unless that is one of the operator's too.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { type BlockList, isIP } from 'node:net';

export interface ProxyTrust {
  readonly addresses: BlockList;
  readonly header: 'x-forwarded-for' | 'forwarded';
}

/** Hops that are looked through: nobody has as many proxies of his own. */
const HOPS_MAX = 16;

/** How the app asks; `env` is what the server hands over beside the request. `trust` null: there are no proxies. */
export function clientAddress(trust: ProxyTrust | null): (request: Request, env: unknown) => string | null {
  return (_request, env) => {
    const { incoming } = env as { readonly incoming: Incoming };
    const address = clientAddressOf(incoming, trust);
    return address === '' ? null : address;
  };
}

type Incoming = Pick<IncomingMessage | Http2ServerRequest, 'socket' | 'headers'>;

/** Empty: the socket is closed by now. */
export function clientAddressOf({ socket, headers }: Incoming, trust: ProxyTrust | null): string {
  const peer = plain(socket.remoteAddress ?? '');
  if (trust === null) return peer;
  const header = headers[trust.header];
  const text = Array.isArray(header) ? header.join() : (header ?? '');
  const hops = trust.header === 'forwarded' ? forwardedHops(text) : text.split(',').map((hop) => hop.trim());
  return firstUntrusted(peer, hops.slice(-HOPS_MAX), trust.addresses);
}

/** From the nearest on: the last one is whom our own proxy has seen. */
function firstUntrusted(peer: string, hops: readonly string[], trusted: BlockList): string {
  let nearest = peer;
  for (const hop of hops.toReversed()) {
    if (!isIn(trusted, nearest)) return nearest;
    const address = plain(withoutPort(hop));
    // What can't be read says nothing of what stands before it.
    if (isIP(address) === 0) return nearest;
    nearest = address;
  }
  return nearest;
}

function isIn(trusted: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && trusted.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** RFC 7239: `for=192.0.2.60;proto=http, for="[2001:db8::1]:4711"`. */
function forwardedHops(text: string): string[] {
  return text
    .split(',')
    .map((element) => /(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;\s]*))/i.exec(element)?.slice(1).find(Boolean) ?? '');
}

function withoutPort(hop: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1];
  if (bracketed !== undefined) return bracketed;
  return /^[\d.]+:\d+$/.test(hop) ? hop.slice(0, hop.indexOf(':')) : hop;
}

/** An IPv4 address on a socket of IPv6. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=[\d.]+$)/i, '');
}
