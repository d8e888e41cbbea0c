/** The seams break what they say, and nothing else. */
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { aGroup } from '../support/builders.ts';
import { aCheck } from '../support/fake-probes.ts';
import { type Behaviour, environmentOf } from './behaviour.ts';
import { type Commit, FaultyStore, StoreLink } from './faulty-store.ts';
import { HostClock } from './host-clock.ts';
import { Network, NetworkFault } from './network.ts';
import { SeededRandom } from './seeded-random.ts';
import { SimulatedEngine } from './simulated-engine.ts';
import { SimulatedProbes } from './simulated-probes.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { VirtualClock } from './virtual-clock.ts';
import { Weather } from './weather.ts';

async function runOut(clock: VirtualClock, stepsMax = 10_000): Promise<void> {
  for (let steps = 0; steps < stepsMax; steps++) if (!(await clock.step())) return;
  throw new Error('the clock never comes to rest');
}

function calmWeather(): Weather {
  const weather = new Weather(new SeededRandom(1));
  weather.calm();
  return weather;
}

describe("a host's clock", () => {
  it('runs at its own rate, timers included', async () => {
    const world = new VirtualClock(1_000_000);
    const host = new HostClock(world, { skewMs: 0, rate: 1.02 });
    let firedAtMs = 0;
    host.setTimer(102_000, () => {
      firedAtMs = world.monotonicMs();
    });
    await runOut(world);
    expect(firedAtMs).toBe(100_000);
    expect(host.monotonicMs()).toBeCloseTo(102_000);
    expect(host.now()).toBe(1_102_000);
  });

  it('never fires a timer early by its own measure', async () => {
    const world = new VirtualClock(0);
    const host = new HostClock(world, { skewMs: 0, rate: 0.98 });
    let firedAtMs = 0;
    host.setTimer(1000, () => {
      firedAtMs = host.monotonicMs();
    });
    await runOut(world);
    expect(firedAtMs).toBeGreaterThanOrEqual(1000);
  });

  it('is set without a step of the steady clock', () => {
    const host = new HostClock(new VirtualClock(5000), { skewMs: 100, rate: 1 });
    host.set(-2000);
    expect(host.now()).toBe(3000);
    expect(host.monotonicMs()).toBe(0);
  });
});

describe('a network', () => {
  async function called(cut: { readonly from: string; readonly to: string } | null) {
    const clock = new VirtualClock(0);
    const network = new Network(clock, new SeededRandom(1), calmWeather());
    const [from, to] = [new SimulatedProcess('a', clock), new SimulatedProcess('b', clock)];
    if (cut !== null) network.cutWay(cut);
    let arrived = 0;
    const work = async () => {
      arrived += 1;
      return 'answer';
    };
    const outcome = network.call({ from, to, timeoutMs: 10_000, work }).catch((error: unknown) => error);
    await runOut(clock);
    return { arrived, outcome: await outcome };
  }

  it('carries a call there and back', async () => {
    expect(await called(null)).toEqual({ arrived: 1, outcome: 'answer' });
  });

  it('loses requests where that way is cut', async () => {
    const { arrived, outcome } = await called({ from: 'a', to: 'b' });
    expect(arrived).toBe(0);
    expect(outcome).toBeInstanceOf(NetworkFault);
  });

  it('loses answers, and not requests, where the other way is cut', async () => {
    const { arrived, outcome } = await called({ from: 'b', to: 'a' });
    expect(arrived).toBe(1);
    expect(outcome).toBeInstanceOf(NetworkFault);
  });
});

