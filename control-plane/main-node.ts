/**
 * One replica as a Node.js process. Reads its configuration, connects to etcd, serves, and ends cleanly on SIGTERM or
 * SIGINT: no new requests, long ones answered, leases given back.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hostname, userInfo } from 'node:os';
import { getCACertificates } from 'node:tls';
import { type Random, randomId } from '../shared/util/random.ts';
import { SystemClock } from './adapters/clock/system-clock.ts';
import { EtcdStore } from './adapters/etcd/etcd-store.ts';
import { EtcdGatewayStore } from './adapters/etcd-gateway/etcd-gateway-store.ts';
import { clientAddress } from './adapters/http/client-address.ts';
import type { TlsTexts } from './adapters/http/tls-files.ts';
import { createPinoLogger } from './adapters/log/pino-logger.ts';
import { CryptoRandom } from './adapters/random/crypto-random.ts';
import { createReplica, type Replica } from './app.ts';
import { Envelope, EnvelopeKeysError } from './auth/envelope.ts';
import { type OutsideIssuer, outsideIssuerSchema } from './auth/outside-issuer.ts';
import { DEFRAGMENTATION_DEFAULTS } from './controllers/defragmentation.ts';
import { trustingFetch } from './https/trusting-fetch.ts';
import { ConfigError, type ReplicaConfig, readConfig, USAGE } from './main-config.ts';
import { startReplicaDns } from './main-node-dns.ts';
import { readServedTls, serveApi } from './main-serve.ts';
import { breakGlass } from './services/break-glass.ts';
import { SealedKeyError } from './services/sealed-keys.ts';
import { mintAdminToken } from './services/tokens.ts';
import type { Store } from './store/contract.ts';

const { version: VERSION } = createRequire(import.meta.url)('../package.json') as { version: string };

/** After the signal to end: how long open requests and loops have to come to rest. */
const SHUTDOWN_GRACE_MS = 8000;

/** An agent that has been heard of this often per lease survives a lost heartbeat or two. */
const HEARTBEATS_PER_LEASE = 4;

const EXIT_CONFIG = 78;

const DAY_MS = 24 * 3_600_000;

