/** Requests that are served one at a time at a desk, over a state that they share. */
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { Driver } from '../../../control-plane/controllers/driver.ts';
import { DESKS_MAX, Desks, type DesksOptions, NoDeskError } from '../../../control-plane/main-worker-desks.ts';
import { takeTurn } from '../../../control-plane/main-worker-turn.ts';
import { Visit } from '../../../control-plane/main-worker-visit.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { mintAdminToken } from '../../../control-plane/services/tokens.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';
import { eventually } from '../../support/processes.ts';
import { JOINER, nodeOf, startReplica } from '../../support/replica.ts';

const never = new AbortController().signal;
const unreachable = () => Promise.reject(new Error('nobody is asked'));

let memory: MemoryStore;
let watches: number;
let lists: number;

beforeEach(() => {
  memory = new MemoryStore({ clock: new SystemClock() });
  watches = 0;
  lists = 0;
});

/** Counts the watches that are open. */
function counted(): Store {
  return changed(memory, {
    range: (request) => {
      lists += 1;
      return memory.range(request);
    },
    async *watch(request) {
      watches += 1;
      try {
        yield* memory.watch(request);
      } finally {
        watches -= 1;
      }
    },
  });
}

function desksOver(change: Partial<DesksOptions> = {}): Desks {
  return new Desks({
    ...{ clock: new SystemClock(), random: new CryptoRandom(), log: SILENT_LOGGER },
    url: 'https://berth.example',
    openStore: counted,
    readEnvelope: async () => undefined,
    config: { leaseTtlMs: 10_000, heartbeatIntervalMs: 2500, version: '0.0.0-test' },
    outsideIssuers: [],
    clientAddress: () => null,
    fetch: unreachable,
    requestMsMax: 60_000,
    ...change,
  });
}

describe('desks', () => {
  it('are used again, one request at a time, over one state', async () => {
    const desks = desksOver();
    const first = await desks.take(never);
    const second = await desks.take(never);
    expect(second).not.toBe(first);
    expect(second.mirror.snapshot).toBe(first.mirror.snapshot);
    desks.giveBack(first);
    expect(await desks.take(never)).toBe(first);
    desks.giveBack(first);
    desks.giveBack(second);
    expect(await desks.take(never, first)).toBe(first);
    expect(desks.taken).toBe(1);
  });

  it('list the state once, however many requests come to one that knows nothing', async () => {
    const alone = desksOver();
    await alone.take(never);
    const once = lists;
    lists = 0;
    const desks = desksOver();
    await Promise.all([1, 2, 3].map(() => desks.take(never)));
    // Each desk reads the keys that tokens are signed with.
    expect(lists).toBeLessThan(1.5 * once);
  });

  it('are so many and no more; one whose request was ended without a word counts until its time is over', async () => {
    const clock = new ManualClock();
    memory = new MemoryStore({ clock });
    const desks = desksOver({ clock });
    const first = await desks.take(never);
    const others = Array.from({ length: DESKS_MAX - 1 }, () => desks.take(never));
    await Promise.all(others);
    await expect(desks.take(never)).rejects.toThrow(NoDeskError);
    desks.giveBack(first);
    await desks.take(never);
    await expect(desks.take(never)).rejects.toThrow(`${DESKS_MAX} requests are served here`);
    await clock.advance(120_000);
    await desks.take(never);
    expect(desks.taken).toBe(1);
  });

  it('are made anew after ten minutes', async () => {
    const clock = new ManualClock();
    memory = new MemoryStore({ clock });
    const desks = desksOver({ clock });
    const desk = await desks.take(never);
    await clock.advance(599_000);
    desks.giveBack(desk);
    expect(await desks.take(never)).toBe(desk);
    desks.giveBack(desk);
    await clock.advance(1000);
    expect(await desks.take(never)).not.toBe(desk);
  });

  it('refuse a state that there is no room for, and keep no place for whoever asked', async () => {
    const value = 'x'.repeat(9 * 1024 ** 2);
    const keyValue = { key: '/berth/nodes/n1', value, createRevision: 1, modRevision: 1, lease: null };
    const large = changed(memory, {
      range: async (request) => ({ ...(await memory.range(request)), keyValues: [keyValue] }),
    });
    const desks = desksOver({ openStore: () => large });
    await expect(desks.take(never)).rejects.toThrow(/larger than the 16 MiB that a Worker has room for/);
    expect(desks.taken).toBe(0);
  });
});

