/**
 * The edge entry: a replica on Cloudflare Workers, over etcd's JSON gateway behind a tunnel. The same app as on Node.js, served from
 * whichever isolate a request comes to. It drives rounds and passes only where nobody else does: for a moment after a request that
 * changed something, and for as long as a turn of the cron trigger lasts.
 *
 * Everything that a request opens ends with it. A stream is ended after a while, and its client takes it up again by its last id.
 */
import packageJson from '../package.json' with { type: 'json' };
import { Refusal } from '../shared/domain/errors.ts';
import { sleep } from '../shared/util/clock.ts';
import { randomId } from '../shared/util/random.ts';
import { SystemClock } from './adapters/clock/system-clock.ts';
import { EtcdGatewayStore } from './adapters/etcd-gateway/etcd-gateway-store.ts';
import { createConsoleLogger } from './adapters/log/console-logger.ts';
import { CryptoRandom } from './adapters/random/crypto-random.ts';
import { problemResponse } from './api/http/problem.ts';
import { readWorkerConfig, type WorkerConfig, WorkerConfigError } from './main-worker-config.ts';
import { type Desk, Desks, NoDeskError } from './main-worker-desks.ts';
import { meetingsIn } from './main-worker-meeting.ts';
import type { ExecutionContext, ScheduledController, WorkerEnv } from './main-worker-platform.ts';

export { StreamMeetingPlace } from './main-worker-meeting.ts';

/** A stream or a long wait is ended after this time, and taken up again in another request. */
const REQUEST_MS_MAX = 300_000;

/** A request that hasn't been answered by then is one that waits, and follows the state from then on. */
const WAITS_AFTER_MS = 20;

/** How long a request drives after its answer; the platform allows 30 s. */
const DRIVE_MS_MAX = 20_000;

/** How long a turn of the cron trigger drives. The next one comes a minute after it, and the platform would allow 15. */
const TURN_MS_MAX = 55_000;

/** An agent that has been heard of this often per lease survives a lost heartbeat or two. */
const HEARTBEATS_PER_LEASE = 4;

/** What stays in an isolate from one request to the next: data, and nothing that is open. */
interface Isolate {
  readonly desks: Desks;
  readonly clock: SystemClock;
  readonly random: CryptoRandom;
  readonly log: ReturnType<typeof createConsoleLogger>;
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
  const leaseTtlMs = config.leaseTtlSeconds * 1000;
  const fetch: typeof globalThis.fetch = (input, init) => globalThis.fetch(input, init);
  const desks = new Desks({
    ...{ clock, random, log, fetch },
    url: config.url,
    openStore: () => openStore(config, { clock, fetch }),
    config: { leaseTtlMs, heartbeatIntervalMs: leaseTtlMs / HEARTBEATS_PER_LEASE, version: packageJson.version },
    quotaBytes: config.etcdQuotaBytes,
    outsideIssuers: config.outsideIssuers,
    meeting: meetingsIn(env.STREAMS),
  });
  return { desks, clock, random, log };
}

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

/** One request, from its desk to the end of all that it has opened. */
class Visit {
  readonly #isolate: Isolate;
  readonly #over = new AbortController();
  readonly #desk: Desk;
  #driving: Promise<void> | null = null;
  #isNudged = false;

  private constructor(place: Isolate, desk: Desk, over: AbortController) {
    this.#isolate = place;
    this.#desk = desk;
    this.#over = over;
    desk.onNudge = () => this.#nudged();
  }

  static async begin(place: Isolate): Promise<Visit> {
    const over = new AbortController();
    return new Visit(place, await place.desks.take(over.signal), over);
  }

  /** The answer. `ended` is called when its body has been read, or when nobody reads it any more. */
  async answer(request: Request, ended: () => void): Promise<Response> {
    const { clock } = this.#isolate;
    const follow = clock.setTimer(WAITS_AFTER_MS, () => this.#desk.mirror.follow());
    const bound = clock.setTimer(REQUEST_MS_MAX, () => this.#over.abort());
    const end = () => {
      follow.cancel();
      bound.cancel();
      ended();
    };
    try {
      const signal = AbortSignal.any([request.signal, this.#over.signal]);
      const response = await this.#desk.replica.api.fetch(new Request(request, { signal }));
      return whenRead(response, end);
    } catch (error) {
      end();
      throw error;
    }
  }

  /** To be awaited after the answer has been read: the rest of what there is to do, and the end. */
  async end(): Promise<void> {
    const { desks, clock, log } = this.#isolate;
    const bound = clock.setTimer(DRIVE_MS_MAX, () => this.#over.abort());
    try {
      while (this.#driving !== null) await this.#driving;
    } catch (error) {
      log.warn({ error }, 'rounds and passes were left to whoever comes next');
    } finally {
      bound.cancel();
      this.#over.abort();
      desks.giveBack(this.#desk, true);
    }
  }

  #nudged(): void {
    this.#isNudged = true;
    this.#driving ??= this.#drive().finally(() => {
      this.#driving = null;
    });
    // Whoever waits for the end hears of it; before that nobody listens.
    this.#driving.catch(() => undefined);
  }

  async #drive(): Promise<void> {
    // The answer comes first.
    await sleep(this.#isolate.clock, 0);
    while (this.#isNudged && !this.#over.signal.aborted) {
      this.#isNudged = false;
      this.#desk.mirror.follow();
      await this.#desk.replica.driver.driveOnce(this.#over.signal);
    }
  }
}

/** The response, with an end that somebody hears of. */
function whenRead(response: Response, ended: () => void): Response {
  const { body } = response;
  if (body === null) {
    ended();
    return response;
  }
  const reader = body.getReader();
  const tracked = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          controller.close();
          ended();
        } catch (error) {
          controller.error(error);
          ended();
        }
      },
      async cancel(reason) {
        ended();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(tracked, response);
}

async function serve(request: Request, env: WorkerEnv, ctx: ExecutionContext): Promise<Response> {
  const place = isolateOf(env, request.url);
  const visit = await Visit.begin(place);
  let read = () => {};
  const isRead = new Promise<void>((resolve) => {
    read = resolve;
  });
  ctx.waitUntil(isRead.then(() => visit.end()));
  return visit.answer(request, read);
}

/** Drives as a replica does that lives on, for as long as one turn of the trigger may take. */
async function takeTurn(env: WorkerEnv): Promise<void> {
  const { desks, clock, log } = isolateOf(env, 'https://edge.invalid');
  const over = new AbortController();
  const desk = await desks.take(over.signal);
  const bound = clock.setTimer(TURN_MS_MAX, () => over.abort());
  try {
    desk.mirror.follow();
    await desk.replica.run(over.signal);
  } catch (error) {
    log.error({ error }, 'a turn of the cron trigger ended early');
  } finally {
    bound.cancel();
    over.abort();
    desks.giveBack(desk, true);
  }
}

/** What keeps a request from being served at all. */
function refusalOf(error: unknown): unknown {
  if (error instanceof NoDeskError) return new Refusal('unavailable', error.message, { retryAfterSeconds: 1 });
  if (!(error instanceof WorkerConfigError)) return error;
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
    ctx.waitUntil(takeTurn(env));
  },
};
