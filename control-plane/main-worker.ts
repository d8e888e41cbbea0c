/**
 * The edge entry: a replica on Cloudflare Workers, over etcd's JSON gateway behind a tunnel. The same app as on Node.js, served from
 * whichever isolate a request comes to. It drives rounds and passes only where nobody else does: for a moment after a request that
 * changed something, and for as long as a turn of the cron trigger lasts.
 *
 * Everything that a request opens ends with it. A stream is ended after a while, and its client takes it up again by its last id.
 */
import packageJson from '../package.json' with { type: 'json' };
import { Refusal } from '../shared/domain/errors.ts';
import type { Logger } from '../shared/util/log.ts';
import { randomId } from '../shared/util/random.ts';
import { SystemClock } from './adapters/clock/system-clock.ts';
import { EtcdGatewayStore } from './adapters/etcd-gateway/etcd-gateway-store.ts';
import { createConsoleLogger } from './adapters/log/console-logger.ts';
import { CryptoRandom } from './adapters/random/crypto-random.ts';
import { problemResponse } from './api/http/problem.ts';
import { Envelope, EnvelopeKeysError } from './auth/envelope.ts';
import { readWorkerConfig, type WorkerConfig, WorkerConfigError } from './main-worker-config.ts';
import { type Desk, Desks, NoDeskError } from './main-worker-desks.ts';
import { meetingsIn } from './main-worker-meeting.ts';
import type { ExecutionContext, ScheduledController, WorkerEnv } from './main-worker-platform.ts';
import { takeTurn } from './main-worker-turn.ts';
import { Visit } from './main-worker-visit.ts';
import { SealedKeyError } from './services/sealed-keys.ts';

export { StreamMeetingPlace } from './main-worker-meeting.ts';

/** That nobody reads a stream any more shows when something is written to it, and only then is what it holds open let go of. */
const STREAM_HEARTBEAT_MS = 2000;

/** An agent that has been heard of this often per lease survives a lost heartbeat or two. */
const HEARTBEATS_PER_LEASE = 4;

/** What stays in an isolate from one request to the next: data, and nothing that is open. */
interface Isolate {
  readonly desks: Desks;
  readonly clock: SystemClock;
  readonly log: Logger;
  readonly requestMsMax: number;
  turnDesk: Desk | null;
}

let isolate: Isolate | null = null;

function isolateOf(env: WorkerEnv, url: string): Isolate {
  isolate ??= openIsolate(env, readWorkerConfig(env, url));
  return isolate;
}

function openIsolate(env: WorkerEnv, config: WorkerConfig): Isolate {
  const clock = new SystemClock();
  const random = new CryptoRandom();
  const log = createConsoleLogger({ level: config.logLevel, name: 'berth-edge' });
  const requestMsMax = config.streamSeconds * 1000;
  const leaseTtlMs = config.leaseTtlSeconds * 1000;
  const fetch: typeof globalThis.fetch = (input, init) => globalThis.fetch(input, init);
  const desks = new Desks({
    ...{ clock, random, log, fetch },
    url: config.url,
    openStore: () => openStore(config, { clock, fetch }),
    readEnvelope: async () => (config.envelopeKeys === null ? undefined : Envelope.read(config.envelopeKeys, random)),
    config: {
      leaseTtlMs,
      heartbeatIntervalMs: leaseTtlMs / HEARTBEATS_PER_LEASE,
      streamHeartbeatMs: STREAM_HEARTBEAT_MS,
      version: packageJson.version,
    },
    requestMsMax,
    quotaBytes: config.etcdQuotaBytes,
    outsideIssuers: config.outsideIssuers,
    clientAddress: connectingAddress,
    meeting: meetingsIn(env.STREAMS),
  });
  return { desks, clock, log, requestMsMax, turnDesk: null };
}

/** Cloudflare sets it, whatever the client may have sent under this name. */
function connectingAddress(request: Request): string | null {
  return request.headers.get('cf-connecting-ip');
}

/** Of a Worker that was first woken by its trigger, and isn't told its own. */
const NO_URL = 'https://edge.invalid';

/** The header that the tunnel before etcd asks for; see infra/edge. */
const TUNNEL_HEADER = 'berth-tunnel-secret';

function openStore(
  { etcd, etcdUser, tunnelSecret }: WorkerConfig,
  parts: { clock: SystemClock; fetch: typeof fetch },
): EtcdGatewayStore {
  return new EtcdGatewayStore({
    ...parts,
    hosts: etcd,
    ...(etcdUser !== null && { auth: etcdUser }),
    ...(tunnelSecret !== null && { headers: { [TUNNEL_HEADER]: tunnelSecret } }),
  });
}

async function serve(request: Request, env: WorkerEnv, ctx: ExecutionContext): Promise<Response> {
  const visit = await Visit.begin(isolateOf(env, request.url));
  let read = () => {};
  const isRead = new Promise<void>((resolve) => {
    read = resolve;
  });
  ctx.waitUntil(isRead.then(() => visit.end()));
  return visit.answer(request, read);
}

/** What keeps a request from being served at all. */
function refusalOf(error: unknown): unknown {
  if (error instanceof NoDeskError) return new Refusal('unavailable', error.message, { retryAfterSeconds: 1 });
  const isSetUpWrong =
    error instanceof WorkerConfigError || error instanceof EnvelopeKeysError || error instanceof SealedKeyError;
  if (!isSetUpWrong) return error;
  return new Refusal('unavailable', `this Worker is not set up: ${error.message}`, { retryAfterSeconds: 60 });
}

export default {
  async fetch(request: Request, env: WorkerEnv, ctx: ExecutionContext): Promise<Response> {
    try {
      return await serve(request, env, ctx);
    } catch (error) {
      const log = isolate?.log ?? createConsoleLogger({ level: 'info', name: 'berth-edge' });
      return problemResponse(refusalOf(error), randomId(new CryptoRandom()), log);
    }
  },

  scheduled(_turn: ScheduledController, env: WorkerEnv, ctx: ExecutionContext): void {
    const place = isolateOf(env, NO_URL);
    const turn = takeTurn({ ...place, usual: place.turnDesk }).then((desk) => {
      place.turnDesk = desk;
    });
    ctx.waitUntil(
      turn.catch((error: unknown) => place.log.error({ error }, 'a turn of the cron trigger was not taken')),
    );
  },
};
