import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { sleep } from '../../shared/util/clock.ts';
import { type Commit, FaultyStore, StoreLink } from './faulty-store.ts';
import { SeededRandom } from './seeded-random.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { VirtualClock } from './virtual-clock.ts';
import { Weather } from './weather.ts';

async function runOut(clock: VirtualClock, stepsMax = 10_000): Promise<void> {
  for (let steps = 0; steps < stepsMax; steps++) if (!(await clock.step())) return;
  throw new Error('the clock never comes to rest');
}

describe('virtual time', () => {
  it('fires timers by their time, those of one instant in their order', async () => {
    const clock = new VirtualClock(1000);
    const fired: string[] = [];
    for (const [name, delayMs] of [
      ['c', 20],
      ['a', 10],
      ['b', 10],
      ['d', 20],
    ] as const) {
      clock.setTimer(delayMs, () => fired.push(`${name}@${clock.monotonicMs()}`));
    }
    clock.setTimer(15, () => fired.push('never')).cancel();
    await runOut(clock);
    expect(fired).toEqual(['a@10', 'b@10', 'c@20', 'd@20']);
    expect(clock.now()).toBe(1020);
  });

  it('lets everything that a timer sets off run to its end before the next', async () => {
    const clock = new VirtualClock(0);
    const seen: string[] = [];
    const chain = async () => {
      for (let link = 0; link < 50; link++) await Promise.resolve();
      seen.push('chain');
    };
    clock.setTimer(1, () => void chain());
    clock.setTimer(1, () => seen.push('next'));
    await runOut(clock);
    expect(seen).toEqual(['chain', 'next']);
  });
});

describe('seeded chance', () => {
  it('is the same for the same seed, and split by name', () => {
    const draw = (random: SeededRandom) => Array.from({ length: 20 }, () => random.next());
    expect(draw(new SeededRandom(5))).toEqual(draw(new SeededRandom(5)));
    expect(draw(new SeededRandom(5))).not.toEqual(draw(new SeededRandom(6)));
    const drawn = new SeededRandom(5);
    drawn.next();
    expect(draw(drawn.split('a'))).toEqual(draw(new SeededRandom(5).split('a')));
    expect(draw(drawn.split('a'))).not.toEqual(draw(drawn.split('b')));
  });

  it('covers a range evenly, both ends included', () => {
    const random = new SeededRandom(1);
    const counts = new Map<number, number>();
    for (let draws = 0; draws < 3000; draws++) {
      const drawn = random.between(5, 7);
      counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([5, 6, 7]);
    expect(Math.min(...counts.values())).toBeGreaterThan(900);
  });
});

describe('a simulated process', () => {
  it('hears of everything in its order once it goes on', async () => {
    const clock = new VirtualClock(0);
    const process = new SimulatedProcess('p', clock);
    const heard: string[] = [];
    process.pause();
    process.clock.setTimer(1, () => heard.push('timer'));
    void process.receive(sleep(clock, 2)).then(() => heard.push('answer'));
    await runOut(clock);
    expect(heard).toEqual([]);
    process.resume();
    process.deliver(() => heard.push('later'));
    await runOut(clock);
    expect(heard).toEqual(['timer', 'answer', 'later']);
  });

  it('hears of nothing after its end', async () => {
    const clock = new VirtualClock(0);
    const process = new SimulatedProcess('p', clock);
    let heard = 0;
    process.clock.setTimer(1, () => heard++);
    process.kill();
    process.deliver(() => heard++);
    await runOut(clock);
    expect(heard).toBe(0);
  });
});

describe('a faulty store', () => {
  function world(seed: number) {
    const clock = new VirtualClock(0);
    const shared = new MemoryStore({ clock });
    const process = new SimulatedProcess('replica-1', clock);
    const link = new StoreLink();
    const commits: Commit[] = [];
    const random = new SeededRandom(seed);
    const parts = { shared, clock, process, link, random, weather: new Weather(random.split('weather')) };
    const store = new FaultyStore(
      { ...parts, revision: () => 0, onCommit: (commit) => commits.push(commit) },
      { replica: 'replica-1', session: null },
    );
    return { clock, shared, process, link, commits, store };
  }

  it('delivers every change once and in order over broken watches', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { clock, shared, store, link } = world(seed);
      const seen: number[] = [];
      const abort = new AbortController();
      const watch = (async () => {
        for await (const { events } of store.watch({ prefix: '/', fromRevision: 2, signal: abort.signal })) {
          for (const event of events) seen.push(event.type === 'put' ? event.keyValue.modRevision : 0);
        }
      })();
      for (let write = 0; write < 200; write++) {
        clock.setTimer(10 * write, () => {
          link.losesRequests = write % 50 > 40;
          link.losesAnswers = write % 50 > 45;
          void shared.transact({ compares: [], writes: [{ type: 'put', key: `/${write % 7}`, value: '{}' }] });
        });
      }
      clock.setTimer(2000, () => {
        link.losesRequests = false;
        link.losesAnswers = false;
      });
      clock.setTimer(60_000, () => abort.abort());
      await runOut(clock);
      await watch;
      expect(seen).toEqual(Array.from({ length: 200 }, (_, place) => place + 2));
    }
  });

  it('carries out what was sent before its sender died', async () => {
    const { clock, commits, store, process } = world(3);
    void store.transact({ compares: [], writes: [{ type: 'put', key: '/a', value: '{}' }] });
    process.kill();
    await runOut(clock);
    expect(commits).toHaveLength(1);
  });

  it('answers nobody while it is cut off', async () => {
    const { clock, commits, store, link } = world(3);
    link.losesRequests = true;
    const failed = expect(store.get('/a')).rejects.toBeInstanceOf(StoreUnavailableError);
    await runOut(clock);
    await failed;
    expect(commits).toEqual([]);
  });
});

describe('a simulated disk', () => {
  it('keeps what was flushed, and of the rest a beginning', async () => {
    const clock = new VirtualClock(0);
    for (let seed = 1; seed <= 20; seed++) {
      const disk = new SimulatedDisk(new SeededRandom(seed));
      const process = new SimulatedProcess('agent', clock);
      const journal = disk.journalOf(process, clock);
      const append = (from: number, to: number) => {
        for (let task = from; task < to; task++) journal.append({ kind: 'forgotten', task: `t${task}` });
      };
      append(0, 3);
      const flushed = journal.flush();
      await runOut(clock);
      await flushed;
      append(3, 6);
      disk.crash();
      const loaded = disk.journalOf(process, clock).load();
      await runOut(clock);
      const kept = (await loaded).map((record) => ('task' in record ? record.task : ''));
      expect(kept.length).toBeGreaterThanOrEqual(3);
      expect(kept).toEqual(['t0', 't1', 't2', 't3', 't4', 't5'].slice(0, kept.length));
    }
  });
});
