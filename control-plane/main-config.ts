/** What `main-node.ts` is started with: flags before environment before defaults. Anything half-wrong is refused by name. */
import { parseArgs } from 'node:util';
import { ROLE_PATTERN, ROLE_RULE } from '../shared/domain/ids.ts';
import { USER_TOKEN_DAYS } from './auth/lifetimes.ts';
import { ACTION_PATTERNS } from './auth/policy.ts';
import { DOMAIN_DEFAULT, DOMAIN_RULE, dnsDomain, TTL_RULE, TTL_SECONDS_DEFAULT, ttlSeconds } from './dns/options.ts';
import { ConfigError, wholeSetting } from './main-setting.ts';
import { TRANSPORT_OPTIONS, TRANSPORT_USAGE, type TransportConfig, transportConfig } from './main-transport-config.ts';
import { RETENTION_DEFAULTS, type RetentionPolicy } from './reconcile/retention-pass.ts';
import { BREAK_GLASS_MINUTES } from './services/break-glass.ts';
import { QUOTA_DEFAULT_BYTES } from './store/room.ts';

export { ConfigError } from './main-setting.ts';

export interface ReplicaConfig {
  readonly etcd: readonly string[];
  readonly etcdUser: { readonly username: string; readonly password: string } | null;
  readonly etcdTls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null };
  /** Null: etcd is spoken to over gRPC. */
  readonly etcdGateway: EtcdGatewayConfig | null;
  readonly listen: { readonly host: string; readonly port: number };
  /** Null: derived from where it listens. */
  readonly advertiseUrl: string | null;
  readonly transport: TransportConfig;
  /** As others know the issuer of tasks' tokens; null: they don't. */
  readonly issuerUrl: string | null;
  readonly bootstrapTokenFile: string | null;
  readonly bootstrapTokenHours: number;
  /** Set: it makes an admin's token for that reason, and doesn't serve. */
  readonly breakGlass: { readonly reason: string; readonly minutes: number } | null;
  readonly userTokenDaysMax: number;
  /** Null: keys are rotated only when somebody asks for it. */
  readonly rotateKeysAfterDays: number | null;
  readonly trustFile: string | null;
  /** The text of the file with envelope keys; null: there is none. */
  readonly envelopeKeys: string | null;
  /** What callers of the Mesos door may do without a token; null: nothing. */
  readonly mesosAnonymous: { readonly roles: readonly string[]; readonly actions: readonly string[] } | null;
  /** Where names of services are answered; null: nowhere. */
  readonly dns: DnsConfig | null;
  readonly leaseTtlSeconds: number;
  readonly etcdQuotaBytes: number;
  readonly retention: RetentionPolicy;
  readonly logLevel: LogLevel;
}

