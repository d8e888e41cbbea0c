/**
 * Puts the floors together over whatever store, clock and chance a main hands in: the same replica on Node.js, on Workers,
 * in tests and in the simulator.
 */
import { Hono } from 'hono';
import type { Clock } from '../shared/util/clock.ts';
import type { Logger } from '../shared/util/log.ts';
import { MetricsRegistry } from '../shared/util/metrics.ts';
import type { Random } from '../shared/util/random.ts';
import { createApi } from './api/api.ts';
import type { ApiOptions } from './api/parts.ts';
import type { Envelope } from './auth/envelope.ts';
import type { OutsideIssuer } from './auth/outside-issuer.ts';
import { OutsideTokens } from './auth/outside-tokens.ts';
import { anonymousPrincipal } from './auth/principal.ts';
import { ownIssuer, TokenMint } from './auth/tokens.ts';
import { createVerifier } from './auth/verify.ts';
import { DRIVER_DEFAULTS, Driver } from './controllers/driver.ts';
import type { HousekeepingOptions } from './controllers/housekeeper.ts';
import { createMesosFacade } from './facade-mesos/facade.ts';
import { RefusalLog } from './services/audit-refusals.ts';
import { announceReplica, ensureCluster, whenStoreAnswers } from './services/cluster.ts';
import type { ServiceConfig, ServiceContext } from './services/context.ts';
import { FrameworkStreams } from './services/framework-streams.ts';
import { NodeSignals } from './services/node-signals.ts';
import type { ClientAddress } from './services/origin.ts';
import { tellUnopenable } from './services/secrets.ts';
import { ensureSigningKey, mintPeerToken } from './services/tokens.ts';
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
  /** What is stored in confidence is sealed with it. Absent: no secrets are kept, and signing keys lie in the clear. */
  readonly envelope?: Envelope | undefined;
  /** What callers of the Mesos door may do without a token. Absent: nothing. */
  readonly mesosAnonymous?: AnonymousGrant | null;
  /** Where requests come from is for the platform to say. */
  readonly clientAddress: ClientAddress;
  readonly fetch: typeof fetch;
}

export interface Replica {
  readonly api: Hono;
  readonly ctx: ServiceContext;
  readonly mint: TokenMint;
  /** Runs rounds, passes and the announcement until the signal is aborted. Rejects when the replica can't go on. */
  run(): Promise<void>;
}

/** Waits for the store, reads the state and puts a replica together, however often the store goes away meanwhile. */
export async function createReplica(options: ReplicaOptions): Promise<Replica> {
  const { store, clock, random, log, signal, replica, config, envelope } = options;
  const { fetch, clientAddress, mesosAnonymous = null } = options;
  const lasting = <T>(step: () => Promise<T>) => whenStoreAnswers({ store, clock, random, log }, signal, step);
  const cluster = await lasting(() => ensureCluster(store, random));
  const mirror = await Mirror.start({ store, clock, signal, log });
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
  await lasting(() => room.read());
  const nudge = () => driver.nudge();
  const base = { store, mirror, clock, random, log, ops, signals, room };
  const ctx: ServiceContext = { ...base, envelope, replica, config, nudge };
  const ring = await lasting(() => ensureSigningKey(ctx));
  tellUnopenable(ctx);
  const issuer = ownIssuer(cluster.id);
  const mint = new TokenMint({ issuer, ring, clock, random });
  const { outsideIssuers } = options;
  const verifier = createVerifier({ clock, ring, issuer, outside: outsideIssuers, fetch });
  const outsideTokens = new OutsideTokens({ clock, fetch });
  const parts = { ctx, verifier, mint, ring, outsideTokens, outsideIssuers, signal, metrics };
  return {
    api: createDoors({ ...parts, fetch, clientAddress, mesosAnonymous }),
    ctx,
    mint,
    run: () => runLoops(ctx, driver, signal),
  };
}

export interface AnonymousGrant {
  readonly roles: readonly string[];
  readonly actions: readonly string[];
}

export interface DoorOptions extends Omit<ApiOptions, 'frameworkStreams' | 'refusals'> {
  readonly mesosAnonymous?: AnonymousGrant | null;
}

/** Every door of a replica, on one port: paths tell them apart. Streams end with `signal`. */
export function createDoors({ mesosAnonymous = null, ...options }: DoorOptions): Hono {
  const { ctx, mint, fetch, signal, metrics = new MetricsRegistry() } = options;
  const peerToken = async () => (await mintPeerToken(mint, ctx.replica.id)).token;
  const frameworkStreams = new FrameworkStreams(ctx, { peerToken, fetch }, signal);
  const refusals = new RefusalLog(ctx, signal);
  const parts = { ...options, metrics, frameworkStreams, refusals };
  const api = createApi(parts);
  const anonymous = mesosAnonymous === null ? null : anonymousPrincipal(mesosAnonymous);
  const app = new Hono();
  app.route('/', createMesosFacade({ ...parts, anonymous }));
  app.all('*', (c) => api.fetch(c.req.raw, c.env));
  return app;
}

/** Ends when all have ended; the first that fails is the reason that the others don't matter any more. */
async function runLoops(ctx: ServiceContext, driver: Driver, signal: AbortSignal): Promise<void> {
  const mirror = ctx.mirror.stopped.then((error) => {
    if (error !== null) throw error;
  });
  await Promise.all([driver.run(signal), announceReplica(ctx, signal), ctx.room.keep(signal), mirror]);
}
