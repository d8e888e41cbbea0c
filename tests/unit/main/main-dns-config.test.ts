import { describe, expect, it } from 'vitest';
import { readDnsConfig } from '../../../control-plane/main-dns-config.ts';

const read = (args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) =>
  readDnsConfig(args, env, (path) => `token in ${path}\n`);

describe('berth dns', () => {
  it('needs to be told nothing', () => {
    expect(read()).toEqual({
      listen: { host: '127.0.0.1', port: 5353 },
      ...{ domain: 'berth', ttlSeconds: 5, role: null, token: null, tokenFile: null, logLevel: 'info' },
      addresses: ['http://127.0.0.1:7878'],
      trust: { caFile: null, certFile: null, keyFile: null },
    });
  });

  it('trusts whom it is told to', () => {
    const args = ['--ca', '/ca.pem', '--client-cert', '/cert.pem'];
    const trust = { caFile: '/ca.pem', certFile: '/cert.pem', keyFile: '/key.pem' };
    expect(read(args, { BERTH_CLIENT_KEY: '/key.pem', BERTH_CA: '/other.pem' })).toMatchObject({ trust });
  });

  it('is told by flags, before the environment', () => {
    const args = ['--address', 'http://a:1/', '--address', 'http://b:2', '--role', 'eng/ml', '--ttl', '1'];
    const env = { BERTH_ADDR: 'http://c:3', BERTH_TOKEN_FILE: '/t', BERTH_TOKEN: 'x', BERTH_DNS_TTL: '9' };
    expect(read(args, env)).toMatchObject({
      addresses: ['http://a:1', 'http://b:2'],
      ...{ role: 'eng/ml', ttlSeconds: 1, token: 'token in /t', tokenFile: '/t' },
    });
    expect(read([], { BERTH_ADDR: 'http://c:3,http://d:4', BERTH_TOKEN: 'x' })).toMatchObject({
      addresses: ['http://c:3', 'http://d:4'],
      token: 'x',
    });
  });

  it.each([
    [['--role', '/'], '--role "/" is no role'],
    [['--address', 'nowhere'], '--address "nowhere" is not a URL'],
    [['--domain', '..'], '--domain ".." is not a name such as berth'],
    [['--listen', '53'], '--listen "53" is not HOST:PORT'],
    [['--what'], 'see --help'],
  ])('refuses %j', (args, message) => expect(() => read(args)).toThrow(message));
});
