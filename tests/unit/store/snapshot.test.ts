import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { KeyValue, Store, WatchEvent, Write } from '../../../control-plane/store/contract.ts';
import { keys, PREFIX, RECORD_KINDS } from '../../../control-plane/store/keys.ts';
import { encodeRecord, putRecord, RecordError } from '../../../control-plane/store/records.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { aJob, aLedger, aNode, anOffer, aTask } from '../../support/builders.ts';
import { SAMPLES } from './samples.ts';

const NODES = ['n1', 'n2'];
const JOBS = ['one', 'two', 'three'];
const OFFERS = NODES.flatMap((node) => offersOf(node).map(({ id }) => id));

function keyValue(key: string, value: string, modRevision: number): KeyValue {
  return { key, value, createRevision: modRevision, modRevision, lease: null };
}

function put(write: Write, modRevision: number): WatchEvent {
  if (write.type === 'delete') return { type: 'delete', key: write.key, modRevision };
  return { type: 'put', keyValue: keyValue(write.key, write.value, modRevision) };
}

/** Everything that a reader can see, in an order of its own. */
function contentOf(snapshot: Snapshot) {
  const ids = (items: Iterable<{ id: string }>) => [...items].map((item) => item.id).sort();
  const sorted = <V>(map: ReadonlyMap<string, V>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    revision: snapshot.revision,
    cluster: snapshot.cluster,
    driver: snapshot.driver,
    round: snapshot.round,
    nodes: sorted(snapshot.nodes),
    epochs: sorted(snapshot.epochs),
    ledgers: sorted(snapshot.ledgers),
    jobs: sorted(snapshot.jobs),
    tasks: sorted(snapshot.tasks),
    replicas: sorted(snapshot.replicas),
    streams: sorted(snapshot.streams),
    alive: NODES.map((node) => snapshot.isAlive(node)),
    pending: ids(snapshot.pendingTasks()),
    unsettled: [...snapshot.unsettledJobs()].map((job) => job.uid).sort(),
    byKey: JOBS.map((name) => snapshot.jobByKey({ role: 'default', name })?.uid),
    versions: JOBS.map((name) => snapshot.version(`uid${name}`, 1)),
    byJob: JOBS.flatMap((name) => ['', 'b'].map((suffix) => ids(snapshot.tasksOfJob(`uid${name}${suffix}`)))),
    byNode: NODES.map((node) => ids(snapshot.tasksOnNode(node))),
    offers: OFFERS.map((id) => [snapshot.standingOffer(id), snapshot.filterAfter(id)]),
  };
}

const jobWrite = fc
  .record({
    name: fc.constantFrom(...JOBS),
    suffix: fc.constantFrom('', 'b'),
    deleted: fc.boolean(),
    done: fc.boolean(),
  })
  .map(({ name, suffix, deleted, done }): Write => {
    const outcome = done ? ({ state: 'succeeded', atMs: 1, message: 'done' } as const) : null;
    const job = aJob({ uid: `uid${name}${suffix}`, spec: { name }, deleted, outcome });
    return putRecord('jobs', keys.job(job.spec), job);
  });

const taskWrite = fc
  .record({
    name: fc.constantFrom(...JOBS),
    index: fc.integer({ min: 0, max: 2 }),
    state: fc.constantFrom('pending', 'staging', 'running', 'finished'),
    node: fc.constantFrom(null, ...NODES),
  })
  .map(({ name, index, state, node }): Write => {
    const task = aTask(aJob({ spec: { name } }), { index, state, node });
    return putRecord('tasks', keys.task(task.id), task);
  });

function offersOf(node: string): Offer[] {
  return [0, 1].map((place) => anOffer({ id: `1-${node.slice(1)}-${place}` }));
}

/** One of its offers has been declined, the other one stands. */
function answeredLedger(node: string): Ledger {
  const [declined = anOffer(), ...standing] = offersOf(node);
  const { id: offer, framework, role, resources: refused } = declined;
  const filter = {
    framework,
    role,
    offer,
    refused,
    generation: 0,
    sinceMs: 0,
    untilMs: 1,
    because: 'declined',
    times: 1,
  } as const;
  return aLedger({ node, offers: standing, filters: [filter] });
}

const nodeWrites = fc
  .constantFrom(...NODES)
  .chain((node) =>
    fc.constantFrom<Write>(
      putRecord('nodes', keys.node(node), aNode({ id: node })),
      putRecord('ledger', keys.ledger(node), aLedger({ node })),
      putRecord('ledger', keys.ledger(node), aLedger({ node, eligible: false })),
      putRecord('ledger', keys.ledger(node), aLedger({ node, offers: offersOf(node) })),
      putRecord('ledger', keys.ledger(node), answeredLedger(node)),
      putRecord('epochs', keys.epoch(node), { epoch: 2, unreachableSinceMs: null }),
      putRecord('alive', keys.alive(node), { epoch: 2 }),
    ),
  );