export interface EtcdGatewayConfig {
  /** What every request carries besides, such as what a tunnel before etcd asks for. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface DnsConfig {
  readonly listen: { readonly host: string; readonly port: number };
  readonly domain: string;
  readonly ttlSeconds: number;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const USAGE = `Usage: berth control-plane [options]

Serves the API and runs rounds and passes. Any number of replicas may share one etcd.

  --etcd URL                   etcd endpoint, may be repeated           BERTH_ETCD        http://127.0.0.1:2379
  --etcd-username NAME         with --etcd-password-file                BERTH_ETCD_USERNAME
  --etcd-password-file PATH                                             BERTH_ETCD_PASSWORD_FILE
  --etcd-ca PATH               certificate authority of etcd            BERTH_ETCD_CA
  --etcd-cert PATH             client certificate, with --etcd-key      BERTH_ETCD_CERT
  --etcd-key PATH                                                       BERTH_ETCD_KEY
  --etcd-quota-bytes BYTES     its --quota-backend-bytes                BERTH_ETCD_QUOTA_BYTES  2 GiB
  --etcd-gateway               etcd's JSON gateway in place of gRPC     BERTH_ETCD_GATEWAY=1
  --etcd-headers-file PATH     "Name: value" lines for each request     BERTH_ETCD_HEADERS_FILE
  --listen HOST:PORT           where to serve                           BERTH_LISTEN      127.0.0.1:7878
  --advertise-url URL          where peers reach this replica           BERTH_ADVERTISE_URL
${TRANSPORT_USAGE}
  --issuer-url URL             where others find this API, to verify    BERTH_ISSUER_URL
                               tokens of tasks: https, alike everywhere
  --bootstrap-token-file PATH  write an admin token there if absent     BERTH_BOOTSTRAP_TOKEN_FILE
  --bootstrap-token-hours N    how long it is good: for setting up      BERTH_BOOTSTRAP_TOKEN_HOURS  24
  --user-token-days DAYS       the longest that a user's token may      BERTH_USER_TOKEN_DAYS   90
                               live; the same for all replicas
  --rotate-keys-after DAYS     after which the next signing key is      BERTH_ROTATE_KEYS_AFTER 90
                               made; 0: never by itself
  --break-glass REASON         don't serve: print an admin token that
                               was made past all rights, and note it
  --break-glass-minutes N      how long that is good, at most 60                              15
  --trust FILE                 outside issuers to accept, as JSON       BERTH_TRUST
  --envelope-key-file PATH     what secrets are sealed with, as          BERTH_ENVELOPE_KEY_FILE
                               \`berth secret keygen\` makes it
  --mesos-anonymous ROLES      what speaks Mesos's API without a token  BERTH_MESOS_ANONYMOUS
                               acts in these roles, such as a,b/c
  --mesos-anonymous-actions A  and may do this, in place of what        BERTH_MESOS_ANONYMOUS_ACTIONS
                               a framework needs; also job:host-network, …
  --dns-listen HOST:PORT       answer names of services there           BERTH_DNS_LISTEN
  --dns-domain NAME            what they end in                         BERTH_DNS_DOMAIN  berth
  --dns-ttl SECONDS            how long answers may be kept             BERTH_DNS_TTL     5
  --lease-ttl SECONDS          silence after which a node is gone       BERTH_LEASE_TTL   10
  --keep-ended HOURS           how long ended jobs are kept             BERTH_KEEP_ENDED  168
  --keep-ended-jobs COUNT      and how many of them                     BERTH_KEEP_ENDED_JOBS   5000
  --keep-ended-tasks COUNT     and how many ended tasks                 BERTH_KEEP_ENDED_TASKS  10000
  --keep-versions COUNT        how many versions of a job               BERTH_KEEP_VERSIONS     100
  --log-level LEVEL            ${LOG_LEVELS.join(', ')}        BERTH_LOG_LEVEL   info
  --help, --version
`;

const OPTIONS = {
  etcd: { type: 'string', multiple: true },
  'etcd-username': { type: 'string' },
  'etcd-password-file': { type: 'string' },
  'etcd-ca': { type: 'string' },
  'etcd-cert': { type: 'string' },
  'etcd-key': { type: 'string' },
  'etcd-quota-bytes': { type: 'string' },
  'etcd-gateway': { type: 'boolean' },
  'etcd-headers-file': { type: 'string' },
  listen: { type: 'string' },
  'advertise-url': { type: 'string' },
  ...TRANSPORT_OPTIONS,
  'issuer-url': { type: 'string' },
  'bootstrap-token-file': { type: 'string' },
  'bootstrap-token-hours': { type: 'string' },
  'user-token-days': { type: 'string' },
  'rotate-keys-after': { type: 'string' },
  'break-glass': { type: 'string' },
  'break-glass-minutes': { type: 'string' },
  trust: { type: 'string' },
  'envelope-key-file': { type: 'string' },
  'mesos-anonymous': { type: 'string' },
  'mesos-anonymous-actions': { type: 'string' },
  'dns-listen': { type: 'string' },
  'dns-domain': { type: 'string' },
  'dns-ttl': { type: 'string' },
  'lease-ttl': { type: 'string' },
  'keep-ended': { type: 'string' },
  'keep-ended-jobs': { type: 'string' },
  'keep-ended-tasks': { type: 'string' },
  'keep-versions': { type: 'string' },
  'log-level': { type: 'string' },
  help: { type: 'boolean' },
  version: { type: 'boolean' },
} as const;

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the command line asks for. Throws {@link ConfigError}. */
export function readConfig(
  args: readonly string[],
  env: Environment,
  readFile: (path: string) => string,
): ReplicaConfig | 'help' | 'version' {
  const values = parse(args);
  if (values.help) return 'help';
  if (values.version) return 'version';
  const setting = (name: SettingName): string | null => {
    const value = values[name] ?? env[variableOf(name)];
    return value === undefined || value === '' ? null : value;
  };
  const file = (name: SettingName) => fileSetting(name, setting(name), readFile);
  const [cert, key] = [file('etcd-cert'), file('etcd-key')];
  if ((cert === null) !== (key === null))
    throw new ConfigError('--etcd-cert and --etcd-key belong together: give both');
  return {
    etcd: endpoints(values.etcd ?? env['BERTH_ETCD']?.split(',') ?? ['http://127.0.0.1:2379']),
    etcdUser: etcdUser(setting('etcd-username'), file('etcd-password-file')),
    etcdTls: { ca: file('etcd-ca'), cert, key },
    etcdGateway: etcdGateway({
      isOn: values['etcd-gateway'] ?? isOn('--etcd-gateway', env[variableOf('etcd-gateway')]),
      headers: file('etcd-headers-file'),
      isTlsGiven: setting('etcd-ca') !== null || cert !== null,
    }),
    listen: listenAddress('--listen', setting('listen') ?? '127.0.0.1:7878'),
    advertiseUrl: optionalUrl('--advertise-url', setting('advertise-url')),
    transport: transportConfig(setting, file),
    issuerUrl: issuerUrl(setting('issuer-url')),
    bootstrapTokenFile: setting('bootstrap-token-file'),
    ...credentials(setting),
    breakGlass: breakGlassConfig(values['break-glass'] ?? null, values['break-glass-minutes'] ?? null),
    trustFile: file('trust'),
    envelopeKeys: file('envelope-key-file'),
    mesosAnonymous: mesosAnonymous(setting('mesos-anonymous'), setting('mesos-anonymous-actions')),
    dns: dnsConfig({
      listen: setting('dns-listen'),
      domain: ['--dns-domain', setting('dns-domain')],
      ttl: ['--dns-ttl', setting('dns-ttl')],
    }),
    leaseTtlSeconds: leaseTtl(setting('lease-ttl') ?? '10'),
    etcdQuotaBytes: wholeSetting('etcd-quota-bytes', setting('etcd-quota-bytes'), QUOTAS) ?? QUOTA_DEFAULT_BYTES,
    retention: retention(setting),
    logLevel: logLevel(setting('log-level') ?? 'info'),
  };
}

type SettingName = Exclude<keyof typeof OPTIONS, 'etcd' | 'etcd-gateway' | 'help' | 'version'>;

function variableOf(name: string): string {
  return `BERTH_${name.toUpperCase().replaceAll('-', '_')}`;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new ConfigError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

function fileSetting(name: string, path: string | null, readFile: (path: string) => string): string | null {
  if (path === null) return null;
  try {
    return readFile(path);
  } catch (error) {
    throw new ConfigError(`--${name} "${path}" can't be read: ${error instanceof Error ? error.message : error}`);
  }
}

/** What a framework and the tools around it need; nothing that reaches past a container's walls. */
const ANONYMOUS_ACTIONS = ['framework:*', 'task:read', 'node:read', 'role:read', 'status:read', 'metrics:read'];

function mesosAnonymous(roles: string | null, actions: string | null): ReplicaConfig['mesosAnonymous'] {
  if (roles === null) {
    if (actions === null) return null;
    throw new ConfigError(
      '--mesos-anonymous-actions says what may be done; --mesos-anonymous has to say in which roles',
    );
  }
  const given = { roles: listed(roles), actions: actions === null ? ANONYMOUS_ACTIONS : listed(actions) };
  const role = given.roles.find((one) => !ROLE_PATTERN.test(one));
  if (role !== undefined) throw new ConfigError(`--mesos-anonymous "${role}" is no role: name ${ROLE_RULE}`);
  const action = given.actions.find((one) => one === '*' || !ACTION_PATTERNS.includes(one));
  if (action === undefined) return given;
  const known = ACTION_PATTERNS.filter((one) => one !== '*').join(', ');
  throw new ConfigError(`--mesos-anonymous-actions "${action}" is not among ${known}`);
}

function listed(text: string): string[] {
  return text.split(',').map((one) => one.trim());
}

function endpoints(given: readonly string[]): string[] {
  const urls = given.map((url) => url.trim()).filter((url) => url !== '');
  if (urls.length === 0) throw new ConfigError('--etcd names no endpoint; give one such as http://127.0.0.1:2379');
  for (const url of urls) optionalUrl('--etcd', url);
  return urls;
}

export function optionalUrl(name: string, value: string | null): string | null {
  if (value === null) return null;
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ConfigError(`${name} "${value}" is not a URL such as http://127.0.0.1:2379`);
  }
  return value.replace(/\/+$/, '');
}

/** Others compare it letter by letter with what tokens say, and what they fetch from there decides whom they believe. */
function issuerUrl(value: string | null): string | null {
  const text = optionalUrl('--issuer-url', value);
  if (text === null) return null;
  const { protocol, search, hash, username } = new URL(text);
  if (protocol === 'https:' && search === '' && hash === '' && username === '') return text;
  throw new ConfigError(`--issuer-url "${value}" must be an https URL without user, query and fragment`);
}

function etcdUser(username: string | null, password: string | null): ReplicaConfig['etcdUser'] {
  if (username === null && password === null) return null;
  if (username === null || password === null) {
    throw new ConfigError('--etcd-username and --etcd-password-file belong together: give both');
  }
  return { username, password: password.trim() };
}

function credentials(
  setting: (name: SettingName) => string | null,
): Pick<ReplicaConfig, 'bootstrapTokenHours' | 'userTokenDaysMax' | 'rotateKeysAfterDays'> {
  const number = (name: SettingName, bounds: { min: number; max: number }) => wholeSetting(name, setting(name), bounds);
  const userTokenDaysMax = number('user-token-days', USER_TOKEN_DAYS) ?? USER_TOKEN_DAYS.default;
  const hours = number('bootstrap-token-hours', { min: 1, max: userTokenDaysMax * 24 });
  const rotateAfter = number('rotate-keys-after', { min: 0, max: 3650 }) ?? ROTATE_KEYS_AFTER_DAYS;
  return {
    userTokenDaysMax,
    bootstrapTokenHours: hours ?? 24,
    rotateKeysAfterDays: rotateAfter === 0 ? null : rotateAfter,
  };
}

/** Only on the command line: what stands in the environment would be done each time. */
function breakGlassConfig(reason: string | null, minutes: string | null): ReplicaConfig['breakGlass'] {
  const number = wholeSetting('break-glass-minutes', minutes, BREAK_GLASS_MINUTES);
  if (reason === null) {
    if (minutes === null) return null;
    throw new ConfigError('--break-glass-minutes says how long; --break-glass has to say why');
  }
  if (reason.trim() === '') throw new ConfigError('--break-glass has to say why: it will stand in the records');
  return { reason, minutes: number ?? BREAK_GLASS_MINUTES.default };
}

/** Absent, or what a file says that every request to etcd's gateway carries besides. */
function etcdGateway(given: { isOn: boolean; headers: string | null; isTlsGiven: boolean }): EtcdGatewayConfig | null {
  const { isOn, headers, isTlsGiven } = given;
  if (!isOn) {
    if (headers === null) return null;
    throw new ConfigError('--etcd-headers-file is about the JSON gateway: give --etcd-gateway as well');
  }
  if (isTlsGiven) {
    throw new ConfigError(
      '--etcd-ca and --etcd-cert are for gRPC: with --etcd-gateway, NODE_EXTRA_CA_CERTS names authorities, and there are no client certificates',
    );
  }
  return { headers: headers === null ? {} : httpHeaders('--etcd-headers-file', headers) };
}

const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)[ \t\r]*$/;

