/**
 * Puts the floors together over whatever store, clock and chance a main hands in: the same replica on Node.js, on Workers,
 * in tests and in the simulator.
 */
import { Hono } from 'hono';
import { present } from '../shared/util/assert.ts';
import type { Clock } from '../shared/util/clock.ts';
import type { Logger } from '../shared/util/log.ts';
import { MetricsRegistry } from '../shared/util/metrics.ts';
import type { Random } from '../shared/util/random.ts';
import { createApi } from './api/api.ts';
import { secureHeaders } from './api/http/security-headers.ts';
import type { ApiOptions } from './api/parts.ts';
import type { Envelope } from './auth/envelope.ts';
import { lifetimesWith, USER_TOKEN_DAYS } from './auth/lifetimes.ts';
import type { OutsideIssuer } from './auth/outside-issuer.ts';
import { OutsideTokens } from './auth/outside-tokens.ts';
import { anonymousPrincipal } from './auth/principal.ts';
import { RateLimits, type RatePolicy } from './auth/rate-limits.ts';
import { MirroredRevocations } from './auth/revocations.ts';
import { ownIssuer, TokenMint } from './auth/tokens.ts';
import { createVerifier } from './auth/verify.ts';
import { DRIVER_DEFAULTS, Driver } from './controllers/driver.ts';
import type { HousekeepingOptions } from './controllers/housekeeper.ts';
import { createMesosFacade } from './facade-mesos/facade.ts';
import { RefusalLog } from './services/audit-refusals.ts';
import { announceReplica, ensureCluster, whenStoreAnswers } from './services/cluster.ts';
import type { ServiceConfig, ServiceContext } from './services/context.ts';
import { type CredentialUpkeep, keepCredentials, ROTATE_AFTER_MS_DEFAULT } from './services/credential-upkeep.ts';
import { FrameworkStreams } from './services/framework-streams.ts';
import { NodeSignals } from './services/node-signals.ts';
import type { ClientAddress } from './services/origin.ts';
import { tellUnopenable } from './services/secrets.ts';
import { ensureSigningKey } from './services/signing-keys.ts';
import type { StreamMeeting } from './services/stream-meeting.ts';
import { mintPeerToken } from './services/tokens.ts';
import type { Store } from './store/contract.ts';
import { Mirror } from './store/mirror.ts';
import { QUOTA_DEFAULT_BYTES, StoreRoom } from './store/room.ts';
import { OpLeases } from './store/transact.ts';

export interface ReplicaOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Ends the replica: long requests are answered, loops come to rest. */
  readonly signal: AbortSignal;
  readonly replica: { readonly id: string; readonly url: string };
  readonly config: ServiceConfig;
  /** The store's own. Absent: etcd's default. */
  readonly quotaBytes?: number;
  /** What is forgotten, and when. Absent: the defaults. */
  readonly housekeeping?: HousekeepingOptions;
  readonly outsideIssuers: readonly OutsideIssuer[];
  /** For how many days a user's token may live at most; the same for all replicas. Absent: 90. */
  readonly userTokenDaysMax?: number;
  /** How long a key signs before the next one is made by itself; infinite: for ever. Absent: 90 days. */
  readonly rotateKeysAfterMs?: number;
  /** What is stored in confidence is sealed with it. Absent: no secrets are kept, and signing keys lie in the clear. */
  readonly envelope?: Envelope | undefined;
  /** What callers of the Mesos door may do without a token. Absent: nothing. */
  readonly mesosAnonymous?: AnonymousGrant | null;
  /** How much one caller may ask of this replica. Absent: as much as it likes. */
  readonly rates?: RatePolicy | null;
  /** Where requests come from is for the platform to say. */
  readonly clientAddress: ClientAddress;
  readonly fetch: typeof fetch;
  /** Where streams meet that no process serves from end to end. Absent: on the replica where they are read. */
  readonly meeting?: StreamMeeting;
  /** Told when something may have to be done. Absent: the replica drives by itself. */
  readonly nudge?: () => void;
}

export interface Replica {
  readonly api: Hono;
  readonly ctx: ServiceContext;
  readonly mint: TokenMint;
  readonly driver: Driver;
  /**
   * Runs rounds, passes and the announcement until the replica's signal, or the one that is given, is aborted. Rejects when the
   * replica can't go on.
   */
  run(until?: AbortSignal): Promise<void>;
}

/** Waits for the store, reads the state and puts a replica together, however often the store goes away meanwhile. */
export async function createReplica(options: ReplicaOptions): Promise<Replica> {
  const { store, clock, random, log, signal } = options;
  await lasting(options, () => ensureCluster(store, random));
  return assembleReplica(options, await Mirror.start({ store, clock, signal, log }));
}

/**
 * Puts a replica together over a mirror, which stands at the present state of a cluster that has been set up. Waits for the store until
 * `starting` is aborted.
 */
