/** What `main-dns.ts` is started with: flags before environment before defaults. */
import { parseArgs } from 'node:util';
import { ROLE_PATTERN, ROLE_RULE } from '../shared/domain/ids.ts';
import type { TrustFiles } from './https/trust-files.ts';
import {
  ConfigError,
  type DnsConfig,
  dnsZone,
  type Environment,
  LOG_LEVELS,
  type LogLevel,
  listenAddress,
  logLevel,
  optionalUrl,
} from './main-config.ts';

export interface DnsProgramConfig extends DnsConfig {
  /** Replicas of the control plane; at least one. */
  readonly addresses: readonly [string, ...string[]];
  readonly token: string | null;
  /** Where the token was read, and is read again once it has ended; null: it was told. */
  readonly tokenFile: string | null;
  readonly trust: TrustFiles;
  /** Only names of this role and those below it; null: of all that the token may see. */
  readonly role: string | null;
  readonly logLevel: LogLevel;
}

export const DNS_USAGE = `Usage: berth dns [options]

Answers names of services, from what a control plane tells, and from what it has told last while none answers.

  --listen HOST:PORT       where to answer                      BERTH_DNS_LISTEN  127.0.0.1:5353
  --domain NAME            what names end in                    BERTH_DNS_DOMAIN  berth
  --ttl SECONDS            how long answers may be kept         BERTH_DNS_TTL     5
  --role PATH              only of this role and those below    BERTH_DNS_ROLE
  --address URL            a replica, may be repeated           BERTH_ADDR        http://127.0.0.1:7878
  --token-file PATH        a token with job:read                BERTH_TOKEN_FILE, or the token itself in BERTH_TOKEN
  --ca PATH                who signed its certificate         BERTH_CA
  --client-cert PATH       shown to it, with --client-key     BERTH_CLIENT_CERT
  --client-key PATH                                           BERTH_CLIENT_KEY
  --log-level LEVEL        ${LOG_LEVELS.join(', ')}    BERTH_LOG_LEVEL   info
  --help
`;

const OPTIONS = {
  listen: { type: 'string' },
  domain: { type: 'string' },
  ttl: { type: 'string' },
  role: { type: 'string' },
  address: { type: 'string', multiple: true },
  'token-file': { type: 'string' },
  ca: { type: 'string' },
  'client-cert': { type: 'string' },
  'client-key': { type: 'string' },
  'log-level': { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** What the command line asks for. Throws {@link ConfigError}. */
export function readDnsConfig(
  args: readonly string[],
  env: Environment,
  readFile: (path: string) => string,
): DnsProgramConfig | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  const setting = (given: string | undefined, variable: string): string | null => {
    const value = given ?? env[variable];
    return value === undefined || value === '' ? null : value;
  };
  const tokenFile = setting(values['token-file'], 'BERTH_TOKEN_FILE');
  const role = setting(values.role, 'BERTH_DNS_ROLE');
  if (role !== null && !ROLE_PATTERN.test(role))
    throw new ConfigError(`--role "${role}" is no role: name ${ROLE_RULE}`);
  return {
    listen: listenAddress('--listen', setting(values.listen, 'BERTH_DNS_LISTEN') ?? '127.0.0.1:5353'),
    ...dnsZone({
      domain: ['--domain', setting(values.domain, 'BERTH_DNS_DOMAIN')],
      ttl: ['--ttl', setting(values.ttl, 'BERTH_DNS_TTL')],
    }),
    addresses: addresses(values.address ?? setting(undefined, 'BERTH_ADDR')?.split(',') ?? []),
    token: tokenOf(tokenFile, setting(undefined, 'BERTH_TOKEN'), readFile),
    tokenFile,
    trust: {
      caFile: setting(values.ca, 'BERTH_CA'),
      certFile: setting(values['client-cert'], 'BERTH_CLIENT_CERT'),
      keyFile: setting(values['client-key'], 'BERTH_CLIENT_KEY'),
    },
    role,
    logLevel: logLevel(setting(values['log-level'], 'BERTH_LOG_LEVEL') ?? 'info'),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new ConfigError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

function addresses(given: readonly string[]): [string, ...string[]] {
  const [first = 'http://127.0.0.1:7878', ...others] = given.map((url) => optionalUrl('--address', url.trim()) ?? '');
  return [first, ...others];
}

function tokenOf(path: string | null, token: string | null, readFile: (path: string) => string): string | null {
  if (path === null) return token;
  try {
    return readFile(path).trim();
  } catch (error) {
    throw new ConfigError(`--token-file "${path}" can't be read: ${error instanceof Error ? error.message : error}`);
  }
}
