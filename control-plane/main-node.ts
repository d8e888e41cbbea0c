/**
 * One replica as a Node.js process. Reads its configuration, connects to etcd, serves, and ends cleanly on SIGTERM or
 * SIGINT: no new requests, long ones answered, leases given back.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { hostname } from 'node:os';
import { createAdaptorServer } from '@hono/node-server';
import { type Random, randomId } from '../shared/util/random.ts';
import { SystemClock } from './adapters/clock/system-clock.ts';
import { EtcdStore } from './adapters/etcd/etcd-store.ts';
import { EtcdGatewayStore } from './adapters/etcd-gateway/etcd-gateway-store.ts';
import { ChunkedResponse } from './adapters/http/chunked-response.ts';
import { socketAddress } from './adapters/http/socket-address.ts';
import { createPinoLogger } from './adapters/log/pino-logger.ts';
import { CryptoRandom } from './adapters/random/crypto-random.ts';
import { createReplica, type Replica } from './app.ts';
import { Envelope, EnvelopeKeysError } from './auth/envelope.ts';
import { type OutsideIssuer, outsideIssuerSchema } from './auth/outside-issuer.ts';
import { DEFRAGMENTATION_DEFAULTS } from './controllers/defragmentation.ts';
import { ConfigError, type ReplicaConfig, readConfig, USAGE } from './main-config.ts';
import { startReplicaDns } from './main-node-dns.ts';
import { SealedKeyError } from './services/sealed-keys.ts';
import { mintAdminToken } from './services/tokens.ts';
import type { Store } from './store/contract.ts';

const { version: VERSION } = createRequire(import.meta.url)('../package.json') as { version: string };

/** After the signal to end: how long open requests and loops have to come to rest. */
const SHUTDOWN_GRACE_MS = 8000;

/** An agent that has been heard of this often per lease survives a lost heartbeat or two. */
const HEARTBEATS_PER_LEASE = 4;

const EXIT_CONFIG = 78;

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
  const url = config.advertiseUrl ?? `http://${urlHost(config.listen.host)}:${config.listen.port}`;
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
    envelope,
    mesosAnonymous: config.mesosAnonymous,
    clientAddress: socketAddress,
    fetch: globalThis.fetch,
  });
  await writeBootstrapToken(config.bootstrapTokenFile, replica);
  const server = await serve(replica, config);
  const dns = config.dns === null ? null : await startReplicaDns(replica.ctx, config.dns);
  log.info({ url, replica: replica.ctx.replica.id, etcd: config.etcd }, 'serving');
  try {
    await replica.run();
    return 0;
  } finally {
    ending.abort();
    await Promise.all([closeServer(server), dns?.close()]);
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

/**
 * The first token comes from here and from nowhere else: whoever can start a replica with access to etcd may have one. A file
 * that is there is left alone.
 */
async function writeBootstrapToken(path: string | null, { mint }: Replica): Promise<void> {
  if (path === null || existsSync(path)) return;
  const { token } = await mintAdminToken(mint, { subject: 'bootstrap', ttlSeconds: 365 * 24 * 3600 });
  try {
    writeFileSync(path, `${token}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    // Another replica on this machine was faster: its token is as good.
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    throw new ConfigError(`--bootstrap-token-file "${path}" can't be written: ${error}`);
  }
}

function serve(replica: Replica, { listen }: ReplicaConfig): Promise<Server> {
  const serverOptions = { ServerResponse: ChunkedResponse };
  const server = createAdaptorServer({ fetch: replica.api.fetch, serverOptions }) as Server;
  // Long requests are ended by the app; these bound clients that send slowly or nothing.
  server.headersTimeout = 15_000;
  server.requestTimeout = 0;
  server.keepAliveTimeout = 65_000;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, listen)));
    server.listen(listen.port, listen.host, () => resolve(server));
  });
}

function listenError(error: NodeJS.ErrnoException, { host, port }: ReplicaConfig['listen']): Error {
  if (error.code === 'EADDRINUSE') return new ConfigError(`--listen ${host}:${port} is in use; choose another port`);
  return new ConfigError(`--listen ${host}:${port} can't be used: ${error.message}`);
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

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), 1000).unref();
  });
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
