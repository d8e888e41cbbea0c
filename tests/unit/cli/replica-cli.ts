/** The CLI against a whole replica in this process: real routes and use cases over the memory store, no sockets. */

import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { createReplica } from '../../../control-plane/app.ts';
import { Envelope, newEnvelopeKey } from '../../../control-plane/auth/envelope.ts';
import type { Interruption, Io } from '../../../control-plane/cli/io.ts';
import { runCommandLine } from '../../../control-plane/cli/program.ts';
import type { ServiceContext } from '../../../control-plane/services/context.ts';
import { mintAdminToken } from '../../../control-plane/services/tokens.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { heldRequest } from '../../support/held-request.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly done: Promise<Ran>;
  readonly out: () => string;
  readonly err: () => string;
  interrupt(signal: Interruption): void;
}

export interface CliUnderTest {
  readonly token: string;
  readonly ctx: ServiceContext;
  /** Runs one command line to its end. */
  berth(args: readonly string[], world?: World): Promise<Ran>;
  start(args: readonly string[], world?: World): Running;
  /** Posts to the replica as an agent would. */
  post(path: string, token: string, body: object): Promise<Response>;
  stop(): Promise<void>;
}

export interface World {
  readonly stdin?: string;
  /** Set: standard input is a terminal, and this is typed there. */
  readonly typed?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Set: stdout is a terminal of this width. */
  readonly columns?: number;
}

const ADDRESS = 'http://berth.test';

/** `fetch`: what the replica, and the command line beside it, reach elsewhere. */
export async function startCliUnderTest({ fetch: elsewhere }: { fetch?: Io['fetch'] } = {}): Promise<CliUnderTest> {
  const clock = new SystemClock();
  const random = new CryptoRandom();
  const ending = new AbortController();
  const replica = await createReplica({
    store: new MemoryStore({ clock }),
    clock,
    random,
    log: SILENT_LOGGER,
    signal: ending.signal,
    replica: { id: 'replica-1', url: ADDRESS },
    config: { leaseTtlMs: 10_000, heartbeatIntervalMs: 2500, version: '0.0.0-test' },
    outsideIssuers: [],
    envelope: await Envelope.read(newEnvelopeKey('k1', random), random),
    clientAddress: () => null,
    fetch: elsewhere ?? (() => Promise.reject(new Error('this replica calls nobody'))),
  });
  const running = replica.run();
  const { token } = await mintAdminToken(replica.mint, { subject: 'tester', ttlSeconds: 3600 });
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const request = heldRequest(input, init);
    if (new URL(request.url).origin !== ADDRESS) {
      if (elsewhere !== undefined) return elsewhere(request);
      throw new TypeError('fetch failed', { cause: refused() });
    }
    return replica.api.fetch(request);
  };
  const start = (args: readonly string[], world: World = {}) =>
    startCommand(args, world, { fetch, token, clock, random });
  return {
    token,
    ctx: replica.ctx,
    start,
    berth: (args, world) => start(args, world).done,
    post: (path, bearer, body) =>
      fetch(ADDRESS + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    async stop() {
      ending.abort();
      await running;
    },
  };
}

function refused(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

function startCommand(
  args: readonly string[],
  world: World,
  parts: { token: string } & Pick<Io, 'fetch' | 'clock' | 'random'>,
): Running {
  const { token, ...rest } = parts;
  let out = '';
  let err = '';
  let handler: ((signal: Interruption) => void) | null = null;
  const exited = Promise.withResolvers<number>();
  const io: Io = {
    ...rest,
    out: {
      write: (text) => {
        out += text;
      },
      isTerminal: world.columns !== undefined,
      columns: world.columns ?? null,
    },
    err: {
      write: (text) => {
        err += text;
      },
      isTerminal: false,
      columns: null,
    },
    env: { HOME: '/nowhere', BERTH_ADDR: ADDRESS, BERTH_TOKEN: token, ...world.env },
    readHidden: async (prompt) => {
      if (world.typed === undefined) return null;
      err += `${prompt}\n`;
      return world.typed;
    },
    readStdin: async () => world.stdin ?? '',
    onInterruption: (given) => {
      handler = given;
      return () => {
        handler = null;
      };
    },
    exitNow: (code) => exited.resolve(code),
  };
  const done = Promise.race([runCommandLine(args, io, '1.2.3'), exited.promise]).then((code) => ({ code, out, err }));
  return {
    done,
    out: () => out,
    err: () => err,
    interrupt(signal) {
      if (handler === null) throw new Error('nobody handles signals now');
      handler(signal);
    },
  };
}
