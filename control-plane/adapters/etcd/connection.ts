/**
 * The `etcd3` package as a bare connection. What it does about faults by itself is off: its retries would repeat writes
 * that may have happened, its circuit breaker keeps everybody waiting after etcd is back, its watcher resumes from the wrong
 * revision, and it has no deadlines. What is left of it here is the protocol.
 */
import { isIP } from 'node:net';
import { Etcd3, type IOptions, isRecoverableError } from 'etcd3';
import { InvariantError, invariant } from '../../../shared/util/assert.ts';

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
  const deadline = () => ({ deadline: Date.now() + requestTimeoutMs });
  const rest = new HostRest(options.hosts);
  return new Etcd3({
    hosts: [...options.hosts],
    grpcOptions: channelOptions(options),
    defaultCallOptions: (context) => (context.isStream ? {} : deadline()),
    faultHandling: { global: CALL_ONCE, host: (host) => rest.policyOf(host) },
    ...credentialsOf(options.tls),
    ...(options.auth === undefined ? {} : { auth: { ...options.auth, callOptions: deadline } }),
  });
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

type Policy = ReturnType<NonNullable<NonNullable<IOptions['faultHandling']>['host']>>;

const NEVER_FIRES = () => ({ dispose: () => undefined });
const UNUSED_SIGNAL = new AbortController().signal;

/** A policy in the package's terms around a way to call. */
function policy(around: <T>(call: () => PromiseLike<T> | T) => Promise<T>): Policy {
  return {
    get _altReturn(): never {
      throw new InvariantError('this property exists for the compiler only');
    },
    onSuccess: NEVER_FIRES,
    onFailure: NEVER_FIRES,
    execute: (call, signal = UNUSED_SIGNAL) => around(() => call({ signal })),
  };
}

const CALL_ONCE = policy(async (call) => call());

/** How long a member that failed is passed over, while another one isn't. */
const REST_MS = 1000;

/** Of several members, one that has just failed is left alone for a moment. No call is repeated; the next one goes elsewhere. */
class HostRest {
  readonly #restUntilMs: Map<string, number>;

  constructor(hosts: readonly string[]) {
    this.#restUntilMs = new Map(hosts.map((host) => [host, 0]));
  }

  policyOf(host: string): Policy {
    return policy(async (call) => {
      if (this.#passesOver(host)) throw new Error(`${host} failed a moment ago`);
      try {
        return await call();
      } catch (error) {
        if (error instanceof Error && isRecoverableError(error)) {
          this.#restUntilMs.set(host, performance.now() + REST_MS);
        }
        throw error;
      }
    });
  }

  #passesOver(host: string): boolean {
    const nowMs = performance.now();
    const rests = (untilMs: number | undefined) => (untilMs ?? 0) > nowMs;
    return rests(this.#restUntilMs.get(host)) && ![...this.#restUntilMs.values()].every(rests);
  }
}