const sampleWrite = fc
  .constantFrom(...RECORD_KINDS)
  .map((kind): Write => ({ type: 'put', key: SAMPLES[kind].key, value: encodeRecord(kind, SAMPLES[kind].value) }));

const anyWrite = fc.oneof(
  { weight: 3, arbitrary: jobWrite },
  { weight: 5, arbitrary: taskWrite },
  { weight: 3, arbitrary: nodeWrites },
  { weight: 2, arbitrary: sampleWrite },
  { weight: 1, arbitrary: fc.constant<Write>({ type: 'put', key: `${PREFIX}foreign/x`, value: 'not JSON' }) },
);

/** A transaction over keys that are each written once; now and then a write is turned into a deletion. */
const anyTransaction = fc
  .uniqueArray(anyWrite, { selector: (write) => write.key, minLength: 1, maxLength: 4 })
  .chain((writes) =>
    fc
      .array(fc.nat(3), { minLength: writes.length, maxLength: writes.length })
      .map((chances) =>
        writes.map((write, index): Write => (chances[index] === 0 ? { type: 'delete', key: write.key } : write)),
      ),
  );

async function follow(store: Store, snapshot: Snapshot, target: number): Promise<void> {
  const abort = new AbortController();
  const watch = store.watch({ prefix: PREFIX, fromRevision: snapshot.revision + 1, signal: abort.signal });
  if (snapshot.revision >= target) return;
  for await (const batch of watch) {
    snapshot.apply(batch);
    if (snapshot.revision >= target) return;
  }
}

test('a snapshot that follows the store equals one that is read from it, at every revision', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyTransaction, { maxLength: 30 }), async (transactions) => {
      const store = new MemoryStore({ clock: new ManualClock() });
      const followed = await Snapshot.load(store);
      const reset = await Snapshot.load(store);
      for (const writes of transactions) {
        const { revision } = await store.transact({ compares: [], writes });
        await follow(store, followed, revision);
        const read = await Snapshot.load(store);
        expect(followed.differences(read)).toEqual([]);
        expect(contentOf(followed)).toEqual(contentOf(read));
        for (const { key } of (await store.range({ prefix: `${PREFIX}tasks/` })).keyValues) {
          expect(followed.modRevision(key)).toBe(read.modRevision(key));
        }
      }
      reset.reset(followed);
      expect(contentOf(reset)).toEqual(contentOf(followed));
    }),
    { numRuns: 60 },
  );
});

test('a change carries what was and what is, and the id of the domain', () => {
  const job = aJob({ spec: { role: 'eng/ml' } });
  const task = aTask(job);
  const running = { ...task, state: 'running' as const };
  const writes: Write[] = [
    putRecord('jobs', keys.job(job.spec), job),
    putRecord('tasks', keys.task(task.id), task),
    putRecord('versions', SAMPLES.versions.key, SAMPLES.versions.value),
    putRecord('streams', SAMPLES.streams.key, SAMPLES.streams.value),
    putRecord('rounds', keys.currentRound, SAMPLES.rounds.value),
  ];
  const snapshot = new Snapshot(1);
  const created = snapshot.apply({ revision: 2, events: writes.map((write) => put(write, 2)) });
  expect(created.map(({ kind, id, before }) => [kind, id, before])).toEqual([
    ['jobs', job.uid, null],
    ['tasks', task.id, null],
    ['versions', `${SAMPLES.versions.value.jobUid}/1`, null],
    ['streams', 's1', null],
    ['rounds', 'current', null],
  ]);
  const key = keys.task(task.id);
  const changed = snapshot.apply({ revision: 9, events: [put(putRecord('tasks', key, running), 7)] });
  expect(changed).toEqual([{ kind: 'tasks', key, id: task.id, revision: 7, before: task, after: running }]);
  const gone = snapshot.apply({ revision: 10, events: [{ type: 'delete', key: keys.job(job.spec), modRevision: 10 }] });
  expect(gone).toEqual([
    { kind: 'jobs', key: keys.job(job.spec), id: job.uid, revision: 10, before: job, after: null },
  ]);
  expect(snapshot.revision).toBe(10);
});

test('a name that goes over to a new job in one step leaves nothing of the old one', () => {
  const [old, next] = [aJob({ uid: 'old' }), aJob({ uid: 'next' })];
  const key = keys.job(old.spec);
  const snapshot = new Snapshot(2, [keyValue(key, encodeRecord('jobs', old), 2)]);
  snapshot.apply({ revision: 3, events: [put(putRecord('jobs', key, next), 3)] });
  expect([...snapshot.jobs.keys()]).toEqual(['next']);
  expect([...snapshot.unsettledJobs()].map((job) => job.uid)).toEqual(['next']);
  expect(snapshot.jobByKey(old.spec)?.uid).toBe('next');
});

