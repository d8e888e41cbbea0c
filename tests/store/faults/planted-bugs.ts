/**
 * Mistakes that adapters and their callers have made, or would make if a line were forgotten. Each is put between the real
 * code and its surroundings, never into it.
 */
import type { Etcd3 } from 'etcd3';
import { connect } from '../../../control-plane/adapters/etcd/connection.ts';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { firstAnswer } from '../../../control-plane/adapters/etcd/streams.ts';
import { Watches } from '../../../control-plane/adapters/etcd/watch.ts';
import { fromKeyValue } from '../../../control-plane/adapters/etcd/wire.ts';
import { ClusterHistory } from '../../../control-plane/adapters/etcd-api/history.ts';
import {
  type Compare,
  HistoryGoneError,
  type KeyValue,
  type LeaseId,
  type Store,
  StoreUnavailableError,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
  type WatchRequest,
} from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { Mirror } from '../../../control-plane/store/mirror.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { Operation } from '../../../control-plane/store/transact.ts';
import { changed } from '../../support/changed-store.ts';
import { insist, pause, type Subject, subjectOf, type Timing } from './place.ts';
import { revisionOf } from './watches.ts';

const REAL = subjectOf((hosts, timing) => new EtcdStore({ hosts, ...timing }));

export const PLANTED_BUGS = {
  'a watch resumes one revision too late': withOwnWatch(resumesLate),
  'a watch resumes one revision too early': withOwnWatch(resumesEarly),
  'a watch hands on the parts of a revision': withStore((store) => ({ watch: (request) => inParts(store, request) })),
  'a watch goes on from the present when history is gone': withStore((store) => ({
    watch: (request) => overlookingGaps(store, request),
  })),
  'a watch takes the present for what it has seen': withStore((store) => ({
    watch: (request) => runningAhead(store, request),
  })),
  'a mirror does not list again': {
    ...REAL,
    startMirror: ({ store, ...options }) =>
      Mirror.start({ ...options, store: changed(store, { watch: (request) => overlookingGaps(store, request) }) }),
  },
  'a mirror lists at no one revision': withStore((store) => ({
    range: async ({ revision, ...request }) => ({ ...(await store.range(request)), ...(revision ? { revision } : {}) }),
  })),
  'a mirror says that it has arrived when time is up': {
    ...REAL,
    startMirror: async (options) => {
      const mirror = await Mirror.start(options);
      const waitFor = mirror.waitFor.bind(mirror);
      return Object.assign(mirror, {
        waitFor: (revision: number, given: { readonly timeoutMs: number }) => waitFor(revision, given).then(() => true),
      });
    },
  },
  'a transaction is sent again by the client': withStore((store) => ({
    transact: (transaction) => insist(() => store.transact(transaction)),
  })),
  'a commit is tried again without a record': withCommit((store, operation) => insist(() => store.transact(operation))),
  'a commit is looked up without a tombstone': withCommit(lookUpOnly),
  'a commit is decided anew while it may be on its way': withCommit(rebase),
  'a commit without an answer counts as done': withCommit((store, operation) =>
    orElse(store, operation, async () => ({ committed: true, revision: await presentRevision(store) })),
  ),
  'a commit without an answer counts as not done': withCommit((store, operation) =>
    orElse(store, operation, async () => {
      throw new StoreUnavailableError('given up; nothing was written');
    }),
  ),
  'a lease is kept in memory only': withStore(remembersLeases),
  'a lease is confirmed by a leader of the past': withStore(believesAnyLeader),
  'a lease is kept alive by itself': withStore(keepsLeasesAlive),
  'a lease counts as ended when etcd does not answer': withStore((store) => ({
    keepLeaseAlive: (lease) => store.keepLeaseAlive(lease).catch(() => false),
  })),
  'a call waits for as long as it takes': withStore((store) => ({
    get: (key) => insist(() => store.get(key)),
    status: () => insist(() => store.status()),
  })),
  'a read asks the member at hand': withStore(readsAtHand),
} satisfies Readonly<Record<string, Subject>>;

