/** Where others reach this machine, as far as it can tell by itself. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

/** Nothing is sent: the kernel only says by which of the machine's addresses it would go. Any port does. */
const ANY_PORT = 9;

/**
 * The address by which the machine goes to the control plane, whether or not that answers; else its first address of its own. Where the
 * control plane is on the same machine that is a loopback address, which is right for as long as everything is. Null: it has none.
 */
export async function detectAddress(controlPlane: readonly string[]): Promise<string | null> {
  for (const url of controlPlane) {
    const address = await towards(new URL(url).hostname.replace(/^\[|\]$/g, ''));
    if (address !== null) return address;
  }
  return firstOwn(Object.values(networkInterfaces()).flatMap((all) => all ?? []));
}

/** IPv4 before IPv6, since that is what most tasks listen on. */
export function firstOwn(
  addresses: readonly Pick<NetworkInterfaceInfo, 'address' | 'family' | 'internal'>[],
): string | null {
  const own = addresses.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  return (own.find(({ family }) => family === 'IPv4') ?? own[0])?.address ?? null;
}

async function towards(host: string): Promise<string | null> {
  try {
    const { address, family } = isIP(host) === 0 ? await lookup(host) : { address: host, family: isIP(host) };
    return await localAddress(address, family === 6 ? 'udp6' : 'udp4');
  } catch {
    // The name can't be resolved, or there is no way there: at boot, or with no uplink.
    return null;
  }
}

function localAddress(address: string, type: 'udp4' | 'udp6'): Promise<string> {
  const socket = createSocket(type);
  const found = new Promise<string>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(ANY_PORT, address, () => resolve(socket.address().address));
  });
  return found.finally(() => socket.close());
}