test('a job is unsettled while it has no outcome, and again once it is to be deleted', () => {
  const outcome = { state: 'succeeded', atMs: 1, message: 'done' } as const;
  const unsettled = (change: Parameters<typeof aJob>[0]) => {
    const job = aJob(change);
    const snapshot = new Snapshot(2, [keyValue(keys.job(job.spec), encodeRecord('jobs', job), 2)]);
    return [...snapshot.unsettledJobs()].length === 1;
  };
  expect(unsettled({})).toBe(true);
  expect(unsettled({ outcome })).toBe(false);
  expect(unsettled({ outcome, deleted: true })).toBe(true);
});

test('two snapshots differ where only the lease of a key does', () => {
  const { key, value } = SAMPLES.alive;
  const [one, other] = ['1', '2'].map(
    (lease) => new Snapshot(2, [{ ...keyValue(key, encodeRecord('alive', value), 2), lease }]),
  );
  expect(one?.differences(other ?? new Snapshot(1))).toEqual([key]);
});

test('secrets, answers, operations and what is on record of callers are never kept', () => {
  const unkept = (['ops', 'idempotency', 'secrets', 'audit'] as const).map((kind) => SAMPLES[kind].key);
  const snapshot = new Snapshot(
    1,
    unkept.map((key) => keyValue(key, 'not even JSON', 1)),
  );
  expect(snapshot.apply({ revision: 2, events: unkept.map((key) => put({ type: 'put', key, value: '' }, 2)) })).toEqual(
    [],
  );
  for (const key of unkept) expect(() => snapshot.modRevision(key)).toThrow(`key ${key} is not kept`);
});

test('a key tells the revision of its last change and its lease, and 0 and null when it does not exist', () => {
  const { key, value } = SAMPLES.alive;
  const snapshot = new Snapshot(5, [{ ...keyValue(key, encodeRecord('alive', value), 4), lease: '77' }]);
  expect([snapshot.modRevision(key), snapshot.lease(key)]).toEqual([4, '77']);
  expect([snapshot.modRevision(keys.alive('none')), snapshot.lease(keys.alive('none'))]).toEqual([0, null]);
  expect(snapshot.epochOf('none')).toBe(0);
});

test('a batch with a record that cannot be read changes nothing', () => {
  const snapshot = new Snapshot(1);
  const good = putRecord('alive', keys.alive('a'), { epoch: 1 });
  const bad: Write = { type: 'put', key: keys.alive('b'), value: '{}' };
  const apply = () => snapshot.apply({ revision: 3, events: [put(good, 2), put(bad, 3)] });
  expect(apply).toThrow(RecordError);
  expect([snapshot.revision, snapshot.isAlive('a')]).toEqual([1, false]);
});

test('a reset tells the difference, and notices another value under the same revision', () => {
  const alive = (id: string, epoch: number, revision: number) =>
    keyValue(keys.alive(id), encodeRecord('alive', { epoch }), revision);
  const before = new Snapshot(9, [alive('same', 1, 3), alive('gone', 1, 4), alive('other', 1, 5)]);
  const after = new Snapshot(7, [alive('same', 1, 3), alive('other', 2, 5), alive('new', 1, 6)]);
  expect(before.differences(after)).toEqual([keys.alive('gone'), keys.alive('new'), keys.alive('other')]);
  const changes = before.reset(after).map(({ id, revision, after: value }) => [id, revision, value]);
  expect(changes).toEqual([
    ['gone', 7, null],
    ['other', 5, { epoch: 2 }],
    ['new', 6, { epoch: 1 }],
  ]);
  expect([before.revision, before.differences(after)]).toEqual([7, []]);
});

test('loading reads one state, page by page, while writes go on', async () => {
  const store = new MemoryStore({ clock: new ManualClock() });
  for (let start = 0; start < 1200; start += 100) {
    const writes = Array.from({ length: 100 }, (_, index) =>
      putRecord('alive', keys.alive(`n${start + index}`), { epoch: 1 }),
    );
    await store.transact({ compares: [], writes });
  }
  const { revision } = await store.get(keys.cluster);
  const loading = Snapshot.load(store, revision);
  for (let index = 0; index < 50; index++) {
    await store.transact({
      compares: [],
      writes: [putRecord('epochs', keys.epoch('late'), { epoch: index, unreachableSinceMs: null })],
    });
  }
  const loaded = await loading;
  expect([loaded.revision, loaded.isAlive('n1199'), loaded.epochOf('late')]).toEqual([revision, true, 0]);
});