export type PlantedBug = keyof typeof PLANTED_BUGS;

/** The real code, with something else in place of some of its store's calls. */
function withStore(change: (store: Store, hosts: readonly string[], timing: Timing) => Partial<Store>): Subject {
  const connectChanged: Subject['connect'] = (hosts, timing) => {
    const store = REAL.connect(hosts, timing);
    return changed(store, change(store, hosts, timing));
  };
  return { ...REAL, connect: connectChanged };
}

/** The real code, with another way to commit. */
function withCommit(commit: Subject['commit']): Subject {
  return { ...REAL, commit };
}

/** What a watch's bug may meddle with: its client, before its streams are opened. */
type WatchBug = (client: Etcd3, watches: Watches) => Store['watch'];

function withOwnWatch(bug: WatchBug): Subject {
  return withStore((store, hosts, { requestTimeoutMs, progressIntervalMs }) => {
    const client = connect({ hosts }, requestTimeoutMs);
    const closed = new AbortController();
    const watches = new Watches({
      client,
      history: new ClusterHistory(),
      closed: closed.signal,
      answerTimeoutMs: requestTimeoutMs,
      progressIntervalMs,
    });
    return {
      watch: bug(client, watches),
      close: async () => {
        closed.abort();
        client.close();
        await store.close();
      },
    };
  });
}

/** How many streams the client has opened so far. */
function streamsOf({ watchClient }: Etcd3): () => number {
  const open = watchClient.watch.bind(watchClient);
  let opened = 0;
  watchClient.watch = (options) => {
    opened += 1;
    return open(options);
  };
  return () => opened;
}

/** Of the first answer after a break, one revision is missing. */
function resumesLate(client: Etcd3, watches: Watches): Store['watch'] {
  const streams = streamsOf(client);
  return async function* (request): AsyncGenerator<WatchBatch> {
    let before: number | null = null;
    for await (const batch of watches.watch(request)) {
      const [first] = batch.events;
      const resumes = before !== null && before !== streams() && first !== undefined;
      const events = batch.events.filter((event) => !resumes || revisionOf(event) > revisionOf(first));
      before = streams();
      yield { ...batch, events };
    }
  };
}

/** After a break, what was seen last is seen again. */
function resumesEarly(client: Etcd3, watches: Watches): Store['watch'] {
  const streams = streamsOf(client);
  return async function* (request): AsyncGenerator<WatchBatch> {
    let last: { readonly batch: WatchBatch; readonly streams: number } | null = null;
    for await (const batch of watches.watch(request)) {
      if (last !== null && last.streams !== streams()) yield last.batch;
      yield batch;
      last = { batch, streams: streams() };
    }
  };
}

async function* inParts(store: Store, request: WatchRequest): AsyncGenerator<WatchBatch> {
  for await (const batch of store.watch(request)) {
    if (batch.events.length === 0) yield batch;
    for (const event of batch.events) yield { revision: revisionOf(event), events: [event] };
  }
}

async function* overlookingGaps(store: Store, request: WatchRequest): AsyncGenerator<WatchBatch> {
  for (let { fromRevision } = request; !request.signal.aborted; ) {
    try {
      yield* store.watch({ ...request, fromRevision });
    } catch (error) {
      if (!(error instanceof HistoryGoneError)) throw error;
      fromRevision = (await insist(() => store.get(request.prefix))).revision + 1;
      yield { revision: fromRevision - 1, events: [] };
    }
  }
}

async function* runningAhead(store: Store, request: WatchRequest): AsyncGenerator<WatchBatch> {
  for await (const batch of store.watch(request)) {
    yield batch;
    const { revision } = await insist(() => store.get(request.prefix));
    yield { revision, events: [] };
  }
}

async function orElse(
  store: Store,
  { compares, writes }: Operation,
  otherwise: () => Promise<TransactionResult>,
): Promise<TransactionResult> {
  try {
    return await store.transact({ compares, writes });
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    return otherwise();
  }
}

async function presentRevision(store: Store): Promise<number> {
  return (await insist(() => store.get('any'))).revision;
}