async function main(): Promise<number> {
  const config = readConfig(process.argv.slice(2), process.env, (path) => readFileSync(path, 'utf8'));
  if (config === 'help') return print(USAGE);
  if (config === 'version') return print(`${VERSION}\n`);
  const log = createPinoLogger({ level: config.logLevel, name: 'berth-control-plane', destination: process.stderr });
  const outsideIssuers = readTrust(config.trustFile);
  const random = new CryptoRandom();
  const envelope = await readEnvelope(config.envelopeKeys, random);
  const ending = new AbortController();
  endOnSignal(ending);
  const store = storeOf(config);
  const url = config.advertiseUrl ?? ownUrl(config);
  const outgoing = outgoingFetch(config);
  const replica = await createReplica({
    store,
    clock: new SystemClock(),
    random,
    log,
    signal: ending.signal,
    replica: { id: `${hostname()}-${randomId(random, 6)}`, url },
    config: {
      leaseTtlMs: config.leaseTtlSeconds * 1000,
      heartbeatIntervalMs: (config.leaseTtlSeconds * 1000) / HEARTBEATS_PER_LEASE,
      version: VERSION,
      ...(config.issuerUrl !== null && { issuerUrl: config.issuerUrl }),
    },
    quotaBytes: config.etcdQuotaBytes,
    housekeeping: {
      retention: config.retention,
      defragmentation: { ...DEFRAGMENTATION_DEFAULTS, quotaBytes: config.etcdQuotaBytes },
    },
    outsideIssuers,
    userTokenDaysMax: config.userTokenDaysMax,
    rotateKeysAfterMs: (config.rotateKeysAfterDays ?? Number.POSITIVE_INFINITY) * DAY_MS,
    envelope,
    mesosAnonymous: config.mesosAnonymous,
    rates: config.transport.rates,
    clientAddress: clientAddress(config.transport.proxies),
    fetch: outgoing.fetch,
  });
  if (config.breakGlass !== null) {
    const made = await printBreakGlass(replica, config.breakGlass);
    ending.abort();
    await store.close();
    return made;
  }
  await writeBootstrapToken(config, replica);
  const { listen, transport } = config;
  const serving = await serveApi({
    fetch: replica.api.fetch,
    listen,
    transport,
    log,
    requestId: () => randomId(random),
    onCertificate: outgoing.show,
  });
  const dns = config.dns === null ? null : await startReplicaDns(replica.ctx, config.dns);
  log.info({ url, replica: replica.ctx.replica.id, etcd: config.etcd }, 'serving');
  try {
    await replica.run();
    return 0;
  } finally {
    ending.abort();
    await Promise.all([serving.close(), dns?.close()]);
    await store.close();
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function storeOf(config: ReplicaConfig): Store {
  const { etcd, etcdUser, etcdGateway } = config;
  if (etcdGateway === null) return new EtcdStore(etcdOptions(config));
  const auth = etcdUser === null ? {} : { auth: etcdUser };
  const { headers } = etcdGateway;
  return new EtcdGatewayStore({ hosts: etcd, headers, fetch: globalThis.fetch, clock: new SystemClock(), ...auth });
}

function etcdOptions({ etcd, etcdTls, etcdUser }: ReplicaConfig) {
  const { ca, cert, key } = etcdTls;
  if (ca === null && cert !== null) throw new ConfigError('--etcd-cert needs --etcd-ca as well');
  return {
    hosts: etcd,
    ...(ca === null ? {} : { tls: { ca, ...(cert === null || key === null ? {} : { cert, key }) } }),
    ...(etcdUser === null ? {} : { auth: etcdUser }),
  };
}

/** The file holds a list of outside issuers. Throws {@link ConfigError} that names the first fault. */
function readTrust(text: string | null): OutsideIssuer[] {
  if (text === null) return [];
  const parsed = outsideIssuerSchema.array().safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `at /${issue.path.join('/')}: ${issue.message}`);
  throw new ConfigError(`--trust must hold a JSON list of issuers, but ${faults.join('; ')}`);
}

/** Throws {@link ConfigError}, which never shows a key. */
async function readEnvelope(text: string | null, random: Random): Promise<Envelope | undefined> {
  if (text === null) return undefined;
  try {
    return await Envelope.read(text, random);
  } catch (error) {
    if (error instanceof EnvelopeKeysError) throw new ConfigError(`--envelope-key-file: ${error.message}`);
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`--trust is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

/** The token alone goes to stdout. Who has made it is what this machine calls them; whoever may do this may say what they like. */
async function printBreakGlass(
  { ctx, mint }: Replica,
  { reason, minutes }: NonNullable<ReplicaConfig['breakGlass']>,
): Promise<number> {
  const by = `${userInfo().username}@${hostname()}`;
  const { token, id, expiresAtMs } = await breakGlass(ctx, mint, { by, reason, minutes });
  process.stderr.write(`token ${id} for an admin, until ${new Date(expiresAtMs).toISOString()}; it is on record\n`);
  return print(`${token}\n`);
}

/**
 * The first token comes from here: whoever can start a replica with access to etcd may have one, to set the cluster up. A file
 * that is there is left alone, also when its token has ended: from then on there are tokens that somebody has made, or that a trusted
 * issuer does.
 */
async function writeBootstrapToken(
  { bootstrapTokenFile: path, bootstrapTokenHours }: ReplicaConfig,
  { ctx, mint }: Replica,
): Promise<void> {
  if (path === null || existsSync(path)) return;
  const ttlSeconds = bootstrapTokenHours * 3600;
  const { token, id } = await mintAdminToken(mint, { subject: 'bootstrap', ttlSeconds });
  ctx.log.warn(
    { path, tokenId: id, hours: bootstrapTokenHours },
    "a first admin's token is written, to set up the cluster",
  );
  try {
    writeFileSync(path, `${token}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    // Another replica on this machine was faster: its token is as good.
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    throw new ConfigError(`--bootstrap-token-file "${path}" can't be written: ${error}`);
  }
}

/**
 * How peers and outside issuers are called: those that the system trusts, and the operator's authority beside them. Where clients have to
 * show a certificate, peers have to as well, and a replica shows them the one that it serves with.
 */
function outgoingFetch({ transport }: ReplicaConfig) {
  let own = readServedTls(transport);
  const ca = transport.ca === null ? null : [...getCACertificates('default'), certificateIn(transport.ca)];
  const isAsked = transport.tls !== null && transport.tls.clientCaFile !== null;
  return {
    fetch: ca === null && !isAsked ? globalThis.fetch : trustingFetch(() => ({ ca, identity: isAsked ? own : null })),
    show: (texts: TlsTexts) => {
      own = texts;
    },
  };
}

function certificateIn(pem: string): string {
  try {
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    throw new ConfigError(`--ca holds no certificate in PEM: ${error instanceof Error ? error.message : error}`);
  }
}

function ownUrl({ listen, transport }: ReplicaConfig): string {
  return `${transport.tls === null ? 'http' : 'https'}://${urlHost(listen.host)}:${listen.port}`;
}

function urlHost(host: string): string {
  const own = host === '0.0.0.0' || host === '::' ? hostname() : host;
  return own.includes(':') ? `[${own}]` : own;
}

/** A second signal doesn't wait. */
function endOnSignal(ending: AbortController): void {
  const end = () => {
    if (ending.signal.aborted) process.exit(1);
    ending.abort();
    setTimeout(() => process.exit(1), SHUTDOWN_GRACE_MS).unref();
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const known = error instanceof ConfigError || error instanceof SealedKeyError;
    process.stderr.write(
      known ? `berth control-plane: ${error.message}\n` : `berth control-plane: ${describe(error)}\n`,
    );
    process.exit(known ? EXIT_CONFIG : 1);
  },
);

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
