/** A replica's services over a store, without HTTP: what tests of use cases and controllers work with. */

import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { Envelope, newEnvelopeKey } from '../../control-plane/auth/envelope.ts';
import type { Grant, Principal } from '../../control-plane/auth/principal.ts';
import { runPasses } from '../../control-plane/controllers/pass.ts';
import { doneBy, runRound } from '../../control-plane/controllers/round.ts';
import type { PassFacts } from '../../control-plane/reconcile/actions.ts';
import { ensureCluster } from '../../control-plane/services/cluster.ts';
import type { Call, ServiceContext } from '../../control-plane/services/context.ts';
import { NodeSignals } from '../../control-plane/services/node-signals.ts';
import type { Store } from '../../control-plane/store/contract.ts';
import { Mirror } from '../../control-plane/store/mirror.ts';
import { QUOTA_DEFAULT_BYTES, StoreRoom } from '../../control-plane/store/room.ts';
import { OpLeases } from '../../control-plane/store/transact.ts';
import type { JobSpec } from '../../shared/domain/job.ts';
import { NO_CONSENT, type Node } from '../../shared/domain/node.ts';
import type { Stamp } from '../../shared/protocol/agent.ts';
import { type JobSpecInput, jobSpecSchema } from '../../shared/protocol/job.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { SILENT_LOGGER } from '../../shared/util/log.ts';
import { NOWHERE } from './nowhere.ts';

export interface TestReplica {
  readonly ctx: ServiceContext;
  /** Passes and rounds until nothing is left to do. */
  settle(): Promise<void>;
  stop(): void;
}

export async function startReplica(
  options: { store?: Store; clock?: Clock; id?: string; quotaBytes?: number; envelope?: Envelope | undefined } = {},
): Promise<TestReplica> {
  const clock = options.clock ?? new SystemClock();
  const store = options.store ?? new MemoryStore({ clock });
  const random = new CryptoRandom();
  const abort = new AbortController();
  await ensureCluster(store, random);
  const mirror = await Mirror.start({ store, clock, signal: abort.signal, log: SILENT_LOGGER });
  const signals = new NodeSignals();
  mirror.subscribe((changes, _revision, reset) => signals.changed(changes, reset));
  const ctx: ServiceContext = {
    store,
    mirror,
    clock,
    random,
    log: SILENT_LOGGER,
    ops: new OpLeases({ store, clock }),
    signals,
    room: new StoreRoom({ store, clock, quotaBytes: options.quotaBytes ?? QUOTA_DEFAULT_BYTES }),
    envelope: options.envelope,
    replica: { id: options.id ?? 'replica-1', url: 'http://127.0.0.1:1' },
    config: { leaseTtlMs: 10_000, heartbeatIntervalMs: 3000, version: '0.0.0-test' },
    nudge: () => undefined,
  };
  return { ctx, settle: () => settle(ctx), stop: () => abort.abort() };
}

/** The store has been in reach all the time. */
export const NO_OUTAGE: PassFacts = { leasesCountFromMs: 0, unreachableForMs: new Map(), unseenEndsForMs: new Map() };

async function settle(ctx: ServiceContext): Promise<void> {
  for (let looks = 0; looks < 1000; looks++) {
    const pass = await runPasses(ctx, NO_OUTAGE);
    const round = await runRound(ctx);
    if (!pass.again && !round.again && pass.committed + doneBy(round) === 0) return;
  }
  throw new Error('passes and rounds find no end');
}

/** Waits until the mirror shows what the store holds now. */
export async function caughtUp(ctx: ServiceContext): Promise<void> {
  const { revision } = await ctx.store.status();
  if (!(await ctx.mirror.waitFor(revision, { timeoutMs: 5000 }))) throw new Error('the mirror does not catch up');
}

/** With the keys of these lines: the first one seals. */
export function envelopeOf(...lines: readonly string[]): Promise<Envelope> {
  return Envelope.read(lines.join('\n'), new CryptoRandom());
}

/** A line of a file of envelope keys. */
export function envelopeKey(name: string): string {
  return newEnvelopeKey(name, new CryptoRandom());
}

export const ADMIN: Principal = {
  kind: 'user',
  subject: 'admin',
  tokenId: 'token-admin',
  grants: [{ roles: ['*'], actions: ['*'] }],
  node: null,
};

/** The principal with its only grant changed. */
export function granted(principal: Principal, change: Partial<Grant>): Principal {
  const [own = { roles: [], actions: [] }] = principal.grants;
  return { ...principal, grants: [{ ...own, ...change }] };
}

export const JOINER: Principal = { ...ADMIN, kind: 'join', subject: 'joiner', grants: [] };

export function nodePrincipal(node: string): Principal {
  return { ...ADMIN, kind: 'node', subject: node, grants: [], node };
}

export function callOf(principal: Principal = ADMIN, idempotency: Call['idempotency'] = null): Call {
  return { principal, origin: NOWHERE, idempotency };
}

export function specOf(input: Partial<JobSpecInput> = {}): JobSpec {
  return jobSpecSchema.parse({ name: 'hello', groups: [{ image: 'berth/busybox:local' }], ...input });
}

/** What an agent says of a machine with 4 cores, 4 GiB and ten ports. */
export function nodeOf(id: string, change: Partial<Node> = {}): Omit<Node, 'registeredAtMs'> {
  return {
    id,
    hostname: `${id}.example`,
    address: null,
    resources: {
      cpus: 4,
      memMiB: 4096,
      diskMiB: 10_000,
      gpus: 0,
      custom: {},
      ports: [{ first: 20_000, last: 20_009 }],
    },
    attributes: { hostname: `${id}.example`, arch: 'x64', os: 'linux', node: id },
    consent: NO_CONSENT,
    gpus: [],
    reservations: [],
    agentVersion: '0.0.0-test',
    engine: 'fake 1.0',
    ...change,
  };
}

/** What an agent's process shows that has never registered, unless the change says what it remembers. */
export function stampOf(instance: string, change: Partial<Stamp> = {}): Stamp {
  return { instance, last: null, epoch: 0, next: 'first-stamp', ...change };
}