const BETWEEN_LOOKS_MS = 30;

/** The record tells whether it has happened, but nothing keeps it from happening later. */
async function lookUpOnly(store: Store, { opId, by, leases, compares, writes }: Operation): Promise<TransactionResult> {
  for (let attempt = 0; ; attempt++) {
    const key = keys.op(`${opId}.${attempt}`);
    const record = putRecord('ops', key, { by, aborted: false }, await insist(() => leases.opsLease()));
    try {
      return await store.transact({ compares, writes: [record, ...writes] });
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      const { keyValue } = await insist(() => store.get(key));
      if (keyValue !== null) return { committed: true, revision: keyValue.createRevision };
      await pause(BETWEEN_LOOKS_MS);
    }
  }
}

/** Reads again and tries again, as after a compare that failed. */
async function rebase(store: Store, { compares, writes }: Operation): Promise<TransactionResult> {
  let current: Transaction = { compares, writes };
  for (;;) {
    try {
      return await store.transact(current);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      const fresh = await Promise.all(compares.map(({ key }) => insist(() => presentCompare(store, key))));
      current = { compares: fresh, writes };
    }
  }
}

async function presentCompare(store: Store, key: string): Promise<Compare> {
  const { keyValue } = await store.get(key);
  return { key, modRevision: keyValue?.modRevision ?? 0 };
}

function remembersLeases(store: Store): Partial<Store> {
  const ttls = new Map<LeaseId, { readonly ttlMs: number; aliveUntilMs: number }>();
  return {
    grantLease: async (ttlSeconds) => {
      const lease = await store.grantLease(ttlSeconds);
      ttls.set(lease, { ttlMs: ttlSeconds * 1000, aliveUntilMs: performance.now() + ttlSeconds * 1000 });
      return lease;
    },
    keepLeaseAlive: async (lease) => {
      const known = ttls.get(lease);
      const isAlive = known !== undefined && performance.now() < known.aliveUntilMs;
      if (isAlive) known.aliveUntilMs = performance.now() + known.ttlMs;
      store.keepLeaseAlive(lease).catch(() => undefined);
      return isAlive;
    },
  };
}

/** Takes the first answer for the truth. */
function believesAnyLeader(store: Store, hosts: readonly string[], { requestTimeoutMs }: Timing): Partial<Store> {
  const client = connect({ hosts }, requestTimeoutMs);
  return {
    keepLeaseAlive: async (lease) => {
      const stream = await client.leaseClient.leaseKeepAlive({ deadline: Date.now() + requestTimeoutMs });
      const { TTL } = await firstAnswer(stream, { ID: lease });
      return Number(TTL) > 0;
    },
    close: async () => {
      client.close();
      await store.close();
    },
  };
}

/** What the package's own leases do, for as long as their client lives. */
function keepsLeasesAlive(store: Store): Partial<Store> {
  const timers: ReturnType<typeof setInterval>[] = [];
  return {
    grantLease: async (ttlSeconds) => {
      const lease = await store.grantLease(ttlSeconds);
      timers.push(setInterval(() => store.keepLeaseAlive(lease).catch(() => undefined), (ttlSeconds * 1000) / 3));
      return lease;
    },
    close: async () => {
      for (const timer of timers) clearInterval(timer);
      await store.close();
    },
  };
}

/** Without asking the leader, a member answers from what it knows. */
function readsAtHand(store: Store, hosts: readonly string[], { requestTimeoutMs }: Timing): Partial<Store> {
  const client = connect({ hosts }, requestTimeoutMs);
  const read = async (key: string): Promise<{ keyValue: KeyValue | null; revision: number }> => {
    const { kvs, header } = await client.kv.range({ key: Buffer.from(key), serializable: true });
    const [first] = kvs;
    return { keyValue: first === undefined ? null : fromKeyValue(first), revision: Number(header.revision) };
  };
  return {
    get: (key) =>
      read(key).catch((cause) => {
        throw new StoreUnavailableError('reading at hand', { cause });
      }),
    close: async () => {
      client.close();
      await store.close();
    },
  };
}