export async function assembleReplica(
  options: ReplicaOptions,
  mirror: Mirror,
  starting = options.signal,
): Promise<Replica> {
  const { store, clock, random, log, signal, replica, config, fetch } = options;
  const { envelope, clientAddress, mesosAnonymous = null, rates = null, meeting } = options;
  const cluster = present(mirror.snapshot.cluster, 'the cluster record');
  const signals = new NodeSignals();
  mirror.subscribe((changes, _revision, reset) => signals.changed(changes, reset));
  const metrics = new MetricsRegistry();
  const driver = new Driver(
    { store, mirror, clock, random, log, replica },
    { ...DRIVER_DEFAULTS, nodes: config, ...(options.housekeeping && { housekeeping: options.housekeeping }) },
    metrics,
  );
  const ops = new OpLeases({ store, clock });
  const room = new StoreRoom({ store, clock, quotaBytes: options.quotaBytes ?? QUOTA_DEFAULT_BYTES });
  await lasting(options, () => room.read(), starting);
  const nudge = options.nudge ?? (() => driver.nudge());
  const base = { store, mirror, clock, random, log, ops, signals, room };
  const ctx: ServiceContext = { ...base, envelope, replica, config, nudge };
  const ring = await lasting(options, () => ensureSigningKey(ctx), starting);
  tellUnopenable(ctx);
  const issuer = ownIssuer(cluster.id);
  const revocations = new MirroredRevocations(mirror);
  const lifetimes = lifetimesWith({ userTokenDays: options.userTokenDaysMax ?? USER_TOKEN_DAYS.default });
  const mint = new TokenMint({ ...{ issuer, ring, clock, random }, lifetimes, revocations });
  const { outsideIssuers } = options;
  const verifier = createVerifier({ clock, ring, issuer, outside: outsideIssuers, fetch, lifetimes, revocations });
  const upkeep = { lifetimes, rotateAfterMs: options.rotateKeysAfterMs ?? ROTATE_AFTER_MS_DEFAULT };
  const outsideTokens = new OutsideTokens({ clock, fetch });
  const own = { ctx, verifier, mint, ring, outsideTokens, outsideIssuers };
  const parts = { ...own, signal, metrics, fetch, clientAddress };
  return {
    api: createDoors({ ...parts, ...(meeting !== undefined && { meeting }), mesosAnonymous, rates }),
    ctx,
    mint,
    driver,
    run: (until = signal) => runLoops(ctx, { driver, upkeep }, until),
  };
}

function lasting<T>(options: ReplicaOptions, step: () => Promise<T>, signal = options.signal): Promise<T> {
  return whenStoreAnswers(options, signal, step);
}

export interface AnonymousGrant {
  readonly roles: readonly string[];
  readonly actions: readonly string[];
}

export interface DoorOptions extends Omit<ApiOptions, 'frameworkStreams' | 'refusals' | 'limits'> {
  readonly mesosAnonymous?: AnonymousGrant | null;
  readonly rates?: RatePolicy | null;
}

/** Every door of a replica, on one port: paths tell them apart. Streams end with `signal`. */
export function createDoors({ mesosAnonymous = null, rates = null, ...options }: DoorOptions): Hono {
  const { ctx, mint, fetch, signal, metrics = new MetricsRegistry() } = options;
  const peerToken = async () => (await mintPeerToken(mint, ctx.replica.id)).token;
  const frameworkStreams = new FrameworkStreams(ctx, { peerToken, fetch }, signal);
  const refusals = new RefusalLog(ctx, signal);
  const limits = new RateLimits({ policy: rates, clock: ctx.clock });
  const parts = { ...options, metrics, frameworkStreams, refusals, limits };
  const api = createApi(parts);
  const anonymous = mesosAnonymous === null ? null : anonymousPrincipal(mesosAnonymous);
  const app = new Hono();
  app.use('*', async (c, next) => {
    await next();
    secureHeaders(c.res.headers, { isOverTls: c.req.url.startsWith('https:') });
  });
  app.route('/', createMesosFacade({ ...parts, anonymous }));
  app.all('*', (c) => api.fetch(c.req.raw, c.env));
  return app;
}

/** Ends when all have ended; the first that fails is the reason that the others don't matter any more. */
async function runLoops(
  ctx: ServiceContext,
  { driver, upkeep }: { readonly driver: Driver; readonly upkeep: CredentialUpkeep },
  signal: AbortSignal,
): Promise<void> {
  const mirror = ctx.mirror.stopped.then((error) => {
    if (error !== null) throw error;
  });
  const loops = [announceReplica(ctx, signal), ctx.room.keep(signal), keepCredentials(ctx, upkeep, signal)];
  await Promise.all([driver.run(signal), ...loops, mirror]);
}
