/**
 * The `etcd3` package as a bare connection. What it does about faults by itself is off: its retries would repeat writes
 * that may have happened, its circuit breaker keeps everybody waiting after etcd is back, its watcher resumes from the wrong
 * revision, and it has no deadlines. What is left of it here is the protocol.
 */
import { isIP } from 'node:net';
import { Etcd3, type IOptions, isRecoverableError } from 'etcd3';
import { invariant } from '../../../shared/util/assert.ts';
import { CALL_ONCE, HostRest, type Policy, type Probe } from './host-rest.ts';

export interface EtcdOptions {
  /** URLs of the members, such as `http://127.0.0.1:2379`; all with https or none. */
  readonly hosts: readonly string[];
  /** Absent with https: the system's authorities and no client certificate. */
  readonly tls?: EtcdTls;
  readonly auth?: { readonly username: string; readonly password: string };
  /** Every call fails after this time. */
  readonly requestTimeoutMs?: number;
  /** How often a watch that hears nothing asks etcd how far it is. */
  readonly progressIntervalMs?: number;
  /** How often a connection on which something is awaited is tried. etcd hangs up on clients that do so too often. */
  readonly pingIntervalMs?: number;
  /** The longest answer that is taken. A page of many large values may be more, and is then asked for in parts. */
  readonly answerBytesMax?: number;
}

export interface EtcdTls {
  /** Who signed the members' certificates, and this client's own certificate and key; all PEM texts. */
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the members' certificates carry. Absent: the name in the host's URL. */
  readonly serverName?: string;
}

const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** etcd allows one each 5 s, unless it is told otherwise. */
const PING_INTERVAL_MS = 10_000;

const GRPC_OPTIONS = {
  // Each service has a connection of its own, so that a dead one is not shared and a busy watch holds up no call.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.keepalive_timeout_ms': 5_000,
  // etcd hangs up on clients that ping while they wait for nothing. A connection that died meanwhile costs one call its time.
  'grpc.keepalive_permit_without_calls': 0,
} as const;

/** A client that sends each call once. */
export function connect(options: EtcdOptions, requestTimeoutMs: number): Etcd3 {
  checkHosts(options);
  const rest = new HostRest(options.hosts, (host) => probeOf({ ...options, hosts: [host] }));
  const settings = settingsOf(options, requestTimeoutMs, (host) => rest.policyOf(host));
  return new (class extends Etcd3 {
    override close(): void {
      rest.close();
      super.close();
    }
  })(settings);
}

function settingsOf(options: EtcdOptions, requestTimeoutMs: number, host: (host: string) => Policy): IOptions {
  const deadline = () => ({ deadline: Date.now() + requestTimeoutMs });
  return {
    hosts: [...options.hosts],
    grpcOptions: channelOptions(options),
    defaultCallOptions: (context) => (context.isStream ? {} : deadline()),
    faultHandling: { global: CALL_ONCE, host },
    ...credentialsOf(options.tls),
    ...(options.auth === undefined ? {} : { auth: { ...options.auth, callOptions: deadline } }),
  };
}

const PROBE_TIMEOUT_MS = 1000;
/** Nobody has such a key, and reading it takes a majority all the same. */
const PROBED_KEY = Buffer.from([0]);

function probeOf(options: EtcdOptions): Probe {
  const client = new Etcd3(settingsOf(options, PROBE_TIMEOUT_MS, () => CALL_ONCE));
  return {
    ask: () =>
      client.kv.range({ key: PROBED_KEY, count_only: true }).then(
        () => true,
        // A refusal is an answer too.
        (error: unknown) => error instanceof Error && !isRecoverableError(error),
      ),
    close: () => client.close(),
  };
}

function checkHosts({ hosts, tls }: EtcdOptions): void {
  invariant(hosts.length > 0, 'etcd has at least one host');
  for (const host of hosts) {
    const { protocol, hostname } = new URL(host);
    const nameless =
      protocol === 'https:' && isIP(hostname.replace(/^\[|\]$/g, '')) !== 0 && tls?.serverName === undefined;
    // Node.js refuses an address as the name that TLS asks for, and gRPC offers nothing else.
    invariant(!nameless, `etcd host ${host} is an IP address: over https, give the name in its certificate as well`);
  }
}

function channelOptions({ answerBytesMax, pingIntervalMs, tls }: EtcdOptions): NonNullable<IOptions['grpcOptions']> {
  return {
    ...GRPC_OPTIONS,
    'grpc.keepalive_time_ms': pingIntervalMs ?? PING_INTERVAL_MS,
    'grpc.max_receive_message_length': answerBytesMax ?? ANSWER_BYTES_MAX,
    ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
  };
}

function credentialsOf(tls: EtcdOptions['tls']): Pick<IOptions, 'credentials'> {
  if (tls === undefined) return {};
  return {
    credentials: {
      rootCertificate: Buffer.from(tls.ca),
      ...(tls.key === undefined ? {} : { privateKey: Buffer.from(tls.key) }),
      ...(tls.cert === undefined ? {} : { certChain: Buffer.from(tls.cert) }),
    },
  };
}
