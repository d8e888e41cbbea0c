import { BlockList, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { clientAddressOf, type ProxyTrust } from '../../../control-plane/adapters/http/client-address.ts';

function trust(header: ProxyTrust['header']): ProxyTrust {
  const addresses = new BlockList();
  addresses.addSubnet('10.0.0.0', 8, 'ipv4');
  addresses.addSubnet('fd00::', 8, 'ipv6');
  return { addresses, header };
}

function addressOf(peer: string, headers: Record<string, string>, header: ProxyTrust['header'] | null): string {
  const socket = { remoteAddress: peer } as Socket;
  return clientAddressOf({ socket, headers }, header === null ? null : trust(header));
}

describe('the address of a client', () => {
  it.each<[what: string, peer: string, header: string, address: string]>([
    ['is the one on its socket', '192.0.2.1', '', '192.0.2.1'],
    ['is not what a stranger writes', '192.0.2.1', '198.51.100.7', '192.0.2.1'],
    ['is what a proxy saw', '10.0.0.1', '198.51.100.7', '198.51.100.7'],
    ['is what the nearest proxy saw, not what the client wrote', '10.0.0.1', '10.9.9.9, 198.51.100.7', '198.51.100.7'],
    ['is looked for behind each proxy of ours', '10.0.0.1', '198.51.100.7, 10.0.0.3', '198.51.100.7'],
    ['is the first proxy where all are ours', '10.0.0.1', '10.0.0.4,10.0.0.3', '10.0.0.4'],
    ['is the last one known before what can not be read', '10.0.0.1', '198.51.100.7, unknown', '10.0.0.1'],
    ['may have a port', '10.0.0.1', '198.51.100.7:4711', '198.51.100.7'],
    ['may be of IPv6', 'fd00::1', '2001:db8::7', '2001:db8::7'],
    ['may be of IPv4 on a socket of IPv6', '::ffff:10.0.0.1', '::ffff:198.51.100.7', '198.51.100.7'],
  ])('%s', (_what, peer, header, address) => {
    expect(addressOf(peer, { 'x-forwarded-for': header }, 'x-forwarded-for')).toBe(address);
  });

  it.each([
    ['for=198.51.100.7', '198.51.100.7'],
    ['for="[2001:db8::7]:4711";proto=https', '2001:db8::7'],
    ['for=203.0.113.9, proto=http;For="198.51.100.7:80";by=10.0.0.1', '198.51.100.7'],
    ['for=198.51.100.7, for=_hidden', '10.0.0.1'],
    ['proto=https', '10.0.0.1'],
  ])('stands in Forwarded: %s', (header, address) => {
    expect(addressOf('10.0.0.1', { forwarded: header, 'x-forwarded-for': '203.0.113.50' }, 'forwarded')).toBe(address);
  });

  it('is read from no other header than the one that the proxies write', () => {
    expect(addressOf('10.0.0.1', { forwarded: 'for=203.0.113.9' }, 'x-forwarded-for')).toBe('10.0.0.1');
    expect(addressOf('10.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, 'forwarded')).toBe('10.0.0.1');
    expect(addressOf('10.0.0.1', { 'x-forwarded-for': '203.0.113.9' }, null)).toBe('10.0.0.1');
  });

  it('is found among no more hops than anybody has', () => {
    const hops = ['203.0.113.9', ...Array.from({ length: 100 }, () => '10.0.0.2')].join();
    expect(addressOf('10.0.0.1', { 'x-forwarded-for': hops }, 'x-forwarded-for')).toBe('10.0.0.2');
  });
});