describe('a way to the store', () => {
  const write = { compares: [], writes: [{ type: 'put', key: '/a', value: '{}' }] } as const;

  function world(weather: Pick<Weather, 'store'> = calmWeather()) {
    const clock = new VirtualClock(0);
    const link = new StoreLink();
    const commits: (Commit & { readonly atMs: number })[] = [];
    const store = new FaultyStore(
      {
        shared: new MemoryStore({ clock }),
        clock,
        process: new SimulatedProcess('replica-1', clock),
        link,
        random: new SeededRandom(1),
        weather,
        revision: () => 0,
        onCommit: (commit) => commits.push({ ...commit, atMs: clock.monotonicMs() }),
      },
      { replica: 'replica-1', session: null },
    );
    return { clock, link, commits, store };
  }

  it('carries out what it brings no answer to', async () => {
    const { clock, link, commits, store } = world();
    link.losesAnswers = true;
    const failed = expect(store.transact(write)).rejects.toBeInstanceOf(StoreUnavailableError);
    await runOut(clock);
    await failed;
    expect(commits).toHaveLength(1);
  });

  it('may carry a request out after its sender has given up on it', async () => {
    const { clock, commits, store } = world({ store: { ...calmWeather().store, lateChance: 1, lateMs: [5000, 6000] } });
    let failedAtMs = 0;
    const failed = store.transact(write).catch(() => {
      failedAtMs = clock.monotonicMs();
    });
    await runOut(clock);
    await failed;
    expect(commits).toHaveLength(1);
    expect(failedAtMs).toBeGreaterThan(0);
    expect(commits[0]?.atMs).toBeGreaterThan(failedAtMs);
  });
});

describe('a simulated engine', () => {
  function running(behaviour: Partial<Behaviour>) {
    const clock = new VirtualClock(0);
    const ends: number[] = [];
    const witness = { onStart: () => undefined, onEnd: () => ends.push(clock.monotonicMs()) };
    const engine = new SimulatedEngine({ node: 'node-1', clock, random: new SeededRandom(1), witness });
    const whole: Behaviour = {
      lifeMs: 60_000,
      exitCode: 0,
      failurePercent: 0,
      stopMs: 100,
      killMs: 0,
      isUnusable: false,
      ...behaviour,
    };
    const container = engine.create(
      { id: 'task-1', group: aGroup({ env: environmentOf(whole) }), ports: { http: 80 } },
      { epoch: 1, run: 0 },
    );
    if (container === null) throw new Error('the engine has it already');
    engine.start(container);
    return { clock, engine, container, ends };
  }

  it('has containers that pass their checks until they are told not to, and answer on their ports', async () => {
    const { clock, engine, container } = running({ failsChecksAfterMs: 1000 });
    const host = new HostClock(clock);
    const process = new SimulatedProcess('node-1', host);
    const probes = new SimulatedProbes({ engine, process, clock, random: new SeededRandom(1) });
    const outcomes: string[] = [];
    const probe = async (port: number) => void outcomes.push((await probes.probe({ spec: aCheck(), port })).message);
    for (const port of [80, 81]) void probe(port);
    clock.setTimer(2000, () => void probe(80));
    clock.setTimer(3000, () => engine.kill(container, false));
    clock.setTimer(4000, () => void probe(80));
    await runOut(clock);
    expect(outcomes.slice(0, 2).toSorted()).toEqual(['connection refused', 'status 200']);
    expect(outcomes.slice(2)).toEqual(['status 500', 'connection refused']);
  });

  it('has containers that take SIGTERM, and such as hang', async () => {
    const polite = running({});
    polite.engine.terminate(polite.container);
    await runOut(polite.clock);
    expect(polite.ends).toEqual([100]);
    const hung = running({});
    hung.engine.hang(hung.container);
    hung.engine.terminate(hung.container);
    await runOut(hung.clock);
    expect(hung.ends).toEqual([]);
  });

  it('has containers that take their time after SIGKILL, however often they get it', async () => {
    const slow = running({ killMs: 20_000 });
    slow.engine.kill(slow.container, false);
    slow.clock.setTimer(10_000, () => slow.engine.kill(slow.container, false));
    await runOut(slow.clock);
    expect(slow.ends).toEqual([20_000]);
  });

  it('lets a stuck container survive its first SIGKILL', async () => {
    const stuck = running({});
    stuck.engine.kill(stuck.container, true);
    expect(stuck.ends).toEqual([]);
    stuck.engine.kill(stuck.container, true);
    expect(stuck.ends).toEqual([0]);
  });
});