describe('a visit', () => {
  async function begun(desks: Desks, requestMsMax = 60_000) {
    const options = { desks, clock: new SystemClock(), log: SILENT_LOGGER, requestMsMax };
    const visit = await Visit.begin(options);
    let reads = 0;
    const read = () => {
      reads += 1;
    };
    return { visit, read, reads: () => reads };
  }

  async function tokenOf(desks: Desks): Promise<string> {
    const over = new AbortController();
    const desk = await desks.take(over.signal);
    const { token } = await mintAdminToken(desk.replica.mint, { subject: 'test', ttlSeconds: 600 });
    over.abort();
    desks.giveBack(desk);
    return token;
  }

  function call(token: string, path: string, init: RequestInit = {}): Request {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...init.headers };
    return new Request(`https://berth.example${path}`, { ...init, headers });
  }

  const job = JSON.stringify({ name: 'one', groups: [{ image: 'berth/busybox:local' }] });

  async function registered() {
    const { ctx, stop } = await startReplica({ store: memory });
    onTestFinished(stop);
    await registerNode(ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    return ctx;
  }

  it('that only reads asks for the present, follows nothing and ends when its answer is read', async () => {
    const desks = desksOver();
    const token = await tokenOf(desks);
    const { visit, read, reads } = await begun(desks);
    const answer = await visit.answer(call(token, '/v1/jobs'), read);
    expect([answer.status, reads()]).toEqual([200, 0]);
    expect(await answer.json()).toMatchObject({ items: [] });
    expect(reads()).toBe(1);
    await visit.end();
    expect([watches, desks.taken]).toEqual([0, 0]);
  });

  it('that changes something drives after its answer, where nobody else does', async () => {
    await registered();
    const desks = desksOver();
    const { visit, read } = await begun(desks);
    const answer = await visit.answer(call(await tokenOf(desks), '/v1/jobs', { method: 'POST', body: job }), read);
    expect(answer.status).toBe(201);
    await answer.text();
    await visit.end();
    const { tasks, driver } = await Snapshot.load(memory);
    expect([...tasks.values()].map(({ state }) => state)).toEqual(['staging']);
    expect([driver, desks.taken]).toEqual([null, 0]);
    await eventually('its watch to end', async () => watches === 0);
  });

  it('leaves that to whoever drives already', async () => {
    const ctx = await registered();
    const over = new AbortController();
    let rounds = 0;
    const slow = changed(memory, {
      transact: (transaction) => {
        rounds += transaction.writes.some(({ key }) => key.includes('/rounds/')) ? 1 : 0;
        return memory.transact(transaction);
      },
    });
    const running = new Driver({ ...ctx, store: slow }).run(over.signal);
    onTestFinished(async () => {
      over.abort();
      await running;
    });
    await eventually('the replica to drive', async () => ctx.mirror.snapshot.driver !== null);
    const desks = desksOver();
    const { visit, read } = await begun(desks);
    await (await visit.answer(call(await tokenOf(desks), '/v1/jobs', { method: 'POST', body: job }), read)).text();
    await visit.end();
    await eventually('the task to have its place', async () =>
      [...ctx.mirror.snapshot.tasks.values()].some(({ state }) => state === 'staging'),
    );
    expect([ctx.mirror.snapshot.round?.owner, rounds]).toEqual([ctx.replica.id, 1]);
  });

  it('that lasts follows for as long as it does, and is ended after a while in a way that its reader resumes from', async () => {
    const desks = desksOver();
    const token = await tokenOf(desks);
    const { visit, read, reads } = await begun(desks, 200);
    const answer = await visit.answer(call(token, '/v1/events', { headers: { accept: 'text/event-stream' } }), read);
    await eventually('it to follow', async () => watches === 1);
    const text = await answer.text();
    expect([text.includes('event: error'), reads()]).toEqual([false, 1]);
    await visit.end();
    expect(desks.taken).toBe(0);
    await eventually('its watch to end', async () => watches === 0);
  });

  it('that waits makes room where desks are short, and is not ended before it was answered', async () => {
    const desks = desksOver();
    const token = await tokenOf(desks);
    const over = new AbortController();
    const others = await Promise.all(Array.from({ length: DESKS_MAX - 5 }, () => desks.take(over.signal)));
    expect(desks.isCrowded).toBe(true);
    const { visit, read, reads } = await begun(desks);
    const startedMs = performance.now();
    const answer = await visit.answer(call(token, '/v1/events?waitMs=30000'), read);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    // Its time was over before it was answered, and so nobody waits for its being read.
    expect([answer.status, reads()]).toEqual([200, 1]);
    expect(await answer.json()).toMatchObject({ items: [] });
    await visit.end();
    over.abort();
    for (const desk of others) desks.giveBack(desk);
    expect([desks.taken, desks.isCrowded]).toEqual([0, false]);
  });

  it('whose client has gone keeps its desk until what it began is done', async () => {
    const desks = desksOver({
      openStore: () =>
        changed(counted(), {
          transact: async (transaction) => {
            await held.promise;
            return memory.transact(transaction);
          },
        }),
    });
    const held = Promise.withResolvers<void>();
    held.resolve();
    const token = await tokenOf(desks);
    const { visit, read, reads } = await begun(desks);
    const slow = Promise.withResolvers<void>();
    held.promise = slow.promise;
    const gone = new AbortController();
    const answering = visit.answer(call(token, '/v1/jobs', { method: 'POST', body: job, signal: gone.signal }), read);
    gone.abort();
    await new Promise((resolve) => setImmediate(resolve));
    expect([reads(), desks.taken]).toEqual([0, 1]);
    slow.resolve();
    await answering;
    expect(reads()).toBe(1);
    await visit.end();
    expect(desks.taken).toBe(0);
  });

  it('ends with its reader, whether that tells or not', async () => {
    const desks = desksOver();
    const token = await tokenOf(desks);
    for (const tells of [true, false]) {
      const gone = new AbortController();
      const { visit, read, reads } = await begun(desks);
      const init = { headers: { accept: 'text/event-stream' }, signal: gone.signal };
      const answer = await visit.answer(call(token, '/v1/events', init), read);
      await eventually('it to follow', async () => watches === 1);
      if (tells) gone.abort();
      else await answer.body?.cancel();
      await eventually('its end to be heard of', async () => reads() > 0);
      await visit.end();
      expect(desks.taken).toBe(0);
      await eventually('its watch to end', async () => watches === 0);
    }
  });
});

