/** Addresses as Mesos shows them, made from what Berth knows: where a replica is reached, and what a node's agent says of it. Pure. */
import type { NodeId } from '../../../shared/domain/ids.ts';
import type { WireAddress, WireMasterInfo, WireUrl } from '../wire/event.ts';

/** The version of Mesos whose API is spoken. Some clients take nothing but digits and dots. */
export const MESOS_VERSION = '1.11.0';

/** Where Mesos's agents listen. Those of Berth listen nowhere: they dial out. */
export const AGENT_PORT = 5051;

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

export function isIpv4(text: string): boolean {
  return IPV4.test(text);
}

interface NodeFacts {
  readonly host: string | null;
  /** Absent where it isn't told of. */
  readonly address?: string | null;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** The node's address: its attribute `ip`, or what its agent says, or its host name where that is one. Null: nobody has said it. */
export function nodeIp({ host, address = null, attributes = {} }: NodeFacts): string | null {
  const stated = Object.hasOwn(attributes, 'ip') ? attributes['ip'] : undefined;
  return [stated, address, host].find((text): text is string => typeof text === 'string' && isIpv4(text)) ?? null;
}

/** Clients make something of `ip` even where only a name is known, which resolves as well. */
export function nodeAddress(node: NodeId, about: NodeFacts): WireAddress {
  const hostname = about.host ?? node;
  return { hostname, ip: nodeIp(about) ?? hostname, port: AGENT_PORT };
}

export function nodeUrl(address: WireAddress): WireUrl {
  return { scheme: 'http', address, path: '/slave(1)' };
}

/** The replica that answers, as Mesos describes its master. */
export function masterInfoOf({ id, url }: { readonly id: string; readonly url: string }): WireMasterInfo {
  const { hostname, port, protocol } = new URL(url);
  const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
  return {
    id,
    ip: isIpv4(hostname) ? ipNumber(hostname) : 0,
    port: number,
    pid: `master@${hostname}:${number}`,
    hostname,
    version: MESOS_VERSION,
    address: { hostname, ip: hostname, port: number },
  };
}

/** 127.0.0.1 is 16777343: the first part is the lowest byte. */
function ipNumber(ip: string): number {
  return ip.split('.').reduce((sum, part, place) => sum + Number(part) * 256 ** place, 0);
}
