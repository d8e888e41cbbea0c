/** The part of a replica's settings that is about its connections: certificates, whom it believes, and how much it takes. */
import { BlockList, isIP } from 'node:net';
import { RATE_DEFAULTS, type RatePolicy } from './auth/rate-limits.ts';
import { ConfigError, wholeSetting } from './main-setting.ts';

export interface TransportConfig {
  /** Null: plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string; readonly clientCaFile: string | null } | null;
  /** Further authorities, in PEM, that peers and outside issuers may have their certificates from. */
  readonly ca: string | null;
  readonly proxies: TrustedProxies | null;
  readonly connectionsMax: number;
  /** Null: as many requests as come. */
  readonly rates: RatePolicy | null;
}

/** Who stands between clients and this replica, and in which header they say for whom. */
export interface TrustedProxies {
  readonly addresses: BlockList;
  readonly header: ForwardHeader;
}

export const FORWARD_HEADERS = ['x-forwarded-for', 'forwarded'] as const;
export type ForwardHeader = (typeof FORWARD_HEADERS)[number];

export const TRANSPORT_USAGE = `  --tls-cert PATH              serve HTTPS with this certificate, in PEM BERTH_TLS_CERT
                               with its chain; read again as it changes
  --tls-key PATH               and its key                              BERTH_TLS_KEY
  --tls-client-ca PATH         clients have to show a certificate of    BERTH_TLS_CLIENT_CA
                               this authority, beside their token
  --ca PATH                    trust this authority too, of other       BERTH_CA
                               replicas and of outside issuers
  --trusted-proxies CIDRS      who may say for which client they call,  BERTH_TRUSTED_PROXIES
                               such as 10.0.0.0/8,127.0.0.1
  --proxy-header NAME          in which header: ${FORWARD_HEADERS.join(', ')}  BERTH_PROXY_HEADER  x-forwarded-for
  --max-connections COUNT      how many are kept open                   BERTH_MAX_CONNECTIONS  20000
  --rate-limit COUNT           requests of one user in a second, on     BERTH_RATE_LIMIT  ${RATE_DEFAULTS.user.perSecond}
                               this replica; off: as many as come
  --rate-burst COUNT           and how many at once after a rest        BERTH_RATE_BURST  ${RATE_DEFAULTS.user.burst}`;

export const TRANSPORT_OPTIONS = {
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'tls-client-ca': { type: 'string' },
  ca: { type: 'string' },
  'trusted-proxies': { type: 'string' },
  'proxy-header': { type: 'string' },
  'max-connections': { type: 'string' },
  'rate-limit': { type: 'string' },
  'rate-burst': { type: 'string' },
} as const;

type Name = keyof typeof TRANSPORT_OPTIONS;
type Read = (name: Name) => string | null;

/** Throws {@link ConfigError}. `file` reads what a setting names. */
export function transportConfig(setting: Read, file: Read): TransportConfig {
  const connections = wholeSetting('max-connections', setting('max-connections'), { min: 16, max: 1_000_000 });
  return {
    tls: tlsFiles(setting),
    ca: file('ca'),
    proxies: trustedProxies(setting('trusted-proxies'), setting('proxy-header')),
    connectionsMax: connections ?? CONNECTIONS_MAX,
    rates: rates(setting),
  };
}

/** Each takes some 30 KiB, over TLS. */
const CONNECTIONS_MAX = 20_000;

function tlsFiles(setting: Read): TransportConfig['tls'] {
  const [certFile, keyFile, clientCaFile] = [setting('tls-cert'), setting('tls-key'), setting('tls-client-ca')];
  if (certFile !== null && keyFile !== null) return { certFile, keyFile, clientCaFile };
  if (certFile !== null || keyFile !== null)
    throw new ConfigError('--tls-cert and --tls-key belong together: give both');
  if (clientCaFile === null) return null;
  throw new ConfigError('--tls-client-ca is about HTTPS; --tls-cert and --tls-key have to say with what it is served');
}

function trustedProxies(cidrs: string | null, name: string | null): TrustedProxies | null {
  const header = FORWARD_HEADERS.find((known) => known === (name ?? FORWARD_HEADERS[0]));
  if (header === undefined)
    throw new ConfigError(`--proxy-header "${name}" is not one of ${FORWARD_HEADERS.join(', ')}`);
  if (cidrs !== null) return { addresses: addressesIn(cidrs), header };
  if (name === null) return null;
  throw new ConfigError('--proxy-header says where proxies write; --trusted-proxies has to say who they are');
}

function addressesIn(cidrs: string): BlockList {
  const list = new BlockList();
  for (const cidr of cidrs.split(',').map((one) => one.trim())) {
    const [address = '', bits, ...rest] = cidr.split('/');
    const family = isIP(address);
    const most = family === 6 ? 128 : 32;
    const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (family === 0 || rest.length > 0 || !(prefix <= most)) {
      throw new ConfigError(`--trusted-proxies "${cidr}" is not an address or a range such as 10.0.0.0/8`);
    }
    list.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

function rates(setting: Read): RatePolicy | null {
  const [limit, burst] = [setting('rate-limit'), setting('rate-burst')];
  if (limit === 'off') {
    if (burst === null) return null;
    throw new ConfigError('--rate-burst bounds what --rate-limit allows, and that is "off": leave one of them out');
  }
  const perSecond = wholeSetting('rate-limit', limit, RATES) ?? RATE_DEFAULTS.user.perSecond;
  const atOnce = wholeSetting('rate-burst', burst, RATES) ?? Math.max(RATE_DEFAULTS.user.burst, perSecond);
  return { ...RATE_DEFAULTS, user: { ...RATE_DEFAULTS.user, perSecond, burst: atOnce } };
}

const RATES = { min: 1, max: 1_000_000 } as const;