describe('a turn of the trigger', () => {
  const clock = new SystemClock();
  const config = { leaseTtlMs: 200, heartbeatIntervalMs: 100, version: '0.0.0-test' };

  it('drives for its time, marks nodes that have gone silent, and leaves the seat; the next one is taken at the same desk', async () => {
    const { ctx, stop } = await startReplica({ store: memory });
    onTestFinished(stop);
    await registerNode(ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    const { keyValue } = await memory.get('/berth/alive/edge-1');
    await memory.revokeLease(keyValue?.lease ?? '');
    const desks = desksOver({ config });
    const turn = takeTurn({ desks, clock, log: SILENT_LOGGER, usual: null, turnMsMax: 1500 });
    await eventually('somebody to drive', async () => ctx.mirror.snapshot.driver !== null);
    const isMarked = () => (ctx.mirror.snapshot.epochs.get('edge-1')?.unreachableSinceMs ?? null) !== null;
    await eventually('the silent node to be marked', async () => isMarked(), 5000);
    const usual = await turn;
    expect((await Snapshot.load(memory)).driver).toBe(null);
    expect(desks.taken).toBe(0);
    await eventually('its watch to end', async () => watches === 0);
    expect(await takeTurn({ desks, clock, log: SILENT_LOGGER, usual, turnMsMax: 50 })).toBe(usual);
  });
});