/** One to a line, as in HTTP; the values may be secrets, so that errors name no more than the line. */
function httpHeaders(name: string, text: string): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const [, header, value] = HEADER.exec(line) ?? [];
    if (header === undefined || value === undefined) {
      throw new ConfigError(`${name}: line ${at + 1} is not "Name: value", such as CF-Access-Client-Id: berth`);
    }
    headers[header] = value;
  }
  return headers;
}

function isOn(name: string, value: string | undefined): boolean {
  if (value === undefined || value === '' || value === '0' || value === 'false') return false;
  if (value === '1' || value === 'true') return true;
  throw new ConfigError(`${variableOf(name.slice(2))}="${value}" is neither 1 nor 0`);
}

type Named = readonly [name: string, value: string | null];

function dnsConfig({ listen, domain, ttl }: { listen: string | null; domain: Named; ttl: Named }): DnsConfig | null {
  if (listen !== null) return { listen: listenAddress('--dns-listen', listen), ...dnsZone({ domain, ttl }) };
  const [left] = [domain, ttl].filter(([, value]) => value !== null);
  if (left === undefined) return null;
  throw new ConfigError(`${left[0]} is about names that are answered; --dns-listen has to say where`);
}

export function dnsZone({ domain, ttl }: { domain: Named; ttl: Named }): Omit<DnsConfig, 'listen'> {
  const zone = dnsDomain(domain[1] ?? DOMAIN_DEFAULT);
  if (zone === null) throw new ConfigError(`${domain[0]} "${domain[1]}" is not ${DOMAIN_RULE}`);
  const seconds = ttlSeconds(ttl[1] ?? String(TTL_SECONDS_DEFAULT));
  if (seconds === null) throw new ConfigError(`${ttl[0]} "${ttl[1]}" is not ${TTL_RULE}`);
  return { domain: zone, ttlSeconds: seconds };
}

