import { describe, expect, it } from 'vitest';
import { readWorkerConfig, WorkerConfigError } from '../../../control-plane/main-worker-config.ts';

const URL_SEEN = 'https://berth.example/v1/status?x=1';
const ETCD = { BERTH_ETCD: 'https://etcd.example/' };

describe('what a Worker is set up with', () => {
  it('is little: where etcd is, and the rest by default', () => {
    expect(readWorkerConfig(ETCD, URL_SEEN)).toEqual({
      etcd: ['https://etcd.example'],
      etcdUser: null,
      tunnelSecret: null,
      envelopeKeys: null,
      etcdQuotaBytes: 2 * 1024 ** 3,
      url: 'https://berth.example',
      outsideIssuers: [],
      leaseTtlSeconds: 10,
      streamSeconds: 300,
      logLevel: 'info',
    });
  });

  it('is what its variables say', () => {
    const set = readWorkerConfig(
      {
        BERTH_ETCD: 'https://a.example, https://b.example',
        BERTH_ETCD_TUNNEL_SECRET: 'secret',
        BERTH_ETCD_USERNAME: 'berth',
        BERTH_ETCD_PASSWORD: 'pass',
        BERTH_ADVERTISE_URL: 'https://edge.example/',
        BERTH_LEASE_TTL: '20',
        BERTH_STREAM_SECONDS: '60',
        BERTH_LOG_LEVEL: 'debug',
        BERTH_TRUST: '',
        STREAMS: {},
      },
      URL_SEEN,
    );
    expect(set).toMatchObject({
      etcd: ['https://a.example', 'https://b.example'],
      etcdUser: { username: 'berth', password: 'pass' },
      tunnelSecret: 'secret',
      url: 'https://edge.example',
      leaseTtlSeconds: 20,
      streamSeconds: 60,
      logLevel: 'debug',
    });
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['no etcd', { BERTH_ETCD: '' }, /BERTH_ETCD must name the tunnel before etcd, such as https/],
    ['an etcd that is no URL', { BERTH_ETCD: 'etcd:2379' }, /BERTH_ETCD.* must be a URL/],
    ['a user without a password', { BERTH_ETCD_USERNAME: 'berth' }, /BERTH_ETCD_PASSWORD belong together/],
    ['an issuer that is no JSON', { BERTH_TRUST: 'nope' }, /BERTH_TRUST is not JSON/],
    ['an issuer without a name', { BERTH_TRUST: '[{}]' }, /BERTH_TRUST must hold a JSON list of issuers, but at \/0\//],
    ['a lease that is too short', { BERTH_LEASE_TTL: '1' }, /BERTH_LEASE_TTL/],
    ['a level that is none', { BERTH_LOG_LEVEL: 'loud' }, /BERTH_LOG_LEVEL/],
  ])('is refused by name with %s', (_, change, why) => {
    const read = () => readWorkerConfig({ ...ETCD, ...change }, URL_SEEN);
    expect(read).toThrow(WorkerConfigError);
    expect(read).toThrow(why);
  });
});
