import { describe, expect, it } from 'vitest';
import { RATE_DEFAULTS } from '../../../control-plane/auth/rate-limits.ts';
import { ConfigError, readConfig } from '../../../control-plane/main-config.ts';

function transport(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const read = readConfig(args, env, (path) => `contents of ${path}`);
  if (typeof read === 'string') throw new Error(`there is no configuration, only ${read}`);
  return read.transport;
}

describe('how a replica is reached', () => {
  it('is plain HTTP, with bounds, unless it is said otherwise', () => {
    const bounds = { connectionsMax: 20_000, rates: RATE_DEFAULTS };
    expect(transport()).toEqual({ tls: null, ca: null, proxies: null, ...bounds });
  });

  it('is HTTPS with a certificate and its key', () => {
    const args = ['--tls-cert', 'cert.pem', '--tls-key', 'key.pem'];
    expect(transport(args).tls).toEqual({ certFile: 'cert.pem', keyFile: 'key.pem', clientCaFile: null });
    const env = { BERTH_TLS_CLIENT_CA: 'clients.pem', BERTH_CA: 'ca.pem' };
    expect(transport(args, env)).toMatchObject({
      tls: { clientCaFile: 'clients.pem' },
      ca: 'contents of ca.pem',
    });
  });

  it.each([
    [['--tls-cert', 'a'], '--tls-cert and --tls-key belong together'],
    [['--tls-key', 'a'], '--tls-cert and --tls-key belong together'],
    [['--tls-client-ca', 'a'], '--tls-cert and --tls-key have to say with what'],
    [['--max-connections', '15'], '--max-connections "15" is not a whole number from 16'],
  ])('is not said by %j', (args, why) => {
    expect(() => transport(args)).toThrow(ConfigError);
    expect(() => transport(args)).toThrow(why);
  });
});

describe('proxies', () => {
  it('are believed from addresses and ranges, in the header that they write', () => {
    const proxies = transport(['--trusted-proxies', '10.0.0.0/8, 192.0.2.1,fd00::/8']).proxies;
    expect(proxies?.header).toBe('x-forwarded-for');
    expect(['10.1.2.3', '192.0.2.1', '192.0.2.2'].map((ip) => proxies?.addresses.check(ip))).toEqual([
      true,
      true,
      false,
    ]);
    expect(proxies?.addresses.check('fd12::1', 'ipv6')).toBe(true);
    expect(transport(['--trusted-proxies', '10.0.0.1', '--proxy-header', 'forwarded']).proxies?.header).toBe(
      'forwarded',
    );
  });

  it.each([
    ['10.0.0.0/33'],
    ['fd00::/129'],
    ['10.0.0.0/'],
    ['10.0.0.0/8/8'],
    ['proxy.example'],
    ['10.0.0.1,,10.0.0.2'],
  ])('are not %s', (cidrs) => {
    expect(() => transport(['--trusted-proxies', cidrs])).toThrow(
      /--trusted-proxies ".*" is not an address or a range/,
    );
  });

  it('write in a header that is known, and only where there are some', () => {
    expect(() => transport(['--proxy-header', 'forwarded'])).toThrow('--trusted-proxies has to say who they are');
    const args = ['--trusted-proxies', '10.0.0.1', '--proxy-header', 'x-real-ip'];
    expect(() => transport(args)).toThrow('--proxy-header "x-real-ip" is not one of x-forwarded-for, forwarded');
  });
});

describe('how many requests a user may send', () => {
  it('is set for users alone', () => {
    const rates = transport(['--rate-limit', '50', '--rate-burst', '60']).rates;
    expect(rates).toEqual({ ...RATE_DEFAULTS, user: { ...RATE_DEFAULTS.user, perSecond: 50, burst: 60 } });
  });

  it('is never less at once than in a second, unless it is said', () => {
    expect(transport(['--rate-limit', '9000']).rates?.user).toMatchObject({ perSecond: 9000, burst: 9000 });
  });

  it('is not bounded where it is off', () => {
    expect(transport([], { BERTH_RATE_LIMIT: 'off' }).rates).toBeNull();
    expect(() => transport(['--rate-limit', 'off', '--rate-burst', '5'])).toThrow('leave one of them out');
  });

  it.each(['0', '-1', '1.5', 'many'])('is not %s', (value) => {
    expect(() => transport([`--rate-limit=${value}`])).toThrow('--rate-limit');
  });
});