export function listenAddress(name: string, value: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]*)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || !(port <= 65_535)) {
    throw new ConfigError(`${name} "${value}" is not HOST:PORT, such as 127.0.0.1:7878 or [::1]:7878`);
  }
  return { host: match[1] ?? (match[2] === undefined || match[2] === '' ? '0.0.0.0' : match[2]), port };
}

function leaseTtl(value: string): number {
  const seconds = Number(value);
  if (!Number.isInteger(seconds) || seconds < 5 || seconds > 600) {
    throw new ConfigError(`--lease-ttl "${value}" is not a whole number of seconds from 5 to 600`);
  }
  return seconds;
}

function retention(setting: (name: SettingName) => string | null): RetentionPolicy {
  const { keepMs, endedJobsMax, endedTasksMax, versionsMax } = RETENTION_DEFAULTS;
  const hours = wholeSetting('keep-ended', setting('keep-ended'), { min: 1, max: 100_000 });
  return {
    keepMs: hours === null ? keepMs : hours * HOUR_MS,
    endedJobsMax: wholeSetting('keep-ended-jobs', setting('keep-ended-jobs'), COUNTS) ?? endedJobsMax,
    endedTasksMax: wholeSetting('keep-ended-tasks', setting('keep-ended-tasks'), COUNTS) ?? endedTasksMax,
    versionsMax: wholeSetting('keep-versions', setting('keep-versions'), { min: 1, max: 100_000 }) ?? versionsMax,
  };
}

const HOUR_MS = 3_600_000;

const ROTATE_KEYS_AFTER_DAYS = 90;

/** Below that, an empty cluster is nearly full; etcd doesn't advise more than 8 GiB. */
const QUOTAS = { min: 16 * 1024 ** 2, max: 1024 ** 4 } as const;

/** More than that, and neither a replica's memory nor etcd's quota would last. */
const COUNTS = { min: 0, max: 1_000_000 } as const;

export function logLevel(value: string): LogLevel {
  const level = LOG_LEVELS.find((candidate) => candidate === value);
  if (level === undefined) throw new ConfigError(`--log-level "${value}" is not one of ${LOG_LEVELS.join(', ')}`);
  return level;
}
